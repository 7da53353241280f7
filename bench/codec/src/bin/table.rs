//! Prints what criterion has measured as one table: `table FOLDER`, criterion's own.
//!
//! Each row is a group, each column one of those that did its work. In brackets: how many times as
//! long as ours it took.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use serde_json::Value;

const OURS: &str = "ottla";
const PEERS: [&str; 3] = ["cursor", "kafka-protocol", "crc-fast"];

/// The median of one benchmark in nanoseconds.
fn median(folder: &Path) -> io::Result<f64> {
    let text = fs::read_to_string(folder.join("new/estimates.json"))?;
    let json: Value = serde_json::from_str(&text).map_err(io::Error::other)?;
    let median = json["median"]["point_estimate"].as_f64();
    median.ok_or_else(|| io::Error::other(format!("no median in {}", folder.display())))
}

fn readable(nanoseconds: f64) -> String {
    match nanoseconds {
        ..1_000.0 => format!("{nanoseconds:.1} ns"),
        ..1_000_000.0 => format!("{:.1} µs", nanoseconds / 1_000.0),
        _ => format!("{:.1} ms", nanoseconds / 1_000_000.0),
    }
}

/// A row of the table; `None` for a folder that is no group's.
fn row(folder: &Path) -> io::Result<Option<String>> {
    let Ok(ours) = median(&folder.join(OURS)) else { return Ok(None) };
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let mut row = format!("| {name} | {} |", readable(ours));
    for peer in PEERS {
        match median(&folder.join(peer)) {
            Ok(theirs) => {
                row += &format!(" {} ({:.2}) |", readable(theirs), theirs / ours);
            }
            Err(_) => row += " |",
        }
    }
    Ok(Some(row))
}

fn table(folder: &Path) -> io::Result<()> {
    let mut groups: Vec<_> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    groups.sort();
    println!("| work | {OURS} | {} |", PEERS.join(" | "));
    println!("| --- | --- |{}", " --- |".repeat(PEERS.len()));
    for group in groups {
        if let Some(row) = row(&group)? {
            println!("{row}");
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let Some(folder) = env::args_os().nth(1) else {
        eprintln!("usage: table FOLDER");
        return ExitCode::from(2);
    };
    match table(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot read what criterion wrote to {}: {error}", folder.to_string_lossy());
            ExitCode::FAILURE
        }
    }
}
