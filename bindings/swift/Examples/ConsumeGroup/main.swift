// Reads so many records of a topic as a member of a group:
// example-consume-group SERVERS GROUP TOPIC COUNT
import Foundation
import Ottla

let arguments = CommandLine.arguments
guard arguments.count == 5, let count = Int(arguments[4]) else {
    print("usage: example-consume-group SERVERS GROUP TOPIC COUNT")
    exit(2)
}
let consumer = try await Consumer(
    [
        "bootstrap.servers": arguments[1], "group.id": arguments[2],
        "auto.offset.reset": "earliest",
    ],
    topics: [arguments[3]])

let rebalances = Task {
    for try await event in consumer.rebalances {
        FileHandle.standardError.write(Data("\(event)\n".utf8))
    }
}
var seen = 0
for try await record in consumer.records {
    print("\(record.partition)/\(record.offset): \(record.value?.string ?? "nil")")
    seen += 1
    if seen == count { break }
}
// The last record is finished as well: say so before closing.
try await consumer.commit()
try await consumer.close()
try await rebalances.value
