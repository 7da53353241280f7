//! What went over the wire, folded, each frame annotated.

use super::page::escape;
use crate::annotate::{Kind, log};
use crate::report::wire::Frame;
use crate::wire::Way;
use std::fmt::Write as _;

/// Lines of one frame; more are told.
const LINES_MAX: usize = 120;
/// Elements of an array.
const ELEMENTS_MAX: usize = 12;

/// The wire log of an outcome, or nothing where it has none; `of` is the version that it is of,
/// where it stands for several.
pub(super) fn wire_log(frames: &[Frame], requests: Way, of: Option<i16>) -> String {
    if frames.is_empty() {
        return String::new();
    }
    let plural = if frames.len() == 1 { "" } else { "s" };
    let of = of.map_or_else(String::new, |version| format!(" of v{version}"));
    let count = frames.len();
    let mut out =
        format!("<details class=\"wire\"><summary>Wire log{of}, {count} frame{plural}</summary>\n");
    for entry in log(frames, requests, ELEMENTS_MAX) {
        let frame = entry.frame;
        let (arrow, way) = match frame.way {
            Way::Sent => ("→", "sent"),
            Way::Received => ("←", "received"),
        };
        let is_broken = entry.parts.iter().any(|part| part.error.is_some());
        let broken = if is_broken { " <strong>does not decode</strong>" } else { "" };
        let _ = write!(
            out,
            "<details class=\"frame {way}\"><summary><span class=\"at\">{:.3} ms</span> \
             <span class=\"way\">{arrow} {way}</span> <span class=\"title\">{}</span> \
             <span class=\"size\">{} bytes, connection {}</span>{broken}</summary>\n\
             <pre tabindex=\"0\">",
            frame.at_us as f64 / 1000.0,
            escape(&entry.title()),
            frame.bytes,
            frame.connection
        );
        let lines: Vec<(Kind, String)> = entry.parts.iter().flat_map(|part| part.rows(2)).collect();
        for (kind, line) in lines.iter().take(LINES_MAX) {
            let line = escape(line);
            let _ = match kind {
                Kind::Heading => writeln!(out, "<b>{line}</b>"),
                Kind::Broken => writeln!(out, "<strong>{line}</strong>"),
                Kind::Unread => writeln!(out, "<i>{line}</i>"),
                Kind::Field => writeln!(out, "{line}"),
            };
        }
        if lines.len() > LINES_MAX {
            let _ = writeln!(out, "<i>… {} more lines</i>", lines.len() - LINES_MAX);
        }
        out.push_str("</pre></details>\n");
    }
    out + "</details>\n"
}
