import OttlaFFI

/// Creates, describes, changes and deletes what a cluster holds.
///
/// ```swift
/// let admin = try await Admin(["bootstrap.servers": "localhost:9092"])
/// try await admin.createTopic(NewTopic(name: "orders", partitions: 6, replicationFactor: 1))
/// print(try await admin.listTopics().map(\.name))
/// ```
///
/// Operations over several items answer with a result for each: one item's failure leaves the
/// others as they are. Every operation tries again while its failure may pass
/// (`default.api.timeout.ms`, 60 s); cancelling its task abandons the answer, not what a broker was
/// already asked.
///
/// Every method throws ``OttlaError`` when no broker could be reached or the client was closed, and
/// `CancellationError`.
public final class Admin: Sendable {
    private let native: NativeAdmin

    /// Connects to one of the bootstrap servers.
    ///
    /// - Throws: ``OttlaError``: `config` for a setting that is unknown, missing or refused;
    ///   `unreachable`. `CancellationError`.
    public init(_ configuration: Configuration) async throws {
        native = try await cancellable {
            try await .connect(settings: configuration.settings, token: $0)
        }
    }

    /// Creates a topic.
    ///
    /// - Throws: Also when it exists already, its name or a configuration is not valid, or there
    ///   are fewer brokers than replicas.
    @discardableResult
    public func createTopic(_ topic: NewTopic) async throws -> CreatedTopic {
        try only(try await createTopics([topic]))
    }

    /// Creates topics; with `validateOnly` says what that would do.
    public func createTopics(
        _ topics: [NewTopic], validateOnly: Bool = false
    ) async throws -> [String: Result<CreatedTopic, OttlaError>] {
        let outcomes = try await cancellable { [native] in
            try await native.createTopics(topics: topics, validateOnly: validateOnly, token: $0)
        }
        return results(outcomes.created, outcomes.failures)
    }

    /// Deletes topics with all their records.
    public func deleteTopics(
        _ topics: [String]
    ) async throws -> [String: Result<Void, OttlaError>] {
        let failures = try await cancellable { [native] in
            try await native.deleteTopics(topics: topics, token: $0)
        }
        return results(done(topics, failures), failures)
    }

    /// Raises the number of partitions of topics to these totals. Keys may go to other partitions
    /// afterwards.
    public func createPartitions(
        _ totals: [String: Int32]
    ) async throws -> [String: Result<Void, OttlaError>] {
        let failures = try await cancellable { [native] in
            try await native.createPartitions(totals: totals, token: $0)
        }
        return results(done(totals.keys, failures), failures)
    }

    /// All topics, by name.
    public func listTopics() async throws -> [TopicListing] {
        try await cancellable { [native] in try await native.listTopics(token: $0) }
    }

    /// Partitions of topics, with leaders, replicas and in-sync replicas. Never creates a topic.
    public func describeTopics(
        _ topics: [String]
    ) async throws -> [String: Result<TopicDescription, OttlaError>] {
        let outcomes = try await cancellable { [native] in
            try await native.describeTopics(topics: topics, token: $0)
        }
        return results(outcomes.topics, outcomes.failures)
    }

    /// The cluster's id, controller and brokers.
    public func describeCluster() async throws -> ClusterDescription {
        try await cancellable { [native] in try await native.describeCluster(token: $0) }
    }

    /// All configuration values of topics or brokers.
    public func describeConfigs(
        _ resources: [ConfigResource]
    ) async throws -> [ConfigResource: Result<[ConfigEntry], OttlaError>] {
        let outcomes = try await cancellable { [native] in
            try await native.describeConfigs(resources: resources, token: $0)
        }
        return results(outcomes.entries, outcomes.failures)
    }

    /// Changes configuration values; those that are not named stay as they are. Of a resource with
    /// a value that is not valid nothing is changed.
    public func alterConfigs(
        _ changes: [ConfigResource: [ConfigChange]]
    ) async throws -> [ConfigResource: Result<Void, OttlaError>] {
        let failures = try await cancellable { [native] in
            try await native.alterConfigs(changes: changes, token: $0)
        }
        return results(done(changes.keys, failures), failures)
    }

    /// The groups of all brokers, by id.
    public func listGroups() async throws -> [GroupListing] {
        try await cancellable { [native] in try await native.listGroups(token: $0) }
    }

    /// State, members and assignments of groups.
    public func describeGroups(
        _ groups: [String]
    ) async throws -> [String: Result<GroupDescription, OttlaError>] {
        let outcomes = try await cancellable { [native] in
            try await native.describeGroups(groups: groups, token: $0)
        }
        return results(outcomes.groups, outcomes.failures)
    }

    /// Deletes groups that have no members, with their committed offsets.
    public func deleteGroups(
        _ groups: [String]
    ) async throws -> [String: Result<Void, OttlaError>] {
        let failures = try await cancellable { [native] in
            try await native.deleteGroups(groups: groups, token: $0)
        }
        return results(done(groups, failures), failures)
    }

    /// Offsets of partitions: the first, the next, or by timestamp; as a reader of uncommitted
    /// records sees them.
    public func listOffsets(
        _ partitions: [TopicPartition: OffsetSpec]
    ) async throws -> [TopicPartition: Result<ListedOffset, OttlaError>] {
        let outcomes = try await cancellable { [native] in
            try await native.listOffsets(partitions: partitions, token: $0)
        }
        return results(outcomes.offsets, outcomes.failures)
    }

    /// What a group has committed; empty for a group that does not exist.
    public func listConsumerGroupOffsets(
        _ group: String
    ) async throws -> [TopicPartition: CommittedOffset] {
        try await cancellable { [native] in
            try await native.listConsumerGroupOffsets(group: group, token: $0)
        }
    }

    /// Closes the connections once no operation is under way.
    public func close() throws {
        try immediate(native.close)
    }
}

/// What succeeded and what failed, together.
private func results<Key, Value>(
    _ done: [Key: Value], _ failures: [Key: FailureDetails]
) -> [Key: Result<Value, OttlaError>] {
    var all = done.mapValues { Result<Value, OttlaError>.success($0) }
    for (key, failure) in failures { all[key] = .failure(OttlaError(failure)) }
    return all
}

/// Those that did not fail.
private func done<Key>(
    _ keys: some Sequence<Key>, _ failures: [Key: FailureDetails]
) -> [Key: Void] {
    let done = keys.filter { failures[$0] == nil }
    return Dictionary(done.map { ($0, ()) }, uniquingKeysWith: { first, _ in first })
}

/// The result of the only item.
private func only<Key, Value>(_ results: [Key: Result<Value, OttlaError>]) throws -> Value {
    try results.values.first!.get()
}
