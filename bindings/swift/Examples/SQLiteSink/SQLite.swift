import Foundation

/// As little of SQLite as the example needs, from the system's library at run time: no package and
/// no header is needed to build it.
final class SQLite {
    struct Failure: Error { var message: String }

    private typealias Connection = OpaquePointer
    private typealias Statement = OpaquePointer
    private typealias Destructor = @convention(c) (UnsafeMutableRawPointer?) -> Void

    private let library: UnsafeMutableRawPointer
    private var connection: Connection?

    init(path: String) throws {
        let names = ["libsqlite3.so.0", "libsqlite3.dylib"]
        guard let library = names.lazy.compactMap({ dlopen($0, RTLD_NOW) }).first else {
            throw Failure(message: "no SQLite: install libsqlite3")
        }
        self.library = library
        typealias Open = @convention(c) (
            UnsafePointer<CChar>, UnsafeMutablePointer<Connection?>
        ) -> Int32
        guard try function("sqlite3_open", Open.self)(path, &connection) == 0 else {
            throw Failure(message: "cannot open \(path)")
        }
    }

    deinit {
        typealias Close = @convention(c) (Connection?) -> Int32
        _ = try? function("sqlite3_close_v2", Close.self)(connection)
    }

    private func function<F>(_ name: String, _: F.Type) throws -> F {
        guard let symbol = dlsym(library, name) else {
            throw Failure(message: "SQLite has no \(name)")
        }
        return unsafeBitCast(symbol, to: F.self)
    }

    /// Runs a statement; answers its rows of integers.
    @discardableResult
    func run(_ sql: String, _ arguments: [any Sendable] = []) throws -> [[Int64]] {
        typealias Prepare = @convention(c) (
            Connection?, UnsafePointer<CChar>, Int32, UnsafeMutablePointer<Statement?>,
            UnsafeMutableRawPointer?
        ) -> Int32
        typealias One = @convention(c) (Statement?) -> Int32
        typealias Column = @convention(c) (Statement?, Int32) -> Int64
        var statement: Statement?
        guard try function("sqlite3_prepare_v2", Prepare.self)(connection, sql, -1, &statement, nil)
            == 0
        else { throw failure(sql) }
        let finalize = try function("sqlite3_finalize", One.self)
        defer { _ = finalize(statement) }
        for (index, argument) in arguments.enumerated() {
            try bind(statement, Int32(index + 1), argument)
        }
        let step = try function("sqlite3_step", One.self)
        let columns = try function("sqlite3_column_count", One.self)(statement)
        let column = try function("sqlite3_column_int64", Column.self)
        var rows: [[Int64]] = []
        while true {
            switch step(statement) {
            case 100: rows.append((0..<columns).map { column(statement, $0) })
            case 101: return rows
            default: throw failure(sql)
            }
        }
    }

    private func bind(_ statement: Statement?, _ place: Int32, _ value: any Sendable) throws {
        typealias Text = @convention(c) (
            Statement?, Int32, UnsafePointer<CChar>, Int32, Destructor?
        ) -> Int32
        typealias Integer = @convention(c) (Statement?, Int32, Int64) -> Int32
        // SQLite's SQLITE_TRANSIENT: it makes a copy.
        let copies = unsafeBitCast(-1, to: Destructor?.self)
        switch value {
        case let text as String:
            let bind = try function("sqlite3_bind_text", Text.self)
            _ = bind(statement, place, text, Int32(text.utf8.count), copies)
        case let number as Int64:
            _ = try function("sqlite3_bind_int64", Integer.self)(statement, place, number)
        default:
            throw Failure(message: "cannot bind \(type(of: value))")
        }
    }

    private func failure(_ sql: String) -> Failure {
        typealias Message = @convention(c) (Connection?) -> UnsafePointer<CChar>
        let text = try? String(cString: function("sqlite3_errmsg", Message.self)(connection))
        return Failure(message: "\(text ?? "SQLite failed"): \(sql)")
    }
}
