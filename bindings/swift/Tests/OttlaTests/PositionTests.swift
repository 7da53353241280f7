import Foundation
import Ottla
import Testing

@Suite(.timeLimit(.minutes(2))) struct PositionTests {
    @Test(arguments: TestBroker.all)
    func seekToOffsetTimeAndEnds(_ broker: TestBroker) async throws {
        let topic = try await broker.numbered(100)
        let partition = TopicPartition(topic: topic, partition: 0)
        let reader = try await broker.reader(topic)
        #expect(try await reader.takeTexts(3) == texts(0..<3))
        #expect(try reader.position(partition) == 3)
        try reader.seek(partition, to: 50)
        #expect(try await reader.takeTexts(2) == texts(50..<52))
        try reader.seekToBeginning(partition)
        #expect(try await reader.takeTexts(1) == texts(0..<1))
        try reader.seek(partition, toTimestamp: 42)
        #expect(try await reader.takeTexts(1) == texts(42..<43))
        try reader.seekToEnd(partition)
        let last = Task { try await reader.takeTexts(1) }
        try await until("it is at the end") { try reader.position(partition) == 100 }
        let producer = try await broker.producer()
        try await producer.send(topic: topic, value: "new")
        #expect(try await last.value == ["new"])
        #expect(try await reader.beginningOffsets([partition]) == [partition: 0])
        #expect(try await reader.endOffsets([partition]) == [partition: 101])
        let found = try await reader.offsets(forTimes: [partition: 42])[partition]
        #expect(found?.offset == 42)
        #expect(found?.timestamp == 42)
        let future = Int64(Date().timeIntervalSince1970 * 1_000) + 1_000_000_000
        #expect(try await reader.offsets(forTimes: [partition: future]).isEmpty)
        #expect(try reader.lag(partition) == 0)
        let elsewhere = TopicPartition(topic: topic, partition: 9)
        #expect(try await failure { try reader.seek(elsewhere, to: 0) }.kind == .invalid)
        try await reader.close()
        try await producer.close()
    }

    @Test(arguments: TestBroker.all)
    func pauseAndResume(_ broker: TestBroker) async throws {
        let topic = try await broker.topic(partitions: 2)
        let partitions = partitionsOf(topic, 2)
        let reader = try await broker.reader(topic, partitions: 2)
        try reader.pause(partitions[0])
        #expect(try partitions.map(reader.isPaused) == [true, false])
        let producer = try await broker.producer()
        for number in 0..<10 {
            try await producer.send(
                topic: topic, value: "\(number)", partition: Int32(number % 2))
        }
        #expect(try await reader.take(5).map(\.partition) == [1, 1, 1, 1, 1])
        let waiting = Task { try await reader.take(5).map(\.partition) }
        try reader.resume(partitions[0])
        #expect(try await waiting.value == [0, 0, 0, 0, 0])
        try await reader.close()
        try await producer.close()
    }

    @Test(arguments: TestBroker.all)
    func iteratesByRecordAndByBatch(_ broker: TestBroker) async throws {
        let topic = try await broker.numbered(500)
        let byRecord = try await broker.reader(topic)
        var offsets: [Int64] = []
        for try await record in byRecord.records {
            offsets.append(record.offset)
            if offsets.count == 500 { break }
        }
        #expect(offsets == Array(0..<500))
        try await byRecord.close()
        #expect(try await byRecord.nextRecord() == nil, "closed: the sequence ends")

        let byBatch = try await broker.reader(topic)
        var values: [String?] = []
        for try await batch in byBatch.batches {
            #expect(batch.topicPartition == TopicPartition(topic: topic, partition: 0))
            #expect(batch.baseOffset == Int64(values.count))
            values += batch.values.map { $0?.string }
            #expect(batch.lastOffset == Int64(values.count - 1))
            #expect(batch.keys.allSatisfy { $0 == nil })
            if values.count == 500 { break }
        }
        #expect(values == texts(0..<500))
        try await byBatch.close()
        #expect(try await byBatch.nextBatch() == nil)
    }

    @Test(arguments: TestBroker.all)
    func batchViewsAreLazyAndOutliveTheConsumer(_ broker: TestBroker) async throws {
        let topic = try await broker.numbered(200)
        var consumer: Consumer? = try await broker.reader(topic)
        weak var gone = consumer
        let batch = try #require(try await consumer?.nextBatch())
        try await consumer?.close()
        consumer = nil
        #expect(gone == nil)
        let value = try #require(batch[batch.startIndex + 150].value)
        // A view is no copy: it is where the batch has its bytes, also from a view of its own.
        let address = value.withBytes { $0.baseAddress }
        #expect(batch[batch.startIndex + 150].value?.withBytes { $0.baseAddress } == address)
        #expect(value.string == "150")
        #expect(batch.map(\.timestamp) == (0..<200).map(Int64.init))
        let last = try #require(batch.last)
        #expect(await Task.detached { last.value?.string }.value == "199")
        #expect(last.date == Date(timeIntervalSince1970: 0.199))
        #expect(value == batch[150].value)
        #expect(Set([value, batch[150].value]).count == 1)
        #expect(Data(value) == Data("150".utf8))
    }
}
