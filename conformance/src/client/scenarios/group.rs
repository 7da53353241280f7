//! Being a member: joining, errors of coordinators, leaving.

use crate::client::Scenario;
use crate::client::act::Act;
use crate::client::log::batch;
use crate::client::play::{Play, Step, TOPIC};
use crate::client::state::State;
use crate::client::words::{listed, quoted};
use crate::findings::Asserts;
use crate::verdict::Stop;
use ottla_protocol::messages::join_group::JoinGroupRequest;
use ottla_protocol::messages::{ApiKey, Request, Response};
use serde_json::json;
use std::time::{Duration, Instant};

const MEMBER_ID: &str = "K-CLIENT-GROUP-001";
const LEADER: &str = "K-CLIENT-GROUP-002";
const FOLLOWER: &str = "K-CLIENT-GROUP-003";
const REBALANCE: &str = "K-CLIENT-GROUP-004";
const GENERATION: &str = "K-CLIENT-GROUP-005";
const UNKNOWN_MEMBER: &str = "K-CLIENT-GROUP-006";
const FENCED: &str = "K-CLIENT-GROUP-007";
const NOT_COORDINATOR: &str = "K-CLIENT-GROUP-008";
const LOADING: &str = "K-CLIENT-GROUP-009";
const NOT_AVAILABLE: &str = "K-CLIENT-GROUP-010";
const HEARTBEATS: &str = "K-CLIENT-GROUP-011";
const WAITS: &str = "K-CLIENT-GROUP-012";
const LEAVES: &str = "K-CLIENT-GROUP-013";
const STAYS: &str = "K-CLIENT-GROUP-014";
const EMPTY_ASSIGNMENT: &str = "K-CLIENT-GROUP-021";
const LAST_GENERATION: &str = "K-CLIENT-GROUP-022";
const SKIPS: &str = "K-CLIENT-GROUP-023";

/// How long joining again takes, while an application ends.
const JOINS_FOR: Duration = Duration::from_secs(3);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("client/member-id-required", member_id, &[MEMBER_ID]),
    Scenario::new("client/leads-the-group", leads, &[LEADER]),
    Scenario::new("client/follows-in-the-group", follows, &[FOLLOWER, LEADER]),
    Scenario::new("client/rebalance-in-progress", rebalance, &[REBALANCE]),
    Scenario::new("client/illegal-generation", illegal_generation, &[GENERATION]),
    Scenario::new("client/unknown-member", unknown_member, &[UNKNOWN_MEMBER]),
    Scenario::new("client/fenced-instance", fenced, &[FENCED]),
    Scenario::new("client/coordinator-moved", moved, &[NOT_COORDINATOR]),
    Scenario::new("client/coordinator-moved-before-joining", moved_early, &[NOT_COORDINATOR]),
    Scenario::new("client/coordinator-loads", loads, &[LOADING]),
    Scenario::new("client/coordinator-not-available", not_available, &[NOT_AVAILABLE]),
    Scenario::new("client/heartbeats-while-working", heartbeats, &[HEARTBEATS]),
    Scenario::new("client/slow-rebalance", slow_join, &[WAITS]),
    Scenario::new("client/leaves-the-group", leaves, &[LEAVES]),
    Scenario::new("client/static-member-stays", stays, &[STAYS]),
    Scenario::new("client/empty-assignment", empty_assignment, &[EMPTY_ASSIGNMENT]),
    Scenario::new("client/generation-of-the-last-join", last_generation, &[LAST_GENERATION]),
    Scenario::new("client/skip-assignment", skip_assignment, &[SKIPS]),
];

/// Every JoinGroup so far.
fn joins(play: &Play<'_>) -> Vec<JoinGroupRequest> {
    let join = |seen: &std::sync::Arc<crate::client::cluster::Seen>| match &seen.request {
        Ok(Request::JoinGroup(join)) => Some((**join).clone()),
        _ => None,
    };
    play.seen(ApiKey::JoinGroup).iter().filter_map(join).collect()
}

/// Member ids, the empty one among them.
fn listed_ids(ids: &[String]) -> String {
    listed(ids.iter().map(|id| quoted(Some(id))))
}

/// How many assignments each SyncGroup had.
fn assignments(play: &Play<'_>) -> Vec<usize> {
    let sync = |seen: &std::sync::Arc<crate::client::cluster::Seen>| match &seen.request {
        Ok(Request::SyncGroup(sync)) => Some(sync.assignments.len()),
        _ => None,
    };
    play.seen(ApiKey::SyncGroup).iter().filter_map(sync).collect()
}

