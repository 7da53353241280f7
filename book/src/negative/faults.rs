//! Faults in messages.

use super::parts::{Part, What, after_cut, parts, put_uvarint};
use super::{Row, Verdict, tagged};
use crate::source::{Source, Vector};
use ottla_codegen::ast::Message;

/// Longer vectors are left alone where there are shorter ones, in bytes.
const LEN_MAX: usize = 600;
/// Of the cases that are the same in every message, each message has one in so many.
const THINNED: usize = 4;

/// A vector, its parts, and the rows that are made of it.
pub(super) struct Maker<'a> {
    pub(super) vector: &'a Vector,
    pub(super) parts: Vec<Part>,
    rows: Vec<Row>,
    /// Which of the cases that are thinned are made.
    turn: usize,
}

/// The rows of all messages.
pub(super) fn rows(source: &Source) -> Vec<Row> {
    let mut rows = Vec::new();
    for (index, found) in source.library.messages().into_iter().enumerate() {
        for (turn, vector) in chosen(source, found.message).into_iter().enumerate() {
            let Some(parts) = parts(source, vector) else { continue };
            let mut maker = Maker { vector, parts, rows: Vec::new(), turn: index + turn };
            maker.cuts();
            maker.left_over();
            maker.lengths();
            maker.counts();
            maker.values();
            maker.varints();
            tagged::faults(&mut maker);
            rows.append(&mut maker.rows);
        }
        rows.extend(nulls(source, found.message));
    }
    rows
}

/// Of each message its newest flexible and its newest other version that have a short vector with
/// all fields set.
fn chosen<'a>(source: &'a Source, message: &Message) -> Vec<&'a Vector> {
    let flexible = message.flexible.as_ref().map(|range| range.value);
    let is_flexible = |vector: &Vector| flexible.is_some_and(|one| one.contains(vector.version));
    [true, false]
        .into_iter()
        .filter_map(|wanted| {
            let of_kind = source.vectors.iter().filter(|vector| {
                vector.name == message.name.value
                    && matches!(&*vector.variant, "filled" | "edge" | "defaults")
                    && is_flexible(vector) == wanted
                    && vector.bytes.len() <= LEN_MAX
                    && !vector.bytes.is_empty()
            });
            of_kind.max_by_key(|vector| {
                (vector.variant == "filled", vector.version, LEN_MAX - vector.bytes.len())
            })
        })
        .collect()
}

/// Any negative length is null, where the field may be null.
fn nulls(source: &Source, message: &Message) -> Option<Row> {
    let of_message = source.vectors.iter().filter(|vector| {
        vector.name == message.name.value
            && vector.variant == "nulls"
            && vector.bytes.len() <= LEN_MAX
    });
    for vector in of_message {
        let parts = parts(source, vector)?;
        let is_null = |part: &&Part| {
            part.length.is_none()
                && part.nullable
                && match part.what {
                    What::String | What::Bytes | What::Array => !part.compact,
                    What::Marker => true,
                    _ => false,
                }
        };
        let Some(part) = parts.iter().find(is_null) else { continue };
        let mut bytes = vector.bytes.to_vec();
        bytes[part.start] = 0x80;
        let why = format!("any negative length is null, at {} (GRAMMAR 4.1, 4.3)", part.field);
        let mut maker = Maker { vector, parts: Vec::new(), rows: Vec::new(), turn: 0 };
        maker.push("negative-is-null", bytes, Verdict::Accept, why);
        return maker.rows.pop();
    }
    None
}

