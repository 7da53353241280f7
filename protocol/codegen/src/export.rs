//! The schemas as JSON, for codecs and tools that do not read the schema language: what one release
//! of Apache Kafka defines, or everything. `protocol/EXPORT.md` says what each key means.

use crate::ast::{
    Api, Base, Bound, Direction, Field, Former, HeaderCondition, HeaderVersion, Kind, Lifetime,
    Literal, Message, Route, Spanned, Was,
};
use crate::library::Library;
use crate::range::Range;
use crate::release::Release;
use serde_json::{Map, Value, json};

/// The library as one JSON document. With a release, its APIs, records, versions and field names;
/// without one, all versions that any release has, with the present names, and what was otherwise
/// in which releases.
pub fn export(library: &Library, release: Option<Release>) -> Value {
    let mut apis: Vec<&Api> = library.apis().map(|(_, api)| api).collect();
    apis.sort_by_key(|api| api.key.value);
    let of_kind = |wanted: fn(Kind) -> bool| {
        let found = library.messages().into_iter().map(|found| found.message);
        let of_kind = found.filter(|message| wanted(message.kind));
        of_kind.filter_map(|message| record(message, release)).collect::<Vec<_>>()
    };
    let records = of_kind(|kind| !matches!(kind, Kind::Header | Kind::Request | Kind::Response));
    let rules: Vec<Value> = library.header_versions().map(|(_, rule)| header(rule)).collect();
    json!({
        "kafka": release.map(|release| release.to_string()),
        "apis": apis.iter().filter_map(|api| self::api(api, release)).collect::<Vec<_>>(),
        "headers": of_kind(|kind| kind == Kind::Header),
        "headerVersions": rules,
        "records": merged(records),
        "errors": library.errors().map(|(_, error)| json!({
            "code": error.code.value,
            "name": error.name.value,
            "retriable": error.retriable,
            "refreshMetadata": error.refresh_metadata,
            "meaning": error.prose.join(" "),
            "advice": error.advice.join(" "),
        })).collect::<Vec<_>>(),
    })
}

/// The versions of `all` that a release has, or every one. Versions come at the end and go from
/// the beginning, so that what is left is a range.
pub fn versions_in(all: Range, lifetimes: &[Lifetime], release: Option<Release>) -> Option<Range> {
    let Some(release) = release else { return Some(all) };
    let has = |version: i16| {
        let mut of_version = lifetimes.iter().filter(|life| life.versions.value.contains(version));
        of_version.all(|life| life.allows(release))
    };
    let last = all.last.unwrap_or(all.first);
    let mut had = (all.first..=last).filter(|version| has(*version));
    let first = had.next()?;
    Some(Range::closed(first, had.next_back().unwrap_or(first)))
}

/// The name in a release.
pub(crate) fn name_in<'a>(
    name: &'a Spanned<String>,
    former: Option<&'a Former>,
    release: Option<Release>,
) -> &'a str {
    match (former, release) {
        (Some((former, since)), Some(release)) if release < since.value => &former.value,
        _ => &name.value,
    }
}

/// Records that had one name are one, of the versions of both: the old type of an offset commit's
/// key was its version 0 before Kafka 4.1.
fn merged(records: Vec<Value>) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    for record in records {
        let same = found.iter_mut().find(|other| other["name"] == record["name"]);
        let Some(same) = same else {
            found.push(record);
            continue;
        };
        let versions = [&same["valid"], &record["valid"]].map(|valid| {
            valid.as_str().and_then(|text| text.parse::<i16>().ok()).unwrap_or_default()
        });
        let [a, b] = versions;
        same["valid"] = Range::closed(a.min(b), a.max(b)).to_string().into();
    }
    found
}

/// Whether the last of these versions is not for use in the release.
fn is_unstable(api: &Api, valid: Range, release: Option<Release>) -> bool {
    let last = valid.last.unwrap_or(valid.first);
    let named = api.unstable.as_ref().is_some_and(|unstable| unstable.value == last);
    let once = api.lifetimes.iter().any(|life| {
        life.bound == Bound::UnstableUntil
            && life.versions.value.contains(last)
            && release.is_some_and(|release| release < life.release.value)
    });
    named || once
}

