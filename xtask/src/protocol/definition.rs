//! What a release says of its messages, in one form, whoever says it: our export, or Kafka's own
//! JSON in its jars.

use ottla_codegen::range::Range;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Versions as JSON writes them: `none` is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Versions(pub(super) Option<Range>);

impl Versions {
    pub(super) const NONE: Self = Self(None);

    /// `none`, `3`, `3-13` or `9+`; nothing is `none`.
    pub(super) fn parse(text: Option<&Value>) -> Result<Self, String> {
        let text = match text {
            None => "none",
            Some(value) => value.as_str().ok_or_else(|| format!("{value} is no version range"))?,
        };
        if text == "none" {
            return Ok(Self::NONE);
        }
        let number = |part: &str| {
            part.trim().parse::<i16>().map_err(|_| format!("`{text}` is no version range"))
        };
        let range = match text.split_once('-') {
            Some((first, last)) => Range::closed(number(first)?, number(last)?),
            None => match text.strip_suffix('+') {
                Some(first) => Range { first: number(first)?, last: None },
                None => Range::closed(number(text)?, number(text)?),
            },
        };
        Ok(Self(Some(range)))
    }

    /// The versions in both.
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0.and_then(|mine| other.0.and_then(|other| mine.intersect(other))))
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(range) => range.fmt(f),
        }
    }
}

/// What holds for a whole message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Definition {
    /// The name, with `Request` or `Response`.
    pub(super) name: String,
    /// What it is called today, where that is known.
    pub(super) today: Option<String>,
    /// `request`, `response`, `header`, `data`, `metadata`, `coordinator-key`, `coordinator-value`.
    pub(super) kind: String,
    /// The API's key, or the record's type.
    pub(super) key: Option<i64>,
    pub(super) valid: Versions,
    pub(super) flexible: Versions,
    pub(super) deprecated: Versions,
    pub(super) latest_unstable: bool,
    /// Sorted.
    pub(super) listeners: Vec<String>,
    /// In wire order, depth first; those that no valid version has are left out.
    pub(super) fields: Vec<Row>,
}

/// One field.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// `Topics[].Name`.
    pub(super) path: String,
    /// The path by what all is called today, where that is known.
    pub(super) today: Option<String>,
    /// `[]struct`.
    pub(super) ty: String,
    /// Within the message's versions and those of the fields around it.
    pub(super) versions: Versions,
    pub(super) nullable: Versions,
    /// As one form for all ways to write it.
    pub(super) default: Value,
    pub(super) tag: Option<i64>,
    pub(super) tagged: Versions,
    pub(super) inflexible: bool,
    pub(super) ignorable: bool,
    pub(super) map_key: bool,
    pub(super) entity: Option<String>,
}

/// All definitions of a release, by kind and name.
pub(super) type Definitions = BTreeMap<(String, String), Definition>;

impl Definition {
    /// Where the definitions of a release are kept under.
    pub(super) fn place(&self) -> (String, String) {
        (group(&self.kind).to_owned(), self.name.clone())
    }
}

/// Kinds whose names are in one space: Kafka called coordinators' records `data` before 4.1.
fn group(kind: &str) -> &str {
    match kind {
        "coordinator-key" | "coordinator-value" | "metadata" => "data",
        other => other,
    }
}

/// The definitions of an export.
pub(super) fn of_export(document: &Value) -> Result<Definitions, String> {
    let mut found = Definitions::new();
    let mut add = |definition: Definition| {
        found.insert(definition.place(), definition);
    };
    for api in list(document, "apis") {
        for half in ["request", "response"] {
            let suffix = if half == "request" { "Request" } else { "Response" };
            let mut definition = message(&api[half])?;
            definition.name = format!("{}{suffix}", string(api, "name"));
            definition.today = api["today"].as_str().map(|name| format!("{name}{suffix}"));
            half.clone_into(&mut definition.kind);
            definition.key = api["key"].as_i64();
            if half == "request" {
                definition.latest_unstable = api["latestVersionUnstable"] == true;
                definition.listeners = strings(&api["listeners"]);
            }
            add(definition);
        }
    }
    for (key, default) in [("headers", "header"), ("records", "data")] {
        for record in list(document, key) {
            let mut definition = message(record)?;
            definition.name = string(record, "name");
            definition.today = record["today"].as_str().map(str::to_owned);
            let kind = record["kind"].as_str().unwrap_or(default);
            kind.clone_into(&mut definition.kind);
            definition.key = record["key"].as_i64();
            add(definition);
        }
    }
    Ok(found)
}

