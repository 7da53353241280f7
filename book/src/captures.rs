//! `protocol/vectors/captures.tsv.gz`: frames that went over a wire, out of the conformance suite's
//! reports.
//!
//! A report of a run against a broker has that broker's answers, one of a client its requests;
//! what the suite itself sent is left out. Of each API and version the longest frame is kept, and
//! the shortest where it is another one. Our codec is not asked which: `protocol/tests/captures.rs`
//! reads and writes what was chosen.

use flate2::Compression;
use flate2::write::GzEncoder;
use ottla_conformance::codec::unhex;
use ottla_conformance::report::{Report, Side};
use ottla_conformance::wire::Way;
use ottla_protocol::Bytes;
use ottla_protocol::messages::ApiKey;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// What no frame that is published may hold: folders of the machine that ran it.
const PRIVATE: [&[u8]; 3] = [b"/tmp/", b"/var/", b"/opt/"];

/// A frame with its length.
#[derive(Debug, Clone)]
struct Captured {
    bytes: Bytes,
    hex: String,
    origin: String,
}

/// API, version, and whether it is a request.
type Kind = (i16, i16, bool);

/// Reads the reports, each given as `WHO=FILE`, and writes the file.
///
/// # Errors
///
/// When a report cannot be read, or the file not be written.
pub fn write(file: &Path, reports: &[String]) -> io::Result<usize> {
    let mut found = BTreeMap::<Kind, Vec<Captured>>::new();
    for report in reports {
        let (who, path) = report
            .split_once('=')
            .ok_or_else(|| io::Error::other(format!("{report}: not of the form WHO=FILE")))?;
        let text = std::fs::read_to_string(path)?;
        let report: Report = serde_json::from_str(&text)
            .map_err(|error| io::Error::other(format!("{path}: {error}")))?;
        collect(who, &report, &mut found);
    }
    let mut out = GzEncoder::new(std::fs::File::create(file)?, Compression::best());
    writeln!(out, "#api_key\tname\tkind\tversion\thex\torigin")?;
    let mut count = 0;
    for ((key, version, is_request), frames) in found {
        let Some(api) = ApiKey::from_code(key) else { continue };
        let (kind, suffix) =
            if is_request { ("request", "Request") } else { ("response", "Response") };
        for frame in chosen(frames) {
            let name = api.name();
            let (hex, origin) = (&frame.hex, &frame.origin);
            writeln!(out, "{key}\t{name}{suffix}\t{kind}\t{version}\t{hex}\t{origin}")?;
            count += 1;
        }
    }
    out.finish()?;
    Ok(count)
}

fn collect(who: &str, report: &Report, found: &mut BTreeMap<Kind, Vec<Captured>>) {
    let is_request = report.side == Side::Client;
    for outcome in &report.outcomes {
        for frame in &outcome.wire {
            let Some((api, mut version)) = frame.api.as_deref().and_then(api) else { continue };
            // GRAMMAR, irregularity 5.
            let served = report.advertised.get(&(api as i16));
            if api == ApiKey::ApiVersions && served.is_some_and(|(_, last)| version > *last) {
                version = 0;
            }
            let Ok(bytes) = unhex(&frame.hex) else { continue };
            if frame.way != Way::Received || bytes.len() != frame.bytes || !is_whole(&bytes) {
                continue;
            }
            let is_private =
                PRIVATE.iter().any(|word| bytes.windows(word.len()).any(|w| w == *word));
            if is_private {
                continue;
            }
            let captured = Captured {
                bytes,
                hex: frame.hex.clone(),
                origin: format!("{who}, {}", outcome.test),
            };
            found.entry((api as i16, version, is_request)).or_default().push(captured);
        }
    }
}

/// `Metadata v12`, where the version is one that there is.
fn api(text: &str) -> Option<(ApiKey, i16)> {
    let (name, version) = text.split_once(" v")?;
    let version = version.parse().ok()?;
    let api = ApiKey::ALL.iter().find(|api| api.name() == name)?;
    api.valid_versions().contains(&version).then_some((*api, version))
}

fn is_whole(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk().map(|length| u32::from_be_bytes(*length));
    length.is_some_and(|length| bytes.len() == length as usize + 4)
}

fn chosen(mut frames: Vec<Captured>) -> Vec<Captured> {
    frames.sort_by_key(|frame| frame.bytes.len());
    let longest = frames.pop();
    let shortest = frames.into_iter().next();
    let differs = |one: &Captured| {
        longest.as_ref().is_some_and(|longest| longest.bytes.len() > one.bytes.len())
    };
    shortest.filter(differs).into_iter().chain(longest.clone()).collect()
}
