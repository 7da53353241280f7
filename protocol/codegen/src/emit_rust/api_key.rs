//! `messages/api_key.rs`: what is known of an API without its messages.

use super::prose::doc;
use crate::ast::{Api, Direction, HeaderCondition, Route};
use crate::library::Library;
use crate::range::Range;

fn arms(apis: &[&Api], value: impl Fn(&Api) -> String) -> String {
    apis.iter()
        .map(|api| format!("            Self::{} => {},\n", api.name.value, value(api)))
        .collect()
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

fn any_of(apis: &[&Api], chosen: impl Fn(&Api) -> bool) -> String {
    let names: Vec<String> = apis
        .iter()
        .filter(|api| chosen(api))
        .map(|api| format!("Self::{}", api.name.value))
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
            HeaderCondition::Api(api) => {
                body.push_str(&format!("if self == Self::{api} {{ return {version}; }}\n"));
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
    let apis: Vec<&Api> = library.apis().map(|(_, api)| api).collect();
    let mut variants = String::new();
    let mut codes = String::new();
    for api in &apis {
        let (name, key) = (&api.name.value, api.key.value);
        let docs = format!("[`super::{name}Request`] and [`super::{name}Response`].");
        doc(&mut variants, "///", "    ", &[docs]);
        variants.push_str(&format!("    {name} = {key},\n"));
        codes.push_str(&format!("            {key} => Self::{name},\n"));
    }
    let all: Vec<String> = apis.iter().map(|api| format!("Self::{}", api.name.value)).collect();
    let routes = arms(&apis, |api| {
        let found = api.route.as_ref().expect("a checked API has a route");
        format!("Route::{}", route(found.value))
    });
    let stable = |api: &Api| last(versions(api)) - i16::from(api.unstable.is_some());
    TEMPLATE
        .replace("{variants}", &variants)
        .replace("{all}", &all.join(", "))
        .replace("{codes}", &codes)
        .replace("{names}", &arms(&apis, |api| format!("\"{}\"", api.name.value)))
        .replace("{versions}", &arms(&apis, |api| versions(api).rust()))
        .replace(
            "{stable}",
            &arms(&apis, |api| Range::closed(versions(api).first, stable(api)).rust()),
        )
        .replace("{flexible}", &arms(&apis, flexible))
        .replace("{unstable}", &any_of(&apis, |api| api.unstable.is_some()))
        .replace("{routes}", &routes)
        .replace("{throttled}", &arms(&apis, throttled_after))
        .replace("{request_header}", &header_rules(library, Direction::Request))
        .replace("{response_header}", &header_rules(library, Direction::Response))
}

const TEMPLATE: &str = r#"//! The APIs: numbers, versions, and who serves them.

use std::fmt;
use std::ops::RangeInclusive;

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

/// The number that a request's header names its API by.
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

    /// The versions that the schema describes, an unstable latest one included.
    pub fn valid_versions(self) -> RangeInclusive<i16> {
        match self {
{versions}        }
    }

    /// The versions that are released: what is offered and used unless asked otherwise.
    pub fn stable_versions(self) -> RangeInclusive<i16> {
        match self {
{stable}        }
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
