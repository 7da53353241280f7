/// A record's headers in their order; keys may repeat.
///
/// ```swift
/// let headers: Headers = ["trace": "4711", "retry": nil]
/// ```
public struct Headers: Sendable, Hashable, RandomAccessCollection {
    /// One header.
    public struct Element: Sendable, Hashable {
        /// Its key.
        public var key: String
        /// Its value; `nil` and empty differ.
        public var value: [UInt8]?

        /// A header.
        public init(_ key: String, _ value: (any BytesRepresentable)?) {
            self.key = key
            self.value = value?.byteArray
        }

        /// The value as text, where it is UTF-8; what is not becomes U+FFFD.
        public var string: String? { value.map { String(decoding: $0, as: UTF8.self) } }
    }

    private var elements: [Element] = []

    /// None.
    public init() {}

    /// These.
    public init(_ elements: some Sequence<Element>) { self.elements = Array(elements) }

    /// Adds one at the end.
    public mutating func append(_ key: String, _ value: (any BytesRepresentable)?) {
        elements.append(Element(key, value))
    }

    /// The last value under this key; `nil` where it is null or there is none.
    public subscript(key: String) -> [UInt8]? { elements.last { $0.key == key }?.value }

    /// Always zero.
    public var startIndex: Int { 0 }
    /// How many there are.
    public var endIndex: Int { elements.count }
    /// The header at this place.
    public subscript(position: Int) -> Element { elements[position] }
}

extension Headers: ExpressibleByDictionaryLiteral, CustomStringConvertible {
    /// Headers in the order of the literal, which may repeat keys.
    public init(dictionaryLiteral elements: (String, (any BytesRepresentable)?)...) {
        self.elements = elements.map { Element($0, $1) }
    }

    /// Keys and values as text.
    public var description: String {
        "[" + elements.map { "\($0.key): \($0.string ?? "nil")" }.joined(separator: ", ") + "]"
    }
}
