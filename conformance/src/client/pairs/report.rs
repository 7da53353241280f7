//! The matrix as JSON and as Markdown.

use super::records::CODECS;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairsReport {
    /// The clients, in the order of rows and columns.
    pub shims: Vec<ShimOfReport>,
    /// By producer, then consumer, then codec.
    pub cells: Vec<Cell>,
}

/// A client of the matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimOfReport {
    /// What it is called here.
    pub name: String,
    /// What its shim says that it is.
    pub client: String,
    /// The client's version.
    pub version: String,
    /// What it has no way to write, and why: such records are left out of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cannot: BTreeMap<String, String>,
}

/// What one client made of what another wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Who wrote.
    pub producer: String,
    /// Who read.
    pub consumer: String,
    /// By Kafka's name.
    pub codec: String,
    /// PASS, FAIL, NON-STRICT (headers in another order) or UNSUPPORTED.
    pub verdict: Verdict,
    /// The first difference, or the reason.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl PairsReport {
    /// Whether a pair failed.
    pub fn has_failed(&self) -> bool {
        let is_bad = |cell: &Cell| matches!(cell.verdict, Verdict::Fail | Verdict::HarnessError);
        self.cells.iter().any(is_bad)
    }

    /// What became of a pair: `pass`, or each verdict with its codecs.
    fn pair(&self, producer: &str, consumer: &str) -> String {
        let mut codecs: BTreeMap<Verdict, Vec<&str>> = BTreeMap::new();
        for cell in &self.cells {
            if cell.producer == producer && cell.consumer == consumer {
                codecs.entry(cell.verdict).or_default().push(&cell.codec);
            }
        }
        let text = |(verdict, codecs): (&Verdict, &Vec<&str>)| {
            if codecs.len() == CODECS.len() {
                verdict.to_string()
            } else {
                format!("{verdict} {}", codecs.join(" "))
            }
        };
        let not_passed = codecs.iter().filter(|(verdict, _)| **verdict != Verdict::Pass);
        let parts: Vec<String> = not_passed.map(text).collect();
        if parts.is_empty() { "pass".to_owned() } else { parts.join(", ") }
    }

    /// Rows of producers, columns of consumers; the first row and column have the names.
    fn table(&self) -> Vec<Vec<String>> {
        let names = || self.shims.iter().map(|shim| shim.name.clone());
        let head = std::iter::once("written by \\ read by".to_owned()).chain(names()).collect();
        let row = |producer: String| {
            let cells: Vec<String> = names().map(|name| self.pair(&producer, &name)).collect();
            std::iter::once(producer).chain(cells).collect()
        };
        std::iter::once(head).chain(names().map(row)).collect()
    }

    /// The table for a terminal, and a line for each kind of what did not pass.
    pub fn to_text(&self) -> String {
        let table = self.table();
        let width = |column: usize| table.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..=self.shims.len()).map(width).collect();
        let mut out = String::new();
        for row in &table {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        for (message, (verdict, places)) in self.messages() {
            let _ = writeln!(out, "{verdict} {}: {message}", places.join(", "));
        }
        out
    }

    /// The report for people.
    pub fn to_markdown(&self, broker: &str) -> String {
        let mut out = format!("# Who reads what whom wrote, on {broker}\n\n");
        out.push_str("| client | version | it has no way to write |\n| --- | --- | --- |\n");
        for shim in &self.shims {
            let cannot: Vec<&str> = shim.cannot.keys().map(String::as_str).collect();
            let (name, version) = (&shim.name, &shim.version);
            let _ = writeln!(out, "| {name} | {version} | {} |", cannot.join("; "));
        }
        let _ = writeln!(out, "\nEach pair with the codecs {}.\n", CODECS.join(", "));
        for (number, row) in self.table().iter().enumerate() {
            let _ = writeln!(out, "| {} |", row.join(" | "));
            if number == 0 {
                let _ = writeln!(out, "|{}", " --- |".repeat(row.len()));
            }
        }
        let messages = self.messages();
        if !messages.is_empty() {
            out.push_str("\n| verdict | pairs | why |\n| --- | --- | --- |\n");
        }
        for (message, (verdict, places)) in messages {
            let why = message.replace('|', "\\|").replace('\n', " ");
            let _ = writeln!(out, "| {verdict} | {} | {why} |", places.join(", "));
        }
        out
    }

    /// What was told, each once, with where.
    fn messages(&self) -> BTreeMap<&str, (Verdict, Vec<String>)> {
        let mut pairs: BTreeMap<(&str, String), (Verdict, Vec<&str>)> = BTreeMap::new();
        for cell in self.cells.iter().filter(|cell| cell.verdict != Verdict::Pass) {
            let pair = format!("{} to {}", cell.producer, cell.consumer);
            let entry = pairs.entry((&cell.message, pair));
            entry.or_insert((cell.verdict, Vec::new())).1.push(&cell.codec);
        }
        let mut messages: BTreeMap<&str, (Verdict, Vec<String>)> = BTreeMap::new();
        for ((message, mut pair), (verdict, codecs)) in pairs {
            if codecs.len() < CODECS.len() {
                let _ = write!(pair, " ({})", codecs.join(" ")); // a String takes everything
            }
            messages.entry(message).or_insert((verdict, Vec::new())).1.push(pair);
        }
        messages
    }
}
