import Foundation
import Ottla
import OttlaTesting
import Testing

/// A broker that the tests run against.
struct TestBroker: Sendable, CustomTestStringConvertible {
    var name: String
    /// `nil`: one that is started for this run.
    var fixed: String?
    var testDescription: String { name }

    /// Those of `OTTLA_TEST_BROKERS`, else one of our own.
    static let all: [TestBroker] = {
        let named = ProcessInfo.processInfo.environment["OTTLA_TEST_BROKERS"] ?? ""
        let all = named.split(separator: ",").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1)
            return TestBroker(name: String(parts[0]), fixed: String(parts[1]))
        }
        return all.isEmpty ? [TestBroker(name: "ottla", fixed: nil)] : all
    }()

    var servers: String {
        get async throws {
            if let fixed { return fixed }
            return try await Own.shared.value.bootstrapServers
        }
    }

    private enum Own {
        static let shared = Task { try await Broker.start() }
    }

    func producer(_ settings: Configuration = [:]) async throws -> Producer {
        try await Producer(with(settings))
    }

    func admin(_ settings: Configuration = [:]) async throws -> Admin {
        try await Admin(with(settings))
    }

    /// Reads whole partitions from their beginning, without a group.
    func reader(
        _ topic: String, partitions: Int32 = 1, _ settings: Configuration = [:]
    ) async throws -> Consumer {
        var settings = try await with(settings)
        if settings["auto.offset.reset"] == nil { settings.offsetReset = .earliest }
        return try await Consumer(settings, partitions: partitionsOf(topic, partitions))
    }

    func member(
        _ group: String, _ topic: String, _ settings: Configuration = [:]
    ) async throws -> Consumer {
        var settings = try await with(settings)
        settings.groupID = group
        if settings["auto.offset.reset"] == nil { settings.offsetReset = .earliest }
        return try await Consumer(settings, topics: [topic])
    }

    func with(_ settings: Configuration) async throws -> Configuration {
        var settings = settings
        settings["bootstrap.servers"] = try await servers
        return settings
    }

    /// A new topic, whose records stay however old their timestamps are.
    func topic(partitions: Int32 = 1, configs: [String: String] = [:]) async throws -> String {
        let name = unique("t")
        let admin = try await admin()
        try await admin.createTopic(
            NewTopic(
                name: name, partitions: partitions, replicationFactor: 1,
                configs: ["retention.ms": "-1"].merging(configs) { $1 },
                assignments: []))
        try admin.close()
        return name
    }

    /// A new topic of one partition with the numbers from 0 on as values and as timestamps.
    func numbered(_ count: Int) async throws -> String {
        let name = try await topic()
        // Lingering until the flush: they are one batch.
        let producer = try await producer(["linger.ms": 60_000])
        try await producer.sendNumbers(0..<count, to: name)
        try await producer.close()
        return name
    }
}

extension Producer {
    func sendNumbers(_ numbers: Range<Int>, to topic: String) async throws {
        var records = PackedRecords()
        for number in numbers {
            records.append(topic: topic, value: "\(number)", timestamp: Int64(number))
        }
        let group = try await enqueue(records)
        try await flush()
        _ = try await group.metadata
    }
}

extension Consumer {
    /// The next records.
    func take(_ count: Int) async throws -> [ConsumerRecord] {
        try await within { [self] in
            var taken: [ConsumerRecord] = []
            while taken.count < count, let record = try await nextRecord() { taken.append(record) }
            return taken
        }
    }

    func takeTexts(_ count: Int) async throws -> [String?] {
        try await take(count).map { $0.value?.string }
    }
}

func unique(_ what: String) -> String { "swift-\(what)-\(UUID().uuidString)" }

func partitionsOf(_ topic: String, _ count: Int32) -> [TopicPartition] {
    (0..<count).map { TopicPartition(topic: topic, partition: $0) }
}

func texts(_ numbers: Range<Int>) -> [String?] { numbers.map { "\($0)" } }

struct TooLate: Error {}

/// Ends what takes too long.
func within<T: Sendable>(
    _ limit: Duration = .seconds(30), _ work: @escaping @Sendable () async throws -> T
) async throws -> T {
    try await withThrowingTaskGroup(of: T.self) { group in
        group.addTask(operation: work)
        group.addTask {
            try await Task.sleep(for: limit)
            throw TooLate()
        }
        defer { group.cancelAll() }
        return try await group.next()!
    }
}

/// Waits for a condition.
func until(
    _ what: String, _ limit: Duration = .seconds(30),
    _ condition: @Sendable () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        if ContinuousClock.now > deadline {
            Issue.record("not within \(limit): \(what)")
            throw TooLate()
        }
        // The pause between two looks; nothing depends on its length.
        try await Task.sleep(for: .milliseconds(2))
    }
}

/// The error of a call that must fail.
func failure(
    _ call: () async throws -> some Any, location: SourceLocation = #_sourceLocation
) async throws -> OttlaError {
    do {
        _ = try await call()
    } catch let error as OttlaError {
        return error
    }
    Issue.record("it did not fail", sourceLocation: location)
    throw TooLate()
}
