import Foundation
import Ottla
import Testing

@Suite(.timeLimit(.minutes(2))) struct RecordTests {
    @Test(arguments: TestBroker.all)
    func produceAndConsumeWithEveryCodec(_ broker: TestBroker) async throws {
        let topic = try await broker.topic()
        let reader = try await broker.reader(topic)
        for codec in Configuration.Compression.allCases {
            let producer = try await broker.producer(["compression.type": codec.rawValue])
            let written = try await producer.send(
                topic: topic, value: [UInt8](repeating: 7, count: 5_000), key: codec.rawValue)
            #expect(written.topic == topic)
            #expect(written.partition == 0)
            try await producer.close()
            let record = try await reader.take(1)[0]
            #expect(record.offset == written.offset)
            #expect(record.timestamp == written.timestamp)
            #expect(record.key?.string == codec.rawValue)
            #expect(record.value.map(Array.init) == [UInt8](repeating: 7, count: 5_000))
        }
        try await reader.close()
    }

    @Test(arguments: TestBroker.all)
    func headersKeepOrderAndRepeat(_ broker: TestBroker) async throws {
        let topic = try await broker.topic()
        let producer = try await broker.producer()
        let headers: Headers = ["b": "1", "a": [0, 255] as [UInt8], "b": nil, "": "", "é": "日本"]
        try await producer.send(topic: topic, value: "v", headers: headers)
        try await producer.send(topic: topic, value: "w")
        let reader = try await broker.reader(topic)
        let records = try await reader.take(2)
        #expect(records[0].headers == headers)
        #expect(records[0].headers.map(\.key) == ["b", "a", "b", "", "é"])
        #expect(records[0].headers["é"] == "日本".byteArray)
        #expect(records[1].headers.isEmpty)
        try await reader.close()
        try await producer.close()
    }

    @Test(arguments: TestBroker.all)
    func nullAndEmptyKeysAndValuesDiffer(_ broker: TestBroker) async throws {
        let topic = try await broker.topic()
        let producer = try await broker.producer()
        let pairs: [(String?, String?)] = [(nil, nil), ("", nil), (nil, ""), ("", ""), ("k", "v")]
        for (key, value) in pairs {
            try await producer.send(topic: topic, value: value, key: key)
        }
        let reader = try await broker.reader(topic)
        for (record, (key, value)) in zip(try await reader.take(pairs.count), pairs) {
            #expect(record.key?.string == key)
            #expect(record.value?.string == value)
        }
        try await reader.close()
        try await producer.close()
    }

    @Test(arguments: TestBroker.all)
    func unicodeSurvives(_ broker: TestBroker) async throws {
        let topic = try await broker.topic()
        let producer = try await broker.producer()
        let text = "Ottla Kafka: žluťoučký 日本語 👩‍👩‍👧 \u{0} ﷽"
        try await producer.send(topic: topic, value: text, key: Data(text.utf8))
        try await producer.send(topic: topic, value: text.dropFirst(5), key: text.byteArray[3...])
        let reader = try await broker.reader(topic)
        let records = try await reader.take(2)
        #expect(records[0].value?.string == text)
        #expect(records[0].key.map { Data($0) } == Data(text.utf8))
        #expect(records[1].value?.string == String(text.dropFirst(5)))
        #expect(records[1].key.map(Array.init) == Array(text.utf8.dropFirst(3)))
        // What was read can be sent again.
        let again = try await producer.send(topic: topic, value: records[0].value)
        #expect(try await reader.take(1)[0].offset == again.offset)
        try await reader.close()
        try await producer.close()
    }

    @Test(arguments: TestBroker.all)
    func partitionPlacementIsJavas(_ broker: TestBroker) async throws {
        let lines = try vectors("partitions.tsv.gz")
        let names = lines[0].dropFirst().split(separator: "\t", omittingEmptySubsequences: false)
        let producer = try await broker.producer()
        for count: Int32 in [1, 2, 3, 6, 7, 12, 100] {
            let column = try #require(names.firstIndex(of: "murmur2_p\(count)"))
            let topic = try await broker.topic(partitions: count)
            #expect(try await producer.partitionCount(of: topic) == count)
            var records = PackedRecords()
            var expected: [Int32?] = []
            for line in lines.dropFirst() {
                let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
                records.append(topic: topic, value: "", key: bytes(hex: fields[0]))
                expected.append(Int32(fields[column]))
            }
            #expect(expected.count > 200)
            #expect(try await producer.send(records).map(\.partition) == expected)
        }
        try await producer.close()
    }

    @Test(arguments: TestBroker.all)
    func oneMebibyteMessages(_ broker: TestBroker) async throws {
        let topic = try await broker.topic(configs: ["max.message.bytes": "4000000"])
        let producer = try await broker.producer(["max.request.size": 4_000_000])
        let values = (0..<4).map { [UInt8](repeating: UInt8($0), count: 1 << 20) }
        for value in values { try await producer.send(topic: topic, value: value) }
        let reader = try await broker.reader(topic)
        let read = try await reader.take(4).map { $0.value.map(Array.init) }
        #expect(read == values)
        try await reader.close()
        try await producer.close()
    }

    @Test(arguments: TestBroker.all)
    func aHundredThousandRecords(_ broker: TestBroker) async throws {
        let topic = try await broker.topic(partitions: 3)
        let producer = try await broker.producer(["linger.ms": 5])
        var groups: [DeliveryGroup] = []
        for start in stride(from: 0, to: 100_000, by: 1_000) {
            var records = PackedRecords()
            for number in start..<(start + 1_000) {
                records.append(
                    topic: topic, value: "\(number)", key: "\(number)",
                    partition: Int32(number % 3))
            }
            groups.append(try await producer.enqueue(records))
        }
        var nextOffsets: [Int64] = [0, 0, 0]
        for group in groups {
            for written in try await group.metadata {
                #expect(written.offset == nextOffsets[Int(written.partition)])
                nextOffsets[Int(written.partition)] += 1
            }
        }
        #expect(nextOffsets.reduce(0, +) == 100_000)
        let reader = try await broker.reader(topic, partitions: 3)
        let sum = try await within(.seconds(60)) {
            var (count, sum) = (0, 0)
            for try await record in reader.records {
                sum += Int(record.value?.string ?? "") ?? 0
                count += 1
                if count == 100_000 { break }
            }
            return sum
        }
        #expect(sum == 99_999 * 100_000 / 2)
        try await reader.close()
        try await producer.close()
    }
}

/// The lines of a file of the protocol's vectors.
private func vectors(_ name: String) throws -> [Substring] {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../../../protocol/vectors/\(name)").standardized
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["gzip", "-dc", root.path]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: data, as: UTF8.self).split(separator: "\n")
}

private func bytes(hex: Substring) -> [UInt8] {
    stride(from: 0, to: hex.count, by: 2).compactMap {
        UInt8(hex.dropFirst($0).prefix(2), radix: 16)
    }
}
