//! Mutations of answers: what they are, how they are written, and what they do to a frame.
//!
//! A mutation is a line of text, such as `Fetch#2 responses/*/partitions/0/highWatermark add 1`:
//! the API and which of the test's requests to it (`*`: all), then a place in the answer's JSON
//! form and what is done there; or `Fetch#2 frame twice`, what is done to the whole frame. `target`
//! in place of the API is the answer to ApiVersions that the target is known by.

pub(crate) mod candidates;
pub(crate) mod meddler;
pub(crate) mod place;

use ottla_protocol::messages::ApiKey;
use serde_json::Value;
use std::fmt;

/// What is changed, and where.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mutation {
    pub(crate) selector: Selector,
    pub(crate) change: Change,
}

/// Which answers are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selector {
    /// Those of an API (`None`: whatever comes, known or not), and which of the test's requests to
    /// it (`None`: all).
    Answers(Option<ApiKey>, Option<usize>),
    /// What the target says of its versions, before the test.
    Target,
}

/// What is changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// In the JSON form: field names and indices (`*`: each, `last`) with slashes between.
    Place(String, Op),
    /// In the frame.
    Frame(FrameOp),
    /// One place of every answer, or of some, by the numbers that follow from this one.
    Random(u64),
}

/// What is done to a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Op {
    /// Replaces it, where it is another.
    Set(Value),
    /// Adds to a number.
    Add(i64),
    /// Adds a letter to a string.
    Append,
    /// Turns a boolean over.
    Not,
    /// Drops the first element of an array.
    DropFirst,
    /// Drops the last element of an array.
    DropLast,
    /// Puts the first element of an array at the end as well.
    Double,
    /// Turns an array around.
    Reverse,
    /// Changes one byte: from the end where the number is negative.
    Byte(i32),
    /// Changes one byte of every record batch, and makes the CRC right for it.
    Sealed(usize),
    /// Drops the second half of the bytes.
    Halve,
}

/// What is done to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameOp {
    /// Another correlation id.
    Id,
    /// A section of tagged fields after the correlation id, empty.
    TagIn,
    /// The byte after the correlation id is left out.
    TagOut,
    /// The last byte is left out.
    Cut,
    /// One byte more.
    Longer,
    /// The answer comes twice.
    Twice,
    /// An answer with every field at its default comes at once, and the broker's does not.
    Early,
    /// The answer comes after the connection's next.
    Swap,
    /// The connection is closed in place of the answer.
    Close,
    /// The connection is closed after the answer.
    CloseAfter,
    /// No answer comes.
    Never,
    /// The connection stays open when the broker closes it.
    StaysOpen,
}

impl FrameOp {
    const NAMES: [(Self, &'static str); 12] = [
        (Self::Id, "id"),
        (Self::TagIn, "tag-in"),
        (Self::TagOut, "tag-out"),
        (Self::Cut, "cut"),
        (Self::Longer, "longer"),
        (Self::Twice, "twice"),
        (Self::Early, "early"),
        (Self::Swap, "swap"),
        (Self::Close, "close"),
        (Self::CloseAfter, "close-after"),
        (Self::Never, "never"),
        (Self::StaysOpen, "stays-open"),
    ];
}

impl Mutation {
    /// Whether what it leads to is told by nothing coming, which takes the test's patience.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(
            self.change,
            Change::Frame(FrameOp::Never | FrameOp::StaysOpen | FrameOp::Early | FrameOp::Swap)
        )
    }

    /// Reads the written form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (selector, change) = text.split_once(' ')?;
        let selector = match selector.split_once('#') {
            None if selector == "target" => Selector::Target,
            None if selector == "*" => Selector::Answers(None, None),
            None => return None,
            Some((name, number)) => {
                let api = ApiKey::ALL.iter().find(|api| api.name() == name)?;
                let number = if number == "*" { None } else { Some(number.parse().ok()?) };
                Selector::Answers(Some(*api), number)
            }
        };
        let (place, op) = change.split_once(' ')?;
        let change = match place {
            "frame" => {
                let named = FrameOp::NAMES.iter().find(|(_, name)| *name == op)?;
                Change::Frame(named.0)
            }
            "random" => Change::Random(op.parse().ok()?),
            _ => Change::Place(place.to_owned(), Op::parse(op)?),
        };
        Some(Self { selector, change })
    }
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.selector {
            Selector::Target => f.write_str("target ")?,
            Selector::Answers(None, _) => f.write_str("* ")?,
            Selector::Answers(Some(api), None) => write!(f, "{}#* ", api.name())?,
            Selector::Answers(Some(api), Some(number)) => write!(f, "{}#{number} ", api.name())?,
        }
        match &self.change {
            Change::Place(place, op) => write!(f, "{place} {op}"),
            Change::Frame(op) => {
                let named = FrameOp::NAMES.iter().find(|(known, _)| known == op);
                write!(f, "frame {}", named.expect("all are named").1)
            }
            Change::Random(seed) => write!(f, "random {seed}"),
        }
    }
}

impl Op {
    fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        Some(match name {
            "set" => Self::Set(serde_json::from_str(rest).ok()?),
            "add" => Self::Add(rest.parse().ok()?),
            "append" => Self::Append,
            "not" => Self::Not,
            "drop-first" => Self::DropFirst,
            "drop-last" => Self::DropLast,
            "double" => Self::Double,
            "reverse" => Self::Reverse,
            "byte" => Self::Byte(rest.parse().ok()?),
            "sealed" => Self::Sealed(rest.parse().ok()?),
            "halve" => Self::Halve,
            _ => return None,
        })
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(value) => write!(f, "set {value}"),
            Self::Add(count) => write!(f, "add {count}"),
            Self::Append => f.write_str("append"),
            Self::Not => f.write_str("not"),
            Self::DropFirst => f.write_str("drop-first"),
            Self::DropLast => f.write_str("drop-last"),
            Self::Double => f.write_str("double"),
            Self::Reverse => f.write_str("reverse"),
            Self::Byte(at) => write!(f, "byte {at}"),
            Self::Sealed(at) => write!(f, "sealed {at}"),
            Self::Halve => f.write_str("halve"),
        }
    }
}
