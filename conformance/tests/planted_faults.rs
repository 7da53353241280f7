//! A broker with a planted fault is told by the statement that the fault breaks, and by no other.
//!
//! The faults are in a relay between the suite and our broker, which decodes answers, changes them
//! and encodes them again.

mod relay;

use ottla_conformance::case::Test;
use ottla_conformance::runner;
use ottla_conformance::suites;
use ottla_conformance::target::Target;
use ottla_conformance::verdict::Verdict;
use ottla_protocol::messages::{ApiKey, Request, Response};
use relay::{Change, Relay};

/// A fault: the test that meets it, the statement that must be named, what is changed and where.
struct Planted {
    test: &'static str,
    statement: &'static str,
    api: ApiKey,
    version: Option<i16>,
    change: Change,
}

macro_rules! planted {
    ($test:literal, $statement:literal, $api:ident, $version:expr, raw $change:expr) => {
        planted!(@ $test, $statement, $api, $version, Change::Raw($change))
    };
    ($test:literal, $statement:literal, $api:ident, $version:expr, swap) => {
        planted!(@ $test, $statement, $api, $version, Change::Swap)
    };
    ($test:literal, $statement:literal, $api:ident, $version:expr, answer $change:expr) => {
        planted!(@ $test, $statement, $api, $version, Change::Answer($change))
    };
    ($test:literal, $statement:literal, $api:ident, $version:expr, $change:expr) => {
        planted!(@ $test, $statement, $api, $version, Change::Body(|answer| {
            if let Response::$api(answer) = answer {
                $change(&mut **answer);
            }
        }))
    };
    (@ $test:literal, $statement:literal, $api:ident, $version:expr, $change:expr) => {
        Planted {
            test: $test,
            statement: $statement,
            api: ApiKey::$api,
            version: $version,
            change: $change,
        }
    };
}

type Api = ottla_protocol::messages::api_versions::ApiVersionsResponse;
type Metadata = ottla_protocol::messages::metadata::MetadataResponse;
type Produce = ottla_protocol::messages::produce::ProduceResponse;
type Fetch = ottla_protocol::messages::fetch::FetchResponse;
type ListOffsets = ottla_protocol::messages::list_offsets::ListOffsetsResponse;
type Join = ottla_protocol::messages::join_group::JoinGroupResponse;
type Sync = ottla_protocol::messages::sync_group::SyncGroupResponse;
type Heartbeat = ottla_protocol::messages::heartbeat::HeartbeatResponse;
type ProducerId = ottla_protocol::messages::init_producer_id::InitProducerIdResponse;
type Epochs = ottla_protocol::messages::offset_for_leader_epoch::OffsetForLeaderEpochResponse;
type Leave = ottla_protocol::messages::leave_group::LeaveGroupResponse;

fn each_fetched(
    answer: &mut Fetch,
    change: impl Fn(&mut ottla_protocol::messages::fetch::PartitionData),
) {
    answer.responses.iter_mut().flat_map(|topic| &mut topic.partitions).for_each(change);
}

fn each_produced(
    answer: &mut Produce,
    change: impl Fn(&mut ottla_protocol::messages::produce::PartitionProduceResponse),
) {
    answer.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses).for_each(change);
}

fn each_listed(
    answer: &mut ListOffsets,
    change: impl Fn(&mut ottla_protocol::messages::list_offsets::ListOffsetsPartitionResponse),
) {
    answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions).for_each(change);
}

/// A follower's SyncGroup gets nothing at once.
fn nothing_for_followers(request: &Request) -> Option<Response> {
    match request {
        Request::SyncGroup(sync) if sync.assignments.is_empty() => {
            Some(Response::SyncGroup(Box::default()))
        }
        _ => None,
    }
}

