//! `messages/api_key.rs`: what is known of an API without its messages.

use super::gate;
use super::prose::doc;
use crate::ast::{Api, Bound, Direction, HeaderCondition, Route, Schema};
use crate::library::Library;
use crate::range::Range;
use crate::release::Release;

type Apis<'a> = [(&'a Schema, &'a Api)];

fn arms(apis: &Apis<'_>, value: impl Fn(&Api) -> String) -> String {
    let arm = |(schema, api): &(&Schema, &Api)| {
        format!("{}            Self::{} => {},\n", gate(schema), api.name.value, value(api))
    };
    apis.iter().map(arm).collect()
}

/// The versions of a release that are not unstable in it.
fn released(api: &Api, release: Release) -> Option<Range> {
    let all = versions(api);
    let is_there = |version: &i16| {
        let gone = |bound: Bound, is_out: &dyn Fn(Release) -> bool| {
            api.lifetimes.iter().any(|lifetime| {
                lifetime.bound == bound
                    && lifetime.versions.value.contains(*version)
                    && is_out(lifetime.release.value)
            })
        };
        !(api.unstable.as_ref().is_some_and(|unstable| unstable.value == *version)
            || gone(Bound::Since, &|from| release < from)
            || gone(Bound::UnstableUntil, &|from| release < from)
            || gone(Bound::Until, &|end| release >= end))
    };
    let mut found = (all.first..=last(all)).filter(is_there);
    let first = found.next()?;
    Some(Range::closed(first, found.next_back().unwrap_or(first)))
}

/// The versions that the codec's users offer: those of the base release, or of the release nearest
/// to it that has the API.
fn offered(api: &Api) -> String {
    let later = Release::ALL.iter().filter(|release| **release >= Release::BASE);
    let earlier = Release::ALL.iter().rev().filter(|release| **release < Release::BASE);
    let range = later.chain(earlier).find_map(|release| released(api, *release));
    range.map_or_else(|| versions(api).rust(), Range::rust)
}

fn variant(release: Release) -> String {
    format!("V{}_{}", release.major, release.minor)
}

/// The versions in each release.
fn in_releases(api: &Api) -> String {
    let entry = |release: &Release| match released(api, *release) {
        None => "None".to_owned(),
        Some(range) => format!("Some(({}, {}))", range.first, last(range)),
    };
    let entries: Vec<String> = Release::ALL.iter().map(entry).collect();
    format!("[{}]", entries.join(", "))
}

fn versions(api: &Api) -> Range {
    let request = api.request.as_ref().expect("a checked API has a request");
    request.versions.value
}

fn last(range: Range) -> i16 {
    range.last.expect("a checked message's versions have an end")
}

fn flexible(api: &Api) -> String {
    let request = api.request.as_ref().expect("a checked API has a request");
    match &request.flexible {
        Some(flexible) => format!("Some({})", flexible.value.first),
        None => "None".to_owned(),
    }
}

fn route(route: Route) -> &'static str {
    match route {
        Route::AnyBroker => "AnyBroker",
        Route::Connection => "Connection",
        Route::PartitionLeader => "PartitionLeader",
        Route::GroupCoordinator => "GroupCoordinator",
        Route::TransactionCoordinator => "TransactionCoordinator",
        Route::Controller => "Controller",
        Route::ResourceBroker => "ResourceBroker",
    }
}

fn any_of(apis: &Apis<'_>, chosen: impl Fn(&Api) -> bool) -> String {
    let names: Vec<String> = apis
        .iter()
        .filter(|(_, api)| chosen(api))
        .map(|(_, api)| format!("Self::{}", api.name.value))
        .collect();
    if names.is_empty() {
        "false".to_owned()
    } else {
        format!("matches!(self, {})", names.join(" | "))
    }
}

fn throttled_after(api: &Api) -> String {
    let versions = api.throttle.as_ref().and_then(|throttle| throttle.after_response.as_ref());
    versions.map_or("None".to_owned(), |versions| format!("Some({})", versions.value.first))
}

fn header_rules(library: &Library, direction: Direction) -> String {
    let mut body = String::new();
    for (_, rule) in library.header_versions() {
        if rule.direction.value != direction {
            continue;
        }
        let version = rule.version.value;
        match &rule.condition.value {
            HeaderCondition::Api(api, versions) => {
                let (schema, _) = library
                    .apis()
                    .find(|(_, other)| other.name.value == *api)
                    .expect("a checked rule names an API");
                let among = versions.map_or_else(String::new, |versions| {
                    format!("&& ({}).contains(&version)", versions.rust())
                });
                let gate = gate(schema);
                body.push_str(&format!(
                    "{gate}if self == Self::{api} {among} {{ return {version}; }}\n"
                ));
            }
            HeaderCondition::Flexible => {
                body.push_str(&format!("if self.is_flexible(version) {{ return {version}; }}\n"));
            }
            HeaderCondition::Otherwise => body.push_str(&format!("{version}\n")),
        }
    }
    body
}

