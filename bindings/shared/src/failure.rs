//! An error as every language shows it.

use ottla::{Error, ErrorKind};
use ottla_engine::config::ConfigError;
use std::fmt;

/// The classes of errors. Each language has one exception (or case) per class under the same name,
/// and every failure is of one class; [`Failure::code`] is finer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// A setting is unknown or out of range.
    Config,
    /// An argument has the wrong type. Only bindings raise it: Rust's compiler does otherwise.
    Type,
    /// No broker could be reached.
    Unreachable,
    /// It took longer than its limit.
    Timeout,
    /// The topic, partition or group does not exist.
    NotFound,
    /// An argument can never be accepted as it is.
    Invalid,
    /// The credentials were refused.
    Authentication,
    /// The user may not do this.
    Authorization,
    /// Another client took this one's place.
    Fenced,
    /// A group operation came at the wrong time.
    Rebalance,
    /// The position is not in the log any more.
    OffsetOutOfRange,
    /// The broker refused for another reason.
    Broker,
    /// Broker and client have no version in common.
    Unsupported,
    /// The broker's bytes break the protocol, or a batch is corrupt.
    Protocol,
    /// The local buffers are full.
    Full,
    /// The client was closed, or belongs to the process that forked this one.
    Closed,
    /// The caller gave up: a cancelled task, an aborted signal.
    Cancelled,
}

impl Class {
    /// All classes, in the order of the documentation.
    pub const ALL: [Self; 17] = [
        Self::Config,
        Self::Type,
        Self::Unreachable,
        Self::Timeout,
        Self::NotFound,
        Self::Invalid,
        Self::Authentication,
        Self::Authorization,
        Self::Fenced,
        Self::Rebalance,
        Self::OffsetOutOfRange,
        Self::Broker,
        Self::Unsupported,
        Self::Protocol,
        Self::Full,
        Self::Closed,
        Self::Cancelled,
    ];

    /// The stem of the class's name: `NotFound` is Python's and Node's `NotFoundError` and Swift's
    /// `.notFound`.
    pub fn stem(self) -> &'static str {
        match self {
            Self::Config => "Config",
            Self::Type => "ArgumentType",
            Self::Unreachable => "Unreachable",
            Self::Timeout => "Timeout",
            Self::NotFound => "NotFound",
            Self::Invalid => "Invalid",
            Self::Authentication => "Authentication",
            Self::Authorization => "Authorization",
            Self::Fenced => "Fenced",
            Self::Rebalance => "Rebalance",
            Self::OffsetOutOfRange => "OffsetOutOfRange",
            Self::Broker => "Broker",
            Self::Unsupported => "Unsupported",
            Self::Protocol => "Protocol",
            Self::Full => "Full",
            Self::Closed => "Closed",
            Self::Cancelled => "Cancelled",
        }
    }

    /// The code of a failure of this class that no broker answered.
    pub fn code(self) -> &'static str {
        match self {
            Self::Config => "CONFIG",
            Self::Type => "ARGUMENT_TYPE",
            Self::Unreachable => "UNREACHABLE",
            Self::Timeout => "TIMEOUT",
            Self::NotFound => "NOT_FOUND",
            Self::Invalid => "INVALID",
            Self::Authentication => "AUTHENTICATION",
            Self::Authorization => "AUTHORIZATION",
            Self::Fenced => "FENCED",
            Self::Rebalance => "REBALANCE",
            Self::OffsetOutOfRange => "OFFSET_OUT_OF_RANGE",
            Self::Broker => "BROKER",
            Self::Unsupported => "UNSUPPORTED",
            Self::Protocol => "PROTOCOL",
            Self::Full => "FULL",
            Self::Closed => "CLOSED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// What it means and what the caller does, one sentence for the documentation.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Config => "A setting is unknown or out of range: change it.",
            Self::Type => "An argument has the wrong type: change it.",
            Self::Unreachable => "No broker could be reached: check addresses and network.",
            Self::Timeout => "It took longer than its limit: it may be tried again.",
            Self::NotFound => "The topic, partition or group does not exist: create it.",
            Self::Invalid => "The argument can never be accepted as it is: change it.",
            Self::Authentication => "The credentials were refused: correct them.",
            Self::Authorization => "The user may not do this: grant the permission.",
            Self::Fenced => "Another client took this one's place: discard this client.",
            Self::Rebalance => "The group is rebalancing, or the member was removed: poll again.",
            Self::OffsetOutOfRange => "The position is not in the log any more: seek.",
            Self::Broker => "The broker refused for another reason: see the code.",
            Self::Unsupported => "Broker and client have no version in common: change either.",
            Self::Protocol => "The broker's bytes break the protocol, or a batch is corrupt.",
            Self::Full => "The local buffers are full: wait for deliveries, then try again.",
            Self::Closed => "The client was closed, or crossed a fork: make a new one.",
            Self::Cancelled => "The caller gave up; a record that was sent is on its way.",
        }
    }
}

