//! ApiVersions: negotiation, and whether what is listed is true.

use super::common::{api_versions, metadata_of};
use super::honesty;
use super::told::Told;
use crate::case::{Case, Profile::Core};
use crate::context::{Context, Step};
use crate::findings::Asserts;
use crate::wire::{self, NoAnswer, RawHeader, Wire, raw_frame};
use ottla_protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::messages::{ApiKey, MetadataResponse, Request};
use std::collections::BTreeSet;

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "api-versions/first-and-later",
        Core,
        (ApiKey::ApiVersions, 0),
        first_and_later,
        &["K-API-VERSIONS-001", "K-API-VERSIONS-003", "K-API-VERSIONS-004"],
    ),
    Case::once(
        "api-versions/above-the-highest",
        Core,
        above_the_highest,
        &[
            "K-API-VERSIONS-005",
            "K-API-VERSIONS-006",
            "K-API-VERSIONS-007",
            "K-API-VERSIONS-008",
            "K-API-VERSIONS-009",
        ],
    ),
    Case::each(
        "api-versions/client-software",
        Core,
        (ApiKey::ApiVersions, 3),
        client_software,
        &["K-API-VERSIONS-010", "K-API-VERSIONS-011", "K-API-VERSIONS-012"],
    ),
    Case::each(
        "api-versions/ranges",
        Core,
        (ApiKey::ApiVersions, 0),
        ranges,
        &["K-API-VERSIONS-014", "K-API-VERSIONS-015", "K-API-VERSIONS-018"],
    ),
    Case::once(
        "api-versions/what-clients-infer-from",
        Core,
        what_clients_infer_from,
        &["K-API-VERSIONS-019", "K-API-VERSIONS-020"],
    ),
    Case::each(
        "api-versions/features",
        Core,
        (ApiKey::ApiVersions, 3),
        features,
        &["K-API-VERSIONS-021", "K-API-VERSIONS-022", "K-API-VERSIONS-023", "K-API-VERSIONS-025"],
    ),
    Case::once(
        "api-versions/every-listed-version-is-served",
        Core,
        honesty::every_listed_version_is_served,
        &["K-API-VERSIONS-013", "K-API-VERSIONS-028"],
    ),
    Case::once(
        "api-versions/all-brokers-list-the-same",
        Core,
        all_brokers_list_the_same,
        &["K-API-VERSIONS-016"],
    ),
];

fn request(version: i16, name: &str, software_version: &str) -> Request {
    let has_software = version >= 3;
    Request::ApiVersions(Box::new(ApiVersionsRequest {
        client_software_name: if has_software { name.to_owned() } else { String::new() },
        client_software_version: if has_software {
            software_version.to_owned()
        } else {
            String::new()
        },
        ..Default::default()
    }))
}

fn ask(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    request: &Request,
) -> Step<ApiVersionsResponse> {
    context.call(statement, wire, request)
}

fn good(version: i16) -> Request {
    request(version, "ottla-conformance", "1.0")
}

fn first_and_later(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let mut wire = context.connect()?;
    let first = wire.call(version, &good(version));
    // What cannot be read begins with another header.
    let is_odd = version >= 3 && matches!(first, Err(NoAnswer::NotAFrame(_)));
    let statement = if is_odd { "K-API-VERSIONS-004" } else { "K-API-VERSIONS-001" };
    let first: ApiVersionsResponse = context.answer(statement, first)?;
    context.must("K-API-VERSIONS-001", first.error_code == 0, || {
        format!("error {} to a well-formed first request", first.error_code)
    })?;
    if version >= 3 {
        // The parser took header version 0: a section of tags would have been read as the error.
        context.held("K-API-VERSIONS-004");
    }
    let _: MetadataResponse = context.prepare(&mut wire, &metadata_of(1, &[]))?;
    let later = ask(context, &mut wire, "K-API-VERSIONS-003", &good(version))?;
    context.must("K-API-VERSIONS-003", later.error_code == 0, || {
        format!("error {} after another request", later.error_code)
    })
}

fn above_the_highest(context: &mut Context<'_>) -> Step {
    let own = context.target().advertised.get(&ApiKey::ApiVersions.code()).copied();
    let Some((first, last)) = own else {
        return context.must("K-API-VERSIONS-018", false, || "it does not list itself".to_owned());
    };
    for (version, body) in [(last + 1, &[][..]), (i16::MAX, &[0xff; 9][..])] {
        let mut wire = context.connect()?;
        let head = RawHeader {
            api_key: ApiKey::ApiVersions.code(),
            version,
            correlation_id: 9,
            client_id: Some("c"),
            tags: Some(&[0]),
        };
        let statement = if body.is_empty() { "K-API-VERSIONS-005" } else { "K-API-VERSIONS-008" };
        let sent = wire.send_bytes(&raw_frame(&head, body));
        context.answered(statement, sent)?;
        let answer = wire.receive().and_then(|f| wire::response(ApiKey::ApiVersions, 0, 9, &f));
        let answer: ApiVersionsResponse = context.answer(statement, answer)?;
        context.must(statement, answer.error_code == 35, || {
            let code = answer.error_code;
            format!("v{version} should be answered with UNSUPPORTED_VERSION (35), not {code}")
        })?;
        let listed = answer.api_keys.iter().find(|key| key.api_key == 18);
        let listed = listed.map(|key| (key.min_version, key.max_version));
        context.must("K-API-VERSIONS-006", listed == Some((first, last)), || {
            format!(
                "the answer lists {} for ApiVersions, elsewhere {first} to {last}",
                listed.told()
            )
        })?;
        let again = wire.call(last.min(4), &good(last.min(4)));
        let again: ApiVersionsResponse = context.answer("K-API-VERSIONS-007", again)?;
        context.held("K-API-VERSIONS-007");
        context.must("K-API-VERSIONS-009", again.error_code == 0, || {
            format!("a listed version on the same connection: error {}", again.error_code)
        })?;
    }
    Ok(())
}

