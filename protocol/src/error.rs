//! What went wrong while decoding or encoding, and where.
//!
//! [`Trace`] is the error that the nom parsers build while they unwind: it knows how many bytes
//! were left when the parser gave up, and collects the field path from the inside out.
//! [`DecodeError`] is what callers see: the same with an absolute offset. One error type is used
//! throughout, so that every parser is instantiated once.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The result of one parser over the rest of a frame.
pub type Parsed<'a, T> = nom::IResult<&'a [u8], T, Trace>;

/// A step from a message towards the field that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Field(&'static str),
    Index(usize),
    Tag(u32),
}

/// A decoding failure under construction; small (one pointer), because it travels in every
/// `Result`.
#[derive(Debug)]
pub struct Trace(Box<TraceInner>);

#[derive(Debug)]
struct TraceInner {
    /// Bytes that were left when the parser gave up; the frame's length minus this is the offset.
    remaining: usize,
    /// From the innermost step to the outermost.
    path: Vec<Step>,
    message: Cow<'static, str>,
}

impl Trace {
    /// A failure at the start of `rest`.
    #[cold]
    #[inline(never)]
    pub fn new(rest: &[u8], message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(TraceInner {
            remaining: rest.len(),
            path: Vec::new(),
            message: message.into(),
        }))
    }

    /// The same as an unrecoverable nom error.
    #[cold]
    pub fn fail<T>(rest: &[u8], message: impl Into<Cow<'static, str>>) -> Parsed<'_, T> {
        Err(nom::Err::Failure(Self::new(rest, message)))
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn push(mut self, step: Step) -> Self {
        self.0.path.push(step);
        self
    }

    /// Shifts the offset of a failure inside a nested slice (a tagged field) to that of the
    /// enclosing frame.
    #[cold]
    pub(crate) fn deeper(mut self, bytes_after: usize) -> Self {
        self.0.remaining += bytes_after;
        self
    }

    /// What went wrong, and how many bytes were left.
    #[cold]
    pub(crate) fn into_parts(self) -> (Cow<'static, str>, usize) {
        (self.0.message, self.0.remaining)
    }

    /// Makes the failure absolute: `end` is the offset of the end of the frame.
    #[cold]
    pub(crate) fn into_error(self, message: &'static str, version: i16, end: usize) -> DecodeError {
        let mut path = String::new();
        write_path(&mut path, self.0.path.iter().rev());
        DecodeError {
            message_name: message,
            version,
            offset: end.saturating_sub(self.0.remaining),
            path,
            reason: self.0.message,
            left_over: false,
        }
    }
}

fn write_path<'a>(out: &mut String, steps: impl Iterator<Item = &'a Step>) {
    use fmt::Write;
    for step in steps {
        let written = match step {
            Step::Field(name) if out.is_empty() => write!(out, "{name}"),
            Step::Field(name) => write!(out, ".{name}"),
            Step::Index(index) => write!(out, "[{index}]"),
            Step::Tag(tag) => write!(out, "<tag {tag}>"),
        };
        written.expect("writing to a String cannot fail");
    }
}

impl nom::error::ParseError<&[u8]> for Trace {
    #[cold]
    fn from_error_kind(input: &[u8], kind: nom::error::ErrorKind) -> Self {
        let message: Cow<'static, str> = match kind {
            nom::error::ErrorKind::Eof => "the bytes end inside the value".into(),
            other => other.description().to_owned().into(),
        };
        Self::new(input, message)
    }

    fn append(_: &[u8], _: nom::error::ErrorKind, other: Self) -> Self {
        other
    }
}

/// Bytes that are not a valid message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// The message that was being read, for example `ProduceRequest`.
    pub message_name: &'static str,
    /// The version it was read as.
    pub version: i16,
    /// Where in the frame the reader gave up: bytes from the frame's first byte (after the length
    /// prefix).
    pub offset: usize,
    /// The field, for example `topic_data[0].partition_data[2].records`; empty before the first
    /// field.
    pub path: String,
    /// What was expected and what was there.
    pub reason: Cow<'static, str>,
    /// The message itself is whole and ends at `offset`; only bytes behind it are too many.
    pub left_over: bool,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot decode {} v{} at byte {}", self.message_name, self.version, self.offset)?;
        if !self.path.is_empty() {
            write!(f, " ({})", self.path)?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl core::error::Error for DecodeError {}

/// A value that the requested version cannot carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError {
    /// The message that was being written; empty while the error is unwinding inside it.
    pub message_name: &'static str,
    /// The version it was written as.
    pub version: i16,
    /// The field, outermost first, joined by `.`.
    pub path: String,
    /// Why the version cannot carry it.
    pub reason: Cow<'static, str>,
}

impl EncodeError {
    #[cold]
    #[inline(never)]
    pub(crate) fn new(version: i16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { message_name: "", version, path: String::new(), reason: reason.into() }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn push(mut self, step: Step) -> Self {
        let mut path = String::new();
        write_path(&mut path, core::iter::once(&step));
        if !self.path.is_empty() {
            if !self.path.starts_with(['[', '<']) {
                path.push('.');
            }
            path.push_str(&self.path);
        }
        self.path = path;
        self
    }
}

/// An [`EncodeError`] that unwinds through the writers; small (one pointer), because it travels in
/// every `Result`.
#[derive(Debug)]
pub struct Refusal(Box<EncodeError>);

impl Refusal {
    #[cold]
    #[inline(never)]
    pub(crate) fn new(version: i16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(EncodeError::new(version, reason)))
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn push(self, step: Step) -> Self {
        Self(Box::new(self.0.push(step)))
    }

    /// The error, of the message that was being written.
    #[cold]
    #[inline(never)]
    pub(crate) fn into_error(self, message_name: &'static str) -> EncodeError {
        EncodeError { message_name, ..*self.0 }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot encode {} v{}", self.message_name, self.version)?;
        if !self.path.is_empty() {
            write!(f, " ({})", self.path)?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl core::error::Error for EncodeError {}
