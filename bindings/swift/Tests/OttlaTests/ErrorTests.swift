import Foundation
import Ottla
import Testing

@Suite(.timeLimit(.minutes(2))) struct ErrorTests {
    @Test(arguments: TestBroker.all)
    func errorsOfEachKind(_ broker: TestBroker) async throws {
        let topic = try await broker.numbered(10)
        let producer = try await broker.producer(["max.block.ms": 500, "max.request.size": 10_000])
        let unknown = try await failure {
            try await producer.send(topic: unique("x"), value: "", partition: 10_000)
        }
        #expect([.invalid, .notFound].contains(unknown.kind))
        let bad = try await failure { try await producer.send(topic: "no/such", value: "") }
        #expect(bad.code == "INVALID_TOPIC_EXCEPTION")
        let large = try await failure {
            try await producer.send(topic: topic, value: [UInt8](repeating: 1, count: 20_000))
        }
        #expect(large.kind == .invalid)
        #expect(!large.isRetriable && !large.isFatal && !large.possiblyWritten)
        let place = try await failure {
            try await producer.send(topic: topic, value: "", partition: 7)
        }
        #expect(place.kind == .invalid && place.code == "INVALID")
        // In a group of records each has its own answer.
        var records = PackedRecords()
        records.append(topic: topic, value: "good")
        records.append(topic: topic, value: "bad", partition: 7)
        records.append(topic: topic, value: "good")
        let results = try await producer.enqueue(records).results
        #expect(results.map { (try? $0.get())?.offset } == [10, nil, 11])
        try await producer.close()

        let reader = try await broker.reader(topic, ["auto.offset.reset": "none"])
        try reader.seek(TopicPartition(topic: topic, partition: 0), to: 1_000)
        let range = try await failure { try await reader.nextBatch() }
        #expect(range.kind == .offsetOutOfRange)
        try await reader.close()

        let nobody = try await failure {
            try await Producer(["bootstrap.servers": "127.0.0.1:1", "request.timeout.ms": 500])
        }
        #expect(nobody.kind == .unreachable && nobody.code == "UNREACHABLE")
        #expect(nobody.isRetriable && nobody.message.contains("127.0.0.1:1"))
    }

    @Test func wrongArgumentTypesAreNamed() async throws {
        // The types of arguments are the compiler's; those of settings are found here.
        let values: [(String, any ConfigurationValue)] = [
            ("linger.ms", "soon"), ("linger.ms", true), ("enable.idempotence", "perhaps"),
            ("acks", ["all", "1"]),
        ]
        for (name, value) in values {
            var configuration: Configuration = ["bootstrap.servers": "127.0.0.1:1"]
            configuration[name] = value
            let settings = configuration
            let error = try await failure { try await Producer(settings) }
            #expect(error.kind == .config && error.code == "CONFIG")
            #expect(error.message.contains(name), "\(error)")
        }
    }

    @Test func unknownSettingsAreNamedWithTheNearest() async throws {
        for (name, nearest) in [
            ("linger.m", "\"linger.ms\""), ("lingerM", "\"lingerMs\""),
            ("linger_m", "\"linger_ms\""),
        ] {
            let error = try await failure {
                try await Producer(["bootstrap.servers": "127.0.0.1:1", name: 5])
            }
            #expect(error.kind == .config)
            #expect(error.message.contains("\"\(name)\""), "\(error)")
            #expect(error.message.contains(nearest), "\(error)")
        }
    }

    @Test(arguments: TestBroker.all)
    func settingsInEverySpelling(_ broker: TestBroker) async throws {
        let servers = try await broker.servers
        for name in ["bootstrap.servers", "bootstrapServers", "bootstrap_servers"] {
            let client = try await Producer([name: servers, "linger.ms": Duration.milliseconds(2)])
            try await client.close()
        }
        var typed = Configuration()
        typed.bootstrapServers = [servers]
        typed.clientID = "typed"
        typed.acks = .leader
        typed["enable.idempotence"] = false
        typed.compression = .zstd
        typed.linger = .milliseconds(3)
        typed.batchSize = 1_000
        typed.bufferMemory = 1_000_000
        typed.deliveryTimeout = .seconds(20)
        typed.requestTimeout = .seconds(10)
        typed.maxBlock = .seconds(5)
        #expect(typed["linger.ms"] as? SettingValue == .integer(number: 3))
        #expect(typed.linger == .milliseconds(3) && typed.acks == .leader)
        #expect(typed.bootstrapServers == [servers] && typed.compression == .zstd)
        let topic = try await broker.topic()
        let client = try await Producer(typed)
        #expect(try await client.send(topic: topic, value: "v").offset == 0)
        try await client.close()
        typed.batchSize = -1
        let settings = typed
        let error = try await failure { try await Producer(settings) }
        #expect(error.kind == .config && error.message.contains("batch.size"))
    }

    @Test(arguments: TestBroker.all)
    func aClosedClientSaysSo(_ broker: TestBroker) async throws {
        let topic = try await broker.topic()
        let producer = try await broker.producer()
        try await producer.send(topic: topic, value: "v")
        try await producer.close()
        try await producer.close()
        let send = try await failure { try await producer.send(topic: topic, value: "v") }
        #expect(send.kind == .closed && send.code == "CLOSED" && send.isFatal)
        #expect(!send.possiblyWritten)

        let consumer = try await broker.reader(try await broker.numbered(10))
        _ = try await consumer.take(3)
        try await consumer.close()
        try await consumer.close()
        // Not even what was left of a batch.
        #expect(try await consumer.nextBatch() == nil)
        for try await _ in consumer.records { Issue.record("a closed consumer gives nothing") }
        let partition = TopicPartition(topic: topic, partition: 0)
        let offsets = try await failure { try await consumer.endOffsets([partition]) }
        #expect(offsets.kind == .closed)

        let admin = try await broker.admin()
        try admin.close()
        #expect(try await failure { try await admin.listTopics() }.kind == .closed)
    }
}
