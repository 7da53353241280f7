// Sends lines of standard input: example-produce SERVERS TOPIC < FILE
import Foundation
import Ottla

guard CommandLine.arguments.count == 3 else {
    print("usage: example-produce SERVERS TOPIC < FILE")
    exit(2)
}
var configuration = Configuration()
configuration.bootstrapServers = [CommandLine.arguments[1]]
configuration.compression = .zstd

let producer = try await Producer(configuration)
var deliveries: [Delivery] = []
while let line = readLine() {
    // The key is the first word: lines with the same go to one partition, in order.
    let key = line.prefix { $0 != " " }
    deliveries.append(
        try await producer.enqueue(topic: CommandLine.arguments[2], value: line, key: key))
}
for delivery in deliveries {
    let written = try await delivery.metadata
    print("partition \(written.partition) offset \(written.offset)")
}
try await producer.close()
