//! Kafka's own definitions: the JSON files in the jars of a release.

use super::definition::{Definition, Definitions, Row, Versions, default, list, string, strings};
use crate::task::{self, Failure, root, run_quietly};
use crate::tools;
use serde_json::Value;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All that the jars of this version define, which are got where they are not there yet.
pub(super) fn definitions(version: &str) -> Result<Definitions, Failure> {
    let folder = installed(version)?;
    let mut found = Definitions::new();
    let mut jars: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("kafka") && name.ends_with(".jar") {
            jars.push(path);
        }
    }
    jars.sort();
    for jar in jars {
        for (place, text) in files(&jar)? {
            let told = |what: String| Failure::new(format!("{}: {place}: {what}", jar.display()));
            let definition = definition(&text).map_err(told)?;
            found.insert(definition.place(), definition);
        }
    }
    if found.is_empty() {
        let place = folder.display();
        return Err(Failure::new(format!("no jar of {place} has message definitions")));
    }
    Ok(found)
}

/// The folder of the version's jars.
fn installed(version: &str) -> Result<PathBuf, Failure> {
    let cache = tools::folder().join("kafka");
    if !cache.join(version).join(".complete").exists() {
        let why = "its jars have the definitions; into .tools/";
        task::step(&format!("install Apache Kafka {version}"), why, || {
            let script = root().join("scripts/apache-kafka.sh");
            let mut install = Command::new(script);
            install.args(["install", version]).env("KAFKA_CACHE", &cache);
            run_quietly(&mut install).map(drop)
        })?;
    }
    Ok(cache.join(version).join("libs"))
}

/// The definitions in a jar, with their places: `common/message/ProduceRequest.json`.
fn files(jar: &Path) -> Result<Vec<(String, String)>, Failure> {
    let told = |error: zip::result::ZipError| Failure::new(format!("{}: {error}", jar.display()));
    let mut archive = zip::ZipArchive::new(File::open(jar)?).map_err(told)?;
    let mut found = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).map_err(told)?;
        let name = file.name().map_err(told)?.into_owned();
        let folder = name.rsplit('/').nth(1).unwrap_or_default();
        if name.ends_with(".json") && matches!(folder, "message" | "metadata") {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            found.push((name, text));
        }
    }
    Ok(found)
}

/// The JSON without its comments, which stand on lines of their own or behind a value.
fn uncommented(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let mut in_string = false;
        let mut end = line.len();
        let bytes = line.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'"' if at == 0 || bytes[at - 1] != b'\\' => in_string = !in_string,
                b'/' if !in_string && bytes.get(at + 1) == Some(&b'/') => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        out.push_str(&line[..end]);
        out.push('\n');
    }
    out
}

fn definition(text: &str) -> Result<Definition, String> {
    let json: Value =
        serde_json::from_str(&uncommented(text)).map_err(|error| error.to_string())?;
    let valid = Versions::parse(json.get("validVersions"))?;
    let mut fields = Vec::new();
    let structs = list(&json, "commonStructs");
    rows(list(&json, "fields"), structs, "", valid, &mut fields)?;
    Ok(Definition {
        name: string(&json, "name"),
        today: None,
        kind: string(&json, "type"),
        key: json["apiKey"].as_i64(),
        valid,
        flexible: Versions::parse(json.get("flexibleVersions"))?.and(valid),
        deprecated: Versions::parse(json.get("deprecatedVersions"))?.and(valid),
        latest_unstable: flag(&json["latestVersionUnstable"]),
        listeners: strings(&json["listeners"]),
        fields,
    })
}

/// True, which may be written as a text.
fn flag(value: &Value) -> bool {
    *value == true || *value == "true"
}

/// A number, which may be written as a text.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

fn rows(
    fields: &[Value],
    structs: &[Value],
    prefix: &str,
    within: Versions,
    out: &mut Vec<Row>,
) -> Result<(), String> {
    for field in fields {
        let path = format!("{prefix}{}", string(field, "name"));
        let written = string(field, "type");
        let (array, base) = match written.strip_prefix("[]") {
            Some(base) => ("[]", base),
            None => ("", &*written),
        };
        let is_struct = base.starts_with(|c: char| c.is_ascii_uppercase());
        let ty = format!("{array}{}", if is_struct { "struct" } else { base });
        // A tagged field need not say twice which versions have it.
        let versions = field.get("versions").or_else(|| field.get("taggedVersions"));
        let versions = Versions::parse(versions)?.and(within);
        if versions == Versions::NONE {
            continue;
        }
        // Kafka's generator takes a text. A null that is not in quotes is none to it: the default
        // is empty then, and so write Kafka's classes.
        let written = field.get("default").filter(|default| !default.is_null());
        let told = || format!("{path}: {} is no default of {ty}", field["default"]);
        out.push(Row {
            path: path.clone(),
            today: None,
            ty: ty.clone(),
            versions,
            nullable: Versions::parse(field.get("nullableVersions"))?.and(versions),
            default: default(&ty, written).ok_or_else(told)?,
            tag: number(&field["tag"]),
            tagged: Versions::parse(field.get("taggedVersions"))?.and(versions),
            inflexible: field["flexibleVersions"] == "none",
            ignorable: flag(&field["ignorable"]),
            map_key: flag(&field["mapKey"]),
            entity: field["entityType"].as_str().map(str::to_owned),
        });
        if is_struct {
            let common = structs.iter().find(|one| one["name"] == *base);
            let members = common.filter(|_| list(field, "fields").is_empty()).unwrap_or(field);
            let below = format!("{path}{array}.");
            rows(list(members, "fields"), structs, &below, versions, out)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_texts_stay() {
        let text = "// one\n{ \"a\": \"http://b\", // two\n  \"c\": \"\\\"//\" }";
        let json: Value = serde_json::from_str(&uncommented(text)).expect("JSON");
        assert_eq!(json, serde_json::json!({"a": "http://b", "c": "\"//"}));
    }

    #[test]
    fn a_definition_is_flattened_within_the_versions_around_it() {
        let text = r#"{
          "apiKey": 9, "type": "request", "name": "ARequest", "listeners": ["zkBroker", "broker"],
          "validVersions": "1-4", "flexibleVersions": "3+",
          "fields": [
            { "name": "Old", "type": "int32", "versions": "0" },
            { "name": "Late", "type": "int8", "versions": "1+", "ignorable": "true" },
            { "name": "Topics", "type": "[]Topic", "versions": "2+", "nullableVersions": "0+",
              "fields": [{ "name": "Name", "type": "string", "versions": "0+", "mapKey": true }] },
            { "name": "Epoch", "type": "int64", "versions": "0+", "default": "0x7f",
              "taggedVersions": "3+", "tag": 0 }
          ] }"#;
        let found = definition(text).expect("a definition");
        let paths: Vec<&str> = found.fields.iter().map(|row| &*row.path).collect();
        assert_eq!(paths, ["Late", "Topics", "Topics[].Name", "Epoch"]);
        assert_eq!((found.fields[0].ignorable, found.fields[1].ignorable), (true, false));
        assert_eq!(found.fields[1].nullable.to_string(), "2-4");
        assert_eq!(found.fields[2].versions.to_string(), "2-4");
        assert_eq!(found.fields[3].default, 127);
        assert_eq!(found.fields[3].tagged.to_string(), "3-4");
        assert_eq!(
            (found.flexible.to_string(), &*found.listeners),
            ("3-4".into(), &["broker".to_owned()][..])
        );
    }
}
