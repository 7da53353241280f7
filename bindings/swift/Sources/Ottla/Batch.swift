import COttla
import Foundation
import OttlaFFI

/// Records of one partition, in the order of their offsets: a collection of views on one region of
/// bytes. Nothing of a record is read before it is asked for.
///
/// A batch owns its bytes: keep it as long as you like, also after the consumer, and use it from
/// any task. It may be some megabytes: copy what you keep for long.
public struct Batch: RandomAccessCollection, Sendable {
    let storage: BatchStorage
    /// Which of the batch's records these are.
    private let range: Range<Int>

    init(_ native: NativeBatch) {
        storage = BatchStorage(native)
        range = 0..<storage.view.record_count
    }

    /// The records from this one on.
    func suffix(fromRecord first: Int) -> Batch { Batch(storage, first..<range.upperBound) }

    private init(_ storage: BatchStorage, _ range: Range<Int>) {
        self.storage = storage
        self.range = range
    }

    /// The topic.
    public var topic: String { storage.topic }
    /// The partition's number.
    public var partition: Int32 { storage.view.partition }
    /// The topic and the partition's number.
    public var topicPartition: TopicPartition {
        TopicPartition(topic: topic, partition: partition)
    }
    /// The offset from which on this has records. Offsets need not be dense: transactions and
    /// compaction leave gaps.
    public var baseOffset: Int64 {
        range.lowerBound == 0 ? storage.view.base_offset : self[range.lowerBound].offset
    }
    /// The last offset that the batch covers, whether a record is left there or not.
    public var lastOffset: Int64 { storage.view.last_offset }
    /// The epoch of the leader that appended it; `nil` where the broker is too old to say.
    public var leaderEpoch: Int32? {
        storage.view.leader_epoch < 0 ? nil : storage.view.leader_epoch
    }

    /// The first record's place.
    public var startIndex: Int { range.lowerBound }
    /// The place behind the last record.
    public var endIndex: Int { range.upperBound }

    /// The record at this place.
    public subscript(position: Int) -> ConsumerRecord {
        precondition(range.contains(position), "index out of range")
        return ConsumerRecord(storage: storage, index: position)
    }

    /// The values, as views.
    public var values: LazyMapSequence<Self, Bytes?> { lazy.map(\.value) }
    /// The keys, as views.
    public var keys: LazyMapSequence<Self, Bytes?> { lazy.map(\.key) }
}

/// A record that was read: a view on its batch, which it keeps alive.
public struct ConsumerRecord: Sendable {
    let storage: BatchStorage
    let index: Int

    /// The topic.
    public var topic: String { storage.topic }
    /// The partition's number.
    public var partition: Int32 { storage.view.partition }
    /// The topic and the partition's number.
    public var topicPartition: TopicPartition {
        TopicPartition(topic: topic, partition: partition)
    }
    /// The offset in the partition.
    public var offset: Int64 { storage.view.base_offset + Int64(field(0)) }
    /// Milliseconds since 1970: the producer's, or the broker's under `LogAppendTime`; -1 for none.
    public var timestamp: Int64 {
        let low = Int64(UInt32(bitPattern: field(1)))
        return storage.view.base_timestamp + (Int64(field(2)) << 32 | low)
    }
    /// The timestamp as a date.
    public var date: Date { Date(timeIntervalSince1970: Double(timestamp) / 1_000) }
    /// The key; `nil` and empty differ.
    public var key: Bytes? { bytes(at: 3) }
    /// The value; `nil` and empty differ.
    public var value: Bytes? { bytes(at: 5) }

    /// The headers in the producer's order; keys may repeat.
    public var headers: Headers {
        let first = Int(field(7))
        guard first >= 0 else { return Headers() }
        var headers = Headers()
        for header in 0..<Int(storage.header(first)) {
            let place = first + 1 + header * 4
            let part = { (start: Int) -> Bytes? in
                let count = storage.header(start + 1)
                guard count >= 0 else { return nil }
                return Bytes(owner: storage, start: storage.header(start), count: count)
            }
            headers.append(part(place)?.string ?? "", part(place + 2))
        }
        return headers
    }

    private func field(_ number: Int) -> Int32 {
        storage.record(index * BatchStorage.fieldsPerRecord + number)
    }

    private func bytes(at first: Int) -> Bytes? {
        let count = field(first + 1)
        guard count >= 0 else { return nil }
        return Bytes(owner: storage, start: field(first), count: count)
    }
}

/// A batch of the core's, and where its parts are.
final class BatchStorage: @unchecked Sendable {
    // Sendable: nothing here or behind these pointers is ever written.
    static let fieldsPerRecord = 8

    /// Keeps everything that `view` points to where it is.
    private let native: NativeBatch
    let view: OttlaBatchView
    let topic: String

    init(_ native: NativeBatch) {
        self.native = native
        var view = OttlaBatchView()
        ottla_batch_view(native.address(), &view)
        self.view = view
        let topic = UnsafeBufferPointer(start: view.topic, count: view.topic_bytes)
        self.topic = String(decoding: topic, as: UTF8.self)
    }

    /// An integer of the records' index.
    func record(_ place: Int) -> Int32 {
        // SAFETY: the callers' places are below the count, which they were checked against.
        view.records[place]
    }

    /// An integer of the headers' index.
    func header(_ place: Int) -> Int32 {
        // SAFETY: places come from the index itself.
        view.headers[place]
    }

    /// A part of the records' bytes.
    func region(start: Int32, count: Int32) -> UnsafeRawBufferPointer {
        // SAFETY: the index names places within the data only.
        UnsafeRawBufferPointer(start: view.data + Int(start), count: Int(count))
    }
}
