//! An API: the facts that hold for its request and response together.

use super::line::{
    self, Line, Parsed, any_word, end, error_name, name, number, range, release, token,
};
use super::{Outcome, Parser, keyword};
use crate::ast::{Api, Bound, ErrorUse, Former, Kind, Lifetime, Route, Spanned, Throttle};
use crate::range::Range;
use crate::release::Release;

/// The routes by name.
pub(crate) const ROUTES: &[(&str, Route)] = &[
    ("any-broker", Route::AnyBroker),
    ("connection", Route::Connection),
    ("partition-leader", Route::PartitionLeader),
    ("group-coordinator", Route::GroupCoordinator),
    ("transaction-coordinator", Route::TransactionCoordinator),
    ("controller", Route::Controller),
    ("resource-broker", Route::ResourceBroker),
];

const FACTS: &str = "listeners, route, throttle, no-response, since, until, unstable, deprecated, \
                     formerly, error, version, request or response";

/// Facts that may come several times.
const REPEATED: &[&str] = &["error", "version", "since", "until", "unstable"];

fn head<'a>(line: Line<'a>) -> Parsed<'a, (Spanned<i16>, Spanned<String>)> {
    let (rest, key) = token(line, keyword(line), "the API's key", number)?;
    let (rest, name) = token(line, rest, "the API's name", name)?;
    let (rest, ()) = end(rest)?;
    Ok((rest, (key, name)))
}

fn listeners<'a>(line: Line<'a>) -> Parsed<'a, Vec<Spanned<String>>> {
    let listener = |text: &str| match text {
        "broker" | "controller" | "zk-broker" => any_word(text),
        _ => Err(format!("unknown listener `{text}`: expected broker, controller or zk-broker")),
    };
    let (mut rest, first) = token(line, keyword(line), "broker or controller", listener)?;
    let mut listeners = vec![first];
    while !rest.is_empty() {
        let (after, next) = token(line, rest, "broker or controller", listener)?;
        listeners.push(next);
        rest = after;
    }
    Ok((rest, listeners))
}

fn route<'a>(line: Line<'a>) -> Parsed<'a, Spanned<Route>> {
    let read = |text: &str| {
        let found = ROUTES.iter().find(|(name, _)| *name == text);
        found.map(|(_, route)| *route).ok_or_else(|| {
            let names: Vec<&str> = ROUTES.iter().map(|(name, _)| *name).collect();
            format!("unknown route `{text}`: expected {}", names.join(", "))
        })
    };
    let (rest, route) = token(line, keyword(line), "a route", read)?;
    let (rest, ()) = end(rest)?;
    Ok((rest, route))
}

fn throttle<'a>(line: Line<'a>) -> Parsed<'a, Throttle> {
    let (mut rest, field) = token(line, keyword(line), "the response's field", name)?;
    let mut after_response = None;
    if !rest.is_empty() {
        let (after, _) = token(line, rest, "after-response", |text| match text {
            "after-response" => Ok(()),
            _ => Err(format!("expected after-response, found `{text}`")),
        })?;
        let (after, versions) = token(line, after, "a version range", range)?;
        (rest, after_response) = (after, Some(versions));
    }
    let (rest, ()) = end(rest)?;
    Ok((rest, Throttle { field, after_response }))
}

/// `since 4.4 5` or `until 4.0 0-2`.
pub(super) fn lifetime<'a>(line: Line<'a>) -> Parsed<'a, Lifetime> {
    let bound = if line.keyword() == "since" { Bound::Since } else { Bound::Until };
    let (rest, release) = release(line, keyword(line))?;
    let (rest, versions) = token(line, rest, "a version range", range)?;
    let (rest, ()) = end(rest)?;
    Ok((rest, Lifetime { bound, release, versions }))
}

/// `formerly ListClientMetricsResources 4.1`.
pub(super) fn former<'a>(line: Line<'a>) -> Parsed<'a, Former> {
    let (rest, name) = token(line, keyword(line), "the former name", name)?;
    let (rest, release) = release(line, rest)?;
    let (rest, ()) = end(rest)?;
    Ok((rest, (name, release)))
}

