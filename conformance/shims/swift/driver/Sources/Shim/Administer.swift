import Foundation
import Ottla

private struct Wanted: Decodable {
    var bootstrap: String
    var config: [String: Setting]?
}

private struct Operation: Decodable {
    var operation: String
    var topic: String?
    var partitions: Int32?
    var replication: Int16?
}

func administer(_ input: Input) async throws {
    var lines = input.makeIterator()
    let wanted: Wanted = try await task(&lines)
    let connected: Result<Admin, OttlaError>
    do {
        let settings: [String: any ConfigurationValue] = ["bootstrap.servers": wanted.bootstrap]
        connected = .success(try await make(wanted.config, settings, Admin.init))
    } catch let error as OttlaError {
        connected = .failure(error)
    }
    while let line = await lines.next() {
        do {
            say(try await operate(try connected.get(), try decode(line)))
        } catch let error as OttlaError {
            say(["error": failure(error)])
        }
    }
    try? connected.get().close()
}

private func operate(_ admin: Admin, _ wanted: Operation) async throws -> [String: Any] {
    let topic = wanted.topic ?? ""
    switch wanted.operation {
    case "create-topic":
        let (partitions, replication) = (wanted.partitions ?? -1, wanted.replication ?? -1)
        try await admin.createTopic(
            NewTopic(name: topic, partitions: partitions, replicationFactor: replication))
        return ["ok": true]
    case "delete-topic":
        for result in try await admin.deleteTopics([topic]).values { try result.get() }
        return ["ok": true]
    case "list-topics":
        return ["topics": try await admin.listTopics().map(\.name)]
    case "describe-topic":
        var partitions: [[String: Any]] = []
        for result in try await admin.describeTopics([topic]).values {
            for part in try result.get().partitions {
                partitions.append(["partition": part.partition, "leader": part.leader ?? -1])
            }
        }
        return ["partitions": partitions]
    default:
        unimplemented("there is no operation \(wanted.operation)")
    }
}
