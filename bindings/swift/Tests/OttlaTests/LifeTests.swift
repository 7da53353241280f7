import Foundation
import Ottla
import OttlaTesting
import Testing

@Suite(.timeLimit(.minutes(2))) struct LifeTests {
    @Test(arguments: TestBroker.all)
    func closeWithWorkInFlight(_ broker: TestBroker) async throws {
        let topic = try await broker.topic()
        let producer = try await broker.producer(["linger.ms": 60_000])
        var records = PackedRecords()
        for number in 0..<1_000 { records.append(topic: topic, value: "\(number)") }
        let group = try await producer.enqueue(records)
        let last = try await producer.enqueue(topic: topic, value: "last")
        #expect(group.count == 1_000)
        let waiting = Task { try await last.metadata }
        try await within { try await producer.close() }
        #expect(try await group.metadata.map(\.offset) == Array(0..<1_000))
        #expect(try await waiting.value.offset == 1_000)
        #expect(producer.memoryUsed == 0)

        let consumer = try await broker.reader(topic, ["fetch.max.wait.ms": 10_000])
        _ = try await consumer.take(1_001)
        let next = Task { try await consumer.nextBatch() }
        try await within { try await consumer.close() }
        #expect(try await next.value == nil)
    }

    /// Every call that waits, cancelled; `taskCancellation` looks at what is left of one.
    @Test func cancellationReachesTheCore() async throws {
        let broker = try await Broker.start()
        let settings: Configuration = ["bootstrap.servers": broker.bootstrapServers]
        let producer = try await Producer(settings)
        try await producer.send(topic: "t", value: "v", partition: 0)
        let partition = TopicPartition(topic: "t", partition: 0)
        var grouped = settings
        grouped.groupID = "g"
        let consumer = try await Consumer(grouped, partitions: [partition])
        try consumer.seekToEnd(partition)
        let admin = try await Admin(settings)
        try await broker.pause()
        let delivery = try await producer.enqueue(topic: "t", value: "w", partition: 0)
        let calls: [(String, @Sendable () async throws -> Void)] = [
            ("connect", { _ = try await Producer(settings) }),
            ("metadata", { _ = try await delivery.metadata }),
            ("send", { try await producer.send(topic: "new", value: "w") }),
            ("flush", { try await producer.flush() }),
            ("partitionCount", { _ = try await producer.partitionCount(of: "other") }),
            ("nextBatch", { _ = try await consumer.nextBatch() }),
            ("records", { for try await _ in consumer.records {} }),
            ("commit", { try await consumer.commit([partition: 1]) }),
            ("committed", { _ = try await consumer.committed([partition]) }),
            ("endOffsets", { _ = try await consumer.endOffsets([partition]) }),
            ("rebalances", { for try await _ in consumer.rebalances {} }),
            ("listTopics", { _ = try await admin.listTopics() }),
        ]
        for (name, call) in calls {
            let task = Task { try await call() }
            // Some are cancelled before they begin, some while they wait: all must end.
            await Task.yield()
            task.cancel()
            let outcome = try await within(.seconds(5)) { await task.result }
            #expect(throws: CancellationError.self, "\(name)") { try outcome.get() }
        }
        try await broker.resume()
        // What was under way is none the worse for it.
        #expect(try await delivery.metadata.offset == 1)
        try await consumer.close()
        try await producer.close()
        await broker.close()
    }

    @Test(arguments: TestBroker.all)
    func taskCancellation(_ broker: TestBroker) async throws {
        let topic = try await broker.topic()
        let consumer = try await broker.reader(topic)
        let producer = try await broker.producer()
        // A wait that is cancelled after it began, many times: nothing is lost, nothing is left.
        for number in 0..<50 {
            let started = Started()
            let task = Task {
                started.set()
                return try await consumer.nextRecord()
            }
            try await until("it began") { started.isSet }
            task.cancel()
            let outcome = await task.result
            #expect(throws: CancellationError.self) { try outcome.get() }
            if number % 10 == 0 { try await producer.send(topic: topic, value: "\(number)") }
            if number % 10 == 0 { #expect(try await consumer.takeTexts(1) == ["\(number)"]) }
        }
        // A cancelled task sends nothing.
        let gate = Started()
        let sender = Task {
            while !gate.isSet { await Task.yield() }
            try await producer.send(topic: topic, value: "never")
        }
        sender.cancel()
        gate.set()
        await #expect(throws: CancellationError.self) { try await sender.value }
        try await producer.send(topic: topic, value: "end")
        #expect(try await consumer.takeTexts(1) == ["end"])
        try await consumer.close()
        try await producer.close()
    }

    @Test func backPressureKeepsMemoryWithinBufferMemory() async throws {
        let broker = try await Broker.start(config: ["num.partitions": "1"])
        let limit = 1 << 20
        let producer = try await Producer([
            "bootstrap.servers": broker.bootstrapServers, "buffer.memory": limit,
            "batch.size": 16_384,
        ])
        try await producer.send(topic: "t", value: "first")
        try await broker.pause()
        let sent = Counter()
        let sender = Task {
            let value = [UInt8](repeating: 1, count: 1_000)
            for _ in 0..<20 {
                var records = PackedRecords()
                for _ in 0..<250 { records.append(topic: "t", value: value) }
                _ = try await producer.enqueue(records)
                sent.add(250)
            }
        }
        try await until("it is full") { producer.memoryUsed > limit - 20_000 }
        for _ in 0..<1_000 {
            #expect(producer.memoryUsed <= limit)
            await Task.yield()
        }
        #expect(sent.value < 2_000)
        try await broker.resume()
        try await within { try await sender.value }
        try await producer.flush()
        #expect(sent.value == 5_000 && producer.memoryUsed == 0)
        #expect(try await producer.send(topic: "t", value: "last").offset == 5_001)
        try await producer.close()
        await broker.close()
    }

    @Test func aBrokerThatGoesAwayIsToldAndComesBack() async throws {
        let broker = try await Broker.start(config: ["num.partitions": "1"])
        let settings: Configuration = [
            "bootstrap.servers": broker.bootstrapServers, "delivery.timeout.ms": 700,
            "request.timeout.ms": 300, "max.block.ms": 300, "reconnect.backoff.max.ms": 50,
        ]
        let producer = try await Producer(settings)
        try await producer.send(topic: "t", value: "0", partition: 0)
        let consumer = try await Consumer(
            ["bootstrap.servers": broker.bootstrapServers, "auto.offset.reset": "earliest"],
            partitions: [TopicPartition(topic: "t", partition: 0)])
        let admin = try await Admin([
            "bootstrap.servers": broker.bootstrapServers, "request.timeout.ms": 300,
            "default.api.timeout.ms": 500,
        ])
        #expect(try await consumer.takeTexts(1) == ["0"])
        try await broker.kill()
        #expect(await !broker.isRunning)
        let lost = try await within {
            try await failure {
                try await producer.send(topic: "t", value: "lost", partition: 0)
            }
        }
        #expect([.timeout, .unreachable].contains(lost.kind), "\(lost)")
        #expect(lost.isRetriable && !lost.isFatal)
        let unanswered = try await within { try await failure { try await admin.listTopics() } }
        #expect([.timeout, .unreachable].contains(unanswered.kind), "\(unanswered)")
        try await broker.restart()
        try await until("it takes records again") {
            (try? await producer.send(topic: "t", value: "again", partition: 0)) != nil
        }
        var texts: [String?] = []
        while texts.last != "again" { texts += try await consumer.takeTexts(1) }
        try await consumer.close()
        try await producer.close()
        await broker.close()
    }
}

final class Started: @unchecked Sendable {
    private let lock = NSLock()
    private var flag = false
    func set() { lock.withLock { flag = true } }
    var isSet: Bool { lock.withLock { flag } }
}

final class Counter: @unchecked Sendable {
    private let lock = NSLock()
    private var count = 0
    func add(_ more: Int) { lock.withLock { count += more } }
    var value: Int { lock.withLock { count } }
}