impl From<ErrorKind> for Class {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Config => Self::Config,
            ErrorKind::Unreachable => Self::Unreachable,
            ErrorKind::Timeout => Self::Timeout,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Invalid => Self::Invalid,
            ErrorKind::Authentication => Self::Authentication,
            ErrorKind::Authorization => Self::Authorization,
            ErrorKind::Fenced => Self::Fenced,
            ErrorKind::Rebalance => Self::Rebalance,
            ErrorKind::OffsetOutOfRange => Self::OffsetOutOfRange,
            ErrorKind::Unsupported => Self::Unsupported,
            ErrorKind::Protocol => Self::Protocol,
            ErrorKind::Full => Self::Full,
            ErrorKind::Closed => Self::Closed,
            // `ErrorKind` may grow: what is new is the broker's until it has a class.
            _ => Self::Broker,
        }
    }
}

/// A failure for a language: everything that its exception holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Which exception it is.
    pub class: Class,
    /// The broker's error name (`UNKNOWN_TOPIC_OR_PARTITION`) where a broker answered one, else
    /// [`Class::code`]. The same in every language.
    pub code: &'static str,
    /// What was wrong, where, and what to do.
    pub message: String,
    /// Whether the same call may succeed later without anything being changed.
    pub is_retriable: bool,
    /// Whether the client is of no further use.
    pub is_fatal: bool,
    /// Whether the record may be in the log although this failure was reported.
    pub possibly_written: bool,
}

impl Failure {
    /// A failure that the binding itself found.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            code: class.code(),
            message: message.into(),
            is_retriable: matches!(class, Class::Unreachable | Class::Timeout | Class::Full),
            is_fatal: matches!(class, Class::Fenced | Class::Closed),
            possibly_written: false,
        }
    }

    /// An argument of the wrong type: `what` names it, `expected` and `got` are types in the
    /// language's own words.
    pub fn of_type(what: &str, expected: &str, got: &str) -> Self {
        Self::new(Class::Type, format!("{what} must be {expected}, not {got}"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let class = Class::from(error.kind());
        Self {
            class,
            code: error.code().map_or(class.code(), |code| code.name()),
            message: error.to_string(),
            is_retriable: error.is_retriable(),
            is_fatal: error.is_fatal(),
            possibly_written: error.possibly_written(),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Error::from(error).into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla::ErrorCode;
    use std::collections::BTreeSet;

    #[test]
    fn the_brokers_name_is_the_code_and_the_kind_the_class() {
        let error = Error::from_code(ErrorCode::UnknownTopicOrPartition, "cannot send");
        let failure = Failure::from(error.with_possibly_written(true));
        assert_eq!((failure.class, failure.code), (Class::NotFound, "UNKNOWN_TOPIC_OR_PARTITION"));
        assert!(failure.is_retriable && failure.possibly_written && !failure.is_fatal);
        assert!(failure.message.starts_with("cannot send: "), "{failure}");
    }

    #[test]
    fn without_a_brokers_code_the_class_has_one() {
        let failure = Failure::from(Error::new(ErrorKind::Closed, "the producer is closed"));
        assert_eq!((failure.class, failure.code), (Class::Closed, "CLOSED"));
        assert!(failure.is_fatal);
    }

    #[test]
    fn names_and_codes_of_the_classes_differ() {
        let stems: BTreeSet<_> = Class::ALL.iter().map(|class| class.stem()).collect();
        let codes: BTreeSet<_> = Class::ALL.iter().map(|class| class.code()).collect();
        assert_eq!((stems.len(), codes.len()), (Class::ALL.len(), Class::ALL.len()));
    }
}