fn message(value: &Value) -> Result<Definition, String> {
    let valid = Versions::parse(value.get("valid"))?;
    let mut fields = Vec::new();
    let mut around: Vec<(String, Versions)> = Vec::new();
    for field in list(value, "fields") {
        let path = string(field, "path");
        around.retain(|(outer, _)| path.starts_with(outer));
        let within = around.last().map_or(valid, |(_, versions)| *versions);
        let versions = Versions::parse(field.get("versions"))?.and(within);
        let ty = string(field, "type");
        if ty.ends_with("struct") {
            let brackets = if ty.starts_with("[]") { "[]" } else { "" };
            around.push((format!("{path}{brackets}."), versions));
        }
        if versions != Versions::NONE {
            fields.push(row(path, ty, versions, field)?);
        }
    }
    Ok(Definition {
        name: String::new(),
        today: None,
        kind: String::new(),
        key: None,
        valid,
        flexible: Versions::parse(value.get("flexible"))?.and(valid),
        deprecated: Versions::parse(value.get("deprecated"))?.and(valid),
        latest_unstable: false,
        listeners: Vec::new(),
        fields,
    })
}

fn row(path: String, ty: String, versions: Versions, field: &Value) -> Result<Row, String> {
    Ok(Row {
        default: default(&ty, field.get("default"))
            .ok_or_else(|| format!("{path}: {} is no default of {ty}", field["default"]))?,
        path,
        today: field["today"].as_str().map(str::to_owned),
        ty,
        versions,
        nullable: Versions::parse(field.get("nullable"))?.and(versions),
        tag: field["tag"].as_i64(),
        tagged: Versions::parse(field.get("tagged"))?.and(versions),
        inflexible: field["flexible"] == "none",
        ignorable: field["ignorable"] == true,
        map_key: field["mapKey"] == true,
        entity: field["entityType"].as_str().map(str::to_owned),
    })
}

/// A default in one form: null, a flag, a number, or a text; of an array or struct `[]`, `{}`.
pub(super) fn default(ty: &str, written: Option<&Value>) -> Option<Value> {
    if written.is_some_and(|value| value.is_null() || value == "null") {
        return Some(Value::Null);
    }
    let text = match written {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    if ty.starts_with("[]") {
        return matches!(&*text, "" | "[]").then(|| Value::Array(Vec::new()));
    }
    match ty {
        "struct" => matches!(&*text, "" | "{}").then(|| Value::Object(serde_json::Map::new())),
        "records" => Some(Value::Null),
        "string" | "bytes" => Some(text.into()),
        "uuid" => Some(if text == "AAAAAAAAAAAAAAAAAAAAAA" { "" } else { &*text }.into()),
        "bool" => match &*text {
            "" | "false" => Some(false.into()),
            "true" => Some(true.into()),
            _ => None,
        },
        "float64" if text.is_empty() => Some(0.0.into()),
        "float64" => text.parse::<f64>().ok().map(Value::from),
        _ if text.is_empty() => Some(0.into()),
        _ => match text.strip_prefix("0x") {
            Some(digits) => i64::from_str_radix(digits, 16).ok().map(Value::from),
            None => text.parse::<i64>().ok().map(Value::from),
        },
    }
}

pub(super) fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn string(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// Sorted, and without the listeners that ZooKeeper had: they are the brokers'.
pub(super) fn strings(value: &Value) -> Vec<String> {
    let given = value.as_array().map_or(&[] as &[Value], Vec::as_slice);
    let names = given.iter().filter_map(Value::as_str).filter(|name| *name != "zkBroker");
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    names
}
