// Lines of JSON, in and out, and what they have in common.
import Foundation
import Ottla

/// The lines of standard input, read on a thread of its own.
struct Input: Sendable {
    private let lines: AsyncStream<Data>

    init() {
        lines = AsyncStream { lines in
            Thread.detachNewThread {
                while let line = readLine() {
                    if !line.allSatisfy(\.isWhitespace) { lines.yield(Data(line.utf8)) }
                }
                lines.finish()
            }
        }
    }

    func makeIterator() -> AsyncStream<Data>.Iterator { lines.makeAsyncIterator() }
}

func decode<Line: Decodable>(_ line: Data) throws -> Line {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(Line.self, from: line)
}

/// The first line, which says what is wanted.
func task<Task: Decodable>(_ lines: inout AsyncStream<Data>.Iterator) async throws -> Task {
    guard let line = await lines.next() else { throw Missing() }
    return try decode(line)
}

struct Missing: Error, CustomStringConvertible {
    var description: String { "the input ends before its first line" }
}

private let output = NSLock()

/// Writes a line at once.
func say(_ line: [String: Any]) {
    // Plain data: it can always be written.
    var text = try! JSONSerialization.data(withJSONObject: line, options: [.withoutEscapingSlashes])
    text.append(10)
    output.withLock { FileHandle.standardOutput.write(text) }
}

/// A setting's value, as JSON has it.
enum Setting: Decodable {
    case text(String)
    case number(Int)
    case flag(Bool)

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if let flag = try? value.decode(Bool.self) {
            self = .flag(flag)
        } else if let number = try? value.decode(Int.self) {
            self = .number(number)
        } else {
            self = .text(try value.decode(String.self))
        }
    }

    var value: any ConfigurationValue {
        switch self {
        case .text(let text): text
        case .number(let number): number
        case .flag(let flag): flag
        }
    }
}

/// A client with those settings of `config` that it has.
func make<Client>(
    _ config: [String: Setting]?, _ settings: [String: any ConfigurationValue],
    _ connect: (Configuration) async throws -> Client
) async throws -> Client {
    var known = config ?? [:]
    while true {
        var configuration = Configuration(known.map { (key: $0.key, value: $0.value.value) })
        for (name, value) in settings { configuration[name] = value }
        do {
            return try await connect(configuration)
        } catch let error as OttlaError where error.kind == .config {
            let unknown = known.keys.first { error.message.contains("\"\($0)\"") }
            guard let unknown else { throw error }
            known[unknown] = nil
        }
    }
}

/// What the client tells of a failure.
func failure(_ error: OttlaError) -> [String: Any] {
    [
        "code": NSNull(), "name": error.code, "retriable": error.isRetriable,
        "message": error.message,
    ]
}

func encode(_ bytes: (some BytesRepresentable)?) -> Any {
    guard let bytes else { return NSNull() }
    return bytes.withBytes { Data($0).base64EncodedString() }
}

func places(_ partitions: [TopicPartition]) -> [[Any]] {
    partitions.map { [$0.topic, $0.partition] }
}
