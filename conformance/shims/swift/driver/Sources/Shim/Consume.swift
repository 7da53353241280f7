import Foundation
import Ottla

private struct Wanted: Decodable {
    var bootstrap: String
    var topics: [String]
    var group: String?
    var offsetReset: String?
    var isolation: String?
    var count: Int?
    var commit: Bool?
    var sessionTimeoutMs: Int?
    var config: [String: Setting]?

    var settings: [String: any ConfigurationValue] {
        var settings: [String: any ConfigurationValue] = [
            "bootstrap.servers": bootstrap, "auto.offset.reset": offsetReset ?? "earliest",
            "isolation.level": isolation ?? "read_uncommitted",
            "session.timeout.ms": sessionTimeoutMs ?? 10_000, "enable.auto.commit": false,
        ]
        if let group { settings["group.id"] = group }
        return settings
    }
}

func consume(_ input: Input) async throws {
    var lines = input.makeIterator()
    let wanted: Wanted = try await task(&lines)
    let consumer: Consumer
    do {
        consumer = try await connect(wanted)
    } catch let error as OttlaError {
        say(["error": failure(error)])
        return
    }
    let rebalances = Task {
        guard wanted.group != nil else { return }
        for try await event in consumer.rebalances { tell(event) }
    }
    let reading = Task { try await read(consumer, wanted.count) }
    let waiting = Task {
        var rest = input.makeIterator()
        while await rest.next() != nil {}
        reading.cancel()
    }
    let delivered = try await reading.value
    waiting.cancel()
    if wanted.commit ?? true, wanted.group != nil, delivered > 0 {
        await told { try await consumer.commit() }
    }
    await told { try await consumer.close() }
    try await rebalances.value
}

private func connect(_ wanted: Wanted) async throws -> Consumer {
    if wanted.group != nil {
        return try await make(wanted.config, wanted.settings) {
            try await Consumer($0, topics: wanted.topics)
        }
    }
    let admin = try await Admin(["bootstrap.servers": wanted.bootstrap])
    var partitions: [TopicPartition] = []
    for (topic, described) in try await admin.describeTopics(wanted.topics) {
        let numbers = try described.get().partitions.map(\.partition)
        partitions += numbers.map { TopicPartition(topic: topic, partition: $0) }
    }
    try admin.close()
    say(["assigned": places(partitions)])
    return try await make(wanted.config, wanted.settings) { [partitions] in
        try await Consumer($0, partitions: partitions)
    }
}

/// Tells records until there were so many or the task is cancelled; answers how many.
private func read(_ consumer: Consumer, _ count: Int?) async throws -> Int {
    var delivered = 0
    while delivered != count {
        do {
            guard let record = try await consumer.nextRecord() else { break }
            say(line(record))
            delivered += 1
        } catch let error as OttlaError {
            say(["error": failure(error)])
            if error.isFatal { break }
        } catch is CancellationError {
            break
        }
    }
    return delivered
}

private func line(_ record: ConsumerRecord) -> [String: Any] {
    [
        "topic": record.topic, "partition": record.partition, "offset": record.offset,
        "timestamp": record.timestamp, "key": encode(record.key), "value": encode(record.value),
        "headers": record.headers.map { [$0.key, encode($0.value)] as [Any] },
    ]
}

private func tell(_ event: RebalanceEvent) {
    switch event {
    case .assigned(let partitions): say(["assigned": places(partitions)])
    case .revoked(let partitions), .lost(let partitions): say(["revoked": places(partitions)])
    default: break
    }
}

/// Tells what failed, and goes on.
private func told(_ work: () async throws -> Void) async {
    do {
        try await work()
    } catch let error as OttlaError {
        say(["error": failure(error)])
    } catch {
        FileHandle.standardError.write(Data("\(error)\n".utf8))
    }
}
