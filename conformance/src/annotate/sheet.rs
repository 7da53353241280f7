//! What annotates as it reads: a place in the bytes, and the lines so far.

use super::value::counted;
use super::{Annotated, Kind, Line, Options};
use ottla_protocol::Bytes;
use ottla_protocol::varint;
use std::ops::Range;

/// Why reading stopped.
#[derive(Debug)]
pub(super) struct Stop {
    /// What is wrong.
    pub(super) reason: String,
    /// Whether it may be only that a log keeps no more.
    pub(super) ran_out: bool,
}

/// What was read.
pub(super) type Read<T = ()> = Result<T, Stop>;

pub(super) struct Sheet {
    /// What is read.
    pub(super) bytes: Bytes,
    /// The place.
    pub(super) at: usize,
    /// Where it ends: of all, or of a field in it.
    end: usize,
    /// Up to where lines have the bytes.
    shown: usize,
    /// The offset of the first byte.
    pub(super) origin: i64,
    /// Whether the bytes are those of the frame.
    pub(super) in_frame: bool,
    pub(super) options: Options,
    pub(super) lines: Vec<Line>,
    path: String,
    depth: usize,
}

impl Sheet {
    pub(super) fn new(bytes: Bytes, options: Options) -> Self {
        Self {
            at: 0,
            end: bytes.len(),
            shown: 0,
            bytes,
            origin: 0,
            in_frame: true,
            options,
            lines: Vec::new(),
            path: String::new(),
            depth: 0,
        }
    }

    /// For what was decompressed here.
    pub(super) fn opened(&self, bytes: Bytes) -> Self {
        let options = Options { missing: 0, ..self.options };
        let (path, depth) = (self.path.clone(), self.depth);
        Self { in_frame: false, path, depth, ..Self::new(bytes, options) }
    }

    pub(super) fn into_annotated(self, title: String, error: Option<String>) -> Annotated {
        Annotated { title, lines: self.lines, error }
    }

    /// Bytes up to the end.
    pub(super) fn left(&self) -> usize {
        self.end - self.at
    }

    /// The bytes from here to the end.
    pub(super) fn rest(&self) -> Bytes {
        self.bytes.slice(self.at..self.end)
    }

    /// Bytes up to the end, and those that are missing.
    pub(super) fn promised(&self) -> usize {
        let is_last = self.end == self.bytes.len();
        self.left() + if is_last { self.options.missing } else { 0 }
    }

    pub(super) fn stop<T>(&self, reason: impl Into<String>) -> Read<T> {
        Err(Stop { reason: reason.into(), ran_out: false })
    }

    fn ran_out<T>(&self, len: usize) -> Read<T> {
        let reason = format!("a length of {len} bytes where {} remain", self.left());
        Err(Stop { reason, ran_out: self.promised() > self.left() })
    }

    pub(super) fn take(&mut self, len: usize) -> Read<Bytes> {
        if len > self.left() {
            return self.ran_out(len);
        }
        let taken = self.bytes.slice(self.at..self.at + len);
        self.at += len;
        Ok(taken)
    }

