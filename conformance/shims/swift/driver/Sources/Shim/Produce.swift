import Foundation
import Ottla

private struct Wanted: Decodable {
    var bootstrap: String
    var topic: String
    var acks: String?
    var idempotence: Bool?
    var compression: String?
    var lingerMs: Int?
    var requestTimeoutMs: Int?
    var deliveryTimeoutMs: Int?
    var waitEach: Bool?
    var config: [String: Setting]?

    var settings: [String: any ConfigurationValue] {
        var settings: [String: any ConfigurationValue] = [
            "bootstrap.servers": bootstrap, "acks": acks ?? "all",
            "compression.type": compression ?? "none", "linger.ms": lingerMs ?? 5,
            "request.timeout.ms": requestTimeoutMs ?? 3_000,
            "delivery.timeout.ms": deliveryTimeoutMs ?? 15_000,
            "max.block.ms": deliveryTimeoutMs ?? 15_000,
        ]
        if let idempotence { settings["enable.idempotence"] = idempotence }
        return settings
    }
}

private struct Line: Decodable {
    /// A pair.
    struct Header: Decodable {
        var name: String
        var value: Data?

        init(from decoder: any Decoder) throws {
            var pair = try decoder.unkeyedContainer()
            name = try pair.decode(String.self)
            value = try pair.decodeIfPresent(Data.self)
        }
    }

    var partition: Int32?
    var key: Data?
    var value: Data?
    var headers: [Header]?
    var timestamp: Int64?

    func record(_ topic: String) -> ProducerRecord {
        var to = Headers()
        for header in headers ?? [] { to.append(header.name, header.value) }
        return ProducerRecord(
            topic: topic, value: value, key: key, headers: to, partition: partition,
            timestamp: timestamp)
    }
}

func produce(_ input: Input) async throws {
    var lines = input.makeIterator()
    let wanted: Wanted = try await task(&lines)
    let connected: Result<Producer, OttlaError>
    do {
        connected = .success(try await make(wanted.config, wanted.settings, Producer.init))
    } catch let error as OttlaError {
        // No client, so no record can be written: the suite wants to hear why.
        connected = .failure(error)
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
        var number = 0
        while let line = await lines.next() {
            let line: Line = try decode(line)
            let (this, record) = (number, line.record(wanted.topic))
            do {
                let delivery = try await connected.get().enqueue(record)
                if wanted.waitEach == true {
                    try await answer(this, delivery)
                } else {
                    group.addTask { try await answer(this, delivery) }
                }
            } catch let error as OttlaError {
                say(["record": this, "error": failure(error)])
            }
            number += 1
        }
        if let producer = try? connected.get() {
            // What it could not write is told by the records.
            try? await producer.close()
        }
        try await group.waitForAll()
    }
}

private func answer(_ number: Int, _ delivery: Delivery) async throws {
    do {
        let place = try await delivery.metadata
        say(["record": number, "partition": place.partition, "offset": place.offset])
    } catch let error as OttlaError {
        say(["record": number, "error": failure(error)])
    }
}
