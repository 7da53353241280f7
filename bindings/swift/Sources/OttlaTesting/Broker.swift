import Foundation

/// A Kafka broker for a test: `ottla-broker` as a child process, with real sockets and a data
/// folder of its own. It is ready in a few milliseconds, and gone at the end even if the test
/// process is killed. It fails when it is told to.
///
/// ```swift
/// let broker = try await Broker.start(config: ["num.partitions": "1"])
/// try await broker.inject(api: "Produce", error: "NOT_LEADER_OR_FOLLOWER", times: 3)
/// let producer = try await Producer(["bootstrap.servers": broker.bootstrapServers])
/// try await producer.send(topic: "orders", value: "one")
/// try await broker.kill()
/// try await broker.restart()
/// await broker.close()
/// ```
///
/// The program is the one that `binary` names, or the variable `OTTLA_BROKER_BIN`, or
/// `ottla-broker` on the `PATH`.
public actor Broker {
    /// The address for `bootstrap.servers`. It stays the same over ``restart()``.
    public nonisolated var bootstrapServers: String { "127.0.0.1:\(port)" }
    /// The port that clients connect to.
    public nonisolated let port: Int
    /// Where the data is. A folder that was not named at the start is removed at the end.
    public nonisolated let dataDirectory: URL

    private let binary: String
    private let arguments: [String]
    private let removesData: Bool
    private var process: ChildProcess?
    /// Removes the data folder at the end of this process, while no broker is there that would.
    private var keeper: ChildProcess?
    private var controlPort = 0

    /// Starts a broker.
    ///
    /// - Parameters:
    ///   - config: Kafka's broker properties, over those of `ottla-broker dev`.
    ///   - binary: The program.
    ///   - dataDirectory: A folder to keep; `nil`: a new one.
    /// - Throws: ``BrokerError`` where there is no such program, or it does not start, with the end
    ///   of its log.
    public static func start(
        config: [String: String] = [:], binary: String? = nil, dataDirectory: URL? = nil
    ) async throws -> Broker {
        let program = try binary ?? findProgram()
        for _ in 0..<20 {
            let broker = Broker(config, program, dataDirectory)
            do {
                try await broker.spawn()
                return broker
            } catch let error as BrokerError where error.message.contains("in use") {
                await broker.close()
            }
        }
        throw BrokerError("no free port for a broker between 10240 and 32767")
    }

    private init(_ config: [String: String], _ program: String, _ dataDirectory: URL?) {
        // Below the range of outgoing connections: a client that reconnects while its broker is
        // down cannot take the port.
        port = Int.random(in: 10_240...32_767)
        binary = program
        removesData = dataDirectory == nil
        self.dataDirectory =
            dataDirectory
            ?? FileManager.default.temporaryDirectory
            .appendingPathComponent("ottla-testing-\(UUID().uuidString)")
        var arguments = ["dev", "--port", "\(port)", "--data-dir", self.dataDirectory.path]
        if removesData { arguments.append("--temporary") }
        arguments += ["--until-stdin-closes", "--chaos"]
        for (name, value) in config.sorted(by: { $0.key < $1.key }) {
            arguments += ["--set", "\(name)=\(value)"]
        }
        self.arguments = arguments
    }

    private static func findProgram() throws -> String {
        let environment = ProcessInfo.processInfo.environment
        if let named = environment["OTTLA_BROKER_BIN"] { return named }
        for folder in (environment["PATH"] ?? "").split(separator: ":") {
            let path = "\(folder)/ottla-broker"
            if FileManager.default.isExecutableFile(atPath: path) { return path }
        }
        throw BrokerError("no ottla-broker on the PATH: set OTTLA_BROKER_BIN to the program")
    }

    private func spawn() async throws {
        let process = try ChildProcess(binary, arguments)
        self.process = process
        // Two lines: where clients connect, and where faults are set.
        guard try await process.readLine()?.contains(" ready on ") == true,
            let faults = try await process.readLine(),
            let port = faults.split(separator: ":").last.flatMap({ Int($0) })
        else {
            throw BrokerError("ottla-broker did not start:\n\(process.log().suffix(2_000))")
        }
        controlPort = port
        await keeper?.kill()
        keeper = nil
    }

    /// From now on the broker does not remove its folder. Nobody writes to the shell: what it reads
    /// is the end of this process.
    private func keepFolder() {
        guard removesData, keeper == nil else { return }
        let script = "read -r nothing; rm -rf -- \"$0\""
        keeper = try? ChildProcess("sh", ["-c", script, dataDirectory.path])
    }

    /// Whether the process is there.
    public var isRunning: Bool { process?.isRunning ?? false }

    /// The process.
    public var processID: Int32? { isRunning ? process?.id : nil }

    /// What the broker logged since it was started.
    public var log: String { process?.log() ?? "" }

    /// Ends the process at once, as a power cut does. What was acknowledged is kept.
    public func kill() async throws {
        if process != nil { keepFolder() }
        await process?.kill()
    }

    /// Ends the process in order; clients see their connections closed. The data stays.
    ///
    /// - Throws: ``BrokerError`` where it does not answer.
    public func stop() async throws {
        guard isRunning else { return }
        keepFolder()
        try await tell("stop")
        await process?.wait()
    }

    /// Stops the process if it runs, and starts it with the same port and data. Faults and counters
    /// are gone.
    ///
    /// - Throws: ``BrokerError`` where it does not start.
    public func restart() async throws {
        try await stop()
        try await spawn()
    }

    /// Ends the process and removes a data folder of its own.
    public func close() async {
        await process?.end()
        process = nil
        // The broker removes it, but not where it was killed.
        if removesData { try? FileManager.default.removeItem(at: dataDirectory) }
        await keeper?.kill()
        keeper = nil
    }

    func send<Answer: Decodable>(
        _ command: some Encodable, as: Answer.Type
    ) async throws -> Answer {
        let line = try JSONEncoder().encode(command)
        let answer = try await ControlPort(port: controlPort).ask(line)
        let outcome = try JSONDecoder().decode(Outcome.self, from: answer)
        guard outcome.ok else { throw BrokerError(outcome.error ?? "the broker refused") }
        return try JSONDecoder().decode(Answer.self, from: answer)
    }
}

/// Why a broker did not do what it was told.
public struct BrokerError: Error, CustomStringConvertible, Sendable {
    /// What was wrong, and what to do.
    public var message: String
    /// The message.
    public var description: String { message }

    init(_ message: String) { self.message = message }
}

private struct Outcome: Decodable {
    var ok: Bool
    var error: String?
}
