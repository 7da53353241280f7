import Foundation
import Ottla
import Testing

@Suite(.timeLimit(.minutes(2))) struct AdminTests {
    @Test(arguments: TestBroker.all)
    func adminCreatesListsDescribesDeletes(_ broker: TestBroker) async throws {
        let admin = try await broker.admin()
        let name = unique("t")
        let new = NewTopic(
            name: name, partitions: 2, replicationFactor: 1, configs: ["retention.ms": "3600000"])
        let validated = try await admin.createTopics([new], validateOnly: true)
        #expect(try validated[name]?.get().partitions == 2)
        #expect(try await !admin.listTopics().contains { $0.name == name })
        let created = try await admin.createTopic(new)
        #expect(created.partitions == 2 && created.replicationFactor == 1)
        let again = try await failure { try await admin.createTopic(new) }
        #expect(again.code == "TOPIC_ALREADY_EXISTS")
        try await until("it is listed") {
            try await admin.listTopics().contains { $0.name == name && !$0.isInternal }
        }
        #expect(try await admin.createPartitions([name: 3])[name]?.get() != nil)
        let nowhere = unique("x")
        try await until("it has three partitions") {
            let described = try await admin.describeTopics([name, nowhere])
            #expect(described[nowhere].map(code) == "UNKNOWN_TOPIC_OR_PARTITION")
            return try described[name]?.get().partitions.count == 3
        }
        try await configs(of: name, admin)
        try await groups(of: name, broker, admin)
        let cluster = try await admin.describeCluster()
        #expect(cluster.brokers.contains { "\($0.host):\($0.port)".hasPrefix("127.0.0.1:") })
        let deleted = try await admin.deleteTopics([name, nowhere])
        #expect(try deleted[name]?.get() != nil)
        #expect(deleted[nowhere].map(code) == "UNKNOWN_TOPIC_OR_PARTITION")
        try await until("it is gone") {
            try await !admin.listTopics().contains { $0.name == name }
        }
        try admin.close()
    }

    private func configs(of topic: String, _ admin: Admin) async throws {
        let resource = ConfigResource.topic(name: topic)
        let retention = { @Sendable in
            let entries = try await admin.describeConfigs([resource])[resource]?.get() ?? []
            return entries.first { $0.name == "retention.ms" }
        }
        #expect(try await retention()?.value == "3600000")
        #expect(try await retention()?.source == .topic)
        let set = ConfigChange.set(name: "retention.ms", value: "1000")
        #expect(try await admin.alterConfigs([resource: [set]])[resource]?.get() != nil)
        try await until("it is set") { try await retention()?.value == "1000" }
        let delete = ConfigChange.delete(name: "retention.ms")
        _ = try await admin.alterConfigs([resource: [delete]])
        try await until("it is the default again") { try await retention()?.source != .topic }
        let wrong = ConfigChange.set(name: "retention.ms", value: "soon")
        let refused = try await admin.alterConfigs([resource: [wrong]])
        #expect(refused[resource].map(code) == "INVALID_CONFIG")
    }

    private func groups(of topic: String, _ broker: TestBroker, _ admin: Admin) async throws {
        let producer = try await broker.producer()
        try await producer.send(topic: topic, value: "v", partition: 1, timestamp: 5)
        try await producer.close()
        let partition = TopicPartition(topic: topic, partition: 1)
        let offset = { (spec: OffsetSpec) in
            try await admin.listOffsets([partition: spec])[partition]?.get().offset
        }
        #expect(try await offset(.earliest) == 0)
        #expect(try await offset(.latest) == 1)
        #expect(try await offset(.timestamp(milliseconds: 5)) == 0)
        let group = unique("g")
        let member = try await broker.member(group, topic)
        _ = try await member.take(1)
        try await member.commit()
        let offsets = try await admin.listConsumerGroupOffsets(group)
        #expect(offsets[partition]?.offset == 1)
        #expect(try await admin.listGroups().contains { $0.groupId == group })
        let described = try await admin.describeGroups([group])[group]?.get()
        #expect(described?.members.first?.assignment.count == 3)
        #expect(try await admin.deleteGroups([group])[group].map(code) == "NON_EMPTY_GROUP")
        try await member.close()
        try await until("it can be deleted") {
            try await admin.deleteGroups([group])[group].flatMap(code) == nil
        }
    }
}

private func code(_ result: Result<some Any, OttlaError>) -> String? {
    guard case .failure(let error) = result else { return nil }
    return error.code
}
