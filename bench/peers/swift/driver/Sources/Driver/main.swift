// Ottla's Swift package behind the command line that every client of the comparison has.
import Foundation
import Ottla

struct Options {
    var command = ""
    var isMany = false
    private var values: [String: String] = [:]

    init(_ arguments: [String]) {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--many" {
                isMany = true
            } else if argument.hasPrefix("--") {
                values[String(argument.dropFirst(2))] = rest.popFirst()
            } else {
                command = argument
            }
        }
    }

    subscript(name: String) -> String { values[name] ?? "" }
    var records: Int { Int(self["records"]) ?? 0 }
}

/// Prints what the comparison reads.
func report(_ records: Int, since start: ContinuousClock.Instant, bytes: Int = 0) {
    let (seconds, attoseconds) = start.duration(to: .now).components
    let time = Double(seconds) + Double(attoseconds) / 1e18
    print("{\"records\": \(records), \"bytes\": \(bytes), \"seconds\": \(time)}")
}

/// Records that are handed over together, or looked at together.
let window = 10_000

func produce(_ options: Options) async throws {
    let text = try Data(contentsOf: URL(fileURLWithPath: options["payload"]))
    let values = text.split(separator: 10).map { [UInt8]($0) }
    let producer = try await Producer([
        "bootstrap.servers": options["bootstrap"], "acks": "all",
        "compression.type": options["codec"],
    ])
    let (topic, records) = (options["topic"], options.records)
    let start = ContinuousClock.now
    if options.isMany {
        try await sendMany(producer, topic, records, values)
    } else {
        try await sendEach(producer, topic, records, values)
    }
    report(records, since: start)
    try await producer.close()
}

/// A delivery per record; one window is on its way while the next is made.
func sendEach(
    _ producer: Producer, _ topic: String, _ records: Int, _ values: [[UInt8]]
) async throws {
    var before: [Delivery] = []
    for done in stride(from: 0, to: records, by: window) {
        var deliveries: [Delivery] = []
        deliveries.reserveCapacity(window)
        for number in done..<min(done + window, records) {
            let value = values[number % values.count]
            deliveries.append(try await producer.enqueue(topic: topic, value: value))
        }
        for delivery in before { _ = try await delivery.metadata }
        before = deliveries
    }
    for delivery in before { _ = try await delivery.metadata }
}

/// One call per window, which tells of each record.
func sendMany(
    _ producer: Producer, _ topic: String, _ records: Int, _ values: [[UInt8]]
) async throws {
    var before: DeliveryGroup?
    for done in stride(from: 0, to: records, by: window) {
        var packed = PackedRecords()
        for number in done..<min(done + window, records) {
            packed.append(topic: topic, value: values[number % values.count])
        }
        let group = try await producer.enqueue(packed)
        _ = try await before?.metadata
        before = group
    }
    _ = try await before?.metadata
}

func consume(_ options: Options) async throws {
    let partitions = (0..<6).map { TopicPartition(topic: options["topic"], partition: $0) }
    let consumer = try await Consumer(
        ["bootstrap.servers": options["bootstrap"], "auto.offset.reset": "earliest"],
        partitions: partitions)
    let start = ContinuousClock.now
    var (records, bytes) = (0, 0)
    if options["by"] == "batch" {
        for try await batch in consumer.batches {
            for record in batch { bytes += record.value?.count ?? 0 }
            records += batch.count
            if records >= options.records { break }
        }
    } else {
        for try await record in consumer.records {
            bytes += record.value?.count ?? 0
            records += 1
            if records == options.records { break }
        }
    }
    report(records, since: start, bytes: bytes)
    try await consumer.close()
}

let options = Options(Array(CommandLine.arguments.dropFirst()))
switch options.command {
case "produce": try await produce(options)
case "consume": try await consume(options)
default: fatalError("produce or consume?")
}