/// A topic of one partition with a record in it.
fn one_record(play: &Play<'_>) {
    play.topic(1);
    play.store(0, [batch(0, 1)]);
}

fn member_id(play: &mut Play<'_>) -> Step {
    one_record(play);
    play.consume(json!({}), 1)?;
    play.needs(ApiKey::JoinGroup, 4)?;
    let ids: Vec<String> = joins(play).into_iter().map(|join| join.member_id).collect();
    play.must(MEMBER_ID, ids.first().is_some_and(String::is_empty), || {
        format!("the first JoinGroup had a member id; the ids are {}", listed_ids(&ids))
    })?;
    play.must(MEMBER_ID, ids.get(1).is_some_and(|id| id == "member-1"), || {
        format!("given the id member-1, the ids of its JoinGroups are {}", listed_ids(&ids))
    })
}

fn leads(play: &mut Play<'_>) -> Step {
    one_record(play);
    play.consume(json!({}), 1)?;
    let sent = assignments(play);
    play.must(LEADER, sent.last() == Some(&1), || {
        format!("the leader of a group of one member sent {} assignments", listed(&sent))
    })
}

fn follows(play: &mut Play<'_>) -> Step {
    one_record(play);
    play.cluster.with(|state| {
        (state.group.is_led, state.group.assignment) = (true, vec![(TOPIC.to_owned(), 0)]);
    });
    play.consume(json!({}), 1)?;
    let sent = assignments(play);
    play.must(FOLLOWER, sent.iter().all(|count| *count == 0), || {
        format!("a member that does not lead sent {} assignments", listed(&sent))
    })
}

fn rebalance(play: &mut Play<'_>) -> Step {
    one_record(play);
    let mut consumer = play.consumer(json!({}))?;
    consumer.deliver(1)?;
    let before = joins(play).len();
    play.cluster.with(|state| state.group.is_rebalancing = true);
    play.must_see(REBALANCE, "JoinGroup after REBALANCE_IN_PROGRESS", |state| {
        state.count(ApiKey::JoinGroup) > before
    })?;
    let (joined, member) = (joins(play), play.cluster.with(|state| state.group.member.clone()));
    let id = &joined[before].member_id;
    play.must(REBALANCE, *id == member, || format!("{member} joined again with member id {id:?}"))
}

/// Refuses the next heartbeat, and waits until the client joins again; how often it had before.
fn refuse_heartbeat(
    play: &mut Play<'_>,
    statement: &'static str,
    code: i16,
    and: impl Fn(&mut State) + Send + 'static,
) -> Step<usize> {
    let before = joins(play).len();
    let mut is_told = false;
    play.cluster.rule(move |seen, state| {
        if !seen.is(ApiKey::Heartbeat) || is_told {
            return None;
        }
        is_told = true;
        and(state);
        Some(Act::refuse(code))
    });
    play.must_see(statement, &format!("JoinGroup after error {code}"), |state| {
        state.count(ApiKey::JoinGroup) > before
    })?;
    Ok(before)
}

/// The application commits while the member joins again: the answer to that JoinGroup waits.
fn illegal_generation(play: &mut Play<'_>) -> Step {
    one_record(play);
    let mut consumer = play.consumer(json!({}))?;
    consumer.deliver(1)?;
    play.first(ApiKey::JoinGroup, 1, || Act::plain().after(JOINS_FOR));
    refuse_heartbeat(play, GENERATION, 22, |state| state.group.generation += 10)?;
    consumer.end()?;
    let seen = play.cluster.seen();
    let refused = seen.iter().position(|seen| seen.is(ApiKey::Heartbeat)).unwrap_or(0);
    for seen in &seen[refused..] {
        let Ok(Request::OffsetCommit(commit)) = &seen.request else { continue };
        let generation = commit.generation_id_or_member_epoch;
        play.must(GENERATION, !(0..=10).contains(&generation), || {
            format!("{} is of generation {generation}, which is over", seen.shown())
        })?;
    }
    play.must(GENERATION, true, String::new)
}

fn unknown_member(play: &mut Play<'_>) -> Step {
    one_record(play);
    let mut consumer = play.consumer(json!({}))?;
    consumer.deliver(1)?;
    let before = refuse_heartbeat(play, UNKNOWN_MEMBER, 25, |state| {
        state.group.member.clear();
    })?;
    let id = joins(play)[before].member_id.clone();
    play.must(UNKNOWN_MEMBER, id.is_empty(), || format!("it joined again with member id {id:?}"))
}

