import OttlaFFI

/// Reads records: partitions by hand, or as a member of a group.
///
/// ```swift
/// let consumer = try await Consumer(
///     ["bootstrap.servers": "localhost:9092", "group.id": "billing"], topics: ["orders"])
/// for try await record in consumer.records {
///     print(record.offset, record.value?.string ?? "nil")
/// }
/// ```
///
/// At least once: what was given is *finished* when the next record or batch is asked for, and only
/// what is finished is committed by itself. Heartbeats, fetching ahead and commits go on in the
/// background. Read from one task at a time; everything else may be called from any.
///
/// Letting go of a consumer leaves the group in the background; ``close()`` waits for it.
public final class Consumer: Sendable {
    let native: NativeConsumer
    let cursor: Cursor

    /// Connects and joins the group of `group.id`, which shares the partitions of these topics.
    ///
    /// - Throws: ``OttlaError``: `config` for a setting that is unknown, missing or refused;
    ///   `unreachable`. `CancellationError`.
    public convenience init(_ configuration: Configuration, topics: [String]) async throws {
        try await self.init(configuration, topics, [])
    }

    /// Connects and reads these partitions; `group.id` is needed for commits only.
    ///
    /// - Throws: As for topics.
    public convenience init(
        _ configuration: Configuration, partitions: [TopicPartition]
    ) async throws {
        try await self.init(configuration, [], partitions)
    }

    private init(
        _ configuration: Configuration, _ topics: [String], _ partitions: [TopicPartition]
    ) async throws {
        native = try await cancellable {
            try await .connect(
                settings: configuration.settings, topics: topics, partitions: partitions, token: $0)
        }
        cursor = Cursor(native)
    }

    /// The records, one after the other. It ends when the consumer is closed, and throws
    /// `CancellationError` when the task is cancelled; leaving a loop loses nothing, and the next
    /// loop goes on behind the last record that was given.
    public var records: Records { Records(consumer: self) }

    /// The records in batches. As ``records``; what a loop over records left of a batch comes
    /// first.
    public var batches: Batches { Batches(consumer: self) }

    /// Waits for the next batch; the one before is finished. `nil` once closed.
    ///
    /// - Throws: ``OttlaError`` for what you have to know: a topic that does not exist, a missing
    ///   permission, a position that is not in the log under `auto.offset.reset=none`, a batch that
    ///   cannot be read. Unless ``OttlaError/isFatal``, asking again goes on. `CancellationError`:
    ///   nothing is lost.
    public func nextBatch() async throws -> Batch? {
        if let rest = cursor.rest() { return rest }
        if let batch = try immediate(native.nextBatchNow) { return Batch(batch) }
        let batch = try await cancellable { [native] in
            try await native.nextBatchLater(token: $0)
        }
        return batch.map(Batch.init)
    }

    /// Waits for the next record; the one before is finished. `nil` once closed.
    ///
    /// - Throws: As ``nextBatch()``.
    public func nextRecord() async throws -> ConsumerRecord? {
        while true {
            if let record = cursor.record() { return record }
            guard let batch = try await nextBatch() else { return nil }
            cursor.open(batch)
        }
    }

    /// Commits everything that was given, and waits until the coordinator has it.
    ///
    /// - Throws: ``OttlaError``: `rebalance` when the partitions belong to another member by now,
    ///   which goes on from the last commit; others after they were tried again for
    ///   `default.api.timeout.ms`. `CancellationError`: the commit goes on.
    public func commit() async throws {
        cursor.finish()
        try await cancellable { [native] in try await native.commit(token: $0) }
    }

    /// As ``commit()`` without waiting for the answer. Commits are sent in order.
    ///
    /// - Throws: ``OttlaError`` of kind `closed` after a fork.
    public func commitLater() throws {
        cursor.finish()
        try immediate(native.commitLater)
    }

    /// Commits these offsets: of each partition the next one to be consumed.
    ///
    /// - Throws: As ``commit()``.
    public func commit(_ offsets: [TopicPartition: CommittedOffset]) async throws {
        try await cancellable { [native] in
            try await native.commitOffsets(offsets: offsets, token: $0)
        }
    }

    /// Commits these offsets: of each partition the next one to be consumed.
    ///
    /// - Throws: As ``commit()``.
    public func commit(_ offsets: [TopicPartition: Int64]) async throws {
        try await commit(offsets.mapValues { CommittedOffset(offset: $0) })
    }

    /// What the group has committed of these partitions; one without a commit is absent.
    ///
    /// - Throws: ``OttlaError``: `config` without a group; `timeout`. `CancellationError`.
    public func committed(
        _ partitions: [TopicPartition]
    ) async throws -> [TopicPartition: CommittedOffset] {
        try await cancellable { [native] in
            try await native.committed(partitions: partitions, token: $0)
        }
    }

    /// Replaces the subscription; the group rebalances.
    ///
    /// - Throws: ``OttlaError`` of kind `config` without a group.
    public func subscribe(_ topics: [String]) throws {
        try immediate { try native.subscribe(topics: topics) }
    }

