//! FindCoordinator: who coordinates a group, and whether the answers agree.

use super::common::metadata_of;
use super::groups::find;
use super::offsets::{Committer, Topic, commit_is, mark};
use super::told::Told;
use crate::case::{Case, Profile::Groups};
use crate::context::{Context, Step, error_name, resolve};
use crate::findings::Asserts;
use crate::wire::Wire;
use ottla_protocol::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use ottla_protocol::messages::{ApiKey, MetadataResponse, Request};
use std::collections::BTreeSet;

const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const INVALID_REQUEST: i16 = 42;

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "find-coordinator/is-found",
        Groups,
        (ApiKey::FindCoordinator, 0),
        is_found,
        &[
            "K-FIND-COORDINATOR-001",
            "K-FIND-COORDINATOR-002",
            "K-FIND-COORDINATOR-003",
            "K-FIND-COORDINATOR-008",
            "K-FIND-COORDINATOR-009",
        ],
    ),
    Case::each(
        "find-coordinator/key-types",
        Groups,
        (ApiKey::FindCoordinator, 1),
        key_types,
        &["K-FIND-COORDINATOR-007"],
    ),
    Case::each(
        "find-coordinator/several-keys",
        Groups,
        (ApiKey::FindCoordinator, 4),
        several_keys,
        &["K-FIND-COORDINATOR-004", "K-FIND-COORDINATOR-010"],
    ),
];

fn ask(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    request: &Request,
) -> Step<FindCoordinatorResponse> {
    context.call(statement, wire, request)
}

/// The answer for one key, whichever shape the version has.
fn only(answer: FindCoordinatorResponse, version: i16) -> Option<Coordinator> {
    if version >= 4 {
        return answer.coordinators.into_iter().next();
    }
    Some(Coordinator {
        node_id: answer.node_id,
        host: answer.host,
        port: answer.port,
        error_code: answer.error_code,
        error_message: answer.error_message,
        ..Default::default()
    })
}

/// Asks until the coordinator is there.
fn found(context: &mut Context<'_>, wire: &mut Wire, group: &str) -> Step<Coordinator> {
    let (one, two) = ("K-FIND-COORDINATOR-001", "K-FIND-COORDINATOR-002");
    let version = context.version();
    let until = context.deadline();
    loop {
        let answer = ask(context, wire, one, &find(version, group, 0))?;
        let answer = only(answer, version);
        let code = answer.as_ref().map(|one| one.error_code);
        let is_known = matches!(code, Some(0 | COORDINATOR_NOT_AVAILABLE));
        context.must(one, is_known, || {
            format!("a group's coordinator is answered with {}", answer.told())
        })?;
        match answer {
            Some(found) if found.error_code == 0 => {
                context.held(two);
                return Ok(found);
            }
            _ => context.must_before(two, until, || {
                "the coordinator is still not available at the deadline".to_owned()
            })?,
        }
    }
}

fn is_found(context: &mut Context<'_>) -> Step {
    let (three, nine) = ("K-FIND-COORDINATOR-003", "K-FIND-COORDINATOR-009");
    let group = context.name();
    let mut wire = context.connect()?;
    let first = found(context, &mut wire, &group)?;
    let cluster: MetadataResponse = context.prepare(&mut wire, &metadata_of(12, &[]))?;
    let node = cluster.brokers.iter().find(|broker| broker.node_id == first.node_id);
    let address = node.map(|broker| (&broker.host, broker.port));
    context.must(nine, address == Some((&first.host, first.port)), || {
        let (here, there) = (first.told(), address.told());
        format!("FindCoordinator gives {here}; Metadata gives {there} for this node")
    })?;
    for broker in &cluster.brokers {
        let mut wire = context.connect_to(resolve(&broker.host, broker.port)?)?;
        let again = found(context, &mut wire, &group)?;
        context.must(three, again.node_id == first.node_id, || {
            let (asked, was, is) = (broker.node_id, first.node_id, again.node_id);
            format!("the coordinator is node {was}; broker {asked} says node {is}")
        })?;
    }
    let topic = Topic::new(context, 1)?;
    let mut wire = context.connect_to(resolve(&first.host, first.port)?)?;
    let it = (&topic, mark(0, 5), 0);
    let who = Committer::alone(&group);
    commit_is(context, &mut wire, "K-FIND-COORDINATOR-008", &who, it, "at the coordinator")
}

fn key_types(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let mut wire = context.connect()?;
    let group = context.name();
    for key_type in [-1, 77] {
        let request = find(version, &group, key_type);
        let answer = ask(context, &mut wire, "K-FIND-COORDINATOR-007", &request)?;
        // The error stands at the top in every version, at the key too from version 4 on.
        let at_key = answer.coordinators.first().map_or(0, |one| one.error_code);
        let code = if answer.error_code == 0 { at_key } else { answer.error_code };
        context.must("K-FIND-COORDINATOR-007", code == INVALID_REQUEST, || {
            format!("key type {key_type} is answered with {}", error_name(code))
        })?;
    }
    Ok(())
}

fn several_keys(context: &mut Context<'_>) -> Step {
    let (four, ten) = ("K-FIND-COORDINATOR-004", "K-FIND-COORDINATOR-010");
    let mut wire = context.connect()?;
    let names = [context.name(), context.name(), context.name()];
    found(context, &mut wire, &names[0])?;
    let keys = |keys: &[String]| {
        let coordinator_keys = keys.to_vec();
        let request = FindCoordinatorRequest { coordinator_keys, ..Default::default() };
        Request::FindCoordinator(Box::new(request))
    };
    let answer = ask(context, &mut wire, four, &keys(&names))?;
    let told: BTreeSet<&String> = answer.coordinators.iter().map(|one| &one.key).collect();
    let is_whole = answer.coordinators.len() == 3 && told == names.iter().collect();
    context.must(four, is_whole, || {
        format!("three keys are answered with {}", answer.coordinators.told())
    })?;
    let bad = answer
        .coordinators
        .iter()
        .find(|one| !matches!(one.error_code, 0 | COORDINATOR_NOT_AVAILABLE));
    context.must(four, bad.is_none(), || format!("one of three keys: {}", bad.told()))?;
    let answer = ask(context, &mut wire, ten, &keys(&[]))?;
    let (code, count) = (answer.error_code, answer.coordinators.len());
    context.must(ten, code == 0 && count == 0, || {
        format!("no keys are answered with {} and {count} coordinators", error_name(code))
    })
}
