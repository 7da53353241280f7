//! The static semantics: what makes schemas well formed beyond their grammar.
//!
//! Each rule has a number, which its findings carry and `protocol/schemas/GRAMMAR.md` explains. S1
//! to S19 are about one message and its fields, S20 to S29 about an API, S30 to S39 about files and
//! the library.

mod api;
mod fields;

#[cfg(test)]
mod tests;

use crate::ast::{
    Bound, Direction, Former, HeaderCondition, Kind, Lifetime, Message, Schema, Spanned,
    VersionNote,
};
use crate::diagnostic::Diagnostic;
use crate::library::{Library, snake_case};
use crate::range::Range;
use crate::release::Release;
use std::collections::BTreeMap;

/// Every finding, in the order of the files.
pub fn check(library: &Library) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for found in library.messages() {
        fields::check_message(found.schema, found.message, &mut findings);
    }
    for (schema, api) in library.apis() {
        api::check_api(library, schema, api, &mut findings);
    }
    check_unique(library, &mut findings);
    check_errors(library, &mut findings);
    check_headers(library, &mut findings);
    check_stems(library, &mut findings);
    findings
}

/// S30: keys and names are unique among all files.
fn check_unique(library: &Library, findings: &mut Vec<Diagnostic>) {
    let mut keys = BTreeMap::new();
    for (schema, api) in library.apis() {
        if let Some(other) = keys.insert(api.key.value, &api.name.value) {
            let message = format!("API key {} is that of {other} already", api.key.value);
            findings.push(schema.finding("S30", api.key.span, message));
        }
    }
    let mut names = BTreeMap::new();
    for found in library.messages() {
        let name = &found.message.name;
        if let Some(other) = names.insert(name.value.clone(), &found.schema.file) {
            let message = format!("`{}` is defined in {other} already", name.value);
            findings.push(found.schema.finding("S30", name.span, message));
        }
    }
}

/// S31: error codes are unique and ascend. S32: each says what it means and what a client does.
fn check_errors(library: &Library, findings: &mut Vec<Diagnostic>) {
    let mut last: Option<i16> = None;
    let mut names = BTreeMap::new();
    for (schema, error) in library.errors() {
        let Spanned { value: code, span } = error.code;
        if last.is_some_and(|last| code <= last) {
            let message = format!("error {code} stands after a larger or equal number");
            findings.push(schema.finding("S31", span, message));
        }
        last = Some(code);
        if let Some(other) = names.insert(error.name.value.clone(), code) {
            let message = format!("`{}` is the name of error {other} already", error.name.value);
            findings.push(schema.finding("S31", error.name.span, message));
        }
        if error.prose.is_empty() || error.advice.is_empty() {
            let message = format!(
                "`{}` lacks prose: `|` lines say what went wrong, `>` lines what a client does",
                error.name.value
            );
            findings.push(schema.finding("S32", error.name.span, message));
        }
    }
}

/// S33: header rules name existing headers, versions and APIs, and the last of each direction is
/// `otherwise`.
fn check_headers(library: &Library, findings: &mut Vec<Diagnostic>) {
    for direction in [Direction::Request, Direction::Response] {
        let name = if direction == Direction::Request { "RequestHeader" } else { "ResponseHeader" };
        let header = library.messages().into_iter().find(|found| found.message.name.value == name);
        let rules: Vec<_> = library
            .header_versions()
            .filter(|(_, rule)| rule.direction.value == direction)
            .collect();
        for (index, (schema, rule)) in rules.iter().enumerate() {
            let versions = header.map(|found| found.message.versions.value);
            if !versions.is_some_and(|versions| versions.contains(rule.version.value)) {
                let message = format!("there is no `{name}` of version {}", rule.version.value);
                findings.push(schema.finding("S33", rule.version.span, message));
            }
            let span = rule.condition.span;
            if let HeaderCondition::Api(api, _) = &rule.condition.value
                && !library.apis().any(|(_, other)| other.name.value == *api)
            {
                findings.push(schema.finding("S33", span, format!("there is no API `{api}`")));
            }
            let last = index + 1 == rules.len();
            if last != (rule.condition.value == HeaderCondition::Otherwise) {
                let message = "`otherwise` is the last rule of its direction, and only the last";
                findings.push(schema.finding("S33", span, message));
            }
        }
    }
}

