//! Example messages, byte by byte.

use crate::html::{Table, code, escape};
use crate::source::{Source, Vector};
use ottla_codegen::ast::{Api, Kind, Message};
use ottla_conformance::annotate::{self, Annotated, Line, Options, Subject, annotate};
use ottla_conformance::codec::hex;
use ottla_protocol::messages::{ApiKey, convert};
use ottla_protocol::{Bytes, Encoder, header};
use serde_json::Value;
use std::fmt::Write as _;

/// Elements of arrays and records that are shown.
const ELEMENTS: usize = 2;
/// Bytes of a field that are shown.
const BYTES: usize = 24;
/// The correlation id and client id in front of examples.
const CORRELATION_ID: i32 = 7;
const CLIENT_ID: &str = "app";

/// A message as bytes, with what it means.
pub(crate) struct Example {
    pub(crate) version: i16,
    /// The message alone.
    pub(crate) bytes: Bytes,
    /// The value that the bytes are of.
    pub(crate) value: Value,
    /// Who wrote the bytes.
    pub(crate) origin: &'static str,
}

impl Example {
    /// The vector that shows most: of the newest version, with every field set, the shortest. Of a
    /// message that no vector has, what this project's codec writes of its defaults.
    pub(crate) fn of(source: &Source, message: &Message) -> Option<Self> {
        let name = &message.name.value;
        // The value of one with unknown tags has them not, and one that is framed begins otherwise.
        let rank = |vector: &Vector| match &*vector.variant {
            "filled" => Some(2),
            "edge" | "nulls" | "defaults" => Some(1),
            "long" => Some(0),
            _ => None,
        };
        let best = source
            .vectors
            .iter()
            .filter(|vector| vector.name == *name)
            .filter_map(|vector| Some((rank(vector)?, vector)))
            .max_by_key(|(rank, one)| (*rank, one.version, usize::MAX - one.bytes.len()))
            .map(|(_, vector)| vector);
        if let Some(vector) = best {
            let value = convert::decode_named(name, vector.version, &vector.bytes).ok()?;
            let origin = "The bytes are those of Apache Kafka's own classes.";
            return Some(Self {
                version: vector.version,
                bytes: vector.bytes.clone(),
                value,
                origin,
            });
        }
        let version = message.versions.value.last?;
        let bytes =
            convert::encode_named(name, version, &Value::Object(Default::default())).ok()?;
        let value = convert::decode_named(name, version, &bytes).ok()?;
        let origin = "No vector has this message: the bytes are those of this project's codec.";
        Some(Self { version, bytes, value, origin })
    }

    /// The bytes field by field, in a frame with its header where it is a request or response.
    pub(crate) fn annotated(&self, message: &Message, api: Option<&Api>) -> Annotated {
        let options = Options { elements: ELEMENTS, ..Options::default() };
        let api = api.and_then(|api| ApiKey::from_code(api.key.value));
        let Some(api) = api else {
            let subject = Subject::Message(message.name.value.clone(), self.version);
            return annotate(&self.bytes, &subject, options);
        };
        let mut out = Encoder::new();
        let subject = if message.kind == Kind::Request {
            header::encode_request_header(
                &mut out,
                api,
                self.version,
                CORRELATION_ID,
                Some(CLIENT_ID),
            )
            .expect("the client id is short");
            Subject::Request
        } else {
            header::encode_response_header(&mut out, api, self.version, CORRELATION_ID);
            Subject::Response(api, self.version)
        };
        let head = out.into_bytes();
        let len = i32::try_from(head.len() + self.bytes.len()).expect("an example is short");
        let frame = [&len.to_be_bytes()[..], &head[..], &self.bytes[..]].concat();
        annotate(&Bytes::from(frame), &subject, options)
    }
}

