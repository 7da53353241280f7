import OttlaFFI

/// A consumer's records, one after the other: see ``Consumer/records``.
public struct Records: AsyncSequence, Sendable {
    let consumer: Consumer

    /// Asks for records.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let consumer: Consumer

        /// As ``Consumer/nextRecord()``.
        public mutating func next() async throws -> ConsumerRecord? {
            try await consumer.nextRecord()
        }

        /// As ``Consumer/nextRecord()``, without leaving the caller's actor for a record that is
        /// there already.
        @available(macOS 15, iOS 18, tvOS 18, watchOS 11, *)
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws -> ConsumerRecord? {
            if let record = consumer.cursor.record() { return record }
            return try await consumer.nextRecord()
        }
    }

    /// Begins where the consumer stands.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(consumer: consumer) }
}

/// A consumer's records in batches: see ``Consumer/batches``.
public struct Batches: AsyncSequence, Sendable {
    let consumer: Consumer

    /// Asks for batches.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let consumer: Consumer

        /// As ``Consumer/nextBatch()``.
        public mutating func next() async throws -> Batch? {
            try await consumer.nextBatch()
        }
    }

    /// Begins where the consumer stands.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(consumer: consumer) }
}

/// What happens to a consumer's assignment: see ``Consumer/rebalances``. It ends when the consumer
/// is closed.
public struct Rebalances: AsyncSequence, Sendable {
    let native: NativeConsumer

    /// Asks for events.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let native: NativeConsumer

        /// Waits for the next event.
        ///
        /// - Throws: `CancellationError`.
        public mutating func next() async throws -> RebalanceEvent? {
            try await cancellable { [native] in try await native.nextRebalance(token: $0) }
        }
    }

    /// Begins with the first event that nobody has read.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(native: native) }
}
