/// Which requests a fault applies to; what is not set does not matter.
public struct Requests: Sendable {
    /// The API by Kafka's name: `Produce`.
    public var api: String?
    /// How many requests; `nil`: until the fault is cleared.
    public var times: Int?
    /// The topic, and of a request about several topics only its entries.
    public var topic: String?
    /// The partition, as for the topic.
    public var partition: Int32?
    /// The group.
    public var group: String?

    /// These requests.
    public init(
        api: String? = nil, times: Int? = nil, topic: String? = nil, partition: Int32? = nil,
        group: String? = nil
    ) {
        self.api = api
        self.times = times
        self.topic = topic
        self.partition = partition
        self.group = group
    }
}

/// A fault that was set.
public struct Fault: Sendable, Decodable, Hashable {
    /// Its number, for ``Broker/clearFaults(id:)``.
    public var id: Int
    /// What it does: `inject`, `delay`, `drop` or `throttle`.
    public var command: String
    /// To how many requests it applied.
    public var applied: Int
    /// To how many it still will; `nil`: until it is cleared.
    public var left: Int?
}

/// When a connection is dropped.
public enum DropTime: String, Sendable, Encodable {
    /// Before the request is served.
    case before
    /// When it was served, without an answer.
    case after
}

extension Broker {
    /// Answers with an error.
    ///
    /// - Parameters:
    ///   - api: The API by Kafka's name: `Produce`.
    ///   - error: The error by Kafka's name: `NOT_LEADER_OR_FOLLOWER`.
    ///   - times: To how many requests; `nil`: until it is cleared.
    ///   - topic: Only for this topic.
    ///   - partition: Only for this partition.
    ///   - group: Only for this group.
    ///   - after: Whether the request is served first: a record is written, and its producer is
    ///     told that it is not.
    /// - Returns: The fault's number.
    /// - Throws: ``BrokerError`` for a name that is not known, with the nearest that is.
    @discardableResult
    public func inject(
        api: String, error: String, times: Int? = nil, topic: String? = nil,
        partition: Int32? = nil, group: String? = nil, after: Bool = false
    ) async throws -> Int {
        let requests = Requests(
            api: api, times: times, topic: topic, partition: partition, group: group)
        return try await set("inject", requests) {
            $0.error = error
            $0.after = after
        }
    }

    /// Lets requests wait, or with `after` their answers.
    ///
    /// - Returns: The fault's number.
    /// - Throws: ``BrokerError``.
    @discardableResult
    public func delay(
        _ duration: Duration, requests: Requests = Requests(), after: Bool = false
    ) async throws -> Int {
        try await set("delay", requests) {
            $0.ms = duration.wholeMilliseconds
            $0.after = after
        }
    }

    /// Closes the connections that requests come on.
    ///
    /// - Returns: The fault's number.
    /// - Throws: ``BrokerError``.
    @discardableResult
    public func dropConnections(
        _ time: DropTime = .before, requests: Requests = Requests()
    ) async throws -> Int {
        try await set("drop", requests) { $0.when = time }
    }

    /// Closes connections after so many bytes of an answer.
    ///
    /// - Returns: The fault's number.
    /// - Throws: ``BrokerError``.
    @discardableResult
    public func dropConnections(
        afterBytes bytes: Int, requests: Requests = Requests()
    ) async throws -> Int {
        try await set("drop", requests) { $0.bytes = bytes }
    }

    /// Answers that the client shall wait (`throttle_time_ms`).
    ///
    /// - Returns: The fault's number.
    /// - Throws: ``BrokerError``.
    @discardableResult
    public func throttle(
        _ duration: Duration, requests: Requests = Requests()
    ) async throws -> Int {
        try await set("throttle", requests) { $0.ms = duration.wholeMilliseconds }
    }

    /// Answers nothing, with all connections open, as if the machine hung.
    ///
    /// - Throws: ``BrokerError``.
    public func pause() async throws { try await tell("pause") }

    /// Goes on after ``pause()``.
    ///
    /// - Throws: ``BrokerError``.
    public func resume() async throws { try await tell("resume") }

    /// The faults that were set.
    ///
    /// - Throws: ``BrokerError``.
    public func faults() async throws -> [Fault] {
        struct Answer: Decodable { var faults: [Fault] }
        return try await send(Command(command: "faults"), as: Answer.self).faults
    }

    /// Takes back a fault, or all.
    ///
    /// - Throws: ``BrokerError``.
    public func clearFaults(id: Int? = nil) async throws {
        var command = Command(command: "clear")
        command.id = id
        _ = try await send(command, as: Nothing.self)
    }

    /// How many requests clients have sent since the start, by API.
    ///
    /// - Throws: ``BrokerError``.
    public func requestCounts() async throws -> [String: Int] {
        struct Count: Decodable { var total: Int }
        struct Answer: Decodable { var requests: [String: Count] }
        let answer = try await send(Command(command: "requests"), as: Answer.self)
        return answer.requests.mapValues(\.total)
    }

    private func set(
        _ name: String, _ requests: Requests, _ fill: @Sendable (inout Command) -> Void
    ) async throws -> Int {
        struct Answer: Decodable { var id: Int }
        var command = Command(command: name)
        command.api = requests.api
        command.times = requests.times
        command.topic = requests.topic
        command.partition = requests.partition
        command.group = requests.group
        fill(&command)
        return try await send(command, as: Answer.self).id
    }

    func tell(_ name: String) async throws {
        _ = try await send(Command(command: name), as: Nothing.self)
    }
}

private struct Nothing: Decodable {}

/// A line to the broker; what is not set is left away.
struct Command: Encodable, Sendable {
    var command: String
    var id: Int?
    var api: String?
    var error: String?
    var ms: Int?
    var when: DropTime?
    var bytes: Int?
    var times: Int?
    var topic: String?
    var partition: Int32?
    var group: String?
    var after: Bool?

    init(command: String) { self.command = command }
}

extension Duration {
    var wholeMilliseconds: Int {
        let (seconds, attoseconds) = components
        return Int(seconds) * 1_000 + Int(attoseconds / 1_000_000_000_000_000)
    }
}
