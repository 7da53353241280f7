//! Rules about an API: S20 to S29.

use super::check_notes;
use super::releases::check_lifetimes;
use crate::ast::{Api, Base, Bound, ErrorUse, Field, Message, Schema, Type};
use crate::diagnostic::Diagnostic;
use crate::library::Library;
use crate::range::Range;

pub(super) fn check_api(
    library: &Library,
    schema: &Schema,
    api: &Api,
    findings: &mut Vec<Diagnostic>,
) {
    let at = api.name.span;
    let mut find = |rule, span, text: String| findings.push(schema.finding(rule, span, text));
    let name = &api.name.value;
    if api.listeners.is_empty() {
        find("S20", at, format!("`{name}` lacks `listeners`"));
    }
    for (index, listener) in api.listeners.iter().enumerate() {
        if api.listeners[..index].iter().any(|other| other.value == listener.value) {
            find("S20", listener.span, format!("`{}` is named twice", listener.value));
        }
    }
    if api.route.is_none() {
        find("S20", at, format!("`{name}` lacks `route`"));
    }
    if api.prose.is_empty() {
        find("S26", at, format!("`{name}` lacks prose: say in `|` lines what it is for"));
    }
    let (Some(request), Some(response)) = (&api.request, &api.response) else {
        return find("S21", at, format!("`{name}` needs both a `request` and a `response`"));
    };
    check_pair(schema, request, response, findings);
    check_facts(schema, api, request, response, findings);
    for (index, used) in api.errors.iter().enumerate() {
        check_error(
            library,
            schema,
            (used, &api.errors[..index]),
            request.versions.value,
            findings,
        );
        if used.prose.is_empty() {
            let text = format!("say in `|` lines when `{}` is answered", used.name.value);
            findings.push(schema.finding("S26", used.name.span, text));
        }
    }
    check_lifetimes(schema, &api.lifetimes, request.versions.value, findings);
    check_notes(schema, &api.name, &api.versions, request.versions.value, findings);
}

/// S25: an error that an API answers with exists, in versions of the API, and is told of once.
fn check_error(
    library: &Library,
    schema: &Schema,
    (used, above): (&ErrorUse, &[ErrorUse]),
    versions: Range,
    findings: &mut Vec<Diagnostic>,
) {
    let name = &used.name.value;
    let all = |error: &ErrorUse| error.versions.as_ref().map_or(versions, |range| range.value);
    let is_again =
        |other: &ErrorUse| other.name.value == *name && all(other).intersect(all(used)).is_some();
    let (span, text) = if !library.errors().any(|(_, error)| error.name.value == *name) {
        (used.name.span, format!("there is no error `{name}` in errors.schema"))
    } else if let Some(range) = &used.versions
        && !range.value.is_of(versions)
    {
        (range.span, format!("`{name}` in versions that there are not: they are {versions}"))
    } else if above.iter().any(is_again) {
        (used.name.span, format!("`{name}` stands above for these versions already"))
    } else {
        return;
    };
    findings.push(schema.finding("S25", span, text));
}

/// S22: a request and its response have the same versions, flexible ones too.
fn check_pair(
    schema: &Schema,
    request: &Message,
    response: &Message,
    findings: &mut Vec<Diagnostic>,
) {
    if request.versions.value != response.versions.value {
        let text = format!("the request has versions {}", request.versions.value);
        findings.push(schema.finding("S22", response.versions.span, text));
    }
    let flexible = |message: &Message| message.flexible.as_ref().map(|flexible| flexible.value);
    if flexible(request) != flexible(response) {
        let text = match flexible(request) {
            Some(range) => format!("the request is flexible in versions {range}"),
            None => "the request has no flexible versions".to_owned(),
        };
        findings.push(schema.finding("S22", response.name.span, text));
    }
}

/// S23: the throttle field exists, also where it counts after the response. S24: unstable and
/// deprecated versions exist.
fn check_facts(
    schema: &Schema,
    api: &Api,
    request: &Message,
    response: &Message,
    findings: &mut Vec<Diagnostic>,
) {
    let mut find = |rule, span, text: String| findings.push(schema.finding(rule, span, text));
    let int32 = Type { array: false, base: Base::Int32 };
    let throttled = |name: &str| {
        let is_it = |field: &&Field| field.name.value == name && field.ty.value == int32;
        response.fields.iter().find(is_it)
    };
    match &api.throttle {
        Some(throttle) => {
            let name = &throttle.field.value;
            let found = throttled(name);
            let there =
                found.and_then(|field| field.versions.value.intersect(response.versions.value));
            if found.is_none() {
                let text = format!("the response has no int32 field `{name}`");
                find("S23", throttle.field.span, text);
            } else if let (Some(after), Some(there)) = (&throttle.after_response, there)
                && !after.value.is_of(there)
            {
                let text = format!("the response has `{name}` in versions {there}");
                find("S23", after.span, text);
            }
        }
        None if throttled("ThrottleTimeMs").is_some() => {
            let text = "the response has `ThrottleTimeMs`: add a `throttle` line".to_owned();
            find("S23", api.name.span, text);
        }
        None => {}
    }
    let versions = request.versions.value;
    if let Some(unstable) = &api.unstable
        && versions.last != Some(unstable.value)
    {
        let text = format!("only the last version can be unstable; the versions are {versions}");
        find("S24", unstable.span, text);
    } else if let Some(unstable) = &api.unstable {
        let ends = |bound| bound != Bound::Since;
        let of_version = api
            .lifetimes
            .iter()
            .find(|life| ends(life.bound) && life.versions.value.contains(unstable.value));
        if let Some(life) = of_version {
            let text = format!(
                "version {} has an `until {}`: `unstable` alone is of the latest release",
                unstable.value, life.release.value
            );
            find("S24", unstable.span, text);
        }
    }
    if let Some(deprecated) = &api.deprecated
        && (!deprecated.value.within(versions) || deprecated.value.first != versions.first)
    {
        let text = format!("deprecated versions are the first of {versions}");
        find("S24", deprecated.span, text);
    }
}