    /// A big-endian number of so many bytes, with its sign.
    pub(super) fn int(&mut self, width: usize) -> Read<i64> {
        let bytes = self.take(width)?;
        let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
        Ok(bytes.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte)))
    }

    pub(super) fn uvarint(&mut self) -> Read<u32> {
        self.variable(varint::MAX_LEN_32, |bytes| {
            varint::uvarint(bytes).ok().map(|(rest, value)| (rest.len(), value))
        })
    }

    pub(super) fn varint(&mut self) -> Read<i32> {
        self.variable(varint::MAX_LEN_32, |bytes| {
            varint::varint(bytes).ok().map(|(rest, value)| (rest.len(), value))
        })
    }

    pub(super) fn varlong(&mut self) -> Read<i64> {
        self.variable(varint::MAX_LEN_64, |bytes| {
            varint::varlong(bytes).ok().map(|(rest, value)| (rest.len(), value))
        })
    }

    fn variable<T>(
        &mut self,
        longest: usize,
        read: impl Fn(&[u8]) -> Option<(usize, T)>,
    ) -> Read<T> {
        let rest = self.rest();
        match read(&rest) {
            Some((left, value)) => {
                self.at += rest.len() - left;
                Ok(value)
            }
            None if rest.len() < longest => self.ran_out(rest.len() + 1),
            None => self.stop(format!("a varint of more than {longest} bytes")),
        }
    }

    /// Reads up to a nearer end, and comes back to the old one.
    pub(super) fn within<T>(&mut self, len: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        let end = self.end;
        self.end = (self.at + len).min(end);
        let done = read(self);
        self.end = end;
        done
    }

    /// Reads what is below a name.
    pub(super) fn below<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let path = self.path.len();
        self.path = self.path_of(name);
        self.depth += 1;
        let done = read(self);
        self.depth -= 1;
        self.path.truncate(path);
        done
    }

    /// Elements `0..count`; those above the limit become one line, but for what is broken.
    pub(super) fn elements(
        &mut self,
        count: usize,
        mut element: impl FnMut(&mut Self, usize) -> Read,
    ) -> Read {
        let shown = count.min(self.options.elements);
        for index in 0..shown {
            element(self, index)?;
        }
        let (mut first, mut from, mut hidden) = (self.lines.len(), self.at, 0);
        for index in shown..count {
            let (line, start) = (self.lines.len(), self.at);
            let done = element(self, index);
            if done.is_ok() && self.lines[line..].iter().all(|line| line.kind != Kind::Broken) {
                hidden += 1;
                continue;
            }
            let broken = self.lines.split_off(line);
            self.elide(first, from..start, hidden);
            self.lines.extend(broken);
            done?;
            (first, from, hidden) = (self.lines.len(), self.at, 0);
        }
        self.elide(first, from..self.at, hidden);
        Ok(())
    }

    /// One line for this many elements, whose lines begin with `first`.
    fn elide(&mut self, first: usize, range: Range<usize>, count: usize) {
        if count == 0 {
            return;
        }
        self.lines.truncate(first);
        let mut line = self.line(Kind::Field, "…", range.start);
        line.bytes = self.bytes.slice(range);
        line.value = counted(count, "more element");
        self.lines.push(line);
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() || name.is_empty() {
            format!("{}{name}", self.path)
        } else {
            format!("{}.{name}", self.path)
        }
    }

    fn line(&self, kind: Kind, name: &str, start: usize) -> Line {
        Line {
            kind,
            depth: self.depth,
            offset: self.origin + start as i64,
            bytes: self.bytes.slice(start..self.at.max(start)),
            in_frame: self.in_frame,
            path: self.path_of(name),
            ty: String::new(),
            value: String::new(),
            note: String::new(),
        }
    }

    /// A field whose bytes are those from `start` up to here.
    pub(super) fn field(
        &mut self,
        name: &str,
        ty: &str,
        start: usize,
        value: impl Into<String>,
    ) -> &mut Line {
        let mut line = self.line(Kind::Field, name, start);
        (line.ty, line.value) = (ty.to_owned(), value.into());
        self.push(line)
    }

    /// A name for what follows.
    pub(super) fn heading(&mut self, name: &str, value: impl Into<String>) {
        let mut line = self.line(Kind::Heading, name, self.at);
        line.value = value.into();
        self.push(line);
    }

    /// The length in front of the frame, and how much follows where that is something else.
    pub(super) fn prefix(&mut self, bytes: Bytes, announced: i32, follow: Option<usize>) {
        let mut line = self.line(Kind::Field, "length", 0);
        (line.offset, line.bytes, line.ty) = (-4, bytes, "int32".to_owned());
        line.value = announced.to_string();
        if let Some(follow) = follow {
            line.note = format!("but {follow} bytes follow");
        }
        self.push(line);
    }

    /// What is wrong; the bytes up to the end were not read for it.
    pub(super) fn broken(&mut self, what: impl Into<String>) {
        let start = self.shown;
        self.at = self.end;
        let mut line = self.line(Kind::Broken, "", start);
        line.value = what.into();
        self.push(line);
    }

    /// The bytes up to the end, if there are any.
    pub(super) fn unread(&mut self, why: &str) {
        let start = self.shown;
        if start == self.end {
            return;
        }
        self.at = self.end;
        let mut line = self.line(Kind::Unread, "", start);
        line.value = format!("{}, {why}", counted(line.bytes.len(), "byte"));
        self.push(line);
    }

    fn push(&mut self, line: Line) -> &mut Line {
        if line.kind != Kind::Heading && line.offset >= self.origin {
            self.shown = self.at;
        }
        self.lines.push(line);
        self.lines.last_mut().expect("a line was pushed")
    }

    /// The last lines: what is wrong, and what was not read. The error is that of the decoder,
    /// which is not asked where the log kept too little.
    pub(super) fn finish(&mut self, walked: Read, decoded: Result<(), String>) -> Option<String> {
        let missing = self.options.missing;
        let error = match (walked, decoded) {
            (_, Err(error)) if missing == 0 => Some(error),
            (Err(stop), _) if !stop.ran_out => Some(stop.reason),
            _ => None,
        };
        match &error {
            Some(error) => self.broken(error),
            None if missing > 0 => {
                let whole = self.bytes.len() + missing;
                let note = format!("of which the log keeps no more ({whole} in all)");
                self.unread(&note);
            }
            None => self.unread("left over"),
        }
        error
    }
}
