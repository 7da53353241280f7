//! The fuzz targets without a fuzzer: every input of the corpus, and a fixed number of mutations of
//! it, the same in every run. `protocol/fuzz/README.md` says how to run the real ones.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ottla_protocol::messages::ApiKey;

#[allow(unreachable_pub, reason = "the fuzz crate's library has the same file")]
#[path = "../fuzz/src/targets.rs"]
mod targets;

const MUTATIONS: usize = 30;

/// A small generator, so that every run is the same.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 11) as usize % n.max(1)
    }

    /// What a fuzzer does: flips, replaces, cuts, repeats, and puts telling numbers in.
    fn mutate(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len().max(1));
        if bytes.is_empty() {
            bytes.push(self.next() as u8);
            return;
        }
        match self.below(8) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = self.next() as u8,
            2 => bytes.truncate(at),
            3 => bytes.insert(at, [0, 1, 0x7f, 0x80, 0xff][self.below(5)]),
            4 => drop(bytes.drain(at..(at + 1 + self.below(8)).min(bytes.len()))),
            5 => {
                let piece = bytes[at..(at + 1 + self.below(16)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            6 => {
                let telling: [i32; 6] = [-1, -2, i32::MAX, i32::MIN, 0x7fff, 1 << 20];
                let number = telling[self.below(6)].to_be_bytes();
                let len = number.len().min(bytes.len() - at);
                bytes[at..at + len].copy_from_slice(&number[4 - len..]);
            }
            _ => {
                bytes.truncate(at);
                bytes.extend_from_slice(&other[self.below(other.len())..]);
            }
        }
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    // The order of a folder differs from machine to machine.
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("readable")).collect()
}

fn check(target: &str, input: &[u8], run: fn(&[u8])) {
    if catch_unwind(AssertUnwindSafe(|| run(input))).is_err() {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{target} fails for {} bytes: {hex}", input.len());
    }
}

fn replay(target: &str, seeds_min: usize, run: fn(&[u8])) {
    let corpus = corpus(target);
    assert!(corpus.len() >= seeds_min, "only {} seeds of {target}", corpus.len());
    let mut random = Random(0x0771_a000_0000_0000 + target.len() as u64);
    check(target, &[], run);
    for seed in &corpus {
        check(target, seed, run);
        for _ in 0..MUTATIONS {
            let mut input = seed.clone();
            for _ in 0..1 + random.below(4) {
                let other = &corpus[random.below(corpus.len())];
                random.mutate(&mut input, other);
            }
            check(target, &input, run);
        }
    }
}

#[test]
fn headers() {
    replay("header", 60, targets::header);
}

/// Of every API there is an input.
fn all_apis(target: &str) {
    let front = |seed: Vec<u8>| Some(i16::from_be_bytes(*seed.first_chunk()?));
    let found: Vec<i16> = corpus(target).into_iter().filter_map(front).collect();
    let missing: Vec<_> = ApiKey::ALL.iter().filter(|api| !found.contains(&api.code())).collect();
    assert!(missing.is_empty(), "{target}: no seed of {missing:?}");
}

#[test]
fn requests() {
    all_apis("request");
    replay("request", 200, targets::request);
}

#[test]
fn responses() {
    all_apis("response");
    replay("response", 200, targets::response);
}

#[test]
fn record_batches() {
    replay("record_batch", 40, targets::record_batch);
}

#[test]
fn legacy_sets() {
    replay("legacy_set", 80, targets::legacy_set);
}

#[test]
fn schemas() {
    replay("schema", 4, targets::schema);
}
