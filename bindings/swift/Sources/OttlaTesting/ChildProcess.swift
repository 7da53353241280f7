import Foundation

/// A process with a pipe as its standard input, which nobody writes to: it closes when this process
/// ends, however it does, and the child sees that.
final class ChildProcess: @unchecked Sendable {
    // Sendable: what changes is behind the lock, but for what only the reader of lines uses.
    let id: pid_t
    /// One start at a time: another child must not inherit a pipe before it is marked.
    private static let starting = NSLock()
    private var input: Int32
    private let output: Int32
    private let logFile: Int32
    private let lock = NSLock()
    private var hasEnded = false
    private var pending = Data()

    init(_ program: String, _ arguments: [String]) throws {
        Self.starting.lock()
        defer { Self.starting.unlock() }
        let (childInput, input) = try Self.pipe()
        let (output, childOutput) = try Self.pipe()
        logFile = try Self.unlinkedFile()
        self.input = input
        self.output = output
        defer {
            close(childInput)
            close(childOutput)
        }
        #if canImport(Darwin)
            var actions: posix_spawn_file_actions_t?
        #else
            var actions = posix_spawn_file_actions_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, childInput, 0)
        posix_spawn_file_actions_adddup2(&actions, childOutput, 1)
        posix_spawn_file_actions_adddup2(&actions, logFile, 2)
        let words = ([program] + arguments).map { strdup($0) }
        defer { words.forEach { free($0) } }
        var id = pid_t()
        let failure = posix_spawnp(&id, program, &actions, nil, words + [nil], environ)
        guard failure == 0 else {
            for file in [input, output, logFile] { close(file) }
            throw BrokerError("cannot run \(program): \(String(cString: strerror(failure)))")
        }
        self.id = id
    }

    deinit {
        for file in [input, output, logFile] where file >= 0 { close(file) }
        if !hasEnded {
            // It ends by itself, now that its input is closed; somebody has to take note.
            DispatchQueue.global().async { [id] in _ = waitpid(id, nil, 0) }
        }
    }

    /// Both ends of a pipe that no child inherits: reading, writing.
    private static func pipe() throws -> (Int32, Int32) {
        var ends: [Int32] = [0, 0]
        if Foundation.pipe(&ends) != 0 {
            throw BrokerError("no pipe: \(String(cString: strerror(errno)))")
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    /// A file that is gone when nobody has it open any more.
    private static func unlinkedFile() throws -> Int32 {
        let path = FileManager.default.temporaryDirectory
            .appendingPathComponent("ottla-testing-\(UUID().uuidString).log").path
        let file = open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0o600)
        if file < 0 { throw BrokerError("no log \(path): \(String(cString: strerror(errno)))") }
        unlink(path)
        return file
    }

    /// The next line of standard output; `nil` at its end.
    func readLine() async throws -> String? {
        try await blocking { [self] in
            while true {
                if let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                    let line = String(decoding: pending[..<end], as: UTF8.self)
                    pending = Data(pending[(end + 1)...])
                    return line
                }
                guard let more = try readSome(output) else { return nil }
                pending.append(contentsOf: more)
            }
        }
    }

    /// What came on standard error, from the beginning.
    func log() -> String {
        var all = Data()
        var part = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = pread(logFile, &part, part.count, off_t(all.count))
            if count <= 0 { return String(decoding: all, as: UTF8.self) }
            all.append(contentsOf: part[..<count])
        }
    }

    var isRunning: Bool {
        lock.withLock {
            if !hasEnded { hasEnded = waitpid(id, nil, WNOHANG) != 0 }
            return !hasEnded
        }
    }

    /// Ends it at once.
    func kill() async {
        lock.withLock { if !hasEnded { _ = Foundation.kill(id, SIGKILL) } }
        await wait()
    }

    /// Closes its input, at which a broker ends in order and removes a temporary folder.
    func end() async {
        lock.withLock {
            if input >= 0 { close(input) }
            input = -1
        }
        await wait()
    }

    /// Waits for its end.
    func wait() async {
        // Nothing is thrown: waiting cannot fail.
        try? await blocking { [self] in
            lock.withLock {
                if !hasEnded { waitpid(id, nil, 0) }
                hasEnded = true
            }
        }
    }
}

/// Runs what blocks away from the tasks' own threads.
func blocking<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue.global().async { continuation.resume(with: Result { try work() }) }
    }
}

/// Where a broker is told to fail: a line there, a line back.
struct ControlPort: Sendable {
    var port: Int

    func ask(_ line: Data) async throws -> Data {
        try await blocking {
            #if canImport(Glibc)
                let stream = Int32(SOCK_STREAM.rawValue)
            #else
                let stream = SOCK_STREAM
            #endif
            let connection = socket(AF_INET, stream, 0)
            defer { close(connection) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(UInt16(port).bigEndian)
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            let length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let connected = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(connection, $0, length)
                }
            }
            guard connected == 0 else { throw BrokerError("the broker is not running: restart it") }
            let request = Array(line) + [UInt8(ascii: "\n")]
            // A line is short: it goes in one piece.
            guard write(connection, request, request.count) == request.count else {
                throw BrokerError("the broker ended before it was asked")
            }
            var answer = Data()
            while answer.last != UInt8(ascii: "\n") {
                guard let more = try readSome(connection) else {
                    throw BrokerError("the broker ended before it answered")
                }
                answer.append(contentsOf: more)
            }
            return answer
        }
    }
}

/// What is there to read, waiting for the first byte; `nil` at the end.
private func readSome(_ file: Int32) throws -> ArraySlice<UInt8>? {
    var part = [UInt8](repeating: 0, count: 4_096)
    while true {
        let count = read(file, &part, part.count)
        if count > 0 { return part[..<count] }
        if count == 0 { return nil }
        if errno != EINTR {
            throw BrokerError("cannot read from ottla-broker: \(String(cString: strerror(errno)))")
        }
    }
}
