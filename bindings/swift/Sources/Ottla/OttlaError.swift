import OttlaFFI

/// Why a call failed: the one error of this package, beside `CancellationError` for a task that was
/// cancelled.
///
/// The client has tried again within its limits before it throws.
public struct OttlaError: Error, Sendable, Hashable {
    /// What to do about it. The same kinds under the same names in every language of Ottla's.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// A setting is unknown or out of range: change it.
        case config = "Config"
        /// An argument has the wrong type. The compiler sees to it in Swift.
        case argumentType = "ArgumentType"
        /// No broker could be reached: check addresses and network.
        case unreachable = "Unreachable"
        /// It took longer than its limit: it may be tried again.
        case timeout = "Timeout"
        /// The topic, partition or group does not exist: create it.
        case notFound = "NotFound"
        /// The argument can never be accepted as it is: change it.
        case invalid = "Invalid"
        /// The credentials were refused: correct them.
        case authentication = "Authentication"
        /// The user may not do this: grant the permission.
        case authorization = "Authorization"
        /// Another client took this one's place: discard this client.
        case fenced = "Fenced"
        /// The group is rebalancing, or the member was removed: go on reading.
        case rebalance = "Rebalance"
        /// The position is not in the log any more: seek.
        case offsetOutOfRange = "OffsetOutOfRange"
        /// The broker refused for another reason: see the code.
        case broker = "Broker"
        /// Broker and client have no version in common: change either.
        case unsupported = "Unsupported"
        /// The broker's bytes break the protocol, or a batch is corrupt.
        case `protocol` = "Protocol"
        /// The local buffers are full: wait for deliveries, then try again.
        case full = "Full"
        /// The client was closed: make a new one.
        case closed = "Closed"
        /// The caller gave up. Tasks that are cancelled throw `CancellationError` instead.
        case cancelled = "Cancelled"
    }

    /// What to do about it.
    public var kind: Kind
    /// The broker's error name (`UNKNOWN_TOPIC_OR_PARTITION`) where a broker answered one, else the
    /// kind's (`NOT_FOUND`). The same in every language of Ottla's.
    public var code: String
    /// What was wrong, where, and what to do.
    public var message: String
    /// Whether the same call may succeed later without anything being changed.
    public var isRetriable: Bool
    /// Whether the client is of no further use.
    public var isFatal: Bool
    /// Whether the record may be in the log although this error was thrown.
    public var possiblyWritten: Bool

    init(_ details: FailureDetails) {
        kind = Kind(rawValue: details.kind) ?? .broker
        code = details.code
        message = details.message
        isRetriable = details.isRetriable
        isFatal = details.isFatal
        possiblyWritten = details.possiblyWritten
    }
}

extension OttlaError: CustomStringConvertible {
    /// `NOT_FOUND: topic "orders" does not exist`.
    public var description: String { "\(code): \(message)" }
}

#if canImport(Foundation)
    import Foundation

    extension OttlaError: LocalizedError {
        /// The message.
        public var errorDescription: String? { message }
    }
#endif
