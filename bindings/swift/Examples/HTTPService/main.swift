// Orders by HTTP: example-http-service SERVERS TOPIC
//
//   POST /orders    sends the body and answers its partition and offset when the brokers have it
//   GET /orders     the orders that were read back so far, a line each
//   POST /stop      ends the service in order
import Foundation
import Ottla

guard CommandLine.arguments.count == 3 else {
    print("usage: example-http-service SERVERS TOPIC")
    exit(2)
}
let topic = CommandLine.arguments[2]
let configuration: Configuration = ["bootstrap.servers": CommandLine.arguments[1]]

/// The orders that were read.
actor Orders {
    private(set) var lines: [String] = []
    func add(_ line: String) { lines.append(line) }
}

let orders = Orders()
let producer = try await Producer(configuration)
var reading = configuration
reading.groupID = "orders-service-\(UUID().uuidString)"
reading.offsetReset = .earliest
let consumer = try await Consumer(reading, topics: [topic])
let reader = Task {
    for try await record in consumer.records { await orders.add(record.value?.string ?? "") }
}

/// Many requests at once share the producer: their records go out in batches.
@Sendable func respond(to request: HTTPServer.Request) async -> HTTPServer.Response {
    switch (request.method, request.path) {
    case ("POST", "/orders"):
        do {
            let written = try await producer.send(topic: topic, value: request.body)
            return .init(status: 201, body: "\(written.partition) \(written.offset)\n")
        } catch let error as OttlaError {
            return .init(status: error.isRetriable ? 503 : 400, body: "\(error)\n")
        } catch {
            return .init(status: 500, body: "\(error)\n")
        }
    case ("GET", "/orders"):
        return .init(status: 200, body: await orders.lines.map { $0 + "\n" }.joined())
    default:
        return .init(status: 404, body: "no \(request.path)\n")
    }
}

let server = try HTTPServer()
FileHandle.standardOutput.write(Data("listening on 127.0.0.1:\(server.port)\n".utf8))
for await connection in server.connections {
    Task {
        try await HTTPServer.serve(connection) { request in
            if request.path == "/stop" { Task { try await stop() } }
            return await respond(to: request)
        }
    }
}

@Sendable func stop() async throws {
    try await producer.close()
    try await consumer.close()
    exit(0)
}