fn fenced(play: &mut Play<'_>) -> Step {
    one_record(play);
    let config = json!({"group.instance.id": "played-1", "heartbeat.interval.ms": 500});
    let mut consumer = play.consumer(json!({"config": config}))?;
    consumer.deliver(1)?;
    if joins(play).iter().all(|join| join.group_instance_id.is_none()) {
        return Err(Stop::unsupported("the client joins without an instance id"));
    }
    let fenced = [ApiKey::Heartbeat, ApiKey::JoinGroup, ApiKey::SyncGroup, ApiKey::OffsetCommit];
    play.cluster
        .rule(move |seen, _| fenced.iter().any(|api| seen.is(*api)).then(|| Act::refuse(82)));
    let told = consumer.read_until(play.deadline(), |consumer| !consumer.errors().is_empty())?;
    play.must(FENCED, told, || "FENCED_INSTANCE_ID, and no error was told".to_owned())
}

fn moved(play: &mut Play<'_>) -> Step {
    one_record(play);
    play.cluster.with(|state| state.nodes = [1, 2].into());
    let mut consumer = play.consumer(json!({}))?;
    consumer.deliver(1)?;
    play.cluster.with(|state| state.group.coordinator = 2);
    play.must_see(NOT_COORDINATOR, "Heartbeat or JoinGroup at the new coordinator", |state| {
        state.seen.iter().any(|seen| {
            seen.node == 2 && (seen.is(ApiKey::Heartbeat) || seen.is(ApiKey::JoinGroup))
        })
    })
}

fn moved_early(play: &mut Play<'_>) -> Step {
    one_record(play);
    play.cluster.with(|state| state.nodes = [1, 2].into());
    let mut is_moved = false;
    play.cluster.rule(move |seen, state| {
        if seen.is(ApiKey::JoinGroup) && !is_moved {
            is_moved = true;
            state.group.coordinator = 2;
        }
        None
    });
    play.blame(NOT_COORDINATOR);
    play.consume(json!({}), 1)?;
    let asked = play.seen(ApiKey::FindCoordinator).len();
    play.must(NOT_COORDINATOR, asked >= 2, || format!("FindCoordinator came {asked} times"))
}

fn loads(play: &mut Play<'_>) -> Step {
    one_record(play);
    for api in [ApiKey::JoinGroup, ApiKey::SyncGroup, ApiKey::OffsetFetch] {
        play.first(api, 1, || Act::refuse(14));
    }
    play.consume(json!({}), 1)?;
    play.must(LOADING, true, String::new)
}

fn not_available(play: &mut Play<'_>) -> Step {
    one_record(play);
    play.first(ApiKey::FindCoordinator, 3, || Act::refuse(15));
    play.consume(json!({}), 1)?;
    let asked = play.seen(ApiKey::FindCoordinator).len();
    play.must(NOT_AVAILABLE, asked >= 4, || format!("FindCoordinator came {asked} times"))
}

/// The application works while nobody reads what the shim says.
fn heartbeats(play: &mut Play<'_>) -> Step {
    play.topic(1);
    play.store(0, (0..60).map(|n| batch(n * 100, 100)));
    let settings = json!({"config": {"heartbeat.interval.ms": 300}});
    let mut consumer = play.consumer(settings)?;
    consumer.deliver(1)?;
    let before = play.seen(ApiKey::Heartbeat).len();
    play.must_see(HEARTBEATS, "five heartbeats while the application works", |state| {
        state.count(ApiKey::Heartbeat) >= before + 5
    })?;
    consumer.deliver(6_000)
}

fn slow_join(play: &mut Play<'_>) -> Step {
    one_record(play);
    let late = Duration::from_secs(5);
    let mut is_slow = true;
    play.cluster.rule(move |seen, _| {
        let Ok(Request::JoinGroup(join)) = &seen.request else { return None };
        if join.member_id.is_empty() && seen.version >= 4 || !is_slow {
            return None;
        }
        is_slow = false;
        Some(Act::plain().after(late))
    });
    let config = json!({
        "max.poll.interval.ms": 4000, "request.timeout.ms": 2000, "heartbeat.interval.ms": 500,
    });
    let settings = json!({"config": config, "session_timeout_ms": 3000});
    let mut consumer = play.consumer(settings)?;
    consumer.deliver(1)?;
    let joined = joins(play);
    let timeout = joined.last().map_or(-1, |join| join.rebalance_timeout_ms);
    if timeout > late.as_millis() as i32 {
        let text = format!("the client's rebalance timeout is {timeout} ms, not 4000");
        return Err(Stop::unsupported(text));
    }
    let count = joined.iter().filter(|join| !join.member_id.is_empty()).count();
    play.should(WAITS, count <= 1, || {
        format!("it joined {count} times in the 5 s of one rebalance, with {timeout} ms for it")
    });
    Ok(())
}

