import Ottla

let servers = CommandLine.arguments.dropFirst().first ?? "localhost:9092"
let producer = try await Producer(["bootstrap.servers": servers, "compression.type": "zstd"])
for city in ["Adelsberg", "Postojna", "Vrhnika"] {
    let written = try await producer.send(topic: "cities", value: city, key: "river")
    print("\(city) is at \(written.partition)/\(written.offset)")
}
try await producer.close()

let consumer = try await Consumer(
    ["bootstrap.servers": servers, "group.id": "readers", "auto.offset.reset": "earliest"],
    topics: ["cities"])
var cities: [String] = []
for try await record in consumer.records {
    cities.append(record.value?.string ?? "nil")
    if cities.count == 3 { break }
}
try await consumer.commit()
try await consumer.close()
print("read:", cities.joined(separator: ", "))
