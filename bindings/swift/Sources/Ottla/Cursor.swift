import COttla
import Foundation
import OttlaFFI

/// Where record-wise reading stands inside of a batch. It belongs to the consumer, not to a loop: a
/// loop that was left goes on in the next one.
final class Cursor: @unchecked Sendable {
    // Sendable: everything that changes is behind the lock.
    private let lock = NSLock()
    private var batch: Batch?
    /// The place of the next record to give.
    private var next = 0
    private let native: NativeConsumer
    /// Good as long as `native`.
    private let address: UInt64

    init(_ native: NativeConsumer) {
        self.native = native
        address = native.address()
    }

    func open(_ batch: Batch) {
        lock.lock()
        defer { lock.unlock() }
        self.batch = batch
        next = batch.startIndex
    }

    /// The next record of the open batch; the one before is finished.
    func record() -> ConsumerRecord? {
        lock.lock()
        defer { lock.unlock() }
        guard let batch else { return nil }
        guard next < batch.endIndex, tell(batch) else {
            self.batch = nil
            return nil
        }
        defer { next += 1 }
        return batch[next]
    }

    /// What is left of the open batch, all of which is given with this.
    func rest() -> Batch? {
        lock.lock()
        defer { lock.unlock() }
        guard let batch, next < batch.endIndex else {
            self.batch = nil
            return nil
        }
        defer { next = batch.endIndex }
        return batch.suffix(fromRecord: next)
    }

    /// Tells the core that every record that was given is finished.
    func finish() {
        lock.lock()
        defer { lock.unlock() }
        guard let batch else { return }
        if !tell(batch) { self.batch = nil }
    }

    /// Forgets the open batch; with a partition, if it is of this.
    func close(_ partition: TopicPartition? = nil) {
        lock.lock()
        defer { lock.unlock() }
        if partition == nil || batch?.topicPartition == partition { batch = nil }
    }

    /// The offset of the next record to give, if the open batch is of this partition.
    func position(of partition: TopicPartition) -> Int64? {
        lock.lock()
        defer { lock.unlock() }
        guard let batch, batch.topicPartition == partition, next < batch.endIndex else {
            return nil
        }
        return nextOffset(batch)
    }

    private func tell(_ batch: Batch) -> Bool {
        withExtendedLifetime(native) { ottla_consumer_finish_up_to(address, nextOffset(batch)) }
    }

    private func nextOffset(_ batch: Batch) -> Int64 {
        if next == batch.startIndex { return batch.baseOffset }
        if next == batch.endIndex { return batch.lastOffset + 1 }
        return batch[next - 1].offset + 1
    }
}
