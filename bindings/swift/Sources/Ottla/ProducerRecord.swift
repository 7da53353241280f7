/// A record to send.
public struct ProducerRecord: Sendable, Hashable {
    /// The topic.
    public var topic: String
    /// The value; `nil` is a tombstone on a compacted topic.
    public var value: [UInt8]?
    /// The key: records of one key go to one partition, in order. An empty key is a key.
    public var key: [UInt8]?
    /// The headers.
    public var headers: Headers
    /// The partition; `nil`: the partitioner chooses.
    public var partition: Int32?
    /// Milliseconds since 1970; `nil`: the time of sending.
    public var timestamp: Int64?

    /// A record for this topic.
    public init(
        topic: String,
        value: (any BytesRepresentable)?,
        key: (any BytesRepresentable)? = nil,
        headers: Headers = [:],
        partition: Int32? = nil,
        timestamp: Int64? = nil
    ) {
        self.topic = topic
        self.value = value?.byteArray
        self.key = key?.byteArray
        self.headers = headers
        self.partition = partition
        self.timestamp = timestamp
    }
}

/// Records in the form in which they go to the core, to send many in one call at the least cost:
/// appending copies key and value once and allocates nothing for the record.
///
/// ```swift
/// var records = PackedRecords()
/// for line in lines { records.append(topic: "lines", value: line) }
/// let written = try await producer.send(records)
/// ```
public struct PackedRecords: Sendable {
    /// As `native/src/packed.rs` reads it.
    private(set) var bytes: [UInt8] = []
    /// How many there are.
    public private(set) var count = 0

    /// None.
    public init() {}

    /// These.
    public init(_ records: some Sequence<ProducerRecord>) {
        for record in records { append(record) }
    }

    /// Whether there are none.
    public var isEmpty: Bool { count == 0 }

    /// The bytes that they take here.
    public var byteCount: Int { bytes.count }

    /// Forgets the records and keeps the memory.
    public mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        count = 0
    }

    /// Adds a record.
    public mutating func append(_ record: ProducerRecord) {
        append(
            topic: record.topic, value: record.value, key: record.key, headers: record.headers,
            partition: record.partition, timestamp: record.timestamp)
    }

    /// Adds a record from its parts: see ``ProducerRecord``.
    public mutating func append(
        topic: String,
        value: (some BytesRepresentable)?,
        key: (some BytesRepresentable)? = [UInt8]?.none,
        headers: Headers = [:],
        partition: Int32? = nil,
        timestamp: Int64? = nil
    ) {
        let start = bytes.count
        bytes.append(contentsOf: Self.noHead)
        let topicBytes = put(topic)
        let keyBytes = put(key)
        let valueBytes = put(value)
        for header in headers { put(header) }
        bytes.withUnsafeMutableBytes { bytes in
            let head = UnsafeMutableRawBufferPointer(rebasing: bytes[start...])
            head.store(topicBytes, at: 0)
            head.store(partition ?? -1, at: 4)
            head.store(timestamp ?? .min, at: 8)
            head.store(keyBytes, at: 16)
            head.store(valueBytes, at: 20)
            head.store(Int32(headers.count), at: 24)
        }
        count += 1
    }

    private static let noHead = [UInt8](repeating: 0, count: 28)

    /// Adds bytes; answers how many, -1 for none at all.
    private mutating func put(_ part: (some BytesRepresentable)?) -> Int32 {
        guard let part else { return -1 }
        return part.withBytes { source in
            bytes.append(contentsOf: source)
            return Int32(source.count)
        }
    }

    private mutating func put(_ header: Headers.Element) {
        let start = bytes.count
        bytes.append(contentsOf: Self.noHead[..<8])
        let keyBytes = put(header.key)
        let valueBytes = put(header.value)
        bytes.withUnsafeMutableBytes { bytes in
            let head = UnsafeMutableRawBufferPointer(rebasing: bytes[start...])
            head.store(keyBytes, at: 0)
            head.store(valueBytes, at: 4)
        }
    }
}

extension UnsafeMutableRawBufferPointer {
    fileprivate func store<T: FixedWidthInteger>(_ number: T, at offset: Int) {
        storeBytes(of: number.littleEndian, toByteOffset: offset, as: T.self)
    }
}