/// The example of a message as a section with a heading of level 3.
pub(crate) fn section(
    source: &Source,
    title: &str,
    message: &Message,
    api: Option<&Api>,
) -> String {
    let name = escape(&message.name.value);
    let Some(example) = Example::of(source, message) else {
        return String::new();
    };
    let annotated = example.annotated(message, api);
    let id = format!("example-{}", if api.is_some() { title } else { &message.name.value });
    let id = crate::html::anchor(&id);
    let version = example.version;
    let mut out = format!("<h3 id=\"{id}\">{name} {version}</h3>\n\n{}\n\n", example.origin);
    out.push_str(&frame(&annotated));
    let value = serde_json::to_string_pretty(&example.value).unwrap_or_default();
    // A String takes everything. No empty line may be within, or Markdown would begin again.
    let _ = writeln!(
        out,
        "<details><summary>The value as JSON</summary><pre><code class=\"language-json\">{}</code>\
         </pre></details>\n",
        escape(&value)
    );
    out
}

fn frame(annotated: &Annotated) -> String {
    let mut table = Table::new("frame", &["At", "Bytes", "Field", "Type", "Value"]);
    for line in &annotated.lines {
        let (class, cells) = row(line);
        table.row_of(class, "", &cells);
    }
    table.finish()
}

fn row(line: &Line) -> (&'static str, [String; 5]) {
    let class = match line.kind {
        annotate::Kind::Heading => "heading",
        annotate::Kind::Field => "",
        annotate::Kind::Broken => "broken",
        annotate::Kind::Unread => "unread",
    };
    let place = match (line.kind, line.in_frame) {
        (annotate::Kind::Heading, _) => String::new(),
        (_, true) => line.offset.to_string(),
        (_, false) => format!("+{}", line.offset),
    };
    let name = match line.kind {
        annotate::Kind::Heading if line.value.is_empty() => line.name().to_owned(),
        annotate::Kind::Heading => line.value.clone(),
        _ => line.name().to_owned(),
    };
    let name =
        format!("<span class=\"name\" style=\"--depth:{}\">{}</span>", line.depth, escape(&name));
    let mut value =
        if line.kind == annotate::Kind::Heading { String::new() } else { escape(&line.value) };
    if !line.note.is_empty() {
        let _ = write!(value, " <span class=\"note\">{}</span>", escape(&line.note));
    }
    let ty = if line.ty.is_empty() { String::new() } else { code(&line.ty) };
    (class, [place, spaced(&line.bytes), name, ty, value])
}

/// Bytes with spaces between, cut where they are many.
fn spaced(bytes: &[u8]) -> String {
    let shown: Vec<String> = bytes.iter().take(BYTES).map(|byte| hex(&[*byte])).collect();
    let mut out = shown.join(" ");
    if bytes.len() > BYTES {
        let _ = write!(out, " … {} more", bytes.len() - BYTES);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Every message has an example, whose lines are all of its bytes and which decodes to the
    /// value of its vector.
    #[test]
    fn every_example_is_its_value() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of the project");
        let source = Source::read(root).expect("the specification");
        let (mut from_vectors, mut own) = (0, Vec::new());
        for found in source.library.messages() {
            let (message, name) = (found.message, &found.message.name.value);
            let example = Example::of(&source, message).unwrap_or_else(|| panic!("{name}: none"));
            let annotated = example.annotated(message, found.api);
            assert_eq!(annotated.error, None, "{name}");
            let lines = annotated.lines.iter().filter(|line| line.in_frame);
            let bytes: Vec<u8> = lines.flat_map(|line| line.bytes.to_vec()).collect();
            assert!(bytes.ends_with(&example.bytes), "{name}: the lines are not the bytes");
            let again = convert::encode_named(name, example.version, &example.value)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(again, example.bytes, "{name}");
            let same = |vector: &&Vector| {
                vector.name == *name
                    && vector.version == example.version
                    && vector.bytes == example.bytes
            };
            match source.vectors.iter().find(same) {
                Some(_) => from_vectors += 1,
                None => own.push(name.clone()),
            }
        }
        assert!(from_vectors > 270, "only {from_vectors} examples are vectors; not {own:?}");
    }
}
