import Foundation
import Ottla
import OttlaTesting
import Testing

/// The broker for tests itself.
@Suite(.timeLimit(.minutes(2))) struct TestingTests {
    @Test func aBrokerFailsAsItIsTold() async throws {
        let broker = try await Broker.start(config: ["num.partitions": "1"])
        let producer = try await Producer([
            "bootstrap.servers": broker.bootstrapServers, "retry.backoff.ms": 1,
        ])
        try await producer.send(topic: "t", value: "0")
        let before = try await broker.requestCounts()["Produce"] ?? 0
        try await broker.inject(api: "Produce", error: "NOT_LEADER_OR_FOLLOWER", times: 3)
        #expect(try await producer.send(topic: "t", value: "1").offset == 1)
        #expect(try await broker.requestCounts()["Produce"] == before + 4)
        // Served without an answer: the producer asks again, and it is written once.
        try await broker.dropConnections(.after, requests: Requests(api: "Produce", times: 1))
        #expect(try await producer.send(topic: "t", value: "2").offset == 2)
        let id = try await broker.inject(
            api: "Produce", error: "TOPIC_AUTHORIZATION_FAILED", topic: "t")
        let denied = try await failure { try await producer.send(topic: "t", value: "3") }
        #expect(denied.kind == .authorization && denied.code == "TOPIC_AUTHORIZATION_FAILED")
        #expect(try await broker.faults().contains { $0.id == id && $0.applied == 1 })
        try await broker.clearFaults(id: id)
        #expect(try await broker.faults().allSatisfy { $0.id != id })
        try await broker.delay(.milliseconds(150), requests: Requests(api: "Produce", times: 1))
        let time = try await ContinuousClock().measure {
            try await producer.send(topic: "t", value: "4")
        }
        #expect(time >= .milliseconds(150))
        do {
            try await broker.inject(api: "Prodce", error: "NONE")
            Issue.record("an unknown API is refused")
        } catch let error as BrokerError {
            #expect(error.message.contains("Produce"), "\(error)")
        }
        try await producer.close()
        await broker.close()
    }

    @Test func aBrokerIsReadyAtOnceAndGoneAtTheEnd() async throws {
        var broker: Broker? = try await Broker.start()
        var best = Duration.seconds(1)
        for _ in 0..<5 {
            let time = try await ContinuousClock().measure { try await broker?.restart() }
            best = min(best, time)
        }
        // A generous limit for a machine that does other work: alone it takes a tenth of it.
        #expect(best < .milliseconds(500), "\(best)")
        let id = try #require(await broker?.processID)
        let folder = try #require(broker?.dataDirectory)
        #expect(FileManager.default.fileExists(atPath: folder.path))
        broker = nil
        try await until("the process is gone") { kill(id, 0) != 0 }
        try await until("its folder is gone") {
            !FileManager.default.fileExists(atPath: folder.path)
        }
    }

    @Test(arguments: ["dies", "dies-after-kill"])
    func aBrokerEndsWithTheTestThatDies(how: String) async throws {
        let dying = try await run("test-helper", [how, "", ""])
        #expect(dying.status != 0)
        let words = dying.output.split(whereSeparator: \.isWhitespace)
        let id = try #require(words.first.flatMap { Int32($0) })
        let folder = try #require(words.last.map(String.init))
        try await until("the process is gone") { kill(id, 0) != 0 }
        try await until("its folder is gone") { !FileManager.default.fileExists(atPath: folder) }
    }

    @Test func aBrokerKeepsItsDataOverAKill() async throws {
        let broker = try await Broker.start(config: ["num.partitions": "1"])
        let producer = try await Producer(["bootstrap.servers": broker.bootstrapServers])
        try await producer.send(topic: "t", value: "kept")
        try await broker.kill()
        #expect(await !broker.isRunning)
        #expect(await broker.processID == nil)
        try await broker.restart()
        #expect(try await producer.send(topic: "t", value: "more").offset == 1)
        try await producer.close()
        await broker.close()
    }

    @Test func theFirstExampleOfTheReadMeWorks() async throws {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let text = { (path: String) in
            try String(contentsOf: package.appendingPathComponent(path), encoding: .utf8)
        }
        let example = try text("Examples/Quickstart/main.swift")
        #expect(try text("README.md").contains("```swift\n\(example)```"))
        let broker = try await Broker.start(config: ["num.partitions": "1"])
        let ended = try await run("example-quickstart", [broker.bootstrapServers])
        #expect(ended.output.hasSuffix("read: Adelsberg, Postojna, Vrhnika\n"), "\(ended)")
        await broker.close()
    }
}
