//! Negotiation and framing.

use crate::client::Scenario;
use crate::client::act::Act;
use crate::client::cluster::Seen;
use crate::client::play::{Play, Step, TOPIC, record};
use crate::findings::Asserts;
use crate::verdict::Stop;
use ottla_protocol::messages::{ApiKey, Request};
use serde_json::json;

const ASKS_AGAIN: &str = "K-CLIENT-CONNECTION-001";
const NOT_THE_LIST: &str = "K-CLIENT-CONNECTION-002";
const READS_VERSION_0: &str = "K-CLIENT-CONNECTION-003";
const TRIES_LOWER: &str = "K-CLIENT-CONNECTION-004";
const SOFTWARE_NAME: &str = "K-CLIENT-CONNECTION-005";
const HIGHEST: &str = "K-CLIENT-CONNECTION-006";
const SAYS_WHICH: &str = "K-CLIENT-CONNECTION-007";
const LISTED_ONLY: &str = "K-CLIENT-CONNECTION-008";
const EACH_CONNECTION: &str = "K-CLIENT-CONNECTION-009";
const UNKNOWN_KEYS: &str = "K-CLIENT-CONNECTION-010";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "client/api-versions-downgraded",
        downgraded,
        &[ASKS_AGAIN, NOT_THE_LIST, READS_VERSION_0],
    ),
    Scenario::new("client/api-versions-closes-the-connection", closed, &[TRIES_LOWER]),
    Scenario::new("client/software-name-and-version", software_name, &[SOFTWARE_NAME]),
    Scenario::new("client/highest-common-version", highest, &[HIGHEST]),
    Scenario::new("client/no-common-version", no_common_version, &[SAYS_WHICH]),
    Scenario::new("client/only-old-versions", only_old, &[LISTED_ONLY]),
    Scenario::new("client/only-new-versions", only_new, &[LISTED_ONLY]),
    Scenario::new("client/versions-above-those-known", above, &[LISTED_ONLY]),
    Scenario::new("client/an-api-is-missing", missing, &[LISTED_ONLY]),
    Scenario::new(
        "client/each-connection-negotiates",
        each_connection,
        &[EACH_CONNECTION, LISTED_ONLY],
    ),
    Scenario::new("client/unknown-api-keys-listed", unknown_keys, &[UNKNOWN_KEYS]),
];

/// The first ApiVersions of the client.
fn first_asked(play: &Play<'_>) -> Step<i16> {
    let seen = play.seen(ApiKey::ApiVersions);
    let first = seen.first().map(|seen| seen.version);
    first.ok_or_else(|| Stop::unsupported("the client does not ask ApiVersions"))
}

/// The version in which the client asks ApiVersions where every version is there.
fn usual_version(play: &mut Play<'_>) -> Step<i16> {
    play.topic(1);
    play.produce(json!({}), &[record(0, "a")])?;
    first_asked(play)
}

fn downgraded(play: &mut Play<'_>) -> Step {
    let usual = usual_version(play)?;
    if usual == 0 {
        return Err(Stop::unsupported("the client asks ApiVersions in version 0"));
    }
    let before = play.seen(ApiKey::ApiVersions).len();
    play.cluster.with(|state| state.list(ApiKey::ApiVersions, 0, usual - 1));
    let sent = play.produce(json!({}), &[record(0, "b")])?;
    let asked = play.seen(ApiKey::ApiVersions);
    let (first, rest) = asked[before..].split_first().ok_or_else(|| {
        Stop::unsupported("the client does not ask ApiVersions on a later connection")
    })?;
    let again = rest.iter().find(|seen| seen.version < usual);
    let shown = format!("after UNSUPPORTED_VERSION for version {usual} came nothing in 0 to");
    play.must(ASKS_AGAIN, again.is_some(), || format!("{shown} {}", usual - 1))?;
    let same = again.is_some_and(|again| again.connection == first.connection);
    play.must(READS_VERSION_0, same, || {
        "it asked again on another connection: the answer was not read as version 0".to_owned()
    })?;
    play.must_be_written(NOT_THE_LIST, &sent)
}