fn api(api: &Api, release: Option<Release>) -> Option<Value> {
    let request = api.request.as_ref()?;
    let valid = versions_in(request.versions.value, &api.lifetimes, release)?;
    let scope = Scope { message: request, valid, release, is_any: false };
    let deprecated = api.deprecated.as_ref().and_then(|range| range.value.intersect(valid));
    let mut asked = scope.message();
    asked.insert("deprecated".to_owned(), text(deprecated));
    let throttle = api.throttle.as_ref().map(|throttle| {
        json!({
            "field": throttle.field.value,
            "afterResponse": text(throttle.after_response.as_ref().map(|range| range.value)),
        })
    });
    let errors = api.errors.iter().filter_map(|error| {
        let versions = error.versions.as_ref().map_or(valid, |range| range.value);
        let versions = versions.intersect(valid)?;
        Some(json!({"name": error.name.value, "versions": versions.to_string()}))
    });
    // The brokers of clusters with ZooKeeper: Kafka's form of the export has no word for them.
    let listeners = api.listeners.iter().map(|one| &*one.value).filter(|one| *one != "zk-broker");
    let listeners: Vec<&str> = listeners.collect();
    let mut row = json!({
        "key": api.key.value,
        "name": name_in(&api.name, api.former.as_ref(), release),
        "listeners": listeners,
        "latestVersionUnstable": is_unstable(api, valid, release),
        "route": api.route.as_ref().map(|route| name_of(route.value)),
        "throttle": throttle,
        "noResponse": api.no_response.as_ref().map(|condition| &*condition.value),
        "errors": errors.collect::<Vec<_>>(),
        "request": asked,
        "response": api.response.as_ref().map(|message| Scope { message, ..scope }.message()),
    });
    tell_history(&mut row, (&api.name, api.former.as_ref()), &api.lifetimes, release);
    Some(row)
}

/// Adds to an API or record when its versions and name came and went; in the export of a release,
/// the present name where that is another.
fn tell_history(
    row: &mut Value,
    (name, former): (&Spanned<String>, Option<&Former>),
    lifetimes: &[Lifetime],
    release: Option<Release>,
) {
    if release.is_some() {
        if name_in(name, former, release) != name.value {
            row["today"] = name.value.as_str().into();
        }
        return;
    }
    if let Some((former, renamed)) = former {
        row["formerly"] = former.value.as_str().into();
        row["renamed"] = renamed.value.to_string().into();
    }
    let told = lifetimes.iter().map(|life| {
        let bound = match life.bound {
            Bound::Since => "since",
            Bound::Until => "until",
            Bound::UnstableUntil => "unstableUntil",
        };
        json!({"versions": life.versions.value.to_string(), bound: life.release.value.to_string()})
    });
    if !lifetimes.is_empty() {
        row["lifetimes"] = told.collect();
    }
}

/// The release in which coordinators' records got kinds and types: before it they were data, and
/// the type of a key was its version.
pub(crate) const KINDS: Release = Release { major: 4, minor: 1 };

