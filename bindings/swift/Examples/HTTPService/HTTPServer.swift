import Foundation

/// As little of HTTP/1.1 as the example needs: a request a connection, over the system's sockets.
struct HTTPServer: Sendable {
    struct Request: Sendable {
        var method: String
        var path: String
        var body: String
    }

    struct Response: Sendable {
        var status: Int
        var body: String
    }

    private let listener: Int32
    let port: Int

    /// Listens on a free port of the loopback interface.
    init() throws {
        #if canImport(Glibc)
            listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
            listener = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let file = listener
        let failed = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(file, $0, length) != 0 || listen(file, 64) != 0
                    || getsockname(file, $0, &length) != 0
            }
        }
        guard !failed else { throw CocoaError(.fileReadUnknown) }
        port = Int(UInt16(bigEndian: address.sin_port))
    }

    /// Connections, as they come.
    var connections: AsyncStream<FileHandle> {
        AsyncStream { continuation in
            Thread.detachNewThread {
                while true {
                    let connection = accept(listener, nil, nil)
                    guard connection >= 0 else { break }
                    continuation.yield(
                        FileHandle(fileDescriptor: connection, closeOnDealloc: true))
                }
                continuation.finish()
            }
        }
    }

    /// Reads a request and writes its response.
    static func serve(
        _ connection: FileHandle, _ respond: @Sendable (Request) async -> Response
    ) async throws {
        guard let request = read(connection) else { return }
        let response = await respond(request)
        let head =
            "HTTP/1.1 \(response.status) \(response.status < 400 ? "OK" : "Error")\r\n"
            + "content-length: \(response.body.utf8.count)\r\nconnection: close\r\n\r\n"
        try connection.write(contentsOf: Data((head + response.body).utf8))
    }

    private static func read(_ connection: FileHandle) -> Request? {
        var data = Data()
        let end = Data("\r\n\r\n".utf8)
        while true {
            if let headEnd = data.range(of: end) {
                let head = String(decoding: data[..<headEnd.lowerBound], as: UTF8.self)
                let lines = head.components(separatedBy: "\r\n")
                let length = lines.lazy.map { $0.lowercased() }
                    .first { $0.hasPrefix("content-length:") }
                    .flatMap { Int($0.dropFirst(15).trimmingCharacters(in: .whitespaces)) }
                if data.count - headEnd.upperBound >= length ?? 0 {
                    let words = lines[0].components(separatedBy: " ")
                    guard words.count == 3 else { return nil }
                    let body = String(decoding: data[headEnd.upperBound...], as: UTF8.self)
                    return Request(method: words[0], path: words[1], body: body)
                }
            }
            let more = connection.availableData
            if more.isEmpty { return nil }
            data.append(more)
        }
    }
}
