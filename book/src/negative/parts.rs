//! The places of a message's fields, from its schema: where each begins, its length, its data.

use crate::source::{Source, Vector};
use ottla_codegen::ast::{Field, Message};
use ottla_codegen::library::snake_case;
use ottla_conformance::annotate::{Kind, Options, Subject, annotate};

/// What a part of a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A number of so many bytes.
    Fixed(usize),
    Bool,
    Uuid,
    String,
    Bytes,
    /// The count of an array.
    Array,
    /// The byte in front of a struct that may be null.
    Marker,
    /// How many tagged fields follow.
    TagCount,
    /// A tag's number and size, and its data.
    Tag,
}

/// A part.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) what: What,
    /// The first byte.
    pub(crate) start: usize,
    /// Where the size of a tag begins, behind its number.
    pub(crate) size_at: usize,
    /// Where the length or count ends, and the data begins.
    pub(crate) data: usize,
    /// Where the data ends.
    pub(crate) end: usize,
    /// The length or count; none is null.
    pub(crate) length: Option<usize>,
    /// From the message to the field, as errors name it; a tag by its number.
    pub(crate) field: String,
    /// The field that a known tag holds.
    pub(crate) known: Option<String>,
    pub(crate) nullable: bool,
    /// Whether lengths are varints.
    pub(crate) compact: bool,
    /// Whether it stands in the data of a tag.
    pub(crate) in_tag: bool,
}

/// The parts of a vector, in order. What is within records and nested messages is left out.
pub(crate) fn parts(source: &Source, vector: &Vector) -> Option<Vec<Part>> {
    let message = source.message(&vector.name)?;
    let flexible = message.flexible.as_ref();
    let flexible = flexible.is_some_and(|range| range.value.contains(vector.version));
    let subject = Subject::Message(vector.name.clone(), vector.version);
    let annotated = annotate(&vector.bytes, &subject, Options::default());
    if annotated.error.is_some() {
        return None;
    }
    let (mut parts, mut opened_to, mut tag_to) = (Vec::<Part>::new(), 0, 0);
    let mut tag_field = None;
    for line in &annotated.lines {
        let start = usize::try_from(line.offset).ok()?;
        // The first line below a known tag names its field.
        if let Some(tag) = tag_field.take() {
            let tag: &mut Part = parts.get_mut::<usize>(tag)?;
            tag.known = Some(line.path.clone());
        }
        if line.kind != Kind::Field || !line.in_frame || start < opened_to {
            continue;
        }
        let field = field_at(message, &line.path);
        let nullable = field.is_some_and(|field| {
            field.nullable.as_ref().is_some_and(|range| range.value.contains(vector.version))
        });
        let compact = flexible && field.is_none_or(|field| field.inflexible.is_none());
        let mut part = Part {
            what: what(&line.ty, line.name(), line.bytes.len())?,
            known: None,
            start,
            size_at: start,
            data: start + line.bytes.len(),
            end: start + line.bytes.len(),
            length: None,
            field: line.path.clone(),
            nullable,
            compact,
            in_tag: start < tag_to,
        };
        part.measure(&vector.bytes);
        if part.what == What::Bytes {
            opened_to = part.end;
        }
        if part.what == What::Tag {
            part.field = line.path.replace(".<", "<");
            if !line.value.starts_with("unknown") {
                tag_to = tag_to.max(part.end);
                tag_field = Some(parts.len());
            }
        }
        parts.push(part);
    }
    Some(parts)
}

fn what(ty: &str, name: &str, len: usize) -> Option<What> {
    Some(match ty {
        "bool" => What::Bool,
        "uuid" => What::Uuid,
        "string" => What::String,
        "bytes" | "records" => What::Bytes,
        "struct" => What::Marker,
        "uvarint" if name == "tagged_fields" => What::TagCount,
        "uvarint" => What::Tag,
        ty if ty.starts_with("[]") => What::Array,
        ty if ty.starts_with("int") || ty.starts_with("uint") || ty == "float64" => {
            What::Fixed(len)
        }
        _ => return None,
    })
}

impl Part {
    /// Finds where length and data end.
    fn measure(&mut self, bytes: &[u8]) {
        let at = &bytes[self.start..];
        match self.what {
            What::String | What::Bytes | What::Array => {
                let width = if self.what == What::String { 2 } else { 4 };
                let (prefix, length) = if self.compact {
                    let (prefix, value) = uvarint(at);
                    (prefix, value.checked_sub(1))
                } else {
                    let sign = if at[0] & 0x80 == 0 { 0 } else { -1 };
                    let value = at[..width].iter().fold(sign, |all, b| all << 8 | i64::from(*b));
                    (width, usize::try_from(value).ok())
                };
                self.length = length;
                self.data = self.start + prefix;
                let has_data = self.what != What::Array;
                self.end = self.data + if has_data { length.unwrap_or(0) } else { 0 };
            }
            What::TagCount => self.length = Some(uvarint(at).1),
            What::Tag => {
                let (number, _) = uvarint(at);
                let (size, length) = uvarint(&at[number..]);
                self.size_at = self.start + number;
                self.data = self.size_at + size;
                self.end = self.data + length;
                self.length = Some(length);
            }
            What::Marker => self.length = (at[0] & 0x80 == 0).then_some(0),
            What::Fixed(_) | What::Bool | What::Uuid => {}
        }
    }
}

/// The bytes of an unsigned varint, and its value.
fn uvarint(bytes: &[u8]) -> (usize, usize) {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return (at + 1, value);
        }
    }
    (bytes.len(), value)
}

/// An unsigned varint.
pub(crate) fn put_uvarint(mut value: u32) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// The schema's field at a path; none at what is no field, as an element.
fn field_at<'a>(message: &'a Message, path: &str) -> Option<&'a Field> {
    if path.ends_with(']') {
        return None;
    }
    let mut fields = &message.fields;
    let mut found = None;
    for step in path.split('.') {
        let name = step.split('[').next().unwrap_or(step);
        let field = fields.iter().find(|field| snake_case(&field.name.value) == name)?;
        fields = &field.fields;
        if fields.is_empty() {
            let base = field.ty.value.base.name();
            let common = message.structs.iter().find(|one| one.name.value == base);
            fields = common.map_or(fields, |common| &common.fields);
        }
        found = Some(field);
    }
    found
}

/// Where reading stops when the bytes end at `cut`, and at which field. A count above the bytes
/// that are left is refused at the count.
pub(crate) fn after_cut(parts: &[Part], cut: usize) -> (usize, String) {
    for part in parts {
        let left = cut.saturating_sub(part.data);
        match part.what {
            What::Array if part.data <= cut && part.length.is_some_and(|count| count > left) => {
                return (part.start, part.field.clone());
            }
            What::TagCount => {
                let count = part.length.unwrap_or(0);
                if part.data > cut || count > left / 2 {
                    return (part.start, parent(&part.field));
                }
            }
            What::Tag if part.end > cut => {
                let path = part.field.split('<').next().unwrap_or_default().to_owned();
                return if part.data <= cut {
                    (part.data, part.field.clone())
                } else if part.size_at <= cut {
                    (part.size_at, path)
                } else {
                    (part.start, path)
                };
            }
            What::String | What::Bytes if part.end > cut => {
                let at = if part.data <= cut { part.data } else { part.start };
                return (at, part.field.clone());
            }
            _ if part.end > cut => return (part.start, part.field.clone()),
            _ => {}
        }
    }
    (cut, String::new())
}

/// The path of the struct around a field.
pub(crate) fn parent(field: &str) -> String {
    field.rsplit_once('.').map_or_else(String::new, |(parent, _)| parent.to_owned())
}