fn record(message: &Message, release: Option<Release>) -> Option<Value> {
    let mut valid = versions_in(message.versions.value, &message.lifetimes, release)?;
    let mut number = message.number.as_ref().map(|number| number.value);
    let mut kind = message.kind;
    let is_coordinators = matches!(kind, Kind::CoordinatorKey | Kind::CoordinatorValue);
    let mut scope = Scope { message, valid, release, is_any: false };
    if is_coordinators && release.is_some_and(|release| release < KINDS) {
        if let (Kind::CoordinatorKey, Some(of_type)) = (kind, number) {
            valid = Range::closed(of_type, of_type);
            scope.is_any = true;
        }
        (kind, number) = (Kind::Data, None);
    }
    let kind = match kind {
        Kind::CoordinatorKey => "coordinator-key",
        Kind::CoordinatorValue => "coordinator-value",
        Kind::Metadata => "metadata",
        Kind::Header => "header",
        Kind::Data | Kind::Request | Kind::Response => "data",
    };
    let mut row = Map::new();
    let name = name_in(&message.name, message.former.as_ref(), release);
    row.insert("name".to_owned(), name.into());
    row.insert("kind".to_owned(), kind.into());
    row.insert("key".to_owned(), number.into());
    row.append(&mut scope.message());
    row.insert("valid".to_owned(), text(Some(valid)));
    let mut row = row.into();
    let named = (&message.name, message.former.as_ref());
    tell_history(&mut row, named, &message.lifetimes, release);
    Some(row)
}

fn header(rule: &HeaderVersion) -> Value {
    let direction = match rule.direction.value {
        Direction::Request => "request",
        Direction::Response => "response",
    };
    let (condition, versions) = match &rule.condition.value {
        HeaderCondition::Api(name, versions) => (name.as_str(), *versions),
        HeaderCondition::Flexible => ("flexible", None),
        HeaderCondition::Otherwise => ("otherwise", None),
    };
    let mut row = json!({
        "direction": direction,
        "version": rule.version.value,
        "condition": condition,
    });
    if let Some(versions) = versions {
        row["versions"] = versions.to_string().into();
    }
    row
}

/// A message of a release, whose fields are listed.
#[derive(Clone, Copy)]
struct Scope<'a> {
    message: &'a Message,
    valid: Range,
    release: Option<Release>,
    /// Whether each field is in every version, whatever the versions are called.
    is_any: bool,
}

impl<'s> Scope<'s> {
    fn message(self) -> Map<String, Value> {
        let flexible = self.message.flexible.as_ref().map(|range| range.value);
        let flexible = flexible.filter(|range| range.intersect(self.valid).is_some());
        let mut rows = Vec::new();
        self.fields(&self.message.fields, &[], self.valid, &mut rows);
        let mut out = Map::new();
        out.insert("valid".to_owned(), text(Some(self.valid)));
        out.insert("flexible".to_owned(), text(flexible));
        out.insert("fields".to_owned(), rows.into());
        out
    }

    /// Lists fields depth first, each where its versions meet those of the struct around it.
    fn fields(self, fields: &[Field], around: &[&Field], within: Range, rows: &mut Vec<Value>) {
        for field in fields {
            let Some(present) = field.versions.value.intersect(within) else { continue };
            let place: Vec<&Field> = around.iter().copied().chain([field]).collect();
            let was = self.was(&place);
            if was.contains(&&Was::Absent) {
                continue;
            }
            rows.push(self.field(&place, &was));
            self.fields(self.message.members(field), &place, present, rows);
        }
    }