/// Frames and negotiation.
fn connections() -> Vec<Planted> {
    vec![
        planted!(
            "framing/correlation-ids",
            "K-FRAMING-009",
            ApiVersions,
            None,
            raw | frame | {
                frame[3] ^= 1;
            }
        ),
        planted!("framing/many-in-one-segment", "K-FRAMING-007", ApiVersions, None, swap),
        planted!(
            "framing/response-header@v9",
            "K-FRAMING-018",
            Metadata,
            Some(9),
            raw | frame | {
                frame.remove(4);
            }
        ),
        planted!(
            "framing/response-header@v8",
            "K-FRAMING-019",
            Metadata,
            Some(8),
            raw | frame | {
                frame.insert(4, 0);
            }
        ),
        planted!(
            "api-versions/first-and-later@v3",
            "K-API-VERSIONS-004",
            ApiVersions,
            Some(3),
            raw | frame | frame.insert(4, 0)
        ),
        planted!(
            "api-versions/ranges@v1",
            "K-API-VERSIONS-015",
            ApiVersions,
            Some(1),
            |a: &mut Api| {
                let twice = a.api_keys[0].clone();
                a.api_keys.push(twice);
            }
        ),
        planted!(
            "api-versions/ranges@v2",
            "K-API-VERSIONS-014",
            ApiVersions,
            Some(2),
            |a: &mut Api| {
                a.api_keys[1].min_version = a.api_keys[1].max_version + 1;
            }
        ),
    ]
}

/// What the cluster says of itself.
fn cluster() -> Vec<Planted> {
    vec![
        planted!(
            "metadata/holds-together@v7",
            "K-METADATA-018",
            Metadata,
            Some(7),
            |a: &mut Metadata| {
                a.topics[0].partitions[1].leader_id = 99;
            }
        ),
        planted!("metadata/cluster@v5", "K-METADATA-023", Metadata, Some(5), |a: &mut Metadata| {
            a.cluster_id = None;
        }),
        planted!("metadata/cluster@v6", "K-METADATA-025", Metadata, Some(6), |a: &mut Metadata| {
            a.controller_id = 77;
        }),
    ]
}

/// Records: in, out, where.
fn records() -> Vec<Planted> {
    vec![
        planted!("produce/create-time@v7", "K-PRODUCE-017", Produce, Some(7), |a: &mut Produce| {
            each_produced(a, |one| one.base_offset += 1);
        }),
        planted!(
            "produce-validation/crc@v8",
            "K-PRODUCE-VALIDATION-003",
            Produce,
            Some(8),
            |a: &mut Produce| each_produced(a, |one| one.error_code = 87)
        ),
        planted!("malformed/batches@v7", "K-MALFORMED-018", Produce, Some(7), |a: &mut Produce| {
            each_produced(a, |one| one.error_code = 0);
        }),
        planted!("fetch/marks@v11", "K-FETCH-019", Fetch, Some(11), |a: &mut Fetch| {
            each_fetched(a, |one| one.high_watermark += 1);
        }),
        planted!("fetch/marks@v10", "K-FETCH-033", Fetch, Some(10), |a: &mut Fetch| {
            each_fetched(a, |one| one.records = None);
        }),
        planted!("fetch/every-offset@v9", "K-FETCH-037", Fetch, Some(9), |a: &mut Fetch| {
            each_fetched(a, |one| {
                // The first batch says that it is shorter than any can be.
                one.records = one.records.as_ref().map(|records| {
                    let mut bytes = records.to_vec();
                    bytes[8..12].copy_from_slice(&[0, 0, 0, 5]);
                    bytes.into()
                });
            });
        }),
        planted!("produce/append-time@v9", "K-PRODUCE-015", Fetch, None, |a: &mut Fetch| {
            each_fetched(a, |one| {
                let flipped = one.records.as_ref().map(|records| {
                    let mut bytes = records.to_vec();
                    if let Some(last) = bytes.last_mut() {
                        *last ^= 1;
                    }
                    bytes.into()
                });
                one.records = flipped;
            });
        }),
    ]
}

