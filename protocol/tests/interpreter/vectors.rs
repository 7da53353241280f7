//! Apache Kafka's vectors, and the export of our schemas.

use crate::codec::Schemas;
use bytes::Bytes;
use flate2::read::GzDecoder;
use ottla_codegen::Library;
use ottla_codegen::export::export;
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A row of the vectors.
#[derive(Clone)]
pub(crate) struct Vector {
    /// The message.
    pub(crate) name: String,
    /// `request`, `header`, `batch-none` and so on.
    pub(crate) kind: String,
    /// Its version; of record batches, the magic.
    pub(crate) version: i16,
    /// What is special about it.
    pub(crate) variant: String,
    /// Its bytes.
    pub(crate) bytes: Bytes,
    /// What they say.
    pub(crate) json: Value,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The bytes of hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .map(|digit| char::from(digit).to_digit(16).expect("a hexadecimal digit") as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn text(file: &str) -> String {
    let mut text = String::new();
    let path = folder().join("vectors").join(file);
    GzDecoder::new(File::open(path).expect("vectors are part of the project"))
        .read_to_string(&mut text)
        .expect("gzip");
    text
}

fn rows(file: &str) -> Vec<Vector> {
    text(file)
        .lines()
        .map(|line| {
            let columns: Vec<_> = line.split('\t').collect();
            let [_, name, kind, version, variant, hex, json] = columns[..] else {
                panic!("seven columns: {line}");
            };
            Vector {
                name: name.to_owned(),
                kind: kind.to_owned(),
                version: version.parse().expect("a version"),
                variant: variant.to_owned(),
                bytes: unhex(hex).into(),
                json: serde_json::from_str(json).expect("JSON"),
            }
        })
        .collect()
}

/// Messages without anything in front of them.
pub(crate) fn bodies() -> &'static [Vector] {
    static ROWS: OnceLock<Vec<Vector>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let all = rows("messages.tsv.gz");
        all.into_iter().filter(|v| v.variant != "filled-framed").collect()
    })
}

/// Stored records with what stands in front of them.
pub(crate) fn framed() -> Vec<Vector> {
    let all = rows("messages.tsv.gz");
    all.into_iter().filter(|v| v.variant == "filled-framed").collect()
}

/// Record batches and legacy sets.
pub(crate) fn records() -> Vec<Vector> {
    rows("records.tsv.gz")
}

/// A message with a fault, or odd but allowed.
pub(crate) struct Odd {
    /// The message.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: i16,
    /// What is odd.
    pub(crate) case: String,
    /// Its bytes.
    pub(crate) bytes: Bytes,
    /// Where it is refused, if it is.
    pub(crate) refused: Option<(usize, String)>,
}

/// The vectors with a fault, but those of record batches.
pub(crate) fn odd() -> Vec<Odd> {
    let text = text("negative.tsv.gz");
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    let rows = rows.map(|line| line.split('\t').collect::<Vec<&str>>());
    rows.filter(|row| row[2] != "batch")
        .map(|row| Odd {
            name: row[1].to_owned(),
            version: row[3].parse().expect("a version"),
            case: row[4].to_owned(),
            bytes: unhex(row[5]).into(),
            refused: (row[6] == "refuse")
                .then(|| (row[7].parse().expect("an offset"), row[8].to_owned())),
        })
        .collect()
}

/// The schemas, as an outside reader gets them.
pub(crate) fn schemas() -> Schemas {
    let library = Library::read(&folder().join("schemas")).expect("schemas are there");
    let library = library.unwrap_or_else(|findings| panic!("{}", findings[0]));
    Schemas::of(&export(&library, None))
}

/// Numbers compare by value: `0` and `0.0` are the same.
pub(crate) fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => ours == theirs,
    }
}
