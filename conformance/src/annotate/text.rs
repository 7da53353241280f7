//! An annotated frame as lines of text.

use super::{Annotated, Kind, Line};
use crate::codec::hex;
use std::fmt::Write as _;

/// Bytes in a row.
const ROW: usize = 8;
/// Names and types take so many characters at most; longer ones push what follows.
const NAME_MAX: usize = 44;
/// See there.
const TYPE_MAX: usize = 12;

impl Annotated {
    /// Lines of offset, bytes, name, type and value. Of each field at most so many rows of eight
    /// bytes are shown.
    pub fn text(&self, rows: usize) -> String {
        let mut out = String::new();
        for (_, line) in self.rows(rows) {
            let _ = writeln!(out, "{line}"); // a String takes everything
        }
        out
    }

    /// As [`text`](Self::text), each row with the kind of its line.
    pub fn rows(&self, rows: usize) -> Vec<(Kind, String)> {
        let fields = || self.lines.iter().filter(|line| line.kind == Kind::Field);
        let name = fields().map(|line| label(line).chars().count()).max().unwrap_or(0);
        let ty = fields().map(|line| line.ty.chars().count()).max().unwrap_or(0);
        let widths = (name.min(NAME_MAX), ty.min(TYPE_MAX));
        let mut out = Vec::new();
        for line in &self.lines {
            let rows = if line.kind == Kind::Field { rows } else { rows.max(4) };
            push(&mut out, line, widths, rows);
        }
        out
    }
}

fn label(line: &Line) -> String {
    format!("{}{}", "  ".repeat(line.depth), line.name())
}

fn push(out: &mut Vec<(Kind, String)>, line: &Line, widths: (usize, usize), rows: usize) {
    let mut chunks = line.bytes.chunks(ROW);
    let first = chunks.next().unwrap_or_default();
    let place = match (line.kind, line.in_frame) {
        (Kind::Heading, _) => String::new(),
        (_, true) => line.offset.to_string(),
        (_, false) => format!("+{}", line.offset),
    };
    let indent = "  ".repeat(line.depth);
    let told = match line.kind {
        Kind::Heading if line.value.is_empty() => label(line),
        Kind::Heading | Kind::Unread => format!("{indent}{}", line.value),
        Kind::Broken => format!("{indent}✗ {}", line.value),
        Kind::Field => {
            let (name, ty) = (label(line), &line.ty);
            format!("{name:<w$}  {ty:<t$}  {}", line.value, w = widths.0, t = widths.1)
        }
    };
    let note = if line.note.is_empty() { String::new() } else { format!("  ({})", line.note) };
    let text = format!("{place:>6}  {:<23}  {told}{note}", spaced(first));
    out.push((line.kind, text.trim_end().to_owned()));
    for (row, chunk) in chunks.enumerate() {
        let shown = (row + 1) * ROW;
        if row + 1 >= rows {
            let left = line.bytes.len() - shown;
            out.push((line.kind, format!("{:>6}  … {left} more", "")));
            break;
        }
        let place = line.offset + shown as i64;
        let plus = if line.in_frame { "" } else { "+" };
        out.push((line.kind, format!("{:>6}  {}", format!("{plus}{place}"), spaced(chunk))));
    }
}

fn spaced(bytes: &[u8]) -> String {
    bytes.chunks(1).map(hex).collect::<Vec<_>>().join(" ")
}
