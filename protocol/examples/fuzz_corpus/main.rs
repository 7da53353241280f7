//! Writes the fuzz targets' first corpus, `protocol/fuzz/corpus`, from the golden vectors and the
//! schemas, and message sets that are made here.
//!
//! `cargo run -p ottla-protocol --example fuzz_corpus [TARGET]`

#[allow(dead_code, reason = "what a seed holds is compared by a test")]
mod legacy;

use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use ottla_protocol::Encoder;
use ottla_protocol::header::{encode_request_header, encode_response_header};
use ottla_protocol::messages::ApiKey;

/// Longer ones teach a fuzzer nothing more.
const LEN_MAX: usize = 4 << 10;

fn rows(file: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
    let mut text = String::new();
    GzDecoder::new(fs::File::open(path).expect("vectors are part of the project"))
        .read_to_string(&mut text)
        .expect("gzip");
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// Writes a seed, if its target is wanted and it is short enough.
fn write(target: &str, name: &str, bytes: &[u8]) {
    let wanted = std::env::args().nth(1);
    if bytes.len() > LEN_MAX || wanted.is_some_and(|wanted| wanted != target) {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(name), bytes).expect("written");
}

fn messages() {
    for row in rows("messages.tsv.gz") {
        let [key, _, kind, version, variant, hex, _] = &row[..] else { panic!("seven columns") };
        let version: i16 = version.parse().expect("a version");
        let Some(api) = ApiKey::from_code(key.parse().expect("a key")) else { continue };
        let valid = api.valid_versions();
        // The first and the last version, and the first flexible one: the others lie between.
        let wanted = [Some(*valid.start()), Some(*valid.end()), api.flexible_since()];
        let telling = matches!(variant.as_str(), "filled" | "unknown-tags");
        if !valid.contains(&version) || !wanted.contains(&Some(version)) || !telling {
            continue;
        }
        let name = format!("{}-v{version}-{variant}", api.name());
        let mut out = Encoder::new();
        match kind.as_str() {
            "request" => {
                encode_request_header(&mut out, api, version, 7, Some("c")).expect("a header");
                write("header", &name, &out.into_bytes());
                let mut out = Encoder::new();
                encode_request_header(&mut out, api, version, 7, Some("c")).expect("a header");
                out.put_slice(&unhex(hex));
                write("request", &name, &out.into_bytes());
            }
            "response" => {
                out.put_slice(&api.code().to_be_bytes());
                out.put_slice(&version.to_be_bytes());
                encode_response_header(&mut out, api, version, 7);
                out.put_slice(&unhex(hex));
                write("response", &name, &out.into_bytes());
            }
            _ => {}
        }
    }
}

fn main() {
    messages();
    for row in rows("records.tsv.gz") {
        let [_, name, _, magic, variant, hex, _] = &row[..] else { panic!("seven columns") };
        if magic == "2" || variant == "nulls" {
            write("record_batch", &format!("{name}-magic{magic}-{variant}"), &unhex(hex));
        }
        if magic != "2" {
            write("legacy_set", &format!("{name}-magic{magic}-{variant}"), &unhex(hex));
        }
    }
    for seed in legacy::seeds() {
        write("legacy_set", seed.name, &seed.bytes);
    }
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    for name in ["12_heartbeat", "17_sasl_handshake", "22_init_producer_id", "60_describe_cluster"]
    {
        let file = format!("{name}.schema");
        write("schema", &file, &fs::read(schemas.join(&file)).expect("a schema"));
    }
}