/// `unstable 6`, or `unstable 10 until 4.2`.
fn unstable<'a>(line: Line<'a>) -> Parsed<'a, (Spanned<i16>, Option<Spanned<Release>>)> {
    let (rest, version) = token(line, keyword(line), "a version", line::version)?;
    if rest.is_empty() {
        return Ok((rest, (version, None)));
    }
    let (rest, _) = token(line, rest, "until", |text| match text {
        "until" => Ok(()),
        _ => Err(format!("expected until, found `{text}`")),
    })?;
    let (rest, until) = release(line, rest)?;
    let (rest, ()) = end(rest)?;
    Ok((rest, (version, Some(until))))
}

fn error_use<'a>(line: Line<'a>) -> Parsed<'a, (Spanned<String>, Option<Spanned<Range>>)> {
    let (rest, name) = token(line, keyword(line), "an error's name", error_name)?;
    if rest.is_empty() {
        return Ok((rest, (name, None)));
    }
    let (rest, versions) = token(line, rest, "a version range", range)?;
    let (rest, ()) = end(rest)?;
    Ok((rest, (name, Some(versions))))
}

fn only<'a, T>(
    line: Line<'a>,
    what: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Parsed<'a, Spanned<T>> {
    let (rest, value) = token(line, keyword(line), what, read)?;
    let (rest, ()) = end(rest)?;
    Ok((rest, value))
}

impl<'a> Parser<'a> {
    pub(super) fn api(&mut self, line: Line<'a>) -> Outcome<Api> {
        let (key, name) = self.take(line, head(line))?;
        self.advance();
        let mut api = Api {
            key,
            name,
            former: None,
            prose: self.prose(0),
            listeners: Vec::new(),
            route: None,
            throttle: None,
            no_response: None,
            unstable: None,
            lifetimes: Vec::new(),
            deprecated: None,
            errors: Vec::new(),
            versions: Vec::new(),
            request: None,
            response: None,
        };
        let mut seen: Vec<&str> = Vec::new();
        while let Some(line) = self.peek_at(0) {
            let word = line.keyword();
            if seen.contains(&word) {
                return self.refuse(line, format!("the API has `{word}` twice"));
            }
            if !REPEATED.contains(&word) {
                seen.push(word);
            }
            if !self.fact(line, &mut api)? {
                break;
            }
        }
        Ok(api)
    }

    /// Reads one fact; false when the line begins the next definition.
    fn fact(&mut self, line: Line<'a>, api: &mut Api) -> Outcome<bool> {
        match line.keyword() {
            "formerly" => api.former = Some(self.take(line, former(line))?),
            "listeners" => api.listeners = self.take(line, listeners(line))?,
            "route" => api.route = Some(self.take(line, route(line))?),
            "throttle" => api.throttle = Some(self.take(line, throttle(line))?),
            "no-response" => {
                let condition = line::rest_of_line(line, keyword(line), "a condition");
                api.no_response = Some(self.take(line, condition)?);
            }
            "unstable" => match self.take(line, unstable(line))? {
                (version, None) if api.unstable.is_none() => api.unstable = Some(version),
                (_, None) => return self.refuse(line, "the API has `unstable` twice"),
                (version, Some(release)) => {
                    let Spanned { value, span } = version;
                    let versions = Spanned { value: Range::closed(value, value), span };
                    let bound = Bound::UnstableUntil;
                    api.lifetimes.push(Lifetime { bound, release, versions });
                }
            },
            "since" | "until" => api.lifetimes.push(self.take(line, lifetime(line))?),
            "deprecated" => {
                api.deprecated = Some(self.take(line, only(line, "a version range", range))?);
            }
            "error" => {
                let (name, versions) = self.take(line, error_use(line))?;
                self.advance();
                let prose = self.prose(0);
                api.errors.push(ErrorUse { name, versions, prose });
                return Ok(true);
            }
            "version" => {
                api.versions.extend(self.version_notes()?);
                return Ok(true);
            }
            "request" => {
                let name = api.name.value.clone();
                api.request = Some(self.half(line, Kind::Request, &name)?);
                return Ok(true);
            }
            "response" => {
                let name = api.name.value.clone();
                api.response = Some(self.half(line, Kind::Response, &name)?);
                return Ok(true);
            }
            "api" | "data" | "header" | "header-version" | "coordinator-key" | "metadata"
            | "coordinator-value" => return Ok(false),
            other => {
                let span = line.span(line.body().len(), other.len());
                return self.error(span, format!("unknown fact `{other}`: expected {FACTS}"));
            }
        }
        self.advance();
        Ok(true)
    }
}