impl Maker<'_> {
    pub(super) fn push(
        &mut self,
        case: &'static str,
        bytes: Vec<u8>,
        verdict: Verdict,
        why: impl Into<String>,
    ) {
        let vector = self.vector;
        self.rows.push(Row {
            key: vector.key,
            name: vector.name.clone(),
            kind: vector.kind.clone(),
            version: vector.version,
            case,
            bytes,
            verdict,
            why: why.into(),
            origin: format!("messages.tsv.gz {}", vector.variant),
        });
    }

    /// Whether it is this message's turn to have a case that others have as well.
    pub(super) fn turn(&self, case: usize) -> bool {
        (self.turn + case).is_multiple_of(THINNED)
    }

    /// The bytes with those from `start` to `end` replaced.
    pub(super) fn replaced(&self, start: usize, end: usize, by: &[u8]) -> Vec<u8> {
        let bytes = &self.vector.bytes;
        [&bytes[..start], by, &bytes[end..]].concat()
    }

    /// The first part like this that is in no tag: its length may change without changing others.
    pub(super) fn first(&self, is: impl Fn(&Part) -> bool) -> Option<Part> {
        self.parts.iter().find(|part| !part.in_tag && is(part)).cloned()
    }

    fn cut(&mut self, case: &'static str, at: usize, why: &str) {
        let (offset, field) = after_cut(&self.parts, at);
        let bytes = self.vector.bytes[..at].to_vec();
        self.push(case, bytes, Verdict::refuse(offset, field), why);
    }

    fn cuts(&mut self) {
        if self.turn(0) {
            self.cut("cut-at-the-start", 0, "no bytes at all (GRAMMAR 4.2)");
        }
        let number = self.parts.iter().rev().find(|p| matches!(p.what, What::Fixed(2..)));
        if let Some(at) = number.map(|part| part.start + 1) {
            self.cut("cut-in-a-number", at, "the bytes end inside a number (GRAMMAR 4.1)");
        }
        let text = self
            .parts
            .iter()
            .rev()
            .find(|p| matches!(p.what, What::String | What::Bytes) && p.end > p.data + 1);
        if let Some(at) = text.map(|part| part.end - 1) {
            self.cut("cut-in-data", at, "the bytes end inside a string or bytes (GRAMMAR 4.1)");
        }
        let last = self.parts.last().map(|part| (part.what, part.start, part.end));
        if let Some((What::TagCount, start, end)) = last
            && start + 1 == end
            && start > 0
            && self.turn(1)
        {
            let why = "the last tagged section, which is empty, is missing (GRAMMAR 4.2)";
            self.cut("cut-before-the-tags", start, why);
        }
    }

    fn left_over(&mut self) {
        // A message follows a header.
        if self.vector.kind == "header" {
            return;
        }
        let len = self.vector.bytes.len();
        let bytes = self.replaced(len, len, &[0]);
        let why = "a byte is left over behind the message (GRAMMAR 4.2, irregularity 13)";
        self.push("left-over", bytes, Verdict::refuse(len, ""), why);
    }

    /// A length or count as the part writes it.
    pub(super) fn length_of(part: &Part, length: u32) -> Vec<u8> {
        match (part.compact, part.what) {
            (true, _) => put_uvarint(length + 1),
            (false, What::String) => (length as u16).to_be_bytes().to_vec(),
            (false, _) => length.to_be_bytes().to_vec(),
        }
    }

    fn lengths(&mut self) {
        let is_text = |part: &Part| matches!(part.what, What::String | What::Bytes);
        for what in [What::String, What::Bytes] {
            let Some(part) = self.first(|part| part.what == what && part.length.is_some()) else {
                continue;
            };
            let left = self.vector.bytes.len() - part.data;
            let by = Self::length_of(&part, left as u32 + 1);
            let bytes = self.replaced(part.start, part.data, &by);
            let verdict = Verdict::refuse(part.start + by.len(), &part.field);
            let why = "a length of one byte more than there are (GRAMMAR 4.1)";
            self.push("length-beyond-the-end", bytes, verdict, why);
        }
        let never_null = |part: &Part| {
            !part.nullable
                && (is_text(part) || part.what == What::Array)
                && !part.field.ends_with(']')
        };
        if let Some(part) = self.first(never_null) {
            let null = match (part.compact, part.what) {
                (true, _) => vec![0],
                (false, What::String) => vec![0xff; 2],
                (false, _) => vec![0xff; 4],
            };
            let bytes = self.replaced(part.start, part.data, &null);
            let verdict = Verdict::refuse(part.start, &part.field);
            let why = "null in a field that cannot be null in this version (GRAMMAR 4.3)";
            self.push("null-where-there-is-none", bytes, verdict.clone(), why);
            if !part.compact && self.turn(2) {
                let mut lower = null;
                lower[0] = 0x80;
                let bytes = self.replaced(part.start, part.data, &lower);
                let why = "a negative length is null, and the field cannot be (GRAMMAR 4.1, 4.3)";
                self.push("negative-length", bytes, verdict, why);
            }
        }
        let blob = self.first(|part| part.what == What::Bytes && !part.compact);
        if let Some(part) = blob {
            let bytes = self.replaced(part.start, part.data, &i32::MAX.to_be_bytes());
            let why = "a length of 2 GiB (GRAMMAR 4.1)";
            self.push("length-huge", bytes, Verdict::refuse(part.data, &part.field), why);
        }
    }

    fn counts(&mut self) {
        let Some(part) = self.first(|part| part.what == What::Array && part.length.is_some())
        else {
            return;
        };
        let left = self.vector.bytes.len() - part.data;
        let refused = Verdict::refuse(part.start, &part.field);
        let by = Self::length_of(&part, left as u32 + 1);
        let bytes = self.replaced(part.start, part.data, &by);
        let why = "more elements than there are bytes (GRAMMAR 4.1)";
        self.push("count-beyond-the-end", bytes, refused.clone(), why);
        if self.turn(3) {
            let by = Self::length_of(&part, i32::MAX as u32 - 1);
            let bytes = self.replaced(part.start, part.data, &by);
            let why = "2,147,483,646 elements (GRAMMAR 4.1)";
            self.push("count-huge", bytes, refused, why);
        }
    }

    fn values(&mut self) {
        let text = self.parts.iter().find(|p| p.what == What::String && p.end > p.data).cloned();
        if let Some(part) = text {
            let bytes = self.replaced(part.data, part.data + 1, &[0xff]);
            let why = "a string that is not UTF-8 (GRAMMAR 4.1)";
            self.push("not-utf-8", bytes, Verdict::refuse(part.data, &part.field), why);
        }
        let flag = self.parts.iter().find(|part| part.what == What::Bool).cloned();
        if let Some(part) = flag
            && self.turn(0)
        {
            let bytes = self.replaced(part.start, part.end, &[0x80]);
            let why = format!("any byte but 0 is true, at {} (GRAMMAR 4.1)", part.field);
            self.push("bool-of-another-byte", bytes, Verdict::Accept, why);
        }
        let marker =
            self.parts.iter().find(|p| p.what == What::Marker && p.length.is_some()).cloned();
        if let Some(part) = marker {
            let bytes = self.replaced(part.start, part.end, &[0x7f]);
            let why = format!("no negative byte is null: {} is there (GRAMMAR 4.3)", part.field);
            self.push("marker-of-another-byte", bytes, Verdict::Accept, why);
        }
    }

    /// Lengths that are varints, written in other ways than the shortest.
    fn varints(&mut self) {
        let is_length = |part: &Part| {
            part.compact
                && part.length.is_some()
                && matches!(part.what, What::String | What::Bytes | What::Array)
        };
        let Some(part) = self.first(is_length) else { return };
        let value = part.length.unwrap_or_default() as u32 + 1;
        if self.turn(1) {
            let bytes = self.replaced(part.start, part.data, &[0xff, 0xff, 0xff, 0xff, 0xff, 1]);
            let why = "a varint of six bytes (GRAMMAR 4.1)";
            self.push("varint-too-long", bytes, Verdict::refuse(part.start, &part.field), why);
        }
        if self.turn(2) {
            let mut longer = put_uvarint(value);
            *longer.last_mut().expect("a varint has a byte") |= 0x80;
            longer.push(0);
            let bytes = self.replaced(part.start, part.data, &longer);
            let why = "a varint that is longer than it has to be (GRAMMAR 4.1)";
            self.push("varint-not-shortest", bytes, Verdict::Accept, why);
            let mut five: Vec<u8> = (0..4).map(|at| (value >> (7 * at)) as u8 | 0x80).collect();
            five.push((value >> 28) as u8 | 0x70);
            let bytes = self.replaced(part.start, part.data, &five);
            let why = "bits above the 32nd are dropped (GRAMMAR 4.1)";
            self.push("varint-above-32-bits", bytes, Verdict::Accept, why);
        }
        if self.turn(3) {
            // Who takes it for a negative number, and so for null, finds no data behind it.
            let end = if part.nullable && part.what != What::Array { part.end } else { part.data };
            let bytes = self.replaced(part.start, end, &[0xff, 0xff, 0xff, 0xff, 0x0f]);
            // Bytes may be as long as they like, if only there are so many.
            let at = if part.what == What::Bytes { part.start + 5 } else { part.start };
            let why = "a length of 4,294,967,294 (GRAMMAR 4.1)";
            self.push("length-above-31-bits", bytes, Verdict::refuse(at, &part.field), why);
        }
    }
}