pub(super) fn api_key(library: &Library) -> String {
    let apis: Vec<(&Schema, &Api)> = library.apis().collect();
    let mut variants = String::new();
    let mut codes = String::new();
    for (schema, api) in &apis {
        let (name, key, gate) = (&api.name.value, api.key.value, gate(schema));
        let docs = format!("[`super::{name}Request`] and [`super::{name}Response`].");
        doc(&mut variants, "///", "    ", &[docs]);
        variants.push_str(&format!("{gate}    {name} = {key},\n"));
        codes.push_str(&format!("{gate}            {key} => Self::{name},\n"));
    }
    let all: Vec<String> = apis
        .iter()
        .map(|(schema, api)| format!("{}Self::{}", gate(schema), api.name.value))
        .collect();
    let releases: Vec<String> = Release::ALL
        .iter()
        .map(|release| format!("    /// Apache Kafka {release}.\n    {},\n", variant(*release)))
        .collect();
    let routes = arms(&apis, |api| {
        let found = api.route.as_ref().expect("a checked API has a route");
        format!("Route::{}", route(found.value))
    });
    TEMPLATE
        .replace("{variants}", &variants)
        .replace("{all}", &all.join(", "))
        .replace("{codes}", &codes)
        .replace("{names}", &arms(&apis, |api| format!("\"{}\"", api.name.value)))
        .replace("{versions}", &arms(&apis, |api| versions(api).rust()))
        .replace("{releases}", &releases.concat())
        .replace("{base}", &Release::BASE.to_string())
        .replace("{released}", &arms(&apis, in_releases))
        .replace("{count}", &Release::ALL.len().to_string())
        .replace("{stable}", &arms(&apis, offered))
        .replace("{flexible}", &arms(&apis, flexible))
        .replace("{unstable}", &any_of(&apis, |api| api.unstable.is_some()))
        .replace("{routes}", &routes)
        .replace("{throttled}", &arms(&apis, throttled_after))
        .replace("{request_header}", &header_rules(library, Direction::Request))
        .replace("{response_header}", &header_rules(library, Direction::Response))
}

const TEMPLATE: &str = r#"//! The APIs: numbers, versions, and who serves them.

use core::fmt;
use core::ops::RangeInclusive;

/// Who a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// Any broker.
    AnyBroker,
    /// The broker at the other end: the request is about the connection itself.
    Connection,
    /// The leader of each partition; a request for several leaders is split.
    PartitionLeader,
    /// The coordinator of the group.
    GroupCoordinator,
    /// The coordinator of the transactional id; any broker where there is none.
    TransactionCoordinator,
    /// The active controller; a broker forwards to it.
    Controller,
    /// The broker that a resource names; any broker for other resources.
    ResourceBroker,
}

/// A release of Apache Kafka, as far as APIs differ between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Release {
{releases}}

/// The number that a request's header names its API by. There are more with the feature
/// `all-messages`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i16)]
pub enum ApiKey {
{variants}}

impl ApiKey {
    /// Every API of this crate, by number.
    pub const ALL: &'static [Self] = &[{all}];

    /// The API of this number, if this crate has it.
    pub fn from_code(code: i16) -> Option<Self> {
        Some(match code {
{codes}            _ => return None,
        })
    }

    /// The number on the wire.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// The name, for example `Produce`.
    pub fn name(self) -> &'static str {
        match self {
{names}        }
    }

    /// The versions that the schema describes: those of all releases, and unstable ones.
    pub fn valid_versions(self) -> RangeInclusive<i16> {
        match self {
{versions}        }
    }

    /// The released versions of Apache Kafka {base}, or of the nearest release that has the API:
    /// what is offered and used unless asked otherwise.
    pub fn stable_versions(self) -> RangeInclusive<i16> {
        match self {
{stable}        }
    }

    /// The released versions of a release of Apache Kafka; none where it does not have the API, or
    /// only as unstable.
    pub fn released_versions(self, release: Release) -> Option<RangeInclusive<i16>> {
        let versions: [Option<(i16, i16)>; {count}] = match self {
{released}        };
        versions[release as usize].map(|(first, last)| first..=last)
    }

    /// The first flexible version (compact lengths and tagged fields), if there is one.
    pub fn flexible_since(self) -> Option<i16> {
        match self {
{flexible}        }
    }

    /// Whether this version has compact lengths and tagged fields.
    pub fn is_flexible(self, version: i16) -> bool {
        self.flexible_since().is_some_and(|since| version >= since)
    }

    /// Whether the latest version is not released yet: neither offered nor used unless asked for.
    pub fn latest_version_unstable(self) -> bool {
        {unstable}
    }

    /// Who a request goes to.
    pub fn route(self) -> Route {
        match self {
{routes}        }
    }

    /// The first version whose response a broker sends before it throttles, so that the client
    /// waits by itself (KIP-219).
    pub fn throttled_after_response_since(self) -> Option<i16> {
        match self {
{throttled}        }
    }

    /// The version of the request header in front of this API's request of that version.
    pub fn request_header_version(self, version: i16) -> i16 {
        {request_header}
    }

    /// The version of the response header in front of this API's response of that version.
    pub fn response_header_version(self, version: i16) -> i16 {
        {response_header}
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
"#;
