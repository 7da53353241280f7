//! Rules about an API: S20 to S29.

use super::{check_former, check_lifetimes, check_notes};
use crate::ast::{Api, Base, Message, Schema, Type};
use crate::diagnostic::Diagnostic;
use crate::library::Library;

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
    for used in &api.errors {
        let known = library.errors().any(|(_, error)| error.name.value == used.name.value);
        if !known {
            let text = format!("there is no error `{}` in errors.schema", used.name.value);
            findings.push(schema.finding("S25", used.name.span, text));
        }
        if used.prose.is_empty() {
            let text = format!("say in `|` lines when `{}` is answered", used.name.value);
            findings.push(schema.finding("S26", used.name.span, text));
        }
    }
    check_lifetimes(schema, &api.lifetimes, request.versions.value, findings);
    check_former(schema, api.former.as_ref(), findings);
    check_notes(schema, &api.name, &api.versions, request.versions.value, findings);
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

/// S23: the throttle field exists. S24: unstable and deprecated versions exist.
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
        response.fields.iter().any(|field| field.name.value == name && field.ty.value == int32)
    };
    match &api.throttle {
        Some(throttle) if !throttled(&throttle.field.value) => {
            let text = format!("the response has no int32 field `{}`", throttle.field.value);
            find("S23", throttle.field.span, text);
        }
        None if throttled("ThrottleTimeMs") => {
            let text = "the response has `ThrottleTimeMs`: add a `throttle` line".to_owned();
            find("S23", api.name.span, text);
        }
        _ => {}
    }
    let versions = request.versions.value;
    if let Some(unstable) = &api.unstable
        && versions.last != Some(unstable.value)
    {
        let text = format!("only the last version can be unstable; the versions are {versions}");
        find("S24", unstable.span, text);
    }
    if let Some(deprecated) = &api.deprecated
        && (!deprecated.value.within(versions) || deprecated.value.first != versions.first)
    {
        let text = format!("deprecated versions are the first of {versions}");
        find("S24", deprecated.span, text);
    }
}
