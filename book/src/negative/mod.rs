//! `protocol/vectors/negative.tsv.gz`: bytes that a codec refuses, and some at the border that it
//! takes.
//!
//! Each row is a vector of Apache Kafka with one fault put into it. What has to come of it, and
//! where, follows from the rule that the fault breaks and from the places of the fields, which are
//! read from the schemas: no codec is asked. `protocol/tests/negative.rs` then asks ours, and
//! `protocol/vectors/java` Kafka's own classes, whose verdict is the last column.

mod batches;
mod faults;
mod parts;
mod tagged;

use crate::source::Source;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use ottla_conformance::codec::hex;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

/// The names of the columns.
pub const COLUMNS: [&str; 12] = [
    "api_key", "name", "kind", "version", "case", "hex", "verdict", "offset", "field", "why",
    "origin", "kafka",
];

/// What has to come of the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Refused: the offset of the first byte that cannot be read, and the field.
    Refuse { offset: usize, field: String },
    /// Taken.
    Accept,
}

impl Verdict {
    pub(crate) fn refuse(offset: usize, field: impl Into<String>) -> Self {
        Self::Refuse { offset, field: field.into() }
    }
}

/// A row, but for Kafka's verdict.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) key: i16,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) version: i16,
    /// Which fault it is.
    pub(crate) case: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) verdict: Verdict,
    pub(crate) why: String,
    /// The vector that it was made from.
    pub(crate) origin: String,
}

impl Row {
    fn columns(&self) -> [String; 11] {
        let (verdict, offset, field) = match &self.verdict {
            Verdict::Refuse { offset, field } => ("refuse", offset.to_string(), field.clone()),
            Verdict::Accept => ("accept", String::new(), String::new()),
        };
        [
            self.key.to_string(),
            self.name.clone(),
            self.kind.clone(),
            self.version.to_string(),
            self.case.to_owned(),
            hex(&self.bytes),
            verdict.to_owned(),
            offset,
            field,
            self.why.clone(),
            self.origin.clone(),
        ]
    }
}

/// All rows.
fn rows(source: &Source) -> io::Result<Vec<Row>> {
    let mut rows = faults::rows(source);
    rows.extend(batches::rows(source)?);
    Ok(rows)
}

/// Writes the file. What Kafka said of a row is kept while the row stays as it is.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write(source: &Source, file: &Path) -> io::Result<usize> {
    let before = kafka_verdicts(file).unwrap_or_default();
    let rows = rows(source)?;
    let mut out = GzEncoder::new(std::fs::File::create(file)?, Compression::best());
    writeln!(out, "#{}", COLUMNS.join("\t"))?;
    for row in &rows {
        let columns = row.columns();
        let kafka = before.get(&key(&columns[..6])).map_or("", String::as_str);
        writeln!(out, "{}\t{kafka}", columns.join("\t"))?;
    }
    out.finish()?;
    Ok(rows.len())
}

/// What tells rows apart: all up to the bytes.
fn key<T: AsRef<str>>(columns: &[T]) -> String {
    columns.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("\t")
}

fn kafka_verdicts(file: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(file)?).read_to_string(&mut text)?;
    let lines = text.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        let kafka = columns.get(COLUMNS.len() - 1)?;
        Some((key(columns.get(..6)?), (*kafka).to_owned()))
    });
    Ok(lines.collect())
}
