import Foundation

/// What can be a record's key or value: `[UInt8]`, `ArraySlice<UInt8>`, `Data`, `String`,
/// `Substring`, ``Bytes``, and types of yours.
public protocol BytesRepresentable: Sendable {
    /// The bytes, in one piece, for the time of the call.
    func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R

    /// The bytes as an array.
    var byteArray: [UInt8] { get }
}

extension BytesRepresentable {
    /// A copy of the bytes.
    public var byteArray: [UInt8] { withBytes { [UInt8]($0) } }
}

extension [UInt8]: BytesRepresentable {
    /// The elements.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try withUnsafeBytes(body)
    }

    /// The array itself.
    public var byteArray: [UInt8] { self }
}

extension ArraySlice<UInt8>: BytesRepresentable {
    /// The elements.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try withUnsafeBytes(body)
    }
}

extension Data: BytesRepresentable {
    /// The contents.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try withUnsafeBytes(body)
    }
}

extension String: BytesRepresentable {
    /// The text in UTF-8.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        var text = self
        return try text.withUTF8 { try body(UnsafeRawBufferPointer($0)) }
    }
}

extension Substring: BytesRepresentable {
    /// The text in UTF-8.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        var text = self
        return try text.withUTF8 { try body(UnsafeRawBufferPointer($0)) }
    }
}

/// A key or value that was read: a view on the bytes of its batch, which it keeps alive. Nothing is
/// copied before you ask: `Array(bytes)`, `Data(bytes)` or ``string``.
///
/// A batch may be some megabytes: copy what you keep for long.
public struct Bytes: RandomAccessCollection, @unchecked Sendable {
    // Sendable: the region is never written, and lives as long as its owner, which is held here.
    private let owner: BatchStorage
    private let region: UnsafeRawBufferPointer

    init(owner: BatchStorage, start: Int32, count: Int32) {
        self.owner = owner
        region = owner.region(start: start, count: count)
    }

    /// Always zero.
    public var startIndex: Int { 0 }
    /// How many there are.
    public var endIndex: Int { region.count }

    /// The byte at this place.
    public subscript(position: Int) -> UInt8 {
        precondition(position >= 0 && position < region.count, "index out of range")
        return region[position]
    }

    /// The bytes in one piece, for the time of the call.
    public func withContiguousStorageIfAvailable<R>(
        _ body: (UnsafeBufferPointer<UInt8>) throws -> R
    ) rethrows -> R? {
        try withExtendedLifetime(owner) { try body(region.bindMemory(to: UInt8.self)) }
    }

    /// The text, where the bytes are UTF-8; what is not becomes U+FFFD.
    public var string: String {
        withBytes { String(decoding: $0, as: UTF8.self) }
    }
}

extension Bytes: BytesRepresentable, ContiguousBytes {
    /// The bytes in one piece, for the time of the call.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try withExtendedLifetime(owner) { try body(region) }
    }

    /// The bytes in one piece, for the time of the call.
    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try withBytes(body)
    }
}

extension Bytes: Hashable, CustomStringConvertible {
    /// Whether the bytes are the same, wherever they are.
    public static func == (left: Bytes, right: Bytes) -> Bool { left.elementsEqual(right) }

    /// By content.
    public func hash(into hasher: inout Hasher) { withBytes { hasher.combine(bytes: $0) } }

    /// As an array's.
    public var description: String { Array(self).description }
}
