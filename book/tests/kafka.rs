//! The last column of the negative vectors is what Apache Kafka's classes say.

use flate2::read::GzDecoder;
use ottla_interop::skip;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release that tests have. The column is of 4.4.0, which has versions that this one has not.
const VERSION: &str = "4.3.1";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of the project")
}

/// `rejects`, `accepts` or `unknown`.
fn verdicts(rows: &str) -> Vec<&str> {
    let rows = rows.lines().filter(|line| !line.starts_with('#'));
    let last = rows.map(|line| line.rsplit('\t').next().unwrap_or_default());
    last.map(|verdict| verdict.split(':').next().unwrap_or_default()).collect()
}

#[test]
fn kafkas_classes_say_what_the_column_says() {
    let cache = std::env::var_os("KAFKA_CACHE")
        .map_or_else(|| root().join(".tools/kafka"), PathBuf::from)
        .join(VERSION);
    if !cache.join(".complete").exists() {
        return skip(&format!("Apache Kafka {VERSION} is missing: cargo xtask test installs it"));
    }
    let vectors = root().join("protocol/vectors");
    let mut told = String::new();
    GzDecoder::new(File::open(vectors.join("negative.tsv.gz")).expect("part of the project"))
        .read_to_string(&mut told)
        .expect("gzip");
    // By a file, not a pipe: nobody reads its output while the whole input is written.
    let rows = std::env::temp_dir().join(format!("ottla-negative-{}.tsv", std::process::id()));
    std::fs::write(&rows, &told).expect("written");
    let output = Command::new("java")
        .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(cache.join("libs/*"))
        .arg(vectors.join("java/Verdicts.java"))
        .stdin(File::open(&rows).expect("just written"))
        .output();
    std::fs::remove_file(&rows).expect("removed");
    let output = output.expect("Apache Kafka needs Java, which is installed with it");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let found = String::from_utf8(output.stdout).expect("text");
    let (told, found) = (verdicts(&told), verdicts(&found));
    assert_eq!(told.len(), found.len());
    let mut compared = 0;
    for (row, (told, found)) in told.iter().zip(&found).enumerate() {
        if *found != "unknown" {
            assert_eq!(told, found, "row {row}");
            compared += 1;
        }
    }
    assert!(compared >= 2_500, "only {compared} of {} rows compared", told.len());
}
