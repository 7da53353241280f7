//! The message sets of the fuzz corpus are what their names say, and are checked in.

#[path = "../examples/fuzz_corpus/legacy.rs"]
mod legacy;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use legacy::{Found, seeds};
use ottla_protocol::records::legacy::{Entries, Entry};
use ottla_protocol::records::{Decompressor, RecordError};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/legacy_set")
}

fn read(field: &Bytes) -> Result<(Vec<(i64, i64)>, bool), RecordError> {
    let mut decompressor = Decompressor::new();
    let mut entries = Entries::new(field.clone());
    let mut found = Vec::new();
    for entry in entries.by_ref() {
        match entry? {
            Entry::Message(message) => {
                message.verify_crc()?;
                for record in message.records(&mut decompressor)? {
                    let record = record?;
                    found.push((record.offset, record.timestamp));
                }
            }
            Entry::Batch(batch) => {
                batch.verify_crc()?;
                for record in &batch.records(&mut decompressor)? {
                    let record = record?;
                    found.push((record.offset, record.timestamp));
                }
            }
        }
    }
    Ok((found, entries.incomplete_tail()))
}

fn found(bytes: &[u8]) -> Found {
    match read(&Bytes::copy_from_slice(bytes)) {
        Ok((records, is_cut)) => Found::Records(records, is_cut),
        Err(error) => Found::Fault(error.kind()),
    }
}

#[test]
fn each_seed_is_what_its_name_says() {
    let seeds = seeds();
    let names: BTreeSet<&str> = seeds.iter().map(|seed| seed.name).collect();
    assert_eq!(names.len(), seeds.len(), "two seeds have one name");
    for seed in &seeds {
        assert_eq!(found(&seed.bytes), seed.found, "{}", seed.name);
    }
}

#[test]
fn each_seed_is_in_the_corpus_and_no_other_has_such_a_name() {
    let seeds = seeds();
    for seed in &seeds {
        let bytes = std::fs::read(folder().join(seed.name))
            .unwrap_or_else(|error| panic!("{}: {error}: write the corpus anew", seed.name));
        // A compressor's next version may write other bytes of the same records.
        assert_eq!(found(&bytes), seed.found, "{}", seed.name);
    }
    for entry in std::fs::read_dir(folder()).expect("the corpus") {
        let name = entry.expect("a seed").file_name().into_string().expect("a name");
        let is_known = seeds.iter().any(|seed| seed.name == name);
        assert!(is_known || !name.starts_with("hand-"), "{name} is made by nothing");
    }
}

#[test]
fn no_seed_of_the_corpus_is_cut_before_its_first_entry() {
    for entry in std::fs::read_dir(folder()).expect("the corpus") {
        let path = entry.expect("a seed").path();
        let field = Bytes::from(std::fs::read(&path).expect("readable"));
        let mut entries = Entries::new(field.clone());
        let first = entries.next();
        // Vectors of sets that are cut say so.
        let is_cut = path.to_string_lossy().ends_with("-truncated");
        let is_sound = first.is_some() || field.is_empty() || is_cut;
        assert!(is_sound, "{}: nothing whole", path.display());
    }
}
