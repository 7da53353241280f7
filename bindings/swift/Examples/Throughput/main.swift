// How fast it is: example-throughput SERVERS TOPIC RECORDS BYTES [record|batch]
//
// Sends so many records of so many bytes, packed, and reads them back by batch or by record.
import Foundation
import Ottla

let arguments = CommandLine.arguments
guard arguments.count >= 5, let count = Int(arguments[3]), let size = Int(arguments[4]) else {
    print("usage: example-throughput SERVERS TOPIC RECORDS BYTES [record|batch]")
    exit(2)
}
let (servers, topic) = (arguments[1], arguments[2])
let byRecord = arguments.count > 5 && arguments[5] == "record"

/// Prints records a second, and the process's seconds of CPU per million records.
@MainActor func measure(_ what: String, _ work: @MainActor () async throws -> Void) async throws {
    func used() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
    let (start, before) = (ContinuousClock.now, used())
    try await work()
    let time = (ContinuousClock.now - start) / .seconds(1)
    let cpu = (used() - before) / Double(count) * 1e6
    print(
        what, Int(Double(count) / time), "records/s,",
        String(format: "%.2f CPU seconds per million", cpu))
}

let producer = try await Producer([
    "bootstrap.servers": servers, "linger.ms": 5, "batch.size": 131_072,
])
let value = [UInt8](repeating: 120, count: size)
try await measure("produce") {
    var groups: [DeliveryGroup] = []
    var sent = 0
    while sent < count {
        var records = PackedRecords()
        for _ in 0..<min(1_000, count - sent) { records.append(topic: topic, value: value) }
        sent += records.count
        groups.append(try await producer.enqueue(records))
    }
    for group in groups { _ = try await group.metadata }
}
let partitions = (0..<(try await producer.partitionCount(of: topic)))
    .map { TopicPartition(topic: topic, partition: $0) }
try await producer.close()

let consumer = try await Consumer(
    ["bootstrap.servers": servers, "auto.offset.reset": "earliest"], partitions: partitions)
try await measure(byRecord ? "consume by record" : "consume by batch") {
    var (seen, bytes) = (0, 0)
    if byRecord {
        for try await record in consumer.records {
            bytes += record.value?.count ?? 0
            seen += 1
            if seen == count { break }
        }
    } else {
        for try await batch in consumer.batches {
            for value in batch.values { bytes += value?.count ?? 0 }
            seen += batch.count
            if seen >= count { break }
        }
    }
    precondition(bytes >= count * size)
}
try await consumer.close()
