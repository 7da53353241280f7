//! What went over a test's connections, annotated: what came in parts is put together.

use super::{Annotated, Kind, Line, Options, Subject, annotate};
use crate::codec::unhex;
use crate::report::wire::Frame;
use crate::wire::Way;
use ottla_protocol::Bytes;
use ottla_protocol::messages::ApiKey;
use std::collections::HashMap;

/// A longer length is none.
const FRAME_BYTES_MAX: usize = 128 << 20;

/// A frame of a log, and what it holds: one annotated frame as a rule, several where they were
/// sent together.
#[derive(Debug)]
pub struct Entry<'f> {
    /// The frame.
    pub frame: &'f Frame,
    /// What it holds.
    pub parts: Vec<Annotated>,
}

impl Entry<'_> {
    /// `Fetch v12 request`, or what there is instead.
    pub fn title(&self) -> String {
        let titles: Vec<&str> = self.parts.iter().map(|part| part.title.as_str()).collect();
        titles.join(", ")
    }
}

/// Annotates a log. `requests` is the way that requests go; of an array, `elements` are shown.
pub fn log(frames: &[Frame], requests: Way, elements: usize) -> Vec<Entry<'_>> {
    let mut log = Log { requests, elements, asked: HashMap::new(), begun: HashMap::new() };
    frames.iter().map(|frame| Entry { frame, parts: log.parts(frame) }).collect()
}

struct Log {
    requests: Way,
    elements: usize,
    /// API and version by connection and correlation id.
    asked: HashMap<(usize, i32), (ApiKey, i16)>,
    /// The beginnings of frames whose end has not come, by connection and way.
    begun: HashMap<(usize, Way), Vec<u8>>,
}

impl Log {
    fn parts(&mut self, frame: &Frame) -> Vec<Annotated> {
        let Ok(bytes) = unhex(&frame.hex) else {
            return vec![plain("the log is damaged: this is no hex", Bytes::new())];
        };
        let place = (frame.connection, frame.way);
        let mut buffer = self.begun.remove(&place).unwrap_or_default();
        let before = buffer.len();
        buffer.extend_from_slice(&bytes);
        let mut rest = Bytes::from(buffer);
        let cut = frame.bytes.saturating_sub(bytes.len());
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let missing = if cut > 0 { cut } else { 0 };
            match announced(&rest) {
                Some(whole) if whole <= rest.len() => {
                    parts.push(self.annotate(frame, &rest.split_to(whole), 0));
                }
                // The log keeps the beginning of a frame only.
                Some(whole) if missing > 0 && whole <= rest.len() + missing => {
                    let missing = whole - rest.len();
                    parts.push(self.annotate(frame, &rest, missing));
                    return parts;
                }
                Some(whole) if cut == 0 => {
                    let text = format!("the first {} of {whole} bytes of a frame", rest.len());
                    self.begun.insert(place, rest.to_vec());
                    parts.push(plain(&text, rest));
                    break;
                }
                None if rest.len() < 4 && cut == 0 => {
                    self.begun.insert(place, rest.to_vec());
                    parts.push(plain("the beginning of a frame's length", rest));
                    break;
                }
                _ => {
                    parts.push(plain("not a frame", rest));
                    break;
                }
            }
        }
        if before > 0
            && let Some(first) = parts.first_mut()
        {
            first.title = format!("{}, begun {before} bytes before", first.title);
        }
        parts
    }

    fn annotate(&mut self, frame: &Frame, bytes: &Bytes, missing: usize) -> Annotated {
        let options = Options { elements: self.elements, missing };
        if frame.way == self.requests {
            if let (Some(api), Some(id)) = (request(bytes), number(bytes, 8)) {
                self.asked.insert((frame.connection, id), api);
            }
            return annotate(bytes, &Subject::Request, options);
        }
        let asked = number(bytes, 4).and_then(|id| self.asked.get(&(frame.connection, id)));
        let subject = match asked.copied().or_else(|| named(frame.api.as_deref()?)) {
            Some((api, version)) => Subject::Response(api, version),
            None => Subject::Answer,
        };
        annotate(bytes, &subject, options)
    }
}

/// A frame's size with its length, where there is one.
fn announced(bytes: &[u8]) -> Option<usize> {
    let len = usize::try_from(number(bytes, 0)?).ok().filter(|len| *len <= FRAME_BYTES_MAX)?;
    Some(len + 4)
}

fn number(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(*bytes.get(at..at + 4)?.first_chunk()?))
}

/// What a request's header says.
fn request(bytes: &[u8]) -> Option<(ApiKey, i16)> {
    let key_and_version = number(bytes, 4)?;
    Some((ApiKey::from_code((key_and_version >> 16) as i16)?, key_and_version as i16))
}

/// `Produce v9`.
fn named(text: &str) -> Option<(ApiKey, i16)> {
    let (name, version) = text.split_once(" v")?;
    let api = ApiKey::ALL.iter().find(|api| api.name() == name)?;
    Some((*api, version.parse().ok()?))
}

/// Bytes of which nothing is made.
fn plain(title: &str, bytes: Bytes) -> Annotated {
    let line = Line {
        kind: Kind::Unread,
        depth: 0,
        offset: 0,
        value: format!("{} bytes", bytes.len()),
        bytes,
        in_frame: true,
        path: String::new(),
        ty: String::new(),
        note: String::new(),
    };
    Annotated { title: title.to_owned(), lines: vec![line], error: None }
}
