import COttla
import Foundation
import OttlaFFI

/// Sends records.
///
/// Idempotent by default: each record is written once and in order per partition, whatever is tried
/// again. Use one producer from any number of tasks; records of one task are sent in the order of
/// its calls.
///
/// ```swift
/// let producer = try await Producer(["bootstrap.servers": "localhost:9092"])
/// let written = try await producer.send(topic: "flights", value: "UA1545,IAH", key: "UA")
/// print(written.partition, written.offset)
/// try await producer.close()
/// ```
///
/// Without ``close(within:)`` or ``flush()`` at the end, records on their way may be lost with the
/// process.
public final class Producer: Sendable {
    private let native: NativeProducer
    /// Good as long as `native`.
    private let address: UInt64

    /// Connects to one of the bootstrap servers.
    ///
    /// - Parameter configuration: Settings by Kafka's names, or a ``Configuration``.
    /// - Throws: ``OttlaError``: `config` for a setting that is unknown, missing or refused;
    ///   `unreachable`. `CancellationError`.
    public init(_ configuration: Configuration) async throws {
        native = try await cancellable {
            try await .connect(settings: configuration.settings, token: $0)
        }
        address = native.address()
    }

    /// Sends a record and waits until the brokers have it.
    ///
    /// One record at a time waits for one answer each: use ``enqueue(_:)``, ``send(_:)-records`` or
    /// several tasks for throughput.
    ///
    /// - Throws: ``OttlaError``, see ``enqueue(_:)`` and ``Delivery/metadata``.
    ///   `CancellationError`: the record may have been written.
    @discardableResult
    public func send(_ record: ProducerRecord) async throws -> RecordMetadata {
        try await enqueue(record).metadata
    }

    /// Sends a record and waits until the brokers have it: see ``ProducerRecord`` for the parts.
    ///
    /// - Throws: As ``send(_:)``.
    @discardableResult
    public func send(
        topic: String,
        value: (any BytesRepresentable)?,
        key: (any BytesRepresentable)? = nil,
        headers: Headers = [:],
        partition: Int32? = nil,
        timestamp: Int64? = nil
    ) async throws -> RecordMetadata {
        let record = ProducerRecord(
            topic: topic, value: value, key: key, headers: headers, partition: partition,
            timestamp: timestamp)
        return try await send(record)
    }

    /// Sends many records and waits until the brokers have all of them.
    ///
    /// - Returns: Where they were written, in their order.
    /// - Throws: ``OttlaError`` of the first record that failed; others may have been written.
    ///   `CancellationError`: as with `send(_:)` of one record.
    @discardableResult
    public func send(_ records: PackedRecords) async throws -> [RecordMetadata] {
        try await enqueue(records).metadata
    }

    /// Hands a record over: when this returns it is encoded and on its way, and the ``Delivery``
    /// tells how it ends. It waits only for memory (`buffer.memory`) and for a topic that is not
    /// known yet, at most `max.block.ms`.
    ///
    /// - Throws: ``OttlaError``, and the record was not sent: `invalid` for one that is too large
    ///   or a partition that does not exist; `notFound` for a topic that does not exist; `timeout`
    ///   when memory does not become free; `closed`. `CancellationError`: it was not sent.
    public func enqueue(_ record: ProducerRecord) async throws -> Delivery {
        var records = PackedRecords()
        records.append(record)
        let (deliveries, address, refused) = try await enqueue(packed: records.bytes)
        let delivery = Delivery(deliveries: deliveries, address: address, topic: record.topic)
        if refused > 0 { _ = try await delivery.metadata }
        return delivery
    }

    /// Hands a record over: see ``ProducerRecord`` for the parts.
    ///
    /// - Throws: As ``enqueue(_:)``.
    public func enqueue(
        topic: String,
        value: (any BytesRepresentable)?,
        key: (any BytesRepresentable)? = nil,
        headers: Headers = [:],
        partition: Int32? = nil,
        timestamp: Int64? = nil
    ) async throws -> Delivery {
        let record = ProducerRecord(
            topic: topic, value: value, key: key, headers: headers, partition: partition,
            timestamp: timestamp)
        return try await enqueue(record)
    }

    /// Hands many records over in one call, waiting as ``enqueue(_:)`` does for each.
    ///
    /// - Throws: ``OttlaError`` where the producer can take no record at all; what becomes of each
    ///   is told by the group. `CancellationError`: some may be on their way.
    public func enqueue(_ records: PackedRecords) async throws -> DeliveryGroup {
        DeliveryGroup(deliveries: try await enqueue(packed: records.bytes).deliveries)
    }

    /// Answers the deliveries, their address, and how many of the records were refused.
    private func enqueue(
        packed: [UInt8]
    ) async throws -> (deliveries: Deliveries, address: UInt64, refused: Int) {
        try Task.checkCancellation()
        let enqueued = withExtendedLifetime(native) {
            packed.withUnsafeBufferPointer {
                ottla_producer_enqueue(address, $0.baseAddress, $0.count)
            }
        }
        let deliveries =
            enqueued.deliveries == 0
            ? try immediate(native.noDeliveries) : Deliveries(unsafeFromHandle: enqueued.deliveries)
        if enqueued.deliveries != 0, enqueued.taken_bytes == packed.count {
            return (deliveries, enqueued.address, enqueued.refused_count)
        }
        let rest = Data(packed[enqueued.taken_bytes...])
        let refused = try await cancellable { [native] in
            try await native.enqueueLater(packed: rest, deliveries: deliveries, token: $0)
        }
        return (deliveries, enqueued.address, Int(refused))
    }

    /// How many partitions a topic has; waits for its metadata, at most `max.block.ms`.
    ///
    /// - Throws: ``OttlaError`` as ``enqueue(_:)``; `CancellationError`.
    public func partitionCount(of topic: String) async throws -> Int32 {
        try await cancellable { [native] in
            try await native.partitionCount(topic: topic, token: $0)
        }
    }

    /// Waits until every record that was handed over before has been acknowledged or has failed;
    /// nothing lingers meanwhile.
    ///
    /// - Throws: ``OttlaError`` only where the producer can do no more: a record's failure is told
    ///   by its delivery. `CancellationError`.
    public func flush() async throws {
        try await cancellable { [native] in try await native.flush(token: $0) }
    }

    /// Refuses new records, waits for those on their way, and ends the connections.
    ///
    /// - Parameter limit: The longest to wait; `nil`: `delivery.timeout.ms`. What is left then
    ///   fails with `closed`.
    /// - Throws: ``OttlaError`` as ``flush()``, and `timeout` where records were left.
    ///   `CancellationError`: new records are refused, the rest goes on.
    public func close(within limit: Duration? = nil) async throws {
        let limit = limit.map { UInt64(max(0, $0.milliseconds)) }
        try await cancellable { [native] in try await native.close(withinMs: limit, token: $0) }
    }

    /// Bytes of `buffer.memory` that are in use.
    public var memoryUsed: Int { Int(native.memoryUsed()) }
}

extension Duration {
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000 + attoseconds / 1_000_000_000_000_000
    }
}
