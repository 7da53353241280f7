//! The static semantics: what makes schemas well formed beyond their grammar.
//!
//! Each rule has a number, which its findings carry and `protocol/schemas/GRAMMAR.md` explains. S1
//! to S19 are about one message and its fields, S20 to S29 about an API, S30 to S39 about files,
//! the library and earlier releases.

mod api;
mod fields;
mod releases;

#[cfg(test)]
mod tests;

use crate::ast::{Direction, HeaderCondition, HeaderVersion, Kind, Schema, Spanned, VersionNote};
use crate::diagnostic::Diagnostic;
use crate::library::{Found, Library, snake_case};
use crate::range::Range;
use releases::Life;
use std::collections::BTreeMap;

/// Every finding, in the order of the files.
pub fn check(library: &Library) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for found in library.messages() {
        fields::check_message(library, found, &mut findings);
    }
    for (schema, api) in library.apis() {
        api::check_api(library, schema, api, &mut findings);
    }
    check_unique(library, &mut findings);
    check_types(library, &mut findings);
    releases::check_names(library, &mut findings);
    check_errors(library, &mut findings);
    check_headers(library, &mut findings);
    check_stems(library, &mut findings);
    findings
}

/// S30: keys and names are unique among all files, and keys are not negative.
fn check_unique(library: &Library, findings: &mut Vec<Diagnostic>) {
    let mut keys = BTreeMap::new();
    for (schema, api) in library.apis() {
        if let Some(other) = keys.insert(api.key.value, &api.name.value) {
            let message = format!("API key {} is that of {other} already", api.key.value);
            findings.push(schema.finding("S30", api.key.span, message));
        }
        if api.key.value < 0 {
            findings.push(schema.finding("S30", api.key.span, "an API's key is not negative"));
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

/// S30: in no release two records of a kind have one type in a file. Another file may be about
/// another topic, which counts anew.
fn check_types(library: &Library, findings: &mut Vec<Diagnostic>) {
    let mut types: BTreeMap<_, Vec<Found<'_>>> = BTreeMap::new();
    for found in library.messages() {
        let Some(number) = &found.message.number else { continue };
        let place = (&found.schema.file, found.message.kind as u8, number.value);
        let others = types.entry(place).or_default();
        let life = Life::of(found);
        if let Some(other) = others.iter().find(|other| Life::of(**other).meets(&life)) {
            let name = &other.message.name.value;
            let text = format!("type {} is that of `{name}` already", number.value);
            findings.push(found.schema.finding("S30", number.span, text));
        }
        others.push(found);
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

/// S33: header rules name existing headers, APIs and versions, no rule stands behind one that is
/// about the same, and the last of each direction is `otherwise`.
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
            if let Some(text) = unknown_condition(library, rule) {
                findings.push(schema.finding("S33", span, text));
            } else if rules[..index].iter().any(|(_, above)| covers(library, above, rule)) {
                let message = "a rule above is about the same: this one is never used";
                findings.push(schema.finding("S33", span, message));
            }
            let last = index + 1 == rules.len();
            if last != (rule.condition.value == HeaderCondition::Otherwise) {
                let message = "`otherwise` is the last rule of its direction, and only the last";
                findings.push(schema.finding("S33", span, message));
            }
        }
    }
}

/// Which API or versions a header rule names that are not there.
fn unknown_condition(library: &Library, rule: &HeaderVersion) -> Option<String> {
    let HeaderCondition::Api(name, range) = &rule.condition.value else { return None };
    let Some((_, api)) = library.apis().find(|(_, other)| other.name.value == *name) else {
        return Some(format!("there is no API `{name}`"));
    };
    let (range, versions) = ((*range)?, api.request.as_ref()?.versions.value);
    (!range.is_of(versions)).then(|| format!("`{name}` has the versions {versions}"))
}

/// Whether a header rule is about all that a later one is about.
fn covers(library: &Library, above: &HeaderVersion, rule: &HeaderVersion) -> bool {
    match (&above.condition.value, &rule.condition.value) {
        (HeaderCondition::Api(one, all), HeaderCondition::Api(other, of)) => {
            one == other && all.is_none_or(|all| of.is_some_and(|of| of.within(all)))
        }
        (HeaderCondition::Flexible, HeaderCondition::Flexible) => true,
        (HeaderCondition::Flexible, HeaderCondition::Api(name, of)) => {
            let api = library.apis().find(|(_, api)| api.name.value == *name);
            api.and_then(|(_, api)| api.request.as_ref()).is_some_and(|request| {
                let versions = of.unwrap_or(request.versions.value);
                request.flexible.as_ref().is_some_and(|flexible| versions.within(flexible.value))
            })
        }
        _ => false,
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
