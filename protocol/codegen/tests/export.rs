//! The export of a release follows from that of all releases, by the keys that `protocol/EXPORT.md`
//! describes.

use std::collections::BTreeMap;
use std::path::Path;

use ottla_codegen::Library;
use ottla_codegen::export::export;
use ottla_codegen::range::Range;
use ottla_codegen::release::Release;
use serde_json::{Map, Value, json};

fn library() -> Library {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas");
    let read = Library::read(&folder).expect("the schemas are part of the project");
    read.unwrap_or_else(|findings| panic!("{}", findings[0]))
}

fn range(value: &Value) -> Range {
    let text = value.as_str().expect("a range");
    let number = |part: &str| part.parse::<i16>().expect("a version");
    match (text.split_once('-'), text.strip_suffix('+')) {
        (Some((first, last)), _) => Range::closed(number(first), number(last)),
        (None, Some(first)) => Range { first: number(first), last: None },
        (None, None) => Range::closed(number(text), number(text)),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn is_before(release: Release, other: &Value) -> bool {
    let other = Release::parse(other.as_str().expect("a release")).expect("a known release");
    release < other
}

/// The versions that the release has of an API or record.
fn versions(row: &Value, all: Range, release: Release) -> Option<Range> {
    let lacks = |version: i16| {
        list(&row["lifetimes"]).iter().any(|life| {
            let is_of = range(&life["versions"]).contains(version);
            let is_early = life.get("since").is_some_and(|since| is_before(release, since));
            let is_late = life.get("until").is_some_and(|until| !is_before(release, until));
            is_of && (is_early || is_late)
        })
    };
    let mut has = (all.first..=all.last.expect("an end")).filter(|version| !lacks(*version));
    let first = has.next()?;
    Some(Range::closed(first, has.next_back().unwrap_or(first)))
}

fn name(row: &Value, key: &str, release: Release) -> String {
    let was = row.get("renamed").is_some_and(|renamed| is_before(release, renamed));
    let name = row[if was { "formerly" } else { key }].as_str().expect("a name");
    name.rsplit('.').next().unwrap_or(name).to_owned()
}

/// The fields that the release has, as it has them.
fn fields(message: &Value, valid: Range, release: Release) -> Vec<Value> {
    let mut found = Vec::new();
    let mut around: BTreeMap<String, Option<(String, Range)>> = BTreeMap::new();
    for field in list(&message["fields"]) {
        let path = field["path"].as_str().expect("a path");
        let outer = path.rsplit_once('.').map_or("", |(outer, _)| outer);
        let place = match around.get(outer) {
            None => Some((String::new(), valid)),
            Some(place) => place.clone(),
        };
        let otherwise: Vec<&Value> = list(&field["otherwise"])
            .iter()
            .filter(|was| is_before(release, &was["before"]))
            .collect();
        let is_absent = otherwise.iter().any(|was| was["absent"] == true);
        let brackets = if field["type"] == "[]struct" { "[]" } else { "" };
        let here = place.filter(|_| !is_absent).and_then(|(outer, within)| {
            let there = range(&field["versions"]).intersect(within)?;
            Some((format!("{outer}{}", name(field, "path", release)), there))
        });
        let within = here.clone().map(|(path, there)| (format!("{path}{brackets}."), there));
        around.insert(format!("{path}{brackets}"), within);
        let Some((path, _)) = here else { continue };
        let mut row = field.as_object().expect("a field").clone();
        for was in otherwise {
            let was = was.as_object().expect("a form").iter();
            row.extend(
                was.filter(|(key, _)| *key != "before").map(|(k, v)| (k.clone(), v.clone())),
            );
        }
        found.push(plain(row, &path));
    }
    found
}

/// What both exports have of a field, in one form.
fn plain(mut row: Map<String, Value>, path: &str) -> Value {
    row.insert("path".to_owned(), path.into());
    for key in ["formerly", "renamed", "otherwise", "today"] {
        row.remove(key);
    }
    row.retain(|key, value| !(key == "entityType" && value.is_null()));
    if row["type"] == "records" {
        row.remove("default");
    }
    row.into()
}

fn plain_fields(message: &Value) -> Vec<Value> {
    let plain_field = |field: &Value| {
        let path = field["path"].as_str().expect("a path").to_owned();
        plain(field.as_object().expect("a field").clone(), &path)
    };
    list(&message["fields"]).iter().map(plain_field).collect()
}

#[test]
fn each_release_follows_from_what_is_told_of_all() {
    let library = library();
    let all = export(&library, None);
    for &release in Release::ALL {
        let of_release = export(&library, Some(release));
        let mut apis = Vec::new();
        for api in list(&all["apis"]) {
            let valid = range(&api["request"]["valid"]);
            let Some(valid) = versions(api, valid, release) else { continue };
            let halves = ["request", "response"].map(|half| fields(&api[half], valid, release));
            apis.push(json!([name(api, "name", release), valid.to_string(), halves]));
        }
        let theirs: Vec<Value> = list(&of_release["apis"])
            .iter()
            .map(|api| {
                let halves = ["request", "response"].map(|half| plain_fields(&api[half]));
                json!([api["name"], api["request"]["valid"], halves])
            })
            .collect();
        assert_eq!(apis.len(), theirs.len(), "{release}");
        for (mine, theirs) in apis.iter().zip(&theirs) {
            assert_eq!(mine, theirs, "{release}");
        }
        records(&all, &of_release, release);
    }
}

/// Coordinators' records had other numbers before Kafka 4.1, and one was a version of another.
fn records(all: &Value, of_release: &Value, release: Release) {
    let (mut seen, mut compared) = (Vec::new(), 0);
    for kind in ["headers", "records"] {
        for record in list(&all[kind]) {
            let Some(valid) = versions(record, range(&record["valid"]), release) else { continue };
            let name = name(record, "name", release);
            let found = list(&of_release[kind]).iter().find(|other| other["name"] == *name);
            let theirs = found.unwrap_or_else(|| panic!("{release}: {name} is not there"));
            seen.push(name.clone());
            if !record["kind"].as_str().is_some_and(|kind| kind.starts_with("coordinator")) {
                compared += 1;
                assert_eq!(theirs["valid"], valid.to_string(), "{release} {name}");
                let mine = fields(record, valid, release);
                assert_eq!(mine, plain_fields(theirs), "{release} {name}");
            }
        }
        for record in list(&of_release[kind]) {
            let name = record["name"].as_str().expect("a name");
            assert!(seen.iter().any(|one| one == name), "{release}: {name} is not told of");
        }
    }
    assert!(compared >= 40, "{release}: only {compared}");
}

#[test]
fn a_release_says_what_is_called_otherwise_today() {
    let library = library();
    let document = export(&library, Release::parse("3.9"));
    let apis = list(&document["apis"]);
    let renamed = apis.iter().find(|api| api["key"] == 74).expect("API 74");
    assert_eq!(renamed["name"], "ListClientMetricsResources");
    assert_eq!(renamed["today"], "ListConfigResources");
    let name = &renamed["response"]["fields"][3];
    assert_eq!(name["path"], "ClientMetricsResources[].Name");
    assert_eq!(name["today"], "ConfigResources[].ResourceName");
    assert!(apis.iter().all(|api| api.get("lifetimes").is_none()));
}
