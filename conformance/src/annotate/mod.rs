//! Frames as annotated hex: every field on a line of its own, with its place, bytes, type and
//! value.
//!
//! Which fields there are is read from `protocol/schemas`, so that every message has it ([`walk`]),
//! and inside of `records` from the format of batches ([`records`]). Whether the bytes are a
//! message is not decided here but by `ottla-protocol`: its error is shown where they are not.

mod log;
mod records;
mod schema;
mod sheet;
mod text;
mod value;
mod walk;

use ottla_protocol::Bytes;
use ottla_protocol::header::{self, HeaderError};
use ottla_protocol::messages::{ApiKey, Request, Response, convert};
use sheet::{Read, Sheet};
use walk::Form;

pub use log::{Entry, log};
pub(crate) use value::utc;

/// What bytes are.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// A frame with a request: its header says of which API and version.
    Request,
    /// A frame with the answer to a request of this API and version.
    Response(ApiKey, i16),
    /// A frame with an answer of which the request is not known.
    Answer,
    /// A message by its name in the schemas and its version, without header and length.
    Message(String, i16),
    /// What a `records` field holds: batches one after the other.
    Records,
}

/// How much to show.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Elements of an array, and records of a batch; the others are told in one line.
    pub elements: usize,
    /// Bytes at the end that there were, and that are not here: a log keeps only so many.
    pub missing: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { elements: usize::MAX, missing: 0 }
    }
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The name of what follows; it has no bytes of its own.
    Heading,
    /// A field, or the length or count in front of one.
    Field,
    /// What is wrong, with the bytes that were not read for it where it is known which.
    Broken,
    /// Bytes that nothing was made of.
    Unread,
}

/// A line of an annotated frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What it is.
    pub kind: Kind,
    /// How deep it stands.
    pub depth: usize,
    /// Where its bytes begin, counted as in errors: from the byte after the frame's length, which
    /// itself is at -4.
    pub offset: i64,
    /// Its bytes.
    pub bytes: Bytes,
    /// Whether they are bytes of the frame; those of what was decompressed are not, and their
    /// offset counts from the beginning of that.
    pub in_frame: bool,
    /// From the message to the field: `topics[0].partitions[1].records`.
    pub path: String,
    /// Its type in the schema; empty where it has none.
    pub ty: String,
    /// The value; what is wrong.
    pub value: String,
    /// What the value means.
    pub note: String,
}

impl Line {
    /// The last step of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }
}

/// An annotated frame. The bytes of the lines that are [`in_frame`](Line::in_frame) are the frame,
/// in order and without a gap.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotated {
    /// `Fetch v12 request`.
    pub title: String,
    /// The lines.
    pub lines: Vec<Line>,
    /// Why it does not decode, as `ottla-protocol` has it.
    pub error: Option<String>,
}

/// Annotates bytes. Those of a frame begin with its length.
pub fn annotate(bytes: &Bytes, subject: &Subject, options: Options) -> Annotated {
    match subject {
        Subject::Message(name, version) => message(bytes, name, *version, options),
        Subject::Records => {
            let mut sheet = Sheet::new(bytes.clone(), options);
            sheet.batches(bytes.len());
            sheet.into_annotated("records".to_owned(), None)
        }
        Subject::Request | Subject::Response(..) | Subject::Answer => {
            frame(bytes, subject, options)
        }
    }
}

fn message(bytes: &Bytes, name: &str, version: i16, options: Options) -> Annotated {
    let mut sheet = Sheet::new(bytes.clone(), options);
    let walked = sheet.named(name, version);
    let decoded = convert::decode_named(name, version, bytes).map(drop);
    let error = sheet.finish(walked, decoded.map_err(|error| error.to_string()));
    sheet.into_annotated(format!("{name} v{version}"), error)
}