fn leaves(play: &mut Play<'_>) -> Step {
    one_record(play);
    play.consume(json!({}), 1)?;
    let came = play
        .cluster
        .wait(Instant::now() + Duration::from_secs(1), |state| state.count(ApiKey::LeaveGroup) > 0);
    play.should(LEAVES, came, || "it closed without LeaveGroup".to_owned());
    Ok(())
}

fn stays(play: &mut Play<'_>) -> Step {
    one_record(play);
    let config = json!({"group.instance.id": "played-1"});
    play.consume(json!({"config": config}), 1)?;
    if joins(play).iter().all(|join| join.group_instance_id.is_none()) {
        return Err(Stop::unsupported("the client joins without an instance id"));
    }
    let left = play.seen(ApiKey::LeaveGroup).len();
    play.must(STAYS, left == 0, || "a static member that was closed left the group".to_owned())
}

fn empty_assignment(play: &mut Play<'_>) -> Step {
    one_record(play);
    play.cluster.with(|state| state.group.is_led = true);
    play.cluster.rule(|seen, _| {
        seen.is(ApiKey::SyncGroup).then(|| {
            Act::edit(|answer| {
                if let Response::SyncGroup(answer) = answer {
                    answer.assignment = Default::default();
                }
            })
        })
    });
    let mut consumer = play.consumer(json!({}))?;
    let beats = play.cluster.wait(play.deadline(), |state| state.count(ApiKey::Heartbeat) >= 3);
    // Apache Kafka's own client takes them for damage and leaves, hence no MUST.
    play.should(EMPTY_ASSIGNMENT, beats, || "it did not stay, without partitions".to_owned());
    if !beats {
        return Ok(());
    }
    consumer.end()?;
    let errors = consumer.errors();
    play.should(EMPTY_ASSIGNMENT, errors.is_empty(), || {
        format!("it told {}", listed(errors.iter().map(|error| error.shown())))
    });
    let fetched = play.seen(ApiKey::Fetch).len();
    play.should(EMPTY_ASSIGNMENT, fetched == 0, || format!("it fetched {fetched} times"));
    Ok(())
}

fn last_generation(play: &mut Play<'_>) -> Step {
    one_record(play);
    let mut consumer = play.consumer(json!({}))?;
    consumer.deliver(1)?;
    play.cluster.with(|state| state.group.is_rebalancing = true);
    play.must_see(LAST_GENERATION, "second SyncGroup", |state| {
        state.count(ApiKey::SyncGroup) >= 2
    })?;
    let before = play.cluster.seen().len();
    let beats = play.seen(ApiKey::Heartbeat).len();
    play.must_see(LAST_GENERATION, "Heartbeat after the second SyncGroup", |state| {
        state.count(ApiKey::Heartbeat) > beats
    })?;
    consumer.end()?;
    let generation = play.cluster.with(|state| state.group.generation);
    for seen in &play.cluster.seen()[before..] {
        let got = match &seen.request {
            Ok(Request::Heartbeat(beat)) => beat.generation_id,
            Ok(Request::OffsetCommit(commit)) => commit.generation_id_or_member_epoch,
            _ => continue,
        };
        play.must(LAST_GENERATION, got == generation, || {
            format!("{} has generation {got}, not {generation}", seen.shown())
        })?;
    }
    Ok(())
}

fn skip_assignment(play: &mut Play<'_>) -> Step {
    one_record(play);
    play.cluster.with(|state| {
        state.group.skips_assignment = true;
        state.group.assignment = vec![(TOPIC.to_owned(), 0)];
    });
    play.consume(json!({}), 1)?;
    play.needs(ApiKey::JoinGroup, 9)?;
    let sent = assignments(play);
    play.must(SKIPS, sent.iter().all(|count| *count == 0), || {
        format!("told to skip the assignment, it sent {} assignments", listed(&sent))
    })
}
