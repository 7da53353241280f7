//! What a fault is: which requests it fits, and what it does to them.

use std::fmt;
use std::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{ApiKey, Request};

use super::places::{self, Place};
use crate::quorum::Image;

/// The longest delay: a fault that was forgotten does not hold a connection for ever.
const DELAY_MAX: Duration = Duration::from_secs(3600);

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What it does.
    pub effect: Effect,
    /// The API whose requests it fits; all when none. An error needs one.
    pub api: Option<ApiKey>,
    /// Which of these requests, and which of their entries get an error.
    pub filter: Filter,
    /// How many requests it applies to; until it is cleared when none.
    pub times: Option<u64>,
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// Answers with this code, in the places where the request's version has it.
    Error {
        /// The code.
        code: ErrorCode,
        /// Whether the request is served first, and only its answer changed. Otherwise what would
        /// get the error is not done.
        after: bool,
    },
    /// Holds the request back.
    Delay {
        /// For so long.
        delay: Duration,
        /// Whether it is served first, and only its answer waits.
        after: bool,
    },
    /// Ends the connection.
    Drop(Cut),
    /// Answers with this `throttle_time_ms`; the broker itself does not slow down.
    Throttle {
        /// Milliseconds.
        ms: i32,
    },
}

/// Where a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Before the request is served.
    Before,
    /// When it is served, before the answer.
    After,
    /// When it is served, after so many bytes of the answer; the first four are its length.
    Bytes(usize),
}

/// Which entries of a message are meant; what is none does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// A topic, by name also where the request has its id.
    pub topic: Option<String>,
    /// A partition.
    pub partition: Option<i32>,
    /// A group.
    pub group: Option<String>,
}

/// A fault and how often it was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its id, never used again.
    pub id: u64,
    /// The fault.
    pub fault: Fault,
    /// How many requests it was applied to.
    pub applied: u64,
}

impl Status {
    /// How many times are left; none is without end.
    pub fn left(&self) -> Option<u64> {
        self.fault.times.map(|times| times.saturating_sub(self.applied))
    }

    pub(super) fn is_live(&self) -> bool {
        self.left() != Some(0)
    }
}

/// A fault that could never apply, or a command that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultError(pub(super) String);

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FaultError {}

impl From<String> for FaultError {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

impl Effect {
    /// An error instead of what was asked for.
    pub fn error(code: ErrorCode) -> Self {
        Self::Error { code, after: false }
    }
}

impl Fault {
    /// A fault for every request of an API, until it is cleared.
    pub fn new(api: ApiKey, effect: Effect) -> Self {
        Self { effect, api: Some(api), filter: Filter::default(), times: None }
    }

    /// For so many requests.
    pub fn times(self, times: u64) -> Self {
        Self { times: Some(times), ..self }
    }

    /// For one topic.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.filter.topic = Some(topic.into());
        self
    }

    /// For one partition.
    pub fn partition(mut self, partition: i32) -> Self {
        self.filter.partition = Some(partition);
        self
    }

    /// For one group.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.filter.group = Some(group.into());
        self
    }

    /// Whether it can ever apply.
    pub(super) fn check(&self) -> Result<(), FaultError> {
        let refuse = |text: String| Err(FaultError(text));
        if let (Effect::Error { .. }, None) = (&self.effect, self.api) {
            return refuse("an error needs an api: each has its own places for a code".into());
        }
        match self.effect {
            Effect::Error { code: ErrorCode::None, .. } => {
                return refuse("NONE is no error: clear the faults instead".into());
            }
            Effect::Delay { delay, .. } if delay > DELAY_MAX => {
                return refuse(format!("ms must be at most {}", DELAY_MAX.as_millis()));
            }
            Effect::Throttle { ms } if ms < 0 => {
                return refuse(format!("ms must not be negative, it is {ms}"));
            }
            _ => {}
        }
        if self.times == Some(0) {
            return refuse("times must be at least 1; leave it away for no end".into());
        }
        let named = [
            ("topic", self.filter.topic.is_some()),
            ("partition", self.filter.partition.is_some()),
            ("group", self.filter.group.is_some()),
        ];
        for (field, _) in named.iter().filter(|(_, named)| *named) {
            match self.api {
                None => return refuse(format!("{field} needs an api")),
                Some(api) if !places::fields(api).contains(field) => {
                    let known = match places::fields(api) {
                        [] => "nothing by which to choose".to_owned(),
                        fields => format!("only {}", fields.join(", ")),
                    };
                    return refuse(format!("{} has no {field}, it has {known}", api.name()));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Whether it applies to this request.
    pub(super) fn fits(&self, request: &Request, image: &Image) -> bool {
        match self.api {
            None => true,
            Some(api) if api != request.api_key() => false,
            Some(_) => {
                let is_error = matches!(self.effect, Effect::Error { .. });
                (!is_error && self.filter == Filter::default())
                    || places::of(request, image).iter().any(|place| self.filter.hits(place))
            }
        }
    }
}

impl Filter {
    /// Whether an entry is meant. What an entry does not have was decided by the whole request.
    pub(super) fn hits(&self, place: &Place<'_>) -> bool {
        fn same<W: PartialEq<H>, H>(wanted: Option<W>, has: Option<H>) -> bool {
            wanted.zip(has).is_none_or(|(wanted, has)| wanted == has)
        }
        same(self.topic.as_deref(), place.topic)
            && same(self.partition, place.partition)
            && same(self.group.as_deref(), place.group)
    }
}
