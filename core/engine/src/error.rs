//! The one error type that users see: by who is at fault and what the caller must do next.

use crate::call::CallError;
use crate::config::ConfigError;
use ottla_protocol::ErrorCode;
use std::fmt;

/// What kind of failure it is, and what the caller must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is unknown or out of range. Change it.
    Config,
    /// No broker could be reached. Check addresses and network; trying again may help.
    Unreachable,
    /// It took longer than its limit. It may be tried again; see [`Error::possibly_written`].
    Timeout,
    /// The topic, partition or group does not exist. Create it, or correct the name.
    NotFound,
    /// The argument can never be accepted as it is: a record that is too large, a malformed name.
    /// Change it.
    Invalid,
    /// The credentials were refused. Correct them.
    Authentication,
    /// The user may not do this. Grant the permission.
    Authorization,
    /// Another client took this one's place (same group member, same transactional id). Discard
    /// this client.
    Fenced,
    /// A group operation came at the wrong time: the group is rebalancing or the member was
    /// removed. Poll, then try again.
    Rebalance,
    /// The position is not in the log any more, and no reset policy is set. Seek.
    OffsetOutOfRange,
    /// The broker refused for another reason; see [`Error::code`].
    Broker,
    /// Broker and client have no version in common. Use another version of either.
    Unsupported,
    /// The broker's bytes break the protocol, or a batch is corrupt.
    Protocol,
    /// The local buffers are full (only where waiting was not asked for). Wait for deliveries, then
    /// try again.
    Full,
    /// The client was closed.
    Closed,
}

/// A failure: what was wrong, where, and what to do.
///
/// ```
/// # use ottla_engine::error::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::NotFound, "topic \"orders\" does not exist: create it");
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// assert!(!error.is_retriable() && !error.possibly_written());
/// ```
#[derive(Clone, PartialEq)]
pub struct Error(Box<ErrorInner>);

#[derive(Debug, Clone, PartialEq)]
struct ErrorInner {
    kind: ErrorKind,
    code: Option<ErrorCode>,
    message: String,
    retriable: bool,
    fatal: bool,
    possibly_written: bool,
}

impl Error {
    /// A failure of this kind; the message says what, where and what to do, in lower case and
    /// without a full stop.
    #[cold]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retriable =
            matches!(kind, ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::Full);
        let fatal = matches!(kind, ErrorKind::Fenced | ErrorKind::Closed);
        Self(Box::new(ErrorInner {
            kind,
            code: None,
            message: message.into(),
            retriable,
            fatal,
            possibly_written: false,
        }))
    }

    /// A failure that a broker answered with an error code; `context` says what was asked of whom.
    #[cold]
    pub fn from_code(code: ErrorCode, context: impl fmt::Display) -> Self {
        let message = format!("{context}: {} ({})", code.description(), code.name());
        let mut error = Self::new(kind_of(code), message);
        error.0.code = Some(code);
        error.0.retriable = code.is_retriable();
        error
    }

    /// A failure that a broker answered with a number, which may be unknown to this client.
    #[cold]
    pub fn from_raw_code(code: i16, context: impl fmt::Display) -> Self {
        match ErrorCode::from_code(code) {
            Some(code) => Self::from_code(code, context),
            None => Self::new(ErrorKind::Broker, format!("{context}: unknown error code {code}")),
        }
    }

    /// A call that had no response; `context` says what was asked of whom.
    #[cold]
    pub fn from_call(error: &CallError, context: impl fmt::Display) -> Self {
        let kind = match error {
            CallError::Disconnected { .. } | CallError::NoBroker(_) => ErrorKind::Unreachable,
            CallError::Timeout { .. } => ErrorKind::Timeout,
            CallError::UnsupportedVersion { .. } => ErrorKind::Unsupported,
            CallError::Encode(_) => ErrorKind::Invalid,
            CallError::Decode(_) => ErrorKind::Protocol,
            CallError::Closed { .. } => ErrorKind::Closed,
        };
        Self::new(kind, format!("{context}: {error}"))
    }

    /// Says that the record may have been written although the call failed (trap 11).
    #[must_use]
    pub fn with_possibly_written(mut self, possibly_written: bool) -> Self {
        self.0.possibly_written = possibly_written;
        self
    }

    /// Says that the client cannot go on after this failure.
    #[must_use]
    pub fn into_fatal(mut self) -> Self {
        self.0.fatal = true;
        self.0.retriable = false;
        self
    }

    /// The same with `note` behind the message.
    #[must_use]
    pub fn with_note(mut self, note: impl fmt::Display) -> Self {
        self.0.message = format!("{}; {note}", self.0.message);
        self
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The broker's error code, if a broker answered one.
    pub fn code(&self) -> Option<ErrorCode> {
        self.0.code
    }

    /// What was wrong, where, and what to do.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether the same call may succeed later without anything being changed. The client has
    /// already retried within its limits.
    pub fn is_retriable(&self) -> bool {
        self.0.retriable
    }

    /// Whether the client is of no further use: discard it and make a new one.
    pub fn is_fatal(&self) -> bool {
        self.0.fatal
    }

    /// Whether the record may be in the log although this failure was reported. Sending it again
    /// may duplicate it; where this is false it was certainly not written.
    pub fn possibly_written(&self) -> bool {
        self.0.possibly_written
    }
}

fn kind_of(code: ErrorCode) -> ErrorKind {
    match code {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::UnknownTopicId
        | ErrorCode::GroupIdNotFound => ErrorKind::NotFound,
        ErrorCode::MessageTooLarge
        | ErrorCode::RecordListTooLarge
        | ErrorCode::InvalidRecord
        | ErrorCode::InvalidTimestamp
        | ErrorCode::InvalidTopicException
        | ErrorCode::InvalidRequest
        | ErrorCode::InvalidConfig
        | ErrorCode::InvalidPartitions
        | ErrorCode::InvalidReplicationFactor
        | ErrorCode::InvalidRequiredAcks => ErrorKind::Invalid,
        ErrorCode::RequestTimedOut | ErrorCode::NotEnoughReplicasAfterAppend => ErrorKind::Timeout,
        ErrorCode::SaslAuthenticationFailed
        | ErrorCode::UnsupportedSaslMechanism
        | ErrorCode::IllegalSaslState => ErrorKind::Authentication,
        ErrorCode::TopicAuthorizationFailed
        | ErrorCode::GroupAuthorizationFailed
        | ErrorCode::ClusterAuthorizationFailed
        | ErrorCode::TransactionalIdAuthorizationFailed => ErrorKind::Authorization,
        ErrorCode::FencedInstanceId | ErrorCode::ProducerFenced => ErrorKind::Fenced,
        ErrorCode::IllegalGeneration
        | ErrorCode::UnknownMemberId
        | ErrorCode::RebalanceInProgress => ErrorKind::Rebalance,
        ErrorCode::OffsetOutOfRange => ErrorKind::OffsetOutOfRange,
        ErrorCode::UnsupportedVersion => ErrorKind::Unsupported,
        ErrorCode::CorruptMessage => ErrorKind::Protocol,
        _ => ErrorKind::Broker,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if self.0.possibly_written {
            f.write_str("; the record may have been written all the same")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for Error {}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::new(ErrorKind::Config, error.to_string())
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}
