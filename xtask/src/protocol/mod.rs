//! `cargo xtask protocol export|diff|check`: what releases of Apache Kafka define, by our schemas,
//! and whether Kafka's own definitions say the same.

mod compare;
mod definition;
mod jars;

use crate::task::{Failure, root};
use compare::{Difference, compare};
use definition::{Definitions, Versions, of_export};
use ottla_codegen::Library;
use ottla_codegen::export::export;
use ottla_codegen::release::Release;
use serde_json::Value;
use std::io::{self, Write};

const USAGE: &str = "\
usage: cargo xtask protocol COMMAND

  export [--kafka RELEASE]   what the release defines, as JSON (protocol/EXPORT.md); all of them
  diff RELEASE RELEASE       what changed from the first to the second: + new, - gone, ~ changed
                             or renamed
  check --kafka VERSION ...  compare with the definitions in the jars of Apache Kafka VERSION";

/// Versions that `check` is run with by the tests: the newest of the first, base and last release.
pub(crate) const CHECKED: [&str; 3] = ["3.9.2", "4.3.1", "4.4.0"];

/// Runs one of the commands.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words {
        ["export"] => print_export(None),
        ["export", "--kafka", of] => print_export(Some(release(of)?)),
        ["diff", from, to] => print_diff(release(from)?, release(to)?),
        ["check", "--kafka", ref versions @ ..] if !versions.is_empty() => {
            versions.iter().try_for_each(|version| check(version).map(|told| println!("{told}")))
        }
        _ => Err(Failure::new(format!("{} is no command\n\n{USAGE}", words.join(" ")))),
    }
}

fn release(text: &str) -> Result<Release, Failure> {
    Release::parse(text).ok_or_else(|| {
        let known: Vec<String> = Release::ALL.iter().map(ToString::to_string).collect();
        let known = known.join(", ");
        Failure::new(format!("the schemas describe no release {text}, but these: {known}"))
    })
}

fn library() -> Result<Library, Failure> {
    let folder = root().join("protocol/schemas");
    Library::read(&folder)?.map_err(|findings| {
        let first = findings.first().map(ToString::to_string).unwrap_or_default();
        Failure::new(format!("{first}\n{} errors in protocol/schemas", findings.len()))
    })
}

fn print_export(release: Option<Release>) -> Result<(), Failure> {
    let document = export(&library()?, release);
    let text = serde_json::to_string_pretty(&document);
    print(&text.map_err(|error| Failure::new(error.to_string()))?)
}