/// S34: an API's file is named after its key and name; no two files share a stem.
fn check_stems(library: &Library, findings: &mut Vec<Diagnostic>) {
    for (schema, api) in library.apis() {
        let expected = format!("{:02}_{}.schema", api.key.value, snake_case(&api.name.value));
        if schema.file != expected {
            let message = format!("the file of this API is named {expected}");
            findings.push(schema.finding("S34", api.name.span, message));
        }
    }
}

/// S28: lifetimes are about versions of the message, and say something: no release is before the
/// first, and a version that is gone was there before.
fn check_lifetimes(
    schema: &Schema,
    lifetimes: &[Lifetime],
    versions: Range,
    findings: &mut Vec<Diagnostic>,
) {
    for lifetime in lifetimes {
        if !lifetime.versions.value.within(versions) {
            let message = format!("the versions are {versions}: a lifetime is of some of them");
            findings.push(schema.finding("S28", lifetime.versions.span, message));
        }
        if lifetime.release.value == Release::ALL[0] {
            let message = format!("no release before {} is described", lifetime.release.value);
            findings.push(schema.finding("S28", lifetime.release.span, message));
        }
        let before_it_came = lifetimes.iter().any(|other| {
            other.bound == Bound::Since
                && lifetime.bound != Bound::Since
                && other.versions.value.intersect(lifetime.versions.value).is_some()
                && other.release.value >= lifetime.release.value
        });
        if before_it_came {
            let message = "this version came with this release or a later one";
            findings.push(schema.finding("S28", lifetime.release.span, message));
        }
    }
}

/// S35: `before` is of a field of the message; its release, and that of a former name, is after the
/// first that is described.
fn check_before(schema: &Schema, message: &Message, findings: &mut Vec<Diagnostic>) {
    check_former(schema, message.former.as_ref(), findings);
    for before in &message.before {
        check_later(schema, &before.release, findings);
        let mut fields = &*message.fields;
        let is_there = before.path.value.iter().all(|name| {
            let found = fields.iter().find(|field| field.name.value == *name);
            fields = found.map_or(&[], |field| message.members(field));
            found.is_some()
        });
        if !is_there {
            let (path, of) = (before.path.value.join("."), &message.name.value);
            let text = format!("`{of}` has no field `{path}`");
            findings.push(schema.finding("S35", before.path.span, text));
        }
    }
}

fn check_former(schema: &Schema, former: Option<&Former>, findings: &mut Vec<Diagnostic>) {
    if let Some((_, release)) = former {
        check_later(schema, release, findings);
    }
}

fn check_later(schema: &Schema, release: &Spanned<Release>, findings: &mut Vec<Diagnostic>) {
    if release.value == Release::ALL[0] {
        let text = format!("no release before {} is described", release.value);
        findings.push(schema.finding("S35", release.span, text));
    }
}

/// S27: version notes ascend, are below the last version, and every version but the first has one.
fn check_notes(
    schema: &Schema,
    at: &Spanned<String>,
    notes: &[VersionNote],
    versions: Range,
    findings: &mut Vec<Diagnostic>,
) {
    let mut last: Option<i16> = None;
    for note in notes {
        let Spanned { value: version, span } = note.version;
        if last.is_some_and(|last| version <= last) {
            let message = format!("version {version} stands after a later or the same version");
            findings.push(schema.finding("S27", span, message));
        }
        last = Some(version);
        if versions.last.is_some_and(|last| version > last) {
            let message = format!("there is no version {version}: the versions are {versions}");
            findings.push(schema.finding("S27", span, message));
        }
        if note.prose.is_empty() {
            let message = format!("say in `|` lines what version {version} changed");
            findings.push(schema.finding("S26", span, message));
        }
    }
    for version in versions.first + 1..=versions.last.unwrap_or(versions.first) {
        if !notes.iter().any(|note| note.version.value == version) {
            let message = format!("`{}` has no note on what version {version} changed", at.value);
            findings.push(schema.finding("S27", at.span, message));
        }
    }
}

/// Whether the kind may have a `type` number.
fn is_numbered(kind: Kind) -> bool {
    matches!(kind, Kind::CoordinatorKey | Kind::CoordinatorValue | Kind::Metadata)
}