fn client_software(context: &mut Context<'_>) -> Step {
    let version = context.version();
    for (statement, name, software) in [
        ("K-API-VERSIONS-010", "", "1.0"),
        ("K-API-VERSIONS-011", "-client", "1.0"),
        ("K-API-VERSIONS-011", "client.", "1.0"),
        ("K-API-VERSIONS-011", "a client", "1.0"),
        ("K-API-VERSIONS-011", "client", "1.0_beta"),
        ("K-API-VERSIONS-011", "client", "größe"),
    ] {
        let mut wire = context.connect()?;
        let answer = ask(context, &mut wire, statement, &request(version, name, software))?;
        context.must(statement, answer.error_code == 42, || {
            let code = answer.error_code;
            format!("software {name:?} {software:?} should be INVALID_REQUEST (42), not {code}")
        })?;
        let after = ask(context, &mut wire, "K-API-VERSIONS-012", &good(version))?;
        context.must("K-API-VERSIONS-012", after.error_code == 0, || {
            format!("a good request on the same connection: error {}", after.error_code)
        })?;
    }
    Ok(())
}

fn ranges(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let mut wire = context.connect()?;
    let answer = ask(context, &mut wire, "K-API-VERSIONS-014", &good(version))?;
    let mut seen = BTreeSet::new();
    for key in &answer.api_keys {
        let (api, first, last) = (key.api_key, key.min_version, key.max_version);
        context.must("K-API-VERSIONS-014", first <= last && first >= 0, || {
            format!("API key {api} is listed from {first} to {last}")
        })?;
        context.must("K-API-VERSIONS-015", seen.insert(api), || {
            format!("API key {api} is listed twice")
        })?;
    }
    context.must("K-API-VERSIONS-018", seen.contains(&18), || {
        "ApiVersions (18) is not in its own list".to_owned()
    })
}

fn what_clients_infer_from(context: &mut Context<'_>) -> Step {
    let first = |api: ApiKey| context.target().advertised.get(&api.code()).map(|range| range.0);
    let (produce, join) = (first(ApiKey::Produce), first(ApiKey::JoinGroup));
    context.should("K-API-VERSIONS-019", produce == Some(0), || {
        format!("Produce is listed from {}; librdkafka before 2.11 looks for 0", produce.told())
    });
    context.should("K-API-VERSIONS-020", join.is_some_and(|first| first <= 1), || {
        format!("JoinGroup is listed from {}; clients look for 0 or 1", join.told())
    });
    Ok(())
}

fn features(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let mut wire = context.connect()?;
    let first = ask(context, &mut wire, "K-API-VERSIONS-025", &good(version))?;
    let from_zero: Vec<&str> = first
        .supported_features
        .iter()
        .filter(|feature| feature.min_version == 0)
        .map(|feature| feature.name.as_str())
        .collect();
    if version == 3 {
        context.must("K-API-VERSIONS-021", from_zero.is_empty(), || {
            format!("version 3 lists features from 0: {from_zero:?}")
        })?;
    } else if version >= 4 {
        // Seen against version 3 of the same broker: what appears has its smallest version at 0.
        let mut other = context.connect()?;
        let old = other.call(3, &good(3));
        let old: ApiVersionsResponse = context.answer("K-API-VERSIONS-022", old)?;
        let older: BTreeSet<_> = old.supported_features.iter().map(|f| f.name.as_str()).collect();
        let fits = first.supported_features.len() == older.len() + from_zero.len();
        context.must("K-API-VERSIONS-022", fits, || {
            format!("version 3 lists {older:?}, version {version} from 0 {from_zero:?} and others")
        })?;
    }
    let at_zero = first.finalized_features.iter().filter(|f| f.max_version_level == 0);
    let at_zero: Vec<&str> = at_zero.map(|feature| feature.name.as_str()).collect();
    context.must("K-API-VERSIONS-023", at_zero.is_empty(), || {
        format!("features are finalised at level 0: {at_zero:?}")
    })?;
    let second = ask(context, &mut wire, "K-API-VERSIONS-025", &good(version))?;
    let (before, after) = (first.finalized_features_epoch, second.finalized_features_epoch);
    context.must("K-API-VERSIONS-025", after >= before, || {
        format!("FinalizedFeaturesEpoch fell from {before} to {after}")
    })
}

fn all_brokers_list_the_same(context: &mut Context<'_>) -> Step {
    let mut wire = context.connect()?;
    let answer: MetadataResponse = context.prepare(&mut wire, &metadata_of(1, &[]))?;
    for broker in &answer.brokers {
        let address = crate::context::resolve(&broker.host, broker.port)?;
        let mut wire = context.connect_to(address)?;
        let listed = wire.call(0, &api_versions());
        let listed: ApiVersionsResponse = context.answer("K-API-VERSIONS-016", listed)?;
        let keys = listed.api_keys.iter().map(|k| (k.api_key, (k.min_version, k.max_version)));
        let same =
            keys.collect::<std::collections::BTreeMap<_, _>>() == context.target().advertised;
        let node = broker.node_id;
        context.should("K-API-VERSIONS-016", same, || {
            format!("broker {node} lists other versions than the one that was reached first")
        });
    }
    Ok(())
}