/// Prints, and is content with a reader that has seen enough.
fn print(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

fn defined(library: &Library, release: Release) -> Result<Definitions, Failure> {
    let document: Value = export(library, Some(release));
    of_export(&document).map_err(|what| Failure::new(format!("the export of {release}: {what}")))
}

fn print_diff(from: Release, to: Release) -> Result<(), Failure> {
    print(&changes(&library()?, from, to)?.join("\n"))
}

/// What changed from one release to another, a line each, and how much that is.
fn changes(library: &Library, from: Release, to: Release) -> Result<Vec<String>, Failure> {
    let (before, after) = (defined(library, from)?, defined(library, to)?);
    let found = compare(&before, &after);
    let mut lines: Vec<String> = found.iter().map(change).collect();
    let messages: std::collections::BTreeSet<&str> =
        found.iter().map(|difference| &*difference.message).collect();
    let messages = messages.len();
    lines.push(match found.len() {
        0 => format!("Apache Kafka {from} and {to} define the same"),
        count => format!("{count} changes in {messages} messages, Apache Kafka {from} to {to}"),
    });
    Ok(lines)
}

/// A difference between two releases, in a line that begins with +, - or ~.
fn change(difference: &Difference) -> String {
    let field = difference.field.as_ref().map_or_else(String::new, |field| format!(" {field}"));
    let place = format!("{}{field}", difference.message);
    match (&difference.left, &difference.right) {
        (Some(before), None) => format!("- {place}  {before}"),
        (None, Some(after)) => format!("+ {place}  {after}"),
        (before, after) => {
            let side = |side: &Option<String>| side.clone().unwrap_or_default();
            format!("~ {place}  {}: {} -> {}", difference.what, side(before), side(after))
        }
    }
}

/// Compares our definitions with those in the jars of this version. What is told when all is equal.
pub(crate) fn check(version: &str) -> Result<String, Failure> {
    let parts: Vec<&str> = version.split('.').collect();
    let [major, minor, _] = *parts else {
        return Err(Failure::new(format!(
            "`{version}` is no version of Apache Kafka, as 4.3.1 is"
        )));
    };
    let named = Release::parse(&format!("{major}.{minor}"));
    let last = *Release::ALL.last().expect("some release is described");
    let release = named.unwrap_or(last);
    let theirs = jars::definitions(version)?;
    let theirs: Definitions =
        theirs.into_iter().filter(|(_, one)| one.valid != Versions::NONE).collect();
    let mut ours = defined(&library()?, release)?;
    // What a release calls something is what counts here.
    for one in ours.values_mut() {
        one.today = None;
        one.fields.iter_mut().for_each(|field| field.today = None);
    }
    let found = compare(&ours, &theirs);
    let (messages, fields) = (theirs.len(), theirs.values().map(|one| one.fields.len()));
    let fields: usize = fields.sum();
    let unknown = match named {
        Some(_) => String::new(),
        None => format!("; the schemas do not describe {major}.{minor}, compared with {last}"),
    };
    if found.is_empty() {
        return Ok(format!(
            "Apache Kafka {version}: {messages} messages with {fields} fields, equal{unknown}"
        ));
    }
    let told: Vec<String> =
        found.iter().map(|one| one.told("our schemas", "Apache Kafka's")).collect();
    Err(Failure::new(format!(
        "Apache Kafka {version}: {} differences in {messages} messages{unknown}\n  {}",
        found.len(),
        told.join("\n  ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(from: &str, to: &str) -> Vec<String> {
        let [from, to] = [from, to].map(|text| release(text).expect("a release"));
        let library = library().expect("the schemas are well formed");
        changes(&library, from, to).expect("both releases are described")
    }

    #[test]
    fn what_was_renamed_is_told_as_renamed() {
        let api = "ListClientMetricsResources";
        let response = format!("{api}Response");
        for (from, to, expected) in [
            (
                "4.0",
                "4.1",
                format!("~ {response}  name: {response} -> ListConfigResourcesResponse"),
            ),
            (
                "4.0",
                "4.1",
                format!("~ {response} ClientMetricsResources[].Name  name: Name -> ResourceName"),
            ),
            (
                "4.3",
                "4.4",
                "~ TxnOffsetCommitRequest GenerationId  name: GenerationId -> \
                 GenerationIdOrMemberEpoch"
                    .to_owned(),
            ),
            (
                "4.3",
                "4.4",
                "~ StreamsGroupHeartbeatResponse AcceptableRecoveryLag  name: \
                 AcceptableRecoveryLag -> AcceptableRecoveryLagLegacy"
                    .to_owned(),
            ),
            (
                "4.3",
                "4.4",
                "+ StreamsGroupHeartbeatResponse AcceptableRecoveryLag  int64 1".to_owned(),
            ),
        ] {
            let lines = lines(from, to);
            assert!(lines.contains(&expected), "{expected}\n\n{}", lines.join("\n"));
        }
        let gone =
            lines("4.0", "4.1").into_iter().find(|line| line.starts_with(&format!("- {api}")));
        assert_eq!(gone, None);
    }

    #[test]
    fn what_took_a_name_over_is_compared_with_what_had_it() {
        let lines = lines("3.9", "4.0");
        let of_value = "ShareGroupPartitionMetadataValue";
        let told: Vec<&String> = lines.iter().filter(|line| line.contains(of_value)).collect();
        assert!(
            told.iter().any(|line| line.starts_with(&format!("- {of_value} Init"))),
            "{told:?}"
        );
        assert!(!told.iter().any(|line| line.contains("name:")), "{told:?}");
    }

    #[test]
    fn a_release_and_itself_define_the_same() {
        assert_eq!(lines("4.2", "4.2"), ["Apache Kafka 4.2 and 4.2 define the same"]);
    }
}