fn closed(play: &mut Play<'_>) -> Step {
    let usual = usual_version(play)?;
    if usual == 0 {
        return Err(Stop::unsupported("the client asks ApiVersions in version 0"));
    }
    play.cluster.rule(move |seen, _| {
        (seen.is(ApiKey::ApiVersions) && seen.version >= usual).then(Act::lose_request)
    });
    let sent = play.produce(json!({"delivery_timeout_ms": 5000}), &[record(0, "b")])?;
    let lower = play.seen(ApiKey::ApiVersions).iter().any(|seen| seen.version < usual);
    let is_written = sent[0].end.is_ok();
    play.should(TRIES_LOWER, lower || is_written, || {
        format!("a connection that is closed on version {usual} is tried in no other version")
    });
    Ok(())
}

fn software_name(play: &mut Play<'_>) -> Step {
    usual_version(play)?;
    play.needs(ApiKey::ApiVersions, 3)?;
    for seen in play.seen(ApiKey::ApiVersions) {
        let Ok(Request::ApiVersions(ask)) = &seen.request else { continue };
        if seen.version < 3 {
            continue;
        }
        for text in [&ask.client_software_name, &ask.client_software_version] {
            play.must(SOFTWARE_NAME, is_software_name(text), || {
                format!("{text:?} is no name or version of software in {}", seen.shown())
            })?;
        }
    }
    Ok(())
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`
fn is_software_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
}

fn highest(play: &mut Play<'_>) -> Step {
    usual_version(play)?;
    for api in [ApiKey::Produce, ApiKey::Metadata] {
        let Some(usual) = play.version(api) else { continue };
        if usual <= *api.stable_versions().start() {
            continue;
        }
        let before = play.seen(api).len();
        play.cluster.with(|state| state.list(api, 0, usual - 1));
        play.produce(json!({}), &[record(0, "b")])?;
        let used = play.seen(api)[before..].iter().map(|seen| seen.version).max();
        let name = api.name();
        play.should(HIGHEST, used == Some(usual - 1), || match used {
            Some(used) => {
                format!("it knows {name} v{usual}; of 0 to {} it takes {used}", usual - 1)
            }
            None => format!("it asks {name} v{usual}, but not in 0 to {}", usual - 1),
        });
    }
    if play.findings.checked.is_empty() {
        return Err(Stop::unsupported("the client knows the lowest versions only"));
    }
    Ok(())
}

fn no_common_version(play: &mut Play<'_>) -> Step {
    play.cluster.with(|state| {
        state.topic(TOPIC, 1);
        state.list(ApiKey::Produce, 90, 99);
    });
    let settings = json!({"delivery_timeout_ms": 5000});
    let sent = play.produce(settings, &[record(0, "a")])?;
    let Err(failure) = &sent[0].end else {
        return play.must(SAYS_WHICH, false, || {
            "a record was written though Produce is listed in versions 90 to 99 only".to_owned()
        });
    };
    let shown = failure.shown();
    // "producer" says nothing of the API.
    let plain = shown.to_ascii_lowercase().replace("producer", "");
    let names = plain.contains("produce") || plain.contains("api key 0");
    play.should(SAYS_WHICH, names, || format!("the error does not name Produce: {shown}"));
    Ok(())
}

/// FAIL where a request had a version that was not listed.
fn must_be_listed(play: &mut Play<'_>) -> Step {
    // ApiVersions is how the versions are found out.
    let is_asking = |seen: &Seen| seen.is(ApiKey::ApiVersions);
    let seen = play.cluster.seen();
    let other = seen.iter().find(|seen| !seen.is_listed && !is_asking(seen));
    play.must(LISTED_ONLY, other.is_none(), || {
        format!("not listed: {}", other.map(|seen| seen.shown()).unwrap_or_default())
    })
}

/// Produces and consumes with the versions as they are listed; the client may tell errors.
fn use_all(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.produce(json!({"delivery_timeout_ms": 4000}), &[record(0, "a")])?;
    let mut consumer = play.consumer(json!({}))?;
    let deadline =
        play.deadline().min(std::time::Instant::now() + std::time::Duration::from_secs(4));
    consumer.read_until(deadline, |consumer| {
        !consumer.delivered().is_empty() || !consumer.errors().is_empty()
    })?;
    must_be_listed(play)
}

fn only_old(play: &mut Play<'_>) -> Step {
    play.cluster.with(|state| {
        for api in ApiKey::ALL.iter().copied() {
            if let Some(range) = state.versions.get_mut(&api.code()) {
                *range = (*api.stable_versions().start(), *api.stable_versions().start());
            }
        }
    });
    use_all(play)
}

fn only_new(play: &mut Play<'_>) -> Step {
    play.cluster.with(|state| {
        for api in ApiKey::ALL.iter().copied().filter(|api| *api != ApiKey::ApiVersions) {
            if let Some(range) = state.versions.get_mut(&api.code()) {
                *range = (*api.stable_versions().end(), *api.stable_versions().end());
            }
        }
    });
    use_all(play)
}

fn above(play: &mut Play<'_>) -> Step {
    play.cluster.with(|state| {
        state.topic(TOPIC, 1);
        let keys: Vec<i16> = state.versions.keys().copied().collect();
        for key in keys.into_iter().filter(|key| *key != ApiKey::ApiVersions.code()) {
            state.versions.entry(key).and_modify(|range| *range = (70, 90));
        }
    });
    play.produce(json!({"delivery_timeout_ms": 4000}), &[record(0, "a")])?;
    must_be_listed(play)
}

fn missing(play: &mut Play<'_>) -> Step {
    play.cluster.with(|state| {
        let gone = [ApiKey::InitProducerId, ApiKey::OffsetForLeaderEpoch, ApiKey::DescribeCluster];
        state.versions.retain(|key, _| !gone.iter().any(|api| api.code() == *key));
    });
    use_all(play)
}

fn each_connection(play: &mut Play<'_>) -> Step {
    play.topic(1);
    let mut producer = play.producer(json!({"wait_each": true}))?;
    producer.send(&record(0, "a"));
    producer.sent(0)?;
    let Some(usual) = play.version(ApiKey::Produce) else {
        return Err(Stop::blocked("no Produce came, though a record was written"));
    };
    let lower = (usual - 1).max(3);
    let before = play.cluster.with(|state| state.connections.len());
    play.cluster.with(move |state| state.list(ApiKey::Produce, 0, lower));
    play.cluster.rule(move |seen, _| {
        (seen.is(ApiKey::Produce) && seen.version > lower).then(Act::lose_request)
    });
    producer.send(&record(0, "b"));
    let sent = producer.sent(1)?;
    producer.end()?;
    let seen = play.cluster.seen();
    let connections = play.cluster.with(|state| state.connections.clone());
    for (number, ..) in &connections[before..] {
        let Some(first) = seen.iter().find(|seen| seen.connection == *number) else { continue };
        play.must(EACH_CONNECTION, first.is(ApiKey::ApiVersions), || {
            format!("a later connection began with {}", first.shown())
        })?;
        let other = seen.iter().find(|seen| {
            seen.connection == *number && seen.is(ApiKey::Produce) && seen.version > lower
        });
        play.must(LISTED_ONLY, other.is_none(), || {
            let shown = other.map(|seen| seen.shown()).unwrap_or_default();
            format!("the connection lists Produce up to {lower}, and got {shown}")
        })?;
    }
    play.must_be_written(EACH_CONNECTION, &[sent])
}

fn unknown_keys(play: &mut Play<'_>) -> Step {
    play.cluster.with(|state| {
        state.topic(TOPIC, 1);
        state.versions.extend([(-1, (0, 0)), (999, (0, 3)), (i16::MAX, (7, 7))]);
    });
    let sent = play.produce(json!({}), &[record(0, "a")])?;
    play.must_be_written(UNKNOWN_KEYS, &sent)
}
