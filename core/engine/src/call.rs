//! What a state machine asks the driver to do: one request to one broker, and what comes back.

use ottla_protocol::messages::{ApiKey, Request};
use std::fmt;
use std::time::Duration;

/// Names one call of one machine; the driver hands it back with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Which broker a request is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Any broker that can be reached.
    Any,
    /// The broker with this node id.
    Node(i32),
    /// The broker that the metadata names as controller.
    Controller,
    /// The coordinator of this consumer group.
    Group(String),
}

/// What a connection is for. A broker answers a connection's requests in turn, so a long poll holds
/// up everything behind it: each purpose has a connection of its own to each broker (trap 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Produce requests only.
    Produce,
    /// Fetch requests: long polls.
    Fetch,
    /// Group membership and offsets; JoinGroup may wait for minutes.
    Coordinator,
    /// Everything that is answered at once: metadata, admin, list offsets.
    General,
}

impl Purpose {
    /// Requests that may be on the way at once on a connection of this purpose.
    ///
    /// Produce is bounded by the producer itself (`max.in.flight.requests.per.connection`).
    pub const fn in_flight_max(self) -> usize {
        match self {
            Self::Produce => 1000,
            Self::Fetch | Self::Coordinator => 16,
            Self::General => 64,
        }
    }
}

/// One request.
///
/// It is built version-neutral: where versions disagree about a field (topic name or id, one key or
/// several), both are filled in, and `connection::reshape` adapts it when the connection's version
/// is known (trap 5).
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Handed back with the answer.
    pub id: CallId,
    /// The broker it is for.
    pub target: Target,
    /// The connection it travels on.
    pub purpose: Purpose,
    /// The body.
    pub request: Request,
    /// How long the request may wait for its turn on the connection, and then how long the answer
    /// may take; the end of the latter closes the connection.
    pub timeout: Duration,
}

/// Why a call has no response.
///
/// `possibly_sent` says whether any byte of the request may have reached the broker: only where it
/// is false is it certain that the request had no effect (trap 11).
#[derive(Debug, Clone, PartialEq)]
pub enum CallError {
    /// The connection could not be made, or was lost before the answer.
    Disconnected {
        /// Whether the request may have reached the broker.
        possibly_sent: bool,
        /// Where and why: address and the system's words.
        reason: String,
    },
    /// The answer did not come in time; the connection was closed, since its stream can no longer
    /// be followed (trap 4).
    Timeout {
        /// Whether the request may have reached the broker.
        possibly_sent: bool,
    },
    /// The broker and this client have no version of the API in common. Not sent.
    UnsupportedVersion {
        /// The API.
        api_key: ApiKey,
        /// The broker's range, if it knows the API at all.
        offered: Option<(i16, i16)>,
    },
    /// The request cannot be written in the connection's version. Not sent.
    Encode(String),
    /// The answer is not a valid response: the broker's or our fault. The request was carried out,
    /// or not.
    Decode(String),
    /// No broker to send it to: the node is unknown, no coordinator was found. Not sent.
    NoBroker(String),
    /// The client is closed. Not sent, unless the call was on the way.
    Closed {
        /// Whether the request may have reached the broker.
        possibly_sent: bool,
    },
}

impl CallError {
    /// Whether the request may have reached the broker.
    pub fn possibly_sent(&self) -> bool {
        match self {
            Self::Disconnected { possibly_sent, .. }
            | Self::Timeout { possibly_sent }
            | Self::Closed { possibly_sent } => *possibly_sent,
            Self::Decode(_) => true,
            Self::UnsupportedVersion { .. } | Self::Encode(_) | Self::NoBroker(_) => false,
        }
    }

    /// Whether the same call may succeed later without anything being changed.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Disconnected { .. } | Self::Timeout { .. } | Self::NoBroker(_) => true,
            Self::UnsupportedVersion { .. }
            | Self::Encode(_)
            | Self::Decode(_)
            | Self::Closed { .. } => false,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected { reason, .. } => write!(f, "connection lost: {reason}"),
            Self::Timeout { .. } => f.write_str("no answer within the time limit"),
            Self::UnsupportedVersion { api_key, offered: None } => {
                write!(f, "the broker does not know {}", api_key.name())
            }
            Self::UnsupportedVersion { api_key, offered: Some((min, max)) } => write!(
                f,
                "the broker offers {} in versions {min} to {max}, this client speaks others",
                api_key.name()
            ),
            Self::Encode(reason) | Self::Decode(reason) | Self::NoBroker(reason) => {
                f.write_str(reason)
            }
            Self::Closed { .. } => f.write_str("the client is closed"),
        }
    }
}

impl std::error::Error for CallError {}
