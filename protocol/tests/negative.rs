//! Vectors with a fault: what has to be refused is refused at its place, and what is odd but
//! allowed is read. `vectors/README.md` says how the rows were made, and what Kafka says of each.

use bytes::Bytes;
use flate2::read::GzDecoder;
use ottla_protocol::messages::convert;
use ottla_protocol::records::{BatchIter, Decompressor, RecordError};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

struct Row {
    name: String,
    kind: String,
    version: i16,
    case: String,
    bytes: Bytes,
    /// The offset and the field at which it is refused.
    refused: Option<(usize, String)>,
    kafka: String,
}

impl Row {
    fn what(&self) -> String {
        format!("{} v{} {}", self.name, self.version, self.case)
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

fn unhex(text: &str) -> Bytes {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(byte).collect::<Vec<_>>().into()
}

fn rows() -> Vec<Row> {
    let mut text = String::new();
    GzDecoder::new(File::open(folder().join("negative.tsv.gz")).expect("part of the project"))
        .read_to_string(&mut text)
        .expect("gzip");
    let row = |line: &str| {
        let columns: Vec<_> = line.split('\t').collect();
        let [_, name, kind, version, case, hex, verdict, offset, field, why, origin, kafka] =
            columns[..]
        else {
            panic!("twelve columns: {line}");
        };
        assert!(!why.is_empty() && !origin.is_empty(), "{line}");
        let refused = match verdict {
            "refuse" => Some((offset.parse().expect("an offset"), field.to_owned())),
            "accept" => None,
            other => panic!("verdict {other}"),
        };
        Row {
            name: name.to_owned(),
            kind: kind.to_owned(),
            version: version.parse().expect("a version"),
            case: case.to_owned(),
            bytes: unhex(hex),
            refused,
            kafka: kafka.to_owned(),
        }
    };
    text.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

/// Where and why our codec refuses a message.
fn refused(row: &Row) -> Option<(usize, String, String)> {
    let error = convert::check_named(&row.name, row.version, &row.bytes).err()?.to_string();
    let (_, place) = error.split_once(" at byte ").expect("an error names the byte");
    let (place, why) = place.split_once(": ").expect("and says why");
    let (offset, field) = place.split_once(" (").unwrap_or((place, ")"));
    let field = field.strip_suffix(')').expect("a field in parentheses");
    Some((offset.parse().expect("a number"), field.to_owned(), why.to_owned()))
}

/// Reads all that there is, as a consumer does.
fn read_batches(bytes: &Bytes) -> Result<(), RecordError> {
    for batch in BatchIter::new(bytes.clone()) {
        let batch = batch?;
        batch.verify_crc()?;
        for record in batch.records(&mut Decompressor::new())?.iter() {
            for (_, value) in record?.headers.iter_bytes() {
                std::hint::black_box(value);
            }
        }
    }
    Ok(())
}

#[test]
fn messages_are_refused_at_their_place() {
    let mut wrong = Vec::new();
    let (mut refusals, mut taken) = (0, 0);
    for row in rows().iter().filter(|row| row.kind != "batch") {
        let ours = refused(row);
        let place = ours.as_ref().map(|(offset, field, _)| (*offset, field.clone()));
        if place != row.refused {
            wrong.push(format!("{}: {ours:?}, expected {:?}", row.what(), row.refused));
        }
        *if row.refused.is_some() { &mut refusals } else { &mut taken } += 1;
    }
    let shown: Vec<&String> = wrong.iter().take(20).collect();
    assert!(wrong.is_empty(), "{} of {}: {shown:#?}", wrong.len(), refusals + taken);
    assert!(refusals >= 2_400 && taken >= 290, "{refusals} refused, {taken} taken");
}

#[test]
fn batches_are_refused_at_their_place() {
    let mut wrong = Vec::new();
    let rows = rows();
    let batches: Vec<&Row> = rows.iter().filter(|row| row.kind == "batch").collect();
    assert!(batches.len() >= 50, "only {}", batches.len());
    for row in batches {
        let ours = read_batches(&row.bytes);
        let place = ours.as_ref().err().map(RecordError::offset);
        // A decompressor's own error counts the compressed bytes.
        let is_codec = row.case.starts_with("compressed-");
        let expected = row.refused.as_ref().map(|(offset, _)| *offset);
        if if is_codec { ours.is_ok() } else { place != expected } {
            wrong.push(format!("{}: {ours:?}, expected {expected:?}", row.what()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Kafka's verdict beside ours: where they differ, the README says why.
#[test]
fn the_readme_explains_where_kafka_does_otherwise() {
    let readme = std::fs::read_to_string(folder().join("README.md")).expect("part of the project");
    let mut differ = BTreeMap::<String, usize>::new();
    let (mut known, mut unknown) = (0, BTreeSet::new());
    for row in rows() {
        match row.kafka.split(':').next().unwrap_or_default() {
            "unknown" => {
                unknown.insert(row.name);
                continue;
            }
            "accepts" if row.refused.is_some() => *differ.entry(row.case).or_default() += 1,
            "rejects" if row.refused.is_none() => *differ.entry(row.case).or_default() += 1,
            "accepts" | "rejects" => {}
            other => panic!("{} lacks Kafka's verdict: {other:?}", row.what()),
        }
        known += 1;
    }
    for (case, count) in &differ {
        let line = format!("| `{case}` | {count} |");
        assert!(readme.contains(&line), "the README lacks {line}");
    }
    assert!(known >= 2_500, "{known} rows with a verdict of Kafka; none for {unknown:?}");
}

/// The README says how many rows each file has.
#[test]
fn the_readme_counts_the_rows() {
    let readme = std::fs::read_to_string(folder().join("README.md")).expect("part of the project");
    let mut files = 0;
    for entry in std::fs::read_dir(folder()).expect("part of the project") {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if !name.contains(".tsv") {
            continue;
        }
        let mut text = String::new();
        let file = File::open(&path).expect("it was just listed");
        let read = if name.ends_with(".gz") {
            GzDecoder::new(file).read_to_string(&mut text)
        } else {
            { file }.read_to_string(&mut text)
        };
        read.expect("text");
        let rows = text.lines().filter(|line| !line.starts_with('#')).count();
        let (thousands, rest) = (rows / 1000, rows % 1000);
        let told = if thousands > 0 { format!("{thousands},{rest:03}") } else { rows.to_string() };
        let line = format!("| `{name}` | {told} |");
        assert!(readme.contains(&line), "the README lacks {line}");
        files += 1;
    }
    assert!(files >= 6, "{files} files");
}