/// Offsets, epochs and producer ids.
fn positions() -> Vec<Planted> {
    vec![
        planted!(
            "fetch-sessions/unknown-session@v11",
            "K-FETCH-SESSIONS-004",
            Fetch,
            Some(11),
            |a: &mut Fetch| a.error_code = 71
        ),
        planted!(
            "list-offsets/ends@v5",
            "K-LIST-OFFSETS-001",
            ListOffsets,
            Some(5),
            |a: &mut ListOffsets| {
                each_listed(a, |one| one.offset += 1);
            }
        ),
        planted!(
            "leader-epochs/known-and-unknown@v3",
            "K-LEADER-EPOCHS-003",
            OffsetForLeaderEpoch,
            Some(3),
            |a: &mut Epochs| {
                let all = a.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
                all.filter(|one| one.end_offset >= 0).for_each(|one| one.end_offset += 1);
            }
        ),
        planted!(
            "idempotence/producer-ids@v2",
            "K-IDEMPOTENCE-023",
            InitProducerId,
            Some(2),
            |a: &mut ProducerId| a.producer_id = 5
        ),
    ]
}

/// Members.
fn groups() -> Vec<Planted> {
    vec![
        planted!(
            "join-group/member-ids@v5",
            "K-JOIN-GROUP-001",
            JoinGroup,
            Some(5),
            |a: &mut Join| {
                if a.error_code == 79 {
                    a.member_id.clear();
                }
            }
        ),
        planted!(
            "join-group/two-members@v2",
            "K-JOIN-GROUP-022",
            JoinGroup,
            Some(2),
            |a: &mut Join| {
                a.generation_id = 1;
            }
        ),
        planted!(
            "sync-group/two-members@v2",
            "K-SYNC-GROUP-001",
            SyncGroup,
            Some(2),
            answer nothing_for_followers
        ),
        planted!(
            "sync-group/two-members@v3",
            "K-SYNC-GROUP-003",
            SyncGroup,
            Some(3),
            |a: &mut Sync| {
                a.assignment = ottla_protocol::Bytes::from_static(b"another's");
            }
        ),
        planted!(
            "heartbeat/answers@v2",
            "K-HEARTBEAT-002",
            Heartbeat,
            Some(2),
            |a: &mut Heartbeat| {
                if a.error_code == 25 {
                    a.error_code = 22;
                }
            }
        ),
        planted!(
            "leave-group/members@v3",
            "K-LEAVE-GROUP-001",
            LeaveGroup,
            Some(3),
            |a: &mut Leave| {
                a.members.pop();
            }
        ),
    ]
}

#[test]
fn planted_faults_are_caught_by_the_statements_that_name_them() {
    let relay = Relay::start();
    let target = Target::reach(&relay.address().to_string()).expect("the relay answers");
    let all: Vec<Test> = suites::all().flat_map(Test::of).collect();
    let mut wrong = Vec::new();
    for (number, planted) in connections()
        .into_iter()
        .chain(cluster())
        .chain(records())
        .chain(positions())
        .chain(groups())
        .enumerate()
    {
        let test = all.iter().find(|test| test.id() == planted.test);
        let Some(test) = test else {
            wrong.push(format!("{} is no test", planted.test));
            continue;
        };
        relay.plant(None);
        let without = runner::run_one(&target, test, &format!("without-{number}"));
        if without.verdict != Verdict::Pass {
            wrong.push(format!("{} without a fault: {without:?}", planted.test));
        }
        relay.plant(Some((planted.api, planted.version, planted.change)));
        let with = runner::run_one(&target, test, &format!("with-{number}"));
        let caught = (with.verdict, with.statement.as_deref());
        if caught != (Verdict::Fail, Some(planted.statement)) {
            let (test, statement, message) = (planted.test, planted.statement, with.message);
            wrong.push(format!("{test}: {statement} should fail; {caught:?} {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
