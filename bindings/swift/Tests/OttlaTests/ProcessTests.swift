import Foundation
import Ottla
import OttlaTesting
import Testing

/// What needs a process of its own.
@Suite(.timeLimit(.minutes(2))) struct ProcessTests {
    @Test(arguments: TestBroker.all)
    func twoHundredClientsLeaveNothingBehind(_ broker: TestBroker) async throws {
        let topic = try await broker.topic()
        let ended = try await run("test-helper", ["cycles", broker.servers, topic])
        #expect(ended.status == 0)
        let figures = ended.output.split(separator: "\n").reduce(into: [String: (Int, Int)]()) {
            let words = $1.split(separator: " ")
            $0[String(words[0])] = (Int(words[1])!, Int(words[2])!)
        }
        let threads = try #require(figures["threads"])
        let files = try #require(figures["files"])
        let memory = try #require(figures["kib"])
        #expect(threads.1 <= threads.0 + 1, "threads: \(threads)")
        #expect(files.1 <= files.0 + 2, "files: \(files)")
        #expect(memory.1 <= memory.0 + 16 * 1_024, "KiB: \(memory)")
    }

    @Test(arguments: TestBroker.all)
    func theProcessEndsByItself(_ broker: TestBroker) async throws {
        let topic = try await broker.topic()
        let ended = try await within {
            try await run("test-helper", ["ends", broker.servers, topic])
        }
        #expect(ended.status == 0 && ended.output == "end\n")
    }

    @Test(arguments: TestBroker.all)
    func examplesProduceAndConsumeInAGroup(_ broker: TestBroker) async throws {
        let topic = try await broker.topic(partitions: 2)
        let servers = try await broker.servers
        let produced = try await run(
            "example-produce", [servers, topic], input: "a one\nb two\na three\n")
        #expect(produced.status == 0)
        #expect(produced.output.split(separator: "\n").count == 3)
        let group = unique("g")
        let consumed = try await run("example-consume-group", [servers, group, topic, "3"])
        #expect(consumed.status == 0)
        let values = consumed.output.split(separator: "\n").map { $0.split(separator: ": ")[1] }
        #expect(values.sorted() == ["a one", "a three", "b two"])
        let admin = try await broker.admin()
        let offsets = try await admin.listConsumerGroupOffsets(group)
        #expect(offsets.values.map(\.offset).reduce(0, +) == 3)
        try admin.close()
    }

    @Test(arguments: TestBroker.all)
    func exampleWritesEachRecordOnceIntoSQLite(_ broker: TestBroker) async throws {
        let topic = try await broker.numbered(300)
        let servers = try await broker.servers
        let file = FileManager.default.temporaryDirectory
            .appendingPathComponent("\(topic).db")
        defer { try? FileManager.default.removeItem(at: file) }
        for count in ["300", "500"] {
            if count == "500" {
                let producer = try await broker.producer()
                try await producer.sendNumbers(300..<500, to: topic)
                try await producer.close()
            }
            let ended = try await run("example-sqlite-sink", [servers, topic, file.path, count])
            #expect(ended.output == "\(count) records in \(file.path)\n")
        }
    }

    @Test(arguments: TestBroker.all)
    func exampleServesOrdersByHTTP(_ broker: TestBroker) async throws {
        let topic = try await broker.topic()
        let servers = try await broker.servers
        let service = try Program("example-http-service", [servers, topic])
        let line = try #require(await service.readLine())
        let address = try #require(line.split(separator: " ").last)
        for order in ["first", "second"] {
            let answer = try await run(
                "/usr/bin/env", httpRequest("POST", String(address), "/orders", order))
            #expect(answer.output.contains("201 OK"), "\(answer.output)")
        }
        try await until("both were read back") {
            let answer = try await run(
                "/usr/bin/env", httpRequest("GET", String(address), "/orders", ""))
            return answer.output.hasSuffix("first\nsecond\n")
        }
        _ = try await run("/usr/bin/env", httpRequest("POST", String(address), "/stop", ""))
        #expect(try await within { await service.end() } == 0)
    }

    /// A client that every system has: bash speaks TCP.
    private func httpRequest(
        _ method: String, _ address: String, _ path: String, _ body: String
    ) -> [String] {
        let target = address.replacingOccurrences(of: ":", with: "/")
        let text = "\(method) \(path) HTTP/1.1\\r\\ncontent-length: \(body.utf8.count)\\r\\n\\r\\n"
        let script = "exec 3<>/dev/tcp/\(target); printf '%b' '\(text)\(body)' >&3; cat <&3"
        return ["bash", "-c", script]
    }
}

/// A program of this package, or of the system by its whole path.
final class Program: @unchecked Sendable {
    private let process = Process()
    private let output = Pipe()
    private let input = Pipe()

    init(_ name: String, _ arguments: [String]) throws {
        // Beside the test bundle.
        let folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        process.executableURL =
            name.hasPrefix("/")
            ? URL(fileURLWithPath: name) : folder.appendingPathComponent(name)
        process.arguments = arguments
        process.standardOutput = output
        process.standardInput = input
        try process.run()
    }

    func write(_ text: String) throws {
        try input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
        try input.fileHandleForWriting.close()
    }

    func readLine() async -> String? {
        await blocking { [output] in
            var line = Data()
            while let byte = try? output.fileHandleForReading.read(upToCount: 1), !byte.isEmpty {
                if byte.first == UInt8(ascii: "\n") {
                    return String(decoding: line, as: UTF8.self)
                }
                line.append(byte)
            }
            return nil
        }
    }

    func readAll() async -> String {
        await blocking { [output] in
            String(
                decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        }
    }

    /// The exit status.
    func end() async -> Int32 {
        await blocking { [self] in
            process.waitUntilExit()
            return process.terminationStatus
        }
    }

    private func blocking<T: Sendable>(_ work: @escaping @Sendable () -> T) async -> T {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: work()) }
        }
    }
}

func run(
    _ name: String, _ arguments: [String], input: String = ""
) async throws -> (status: Int32, output: String) {
    let program = try Program(name, arguments)
    try program.write(input)
    let output = await program.readAll()
    return (await program.end(), output)
}
