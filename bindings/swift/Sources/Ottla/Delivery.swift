import COttla
import Foundation
import OttlaFFI

/// Where a record was written.
public struct RecordMetadata: Sendable, Hashable {
    /// The topic.
    public var topic: String
    /// The partition.
    public var partition: Int32
    /// The offset; -1 where the broker did not say (`acks=0`).
    public var offset: Int64
    /// Milliseconds since 1970: the record's own time, or the broker's where the topic says
    /// `LogAppendTime`.
    public var timestamp: Int64
}

/// A record on its way. Letting go of it abandons the answer, not the record.
public struct Delivery: Sendable {
    let deliveries: Deliveries
    /// Good as long as `deliveries`; 0 where it is not known.
    let address: UInt64
    let topic: String

    /// Where the record was written; waits until the brokers have it.
    ///
    /// Cancelling the task abandons the answer, not the record.
    ///
    /// - Throws: ``OttlaError`` when it was not acknowledged within `delivery.timeout.ms`, or never
    ///   can be; see ``OttlaError/possiblyWritten``. `CancellationError`.
    public var metadata: RecordMetadata {
        get async throws {
            if address != 0 {
                let now = withExtendedLifetime(deliveries) { ottla_delivery_now(address) }
                if now.is_written {
                    return RecordMetadata(
                        topic: topic, partition: now.partition, offset: now.offset,
                        timestamp: now.timestamp)
                }
            }
            let outcomes = try await deliveries.outcomes()
            return try outcomes.result(at: 0).get()
        }
    }
}

/// Records on their way that were handed over in one call. Letting go of it abandons the answers,
/// not the records.
public struct DeliveryGroup: Sendable {
    let deliveries: Deliveries

    /// How many records.
    public var count: Int { Int(deliveries.count()) }

    /// What became of each record, in their order; waits until all have ended.
    ///
    /// - Throws: `CancellationError`; ``OttlaError`` of kind `closed` after a fork. A record's
    ///   error is in its result.
    public var results: [Result<RecordMetadata, OttlaError>] {
        get async throws {
            let outcomes = try await deliveries.outcomes()
            return (0..<outcomes.count).map(outcomes.result)
        }
    }

    /// Where each record was written, in their order; waits until all have ended.
    ///
    /// - Throws: The first record's ``OttlaError`` that has one; `CancellationError`.
    public var metadata: [RecordMetadata] {
        get async throws { try await results.map { try $0.get() } }
    }
}

extension Deliveries {
    func outcomes() async throws -> Outcomes {
        if let outcomes = try immediate(outcomesNow) { return outcomes }
        return try await cancellable { try await self.outcomesLater(token: $0) }
    }
}

extension Outcomes {
    /// As `native/src/deliveries.rs` writes them.
    static let bytesPerRecord = 24

    var count: Int { places.count / Self.bytesPerRecord }

    func result(at index: Int) -> Result<RecordMetadata, OttlaError> {
        places.withUnsafeBytes { places in
            func load<T: FixedWidthInteger>(_ offset: Int, _: T.Type) -> T {
                let place = index * Self.bytesPerRecord + offset
                return T(littleEndian: places.loadUnaligned(fromByteOffset: place, as: T.self))
            }
            let topic = load(0, Int32.self)
            if topic < 0, let failure = failures[UInt32(index)] {
                return .failure(OttlaError(failure))
            }
            return .success(
                RecordMetadata(
                    topic: topics[Int(topic)], partition: load(4, Int32.self),
                    offset: load(8, Int64.self), timestamp: load(16, Int64.self)))
        }
    }
}