    /// What was otherwise in the release, of the field at the end of these.
    fn was(self, place: &[&Field]) -> Vec<&'s Was> {
        let names = || place.iter().map(|field| &field.name.value);
        let of_release = self.message.before.iter().filter(|before| {
            self.release.is_some_and(|release| release < before.release.value)
                && before.path.value.iter().eq(names())
        });
        of_release.map(|before| &before.was.value).collect()
    }

    fn field(self, place: &[&Field], was: &[&Was]) -> Value {
        let field = place.last().expect("the field is the last of its place");
        let is_struct = !self.message.members(field).is_empty();
        let mut ty = &field.ty.value;
        let (mut ignorable, mut key) = (field.ignorable, field.key.is_some());
        let mut entity = field.entity.as_ref().map(|entity| &entity.value);
        let mut default = field.default.as_ref().map(|default| &default.value);
        for was in was {
            match was {
                Was::Absent => {}
                Was::Default(former) => default = Some(former),
                Was::Type(former) => ty = former,
                Was::Ignorable(former) => ignorable = *former,
                Was::Key(former) => key = *former,
                Was::Entity(former) => entity = former.as_ref(),
            }
        }
        let base = if is_struct { "struct" } else { ty.base.name() };
        let versions = if self.is_any { "0+".to_owned() } else { field.versions.value.to_string() };
        let tag = field.tag.as_ref();
        let mut row = json!({
            "path": path(place, self.release),
            "type": format!("{}{base}", if ty.array { "[]" } else { "" }),
            "versions": versions,
            "nullable": text(field.nullable.as_ref().map(|range| range.value)),
            "tag": tag.map(|tag| tag.number.value),
            "tagged": text(tag.map(|tag| tag.versions.value)),
            "ignorable": ignorable,
            "mapKey": key,
        });
        match default {
            Some(default) => row["default"] = literal(default),
            // Kafka's classes begin with null there; the zero of the schema language is empty.
            None if self.release.is_none() && field.ty.value.base == Base::Records => {
                row["default"] = "".into();
            }
            None => {}
        }
        if field.inflexible.is_some() {
            row["flexible"] = "none".into();
        }
        if let Some(entity) = entity {
            row["entityType"] = entity.as_str().into();
        }
        self.tell_history(&mut row, place);
        if field.sensitive.is_some() {
            row["sensitive"] = true.into();
        }
        if let Some(holds) = &field.holds {
            row["holds"] = holds.value.as_str().into();
        }
        row
    }

    /// Adds to a field what was otherwise and when; in the export of a release, the present path
    /// where that is another.
    fn tell_history(self, row: &mut Value, place: &[&Field]) {
        if self.release.is_some() {
            let today = path(place, None);
            if row["path"] != *today {
                row["today"] = today.into();
            }
            return;
        }
        if let Some((former, renamed)) = place.last().and_then(|field| field.former.as_ref()) {
            row["formerly"] = former.value.as_str().into();
            row["renamed"] = renamed.value.to_string().into();
        }
        let names = || place.iter().map(|field| &field.name.value);
        let of_field = self.message.before.iter().filter(|one| one.path.value.iter().eq(names()));
        let told = of_field.map(|before| {
            let (key, value) = match &before.was.value {
                Was::Absent => ("absent", true.into()),
                Was::Type(ty) => ("type", ty.to_string().into()),
                Was::Default(default) => ("default", literal(default)),
                Was::Ignorable(is) => ("ignorable", (*is).into()),
                Was::Key(is) => ("mapKey", (*is).into()),
                Was::Entity(entity) => ("entityType", entity.as_deref().into()),
            };
            json!({"before": before.release.value.to_string(), key: value})
        });
        let told: Vec<Value> = told.collect();
        if !told.is_empty() {
            row["otherwise"] = told.into();
        }
    }
}

/// `Topics[].Name`, with the names of a release.
fn path(place: &[&Field], release: Option<Release>) -> String {
    let mut path = String::new();
    for field in place {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name_in(&field.name, field.former.as_ref(), release));
        let is_last = std::ptr::eq(*field, *place.last().unwrap_or(field));
        if field.ty.value.array && !is_last {
            path.push_str("[]");
        }
    }
    path
}

fn literal(literal: &Literal) -> Value {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(flag) => (*flag).into(),
        Literal::Int(number, _) => (*number).into(),
        Literal::Float(written) => written.parse::<f64>().map_or(Value::Null, Value::from),
        Literal::String(text) => text.as_str().into(),
    }
}

/// A range as it is written, `none` where there is none.
fn text(range: Option<Range>) -> Value {
    range.map_or_else(|| "none".to_owned(), |range| range.to_string()).into()
}

fn name_of(route: Route) -> &'static str {
    match route {
        Route::AnyBroker => "any-broker",
        Route::Connection => "connection",
        Route::PartitionLeader => "partition-leader",
        Route::GroupCoordinator => "group-coordinator",
        Route::TransactionCoordinator => "transaction-coordinator",
        Route::Controller => "controller",
        Route::ResourceBroker => "resource-broker",
    }
}
