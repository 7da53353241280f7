import Foundation
import Ottla
import Testing

@Suite(.timeLimit(.minutes(2))) struct GroupTests {
    @Test(arguments: TestBroker.all)
    func aGroupOfTwoSharesAndOneLeaves(_ broker: TestBroker) async throws {
        let topic = try await broker.topic(partitions: 4)
        let group = unique("g")
        let settings: Configuration = ["session.timeout.ms": 10_000, "heartbeat.interval.ms": 200]
        let one = try await broker.member(group, topic, settings)
        let two = try await broker.member(group, topic, settings)
        let seenByOne = Seen(one)
        let seenByTwo = Seen(two)
        try await until("two partitions each") {
            try one.assignment.count == 2 && two.assignment.count == 2
        }
        let producer = try await broker.producer()
        try await sendToFour(producer, topic, 0..<40)
        try await until("both have theirs") { seenByOne.count == 20 && seenByTwo.count == 20 }
        try await one.close()
        try await seenByOne.end()
        try await until("the other has all") { try two.assignment.count == 4 }
        try await sendToFour(producer, topic, 40..<80)
        try await until("the other reads all") { seenByTwo.count == 60 }
        #expect((seenByOne.texts + seenByTwo.texts).sorted() == (0..<80).map { "\($0)" }.sorted())
        try await two.close()
        try await seenByTwo.end()
        var events: [RebalanceEvent] = []
        for try await event in two.rebalances { events.append(event) }
        let assigned = events.compactMap { event -> [TopicPartition]? in
            guard case .assigned(let partitions) = event else { return nil }
            return partitions
        }
        #expect(Set(assigned.joined()) == Set(partitionsOf(topic, 4)))
        try await producer.close()
    }

    private func sendToFour(
        _ producer: Producer, _ topic: String, _ numbers: Range<Int>
    ) async throws {
        var records = PackedRecords()
        for number in numbers {
            records.append(topic: topic, value: "\(number)", partition: Int32(number % 4))
        }
        try await producer.send(records)
    }

    @Test(arguments: TestBroker.all)
    func commitAndResume(_ broker: TestBroker) async throws {
        let topic = try await broker.numbered(100)
        let partition = TopicPartition(topic: topic, partition: 0)
        let group = unique("g")
        let settings: Configuration = ["enable.auto.commit": false]
        let first = try await broker.member(group, topic, settings)
        #expect(try await first.takeTexts(30) == texts(0..<30))
        try await first.commit()
        #expect(try await first.committed([partition])[partition]?.offset == 30)
        _ = try await first.take(10)
        try await first.close()
        let second = try await broker.member(group, topic, settings)
        #expect(try await second.takeTexts(5) == texts(30..<35))
        let chosen = CommittedOffset(offset: 77, metadata: "note")
        try await second.commit([partition: chosen])
        #expect(try await second.committed([partition]) == [partition: chosen])
        try await second.close()
        let third = try await broker.member(group, topic, settings)
        #expect(try await third.takeTexts(1) == texts(77..<78))
        try await third.close()
    }

    @Test(arguments: TestBroker.all)
    func atLeastOnceByDefault(_ broker: TestBroker) async throws {
        struct TooMuch: Error {}
        let topic = try await broker.numbered(100)
        let partition = TopicPartition(topic: topic, partition: 0)
        let group = unique("g")
        // A loop that fails in the middle of a batch: the record in hand is not finished.
        let first = try await broker.member(group, topic)
        await #expect(throws: TooMuch.self) {
            for try await record in first.records where record.value?.string == "10" {
                throw TooMuch()
            }
        }
        try await first.close()
        let second = try await broker.member(group, topic)
        #expect(try await second.takeTexts(1) == texts(10..<11))
        // A commit in the middle of a batch covers what was given, and no more.
        #expect(try await second.takeTexts(2) == texts(11..<13))
        try await second.commit()
        #expect(try await second.committed([partition])[partition]?.offset == 13)
        // A loop is entered again where it was left.
        for try await record in second.records {
            #expect(record.value?.string == "13")
            break
        }
        let rest = try #require(try await second.nextBatch())
        #expect(rest.baseOffset == 14)
        #expect(rest.first?.value?.string == "14")
        try await second.commit()
        #expect(try await second.committed([partition])[partition]?.offset == rest.lastOffset + 1)
        try await second.close()
    }
}

/// What a loop over a consumer's records has seen.
final class Seen: @unchecked Sendable {
    private let lock = NSLock()
    private var seen: [String] = []
    private var task: Task<Void, any Error>?

    init(_ consumer: Consumer) {
        task = Task {
            for try await record in consumer.records { add(record.value?.string ?? "nil") }
        }
    }

    private func add(_ text: String) { lock.withLock { seen.append(text) } }
    var texts: [String] { lock.withLock { seen } }
    var count: Int { texts.count }

    /// Waits until the consumer is closed.
    func end() async throws { try await task?.value }
}