/// A frame: its length, and what the subject says.
fn frame(bytes: &Bytes, subject: &Subject, options: Options) -> Annotated {
    let Some(prefix) = bytes.first_chunk::<4>() else {
        let mut sheet = Sheet::new(bytes.clone(), options);
        sheet.unread("less than the length of a frame");
        return sheet.into_annotated("bytes".to_owned(), None);
    };
    let announced = i32::from_be_bytes(*prefix);
    let there = bytes.len() - 4;
    let whole = there + options.missing;
    let fits = usize::try_from(announced) == Ok(whole);
    let inside = usize::try_from(announced).map_or(0, |announced| announced.min(there));
    let mut sheet = Sheet::new(bytes.slice(4..4 + inside), options);
    sheet.prefix(bytes.slice(..4), announced, if fits { None } else { Some(whole) });
    let (title, error) = match subject {
        Subject::Request => request(&mut sheet),
        Subject::Response(api, version) => response(&mut sheet, *api, *version),
        _ => answer(&mut sheet),
    };
    let mut annotated = sheet.into_annotated(title, error);
    if inside < there {
        let mut behind = Sheet::new(bytes.slice(4 + inside..), options);
        behind.origin = inside as i64;
        behind.unread("behind the frame");
        annotated.lines.append(&mut behind.lines);
    }
    annotated
}

fn request(sheet: &mut Sheet) -> (String, Option<String>) {
    let frame = sheet.bytes.clone();
    match header::decode_request_header(&frame) {
        Ok((api, read, body_at)) => {
            let version = read.request_api_version;
            let form = Form::header("RequestHeader", header::request_header_version(api, version));
            let name = format!("{}Request", api.name());
            let walked = sheet.headed(&form).and_then(|()| sheet.named(&name, version));
            let decoded = Request::decode(api, version, &frame, body_at).map(drop);
            let error = sheet.finish(walked, decoded.map_err(|error| error.to_string()));
            (format!("{} v{version} request", api.name()), error)
        }
        Err(error) => {
            // As far as it goes: the first three fields stand at the same place in each version.
            let (title, version) = match &error {
                HeaderError::UnsupportedVersion { api, version, .. } => {
                    let header_version = header::request_header_version(*api, *version);
                    (format!("{} v{version} request", api.name()), header_version)
                }
                HeaderError::UnknownApi(key) => (format!("request of API {key}"), 1),
                _ => ("request".to_owned(), 1),
            };
            let walked = sheet.headed(&Form::header("RequestHeader", version));
            let error = sheet.finish(walked, Err(error.to_string()));
            (title, error)
        }
    }
}

fn response(sheet: &mut Sheet, api: ApiKey, asked: i16) -> (String, Option<String>) {
    let frame = sheet.bytes.clone();
    let decode = |version| {
        let (_, body_at) = header::decode_response_header(&frame, api, version)?;
        Response::decode(api, version, &frame, body_at).map(drop)
    };
    let mut version = asked;
    let mut decoded = decode(version);
    let mut title = format!("{} v{version} response", api.name());
    // A broker answers a version of ApiVersions that it does not know with version 0.
    if api == ApiKey::ApiVersions && decoded.is_err() && decode(0).is_ok() {
        (version, decoded) = (0, Ok(()));
        title = format!("{} v0 response, to a request of v{asked}", api.name());
    }
    let form = Form::header("ResponseHeader", header::response_header_version(api, version));
    let name = format!("{}Response", api.name());
    let walked = sheet.headed(&form).and_then(|()| sheet.named(&name, version));
    let error = sheet.finish(walked, decoded.map_err(|error| error.to_string()));
    (title, error)
}

/// An answer to an unknown request: only its correlation id can be told.
fn answer(sheet: &mut Sheet) -> (String, Option<String>) {
    let walked: Read = sheet.headed(&Form::header("ResponseHeader", 0));
    let error = walked.err().map(|stop| stop.reason);
    sheet.unread("not known what it answers");
    ("answer".to_owned(), error)
}
