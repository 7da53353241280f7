import OttlaFFI

/// A client's settings: a literal with Kafka's dotted names, the same in camel case, or the typed
/// properties here. What is not set has the core's default; what the core does not know or take is
/// refused by the client's initializer, with the nearest name that it does know.
///
/// ```swift
/// var configuration: Configuration = ["bootstrap.servers": "localhost:9092", "lingerMs": 5]
/// configuration.compression = .zstd
/// ```
public struct Configuration: Sendable, ExpressibleByDictionaryLiteral {
    private(set) var settings: [NamedSetting] = []

    /// Nothing set.
    public init() {}

    /// Settings by name; the last of a name wins.
    public init(_ settings: some Sequence<(key: String, value: any ConfigurationValue)>) {
        for (name, value) in settings { self[name] = value }
    }

    /// Settings by name; the last of a name wins.
    public init(dictionaryLiteral elements: (String, any ConfigurationValue)...) {
        for (name, value) in elements { self[name] = value }
    }

    /// A setting under exactly this spelling of its name; setting `nil` takes it away.
    public subscript(name: String) -> (any ConfigurationValue)? {
        get { settings.last { $0.name == name }?.value }
        set {
            settings.removeAll { $0.name == name }
            if let newValue {
                settings.append(NamedSetting(name: name, value: newValue.settingValue))
            }
        }
    }
}

/// What a setting can be set to: `String`, `Int`, `Bool`, `[String]` and `Duration` (in
/// milliseconds).
public protocol ConfigurationValue: Sendable {
    /// The value in the form that the core takes; the standard types have one.
    var settingValue: SettingValue { get }
}

extension SettingValue: ConfigurationValue {
    /// Itself.
    public var settingValue: SettingValue { self }
}

extension String: ConfigurationValue {
    /// Text.
    public var settingValue: SettingValue { .text(text: self) }
}

extension Int: ConfigurationValue {
    /// A whole number.
    public var settingValue: SettingValue { .integer(number: Int64(self)) }
}

extension Bool: ConfigurationValue {
    /// A flag.
    public var settingValue: SettingValue { .flag(flag: self) }
}

extension [String]: ConfigurationValue {
    /// A list.
    public var settingValue: SettingValue { .list(items: self) }
}

extension Duration: ConfigurationValue {
    /// Whole milliseconds.
    public var settingValue: SettingValue { .integer(number: milliseconds) }
}

extension Configuration {
    /// How batches are compressed.
    public enum Compression: String, Sendable, CaseIterable {
        case none, gzip, snappy, lz4, zstd
    }

    /// Who must have a record before its delivery succeeds.
    public enum Acks: String, Sendable, CaseIterable {
        /// Every in-sync replica. The default.
        case all
        /// The leader.
        case leader = "1"
        /// Nobody: offsets are not told.
        case none = "0"
    }

    /// Where a consumer begins that has no position.
    public enum OffsetReset: String, Sendable, CaseIterable {
        /// At the first record that is there.
        case earliest
        /// Behind the last. The default.
        case latest
        /// Nowhere: reading throws `offsetOutOfRange`.
        case none
    }

    /// Which records of transactions a consumer gets.
    public enum IsolationLevel: String, Sendable, CaseIterable {
        /// All of them. The default.
        case readUncommitted = "read_uncommitted"
        /// Those that were committed.
        case readCommitted = "read_committed"
    }

    /// Where to find the cluster: `host:port` each (`bootstrap.servers`).
    public var bootstrapServers: [String]? {
        get {
            switch self["bootstrap.servers"]?.settingValue {
            case .list(let items): items
            case .text(let text): text.split(separator: ",").map(String.init)
            default: nil
            }
        }
        set { self["bootstrap.servers"] = newValue }
    }

    /// The name that brokers log (`client.id`).
    public var clientID: String? {
        get { text("client.id") }
        set { self["client.id"] = newValue }
    }

    /// Who must have a record before its delivery succeeds (`acks`).
    public var acks: Acks? {
        get { text("acks").flatMap(Acks.init) }
        set { self["acks"] = newValue?.rawValue }
    }

    /// How batches are compressed (`compression.type`).
    public var compression: Compression? {
        get { text("compression.type").flatMap(Compression.init) }
        set { self["compression.type"] = newValue?.rawValue }
    }

    /// How long a batch that is not full waits for more records (`linger.ms`).
    public var linger: Duration? {
        get { duration("linger.ms") }
        set { self["linger.ms"] = newValue }
    }

    /// The size at which a batch is full, in bytes before compression (`batch.size`).
    public var batchSize: Int? {
        get { integer("batch.size") }
        set { self["batch.size"] = newValue }
    }

    /// The most memory for records that are not acknowledged, in bytes (`buffer.memory`).
    public var bufferMemory: Int? {
        get { integer("buffer.memory") }
        set { self["buffer.memory"] = newValue }
    }

    /// The longest from handing a record over to its success or failure (`delivery.timeout.ms`).
    public var deliveryTimeout: Duration? {
        get { duration("delivery.timeout.ms") }
        set { self["delivery.timeout.ms"] = newValue }
    }

    /// The longest that an answer of a broker is waited for (`request.timeout.ms`).
    public var requestTimeout: Duration? {
        get { duration("request.timeout.ms") }
        set { self["request.timeout.ms"] = newValue }
    }

    /// The longest that handing over waits for memory or metadata (`max.block.ms`).
    public var maxBlock: Duration? {
        get { duration("max.block.ms") }
        set { self["max.block.ms"] = newValue }
    }

    /// The group that shares its topics' partitions (`group.id`).
    public var groupID: String? {
        get { text("group.id") }
        set { self["group.id"] = newValue }
    }

    /// The name of a static member of the group (`group.instance.id`).
    public var groupInstanceID: String? {
        get { text("group.instance.id") }
        set { self["group.instance.id"] = newValue }
    }

    /// Where a consumer begins that has no position (`auto.offset.reset`).
    public var offsetReset: OffsetReset? {
        get { text("auto.offset.reset").flatMap(OffsetReset.init) }
        set { self["auto.offset.reset"] = newValue?.rawValue }
    }

    /// Which records of transactions a consumer gets (`isolation.level`).
    public var isolationLevel: IsolationLevel? {
        get { text("isolation.level").flatMap(IsolationLevel.init) }
        set { self["isolation.level"] = newValue?.rawValue }
    }

    /// Whether what is finished is committed now and then (`enable.auto.commit`).
    public var autoCommit: Bool? {
        get {
            guard case .flag(let flag) = self["enable.auto.commit"]?.settingValue else {
                return nil
            }
            return flag
        }
        set { self["enable.auto.commit"] = newValue }
    }

    private func text(_ name: String) -> String? {
        guard case .text(let text) = self[name]?.settingValue else { return nil }
        return text
    }

    private func integer(_ name: String) -> Int? {
        guard case .integer(let number) = self[name]?.settingValue else { return nil }
        return Int(number)
    }

    private func duration(_ name: String) -> Duration? {
        integer(name).map { .milliseconds($0) }
    }
}