    /// Replaces the partitions of a consumer that was made with partitions. Those that stay keep
    /// their position.
    ///
    /// - Throws: ``OttlaError`` of kind `closed` after a fork.
    public func assign(_ partitions: [TopicPartition]) throws {
        try immediate { try native.assign(partitions: partitions) }
    }

    /// The partitions that this consumer has now.
    public var assignment: [TopicPartition] {
        get throws { try immediate(native.assignment) }
    }

    /// The offset after what was given; `nil` while it is not known, or if the partition is not
    /// assigned.
    public func position(_ partition: TopicPartition) throws -> Int64? {
        if let offset = cursor.position(of: partition) { return offset }
        return try immediate { try native.position(partition: partition) }
    }

    /// How many records are behind the position, as of the last fetch; `nil` before it.
    public func lag(_ partition: TopicPartition) throws -> Int64? {
        try immediate { try native.lag(partition: partition) }
    }

    /// Goes to an offset; what was fetched ahead of it is dropped.
    ///
    /// - Throws: ``OttlaError`` of kind `invalid` if the partition is not assigned.
    public func seek(_ partition: TopicPartition, to offset: Int64) throws {
        cursor.close(partition)
        try immediate { try native.seek(partition: partition, offset: offset) }
    }

    /// Goes to the first record with this timestamp (milliseconds since 1970) or a later one.
    ///
    /// - Throws: As ``seek(_:to:)``.
    public func seek(_ partition: TopicPartition, toTimestamp milliseconds: Int64) throws {
        cursor.close(partition)
        try immediate {
            try native.seekToTimestamp(partition: partition, timestamp: milliseconds)
        }
    }

    /// Goes to the first offset.
    ///
    /// - Throws: As ``seek(_:to:)``.
    public func seekToBeginning(_ partition: TopicPartition) throws {
        cursor.close(partition)
        try immediate { try native.seekToBeginning(partition: partition) }
    }

    /// Goes behind the last record.
    ///
    /// - Throws: As ``seek(_:to:)``.
    public func seekToEnd(_ partition: TopicPartition) throws {
        cursor.close(partition)
        try immediate { try native.seekToEnd(partition: partition) }
    }

    /// Gives nothing of the partition until ``resume(_:)``, but for what is left of an open batch.
    ///
    /// - Throws: ``OttlaError`` of kind `invalid` if the partition is not assigned.
    public func pause(_ partition: TopicPartition) throws {
        try immediate { try native.pause(partition: partition) }
    }

    /// Gives records of the partition again.
    ///
    /// - Throws: ``OttlaError`` of kind `invalid` if the partition is not assigned.
    public func resume(_ partition: TopicPartition) throws {
        try immediate { try native.resume(partition: partition) }
    }

    /// Whether the partition is paused.
    public func isPaused(_ partition: TopicPartition) throws -> Bool {
        try immediate { try native.isPaused(partition: partition) }
    }

    /// The first offset of each partition.
    ///
    /// - Throws: ``OttlaError`` for a partition that does not exist or may not be read; `timeout`.
    ///   `CancellationError`.
    public func beginningOffsets(
        _ partitions: [TopicPartition]
    ) async throws -> [TopicPartition: Int64] {
        try await cancellable { [native] in
            try await native.beginningOffsets(partitions: partitions, token: $0)
        }
    }

    /// The offset after the last record of each partition: of the last stable one under
    /// `read_committed`.
    ///
    /// - Throws: As ``beginningOffsets(_:)``.
    public func endOffsets(_ partitions: [TopicPartition]) async throws -> [TopicPartition: Int64] {
        try await cancellable { [native] in
            try await native.endOffsets(partitions: partitions, token: $0)
        }
    }

    /// The first record of each partition with this timestamp (milliseconds since 1970) or a later
    /// one; partitions without such a record are absent.
    ///
    /// - Throws: As ``beginningOffsets(_:)``.
    public func offsets(
        forTimes timestamps: [TopicPartition: Int64]
    ) async throws -> [TopicPartition: OffsetAndTimestamp] {
        try await cancellable { [native] in
            try await native.offsetsForTimes(timestamps: timestamps, token: $0)
        }
    }

    /// What happens to the assignment, from the beginning on (of more than 256 that nobody has read
    /// the latest); for one reader.
    public var rebalances: Rebalances { Rebalances(native: native) }

    /// Commits what is finished (if `enable.auto.commit` is on), leaves the group and closes all
    /// connections, within 5 s. The last record or batch that was given is finished only if another
    /// was asked for: ``commit()`` before to include it.
    ///
    /// - Throws: ``OttlaError`` of kind `timeout` if the coordinator did not answer; the consumer
    ///   is closed all the same. `CancellationError`: closing goes on.
    public func close() async throws {
        cursor.close()
        try await cancellable { [native] in try await native.close(token: $0) }
    }
}
