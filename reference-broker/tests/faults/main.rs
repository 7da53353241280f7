//! Faults on demand by the library: codes in every version of every API, what is done and what is
//! not, delays, dropped connections, throttling, pauses, counters.

mod requests;
#[path = "../support/mod.rs"]
mod support;

use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_broker::testing::{Cut, Effect, Fault, Faults, Filter};
use ottla_broker::{Broker, Config, RunningBroker};
use ottla_protocol::messages::delete_topics::DeleteTopicState;
use ottla_protocol::messages::produce::PartitionProduceData;
use ottla_protocol::messages::*;
use ottla_protocol::{ErrorCode, Uuid};
use requests::{create_topics, offset_fetch, request};
use support::{Client, batch, fetch_request, folder, frame, produce_request, sequenced};

const CODE: ErrorCode = ErrorCode::NotLeaderOrFollower;

/// A broker in this process, with two topics.
struct Fixture {
    _folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    broker: RunningBroker,
    faults: Arc<Faults>,
    client: Client,
}

fn start(data: &Path) -> impl Future<Output = RunningBroker> {
    let config = Config::dev()
        .set("listeners", "PLAINTEXT://127.0.0.1:0")
        .and_then(|config| config.set("log.dirs", data.to_str().unwrap()))
        .unwrap();
    async { Broker::start(config).await.unwrap() }
}

fn fixture() -> Fixture {
    let (folder, data) = folder();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let broker = runtime.block_on(start(&data));
    let mut client = Client::connect(broker.addr());
    client.create_topic("t", 2, &[]);
    client.create_topic("u", 1, &[]);
    // Makes the topic for the groups' offsets.
    client.call(4, request(ApiKey::FindCoordinator, 4, Uuid::ZERO));
    let faults = broker.faults();
    Fixture { _folder: folder, runtime, broker, faults, client }
}

impl Fixture {
    fn id(&self, topic: &str) -> Uuid {
        self.broker.broker().image().topics[topic].id
    }

    /// The APIs that the broker lists.
    fn served(&mut self) -> Vec<ApiKey> {
        let answer = self.client.call(4, request(ApiKey::ApiVersions, 4, Uuid::ZERO));
        let Response::ApiVersions(answer) = answer else { panic!("{answer:?}") };
        answer.api_keys.iter().filter_map(|listed| ApiKey::from_code(listed.api_key)).collect()
    }

    fn has_topic(&self, topic: &str) -> bool {
        self.broker.broker().image().topics.contains_key(topic)
    }

    /// What group `g` has committed for partition 0 of topic `t`; -1 is nothing.
    fn committed(&mut self) -> i64 {
        let request = offset_fetch(8, ("t".into(), Uuid::ZERO));
        let Response::OffsetFetch(answer) = self.client.call(8, request) else { panic!() };
        answer.groups[0].topics[0].partitions[0].committed_offset
    }

    /// An error that applies to one request.
    fn error(&self, api: ApiKey, after: bool) -> Fault {
        Fault::new(api, Effect::Error { code: CODE, after }).times(1)
    }
}

#[test]
fn every_version_of_every_api_has_a_place_for_a_code() {
    let mut fixture = fixture();
    let mut seen = 0;
    for api in &fixture.served() {
        for version in api.stable_versions() {
            let before = fixture.broker.broker().image();
            fixture.faults.add(fixture.error(*api, false)).unwrap();
            let response = fixture.client.call(version, request(*api, version, fixture.id("t")));
            let text = format!("{response:?}");
            assert!(text.contains("error_code: 6"), "{} v{version}: {text}", api.name());
            assert!(!text.contains("\\0") && !text.contains("index: -1"), "{text}");
            assert_eq!(before, fixture.broker.broker().image(), "{} was done", api.name());
            seen += 1;
        }
    }
    assert_eq!(fixture.client.fetch("t", 0, 0).high_watermark, 0, "a batch was appended");
    assert_eq!(fixture.committed(), -1, "an offset was committed");
    let applied: u64 = fixture.faults.list().iter().map(|status| status.applied).sum();
    assert_eq!((applied, fixture.faults.list().len()), (seen, usize::try_from(seen).unwrap()));
    fixture.runtime.block_on(fixture.broker.kill());
}

#[test]
fn what_is_served_first_is_done_and_answered_with_the_code() {
    let mut fixture = fixture();
    for (api, version) in [
        (ApiKey::Produce, 13),
        (ApiKey::OffsetCommit, 10),
        (ApiKey::CreateTopics, 7),
        (ApiKey::CreatePartitions, 3),
        (ApiKey::DeleteTopics, 6),
    ] {
        fixture.faults.add(fixture.error(api, true)).unwrap();
        let id = fixture.id("t");
        if api == ApiKey::DeleteTopics {
            assert_eq!(fixture.committed(), 7);
            assert_eq!(fixture.client.fetch("t", 0, 0).high_watermark, 1);
            assert_eq!(fixture.broker.broker().image().topics["t"].partitions.len(), 9);
        }
        let text = format!("{:?}", fixture.client.call(version, request(api, version, id)));
        assert!(text.contains("error_code: 6"), "{} v{version}: {text}", api.name());
    }
    assert!(fixture.has_topic("new") && !fixture.has_topic("t"));
}

#[test]
fn only_the_partition_that_is_named_fails() {
    let mut fixture = fixture();
    let error = || Fault::new(ApiKey::Produce, Effect::error(CODE));
    fixture.faults.add(error().topic("t").partition(1)).unwrap();
    let mut request = produce_request("t", 0, -1, batch(&[b"x"]));
    request.topic_data[0].partition_data.push(PartitionProduceData {
        index: 1,
        records: Some(batch(&[b"y"])),
        ..Default::default()
    });
    let Response::Produce(answer) = fixture.client.call(9, request) else { panic!() };
    let parts = &answer.responses[0].partition_responses;
    assert_eq!((parts[0].index, parts[0].error_code, parts[0].base_offset), (0, 0, 0));
    assert_eq!((parts[1].index, parts[1].error_code, parts[1].base_offset), (1, 6, -1));
    assert_eq!(fixture.client.produce("u", 0, -1, batch(&[b"z"])).error_code, 0);
    assert_eq!(fixture.faults.list()[0].applied, 1, "the topic u is another");
    assert_eq!(fixture.client.fetch("t", 1, 0).high_watermark, 0);
}

#[test]
fn only_the_names_that_are_meant_are_spared() {
    let mut fixture = fixture();
    for api in [ApiKey::CreateTopics, ApiKey::DeleteTopics] {
        fixture.faults.add(fixture.error(api, false).topic("a")).unwrap();
    }
    let Response::CreateTopics(answer) = fixture.client.call(7, create_topics(&["a", "b"])) else {
        panic!()
    };
    let codes: Vec<_> = answer.topics.iter().map(|t| (t.name.as_str(), t.error_code)).collect();
    assert_eq!(codes, [("a", 6), ("b", 0)]);
    assert!(!fixture.has_topic("a") && fixture.has_topic("b"));
    fixture.client.create_topic("a", 1, &[]);
    let state = |topic_id| DeleteTopicState { topic_id, ..Default::default() };
    let topics = vec![state(fixture.id("a")), state(fixture.id("b"))];
    let request = DeleteTopicsRequest { topics, ..Default::default() };
    let Response::DeleteTopics(answer) = fixture.client.call(6, request.clone()) else { panic!() };
    assert_eq!((answer.responses[0].error_code, answer.responses[1].error_code), (6, 0));
    assert_eq!(answer.responses[0].topic_id, request.topics[0].topic_id);
    assert!(fixture.has_topic("a") && !fixture.has_topic("b"));
}

#[test]
fn only_the_group_that_is_named_fails() {
    let mut fixture = fixture();
    for api in [ApiKey::DescribeGroups, ApiKey::FindCoordinator, ApiKey::Heartbeat] {
        fixture.faults.add(Fault::new(api, Effect::error(CODE)).group("g")).unwrap();
    }
    let both = || vec!["g".to_owned(), "h".to_owned()];
    let request = DescribeGroupsRequest { groups: both(), ..Default::default() };
    let Response::DescribeGroups(answer) = fixture.client.call(5, request) else { panic!() };
    assert_eq!((answer.groups[0].error_code, answer.groups[1].error_code), (6, 0));
    let request = FindCoordinatorRequest { coordinator_keys: both(), ..Default::default() };
    let Response::FindCoordinator(answer) = fixture.client.call(4, request) else { panic!() };
    assert_eq!((answer.coordinators[0].error_code, answer.coordinators[1].error_code), (6, 0));
    for (group, code) in [("g", 6), ("h", 25)] {
        let request = HeartbeatRequest { group_id: group.into(), ..Default::default() };
        let Response::Heartbeat(answer) = fixture.client.call(4, request) else { panic!() };
        assert_eq!(answer.error_code, code, "{group}");
    }
}

#[test]
fn errors_stand_where_clients_look_for_them() {
    let mut fixture = fixture();
    let add = |api, code| fixture.faults.add(Fault::new(api, Effect::error(code)).times(1));
    add(ApiKey::Fetch, ErrorCode::FetchSessionIdNotFound).unwrap();
    let fetch = fetch_request("t", 0, 0, 0, 1 << 20);
    let Response::Fetch(answer) = fixture.client.call(11, fetch) else { panic!() };
    assert_eq!((answer.error_code, answer.responses.len()), (70, 0));
    add(ApiKey::Metadata, ErrorCode::LeaderNotAvailable).unwrap();
    let id = Uuid::ZERO;
    let metadata = |version| request(ApiKey::Metadata, version, id);
    let Response::Metadata(answer) = fixture.client.call(12, metadata(12)) else { panic!() };
    assert_eq!((answer.topics[0].error_code, answer.topics[0].partitions.len()), (5, 0));
    let fault = Fault::new(ApiKey::Metadata, Effect::error(ErrorCode::LeaderNotAvailable));
    fixture.faults.add(fault.topic("t").partition(1).times(1)).unwrap();
    let Response::Metadata(answer) = fixture.client.call(12, metadata(12)) else { panic!() };
    let partitions = &answer.topics[0].partitions;
    assert_eq!((answer.topics[0].error_code, partitions[0].error_code), (0, 0));
    assert_eq!((partitions[1].error_code, partitions[1].leader_id), (5, -1));
    let offsets = || offset_fetch(8, ("t".into(), Uuid::ZERO));
    for (code, at_group, at_partition) in
        [(ErrorCode::NotCoordinator, 16, None), (ErrorCode::UnstableOffsetCommit, 0, Some(88))]
    {
        add(ApiKey::OffsetFetch, code).unwrap();
        let Response::OffsetFetch(answer) = fixture.client.call(8, offsets()) else { panic!() };
        assert_eq!(answer.groups[0].error_code, at_group);
        let partition = answer.groups[0].topics.first().map(|t| t.partitions[0].error_code);
        assert_eq!(partition, at_partition);
    }
    add(ApiKey::ApiVersions, ErrorCode::UnsupportedVersion).unwrap();
    let correlation_id = fixture.client.send(3, &request(ApiKey::ApiVersions, 3, id));
    let answer = fixture.client.receive(ApiKey::ApiVersions, 0, correlation_id);
    let Response::ApiVersions(answer) = answer else { panic!() };
    assert_eq!((answer.error_code, answer.api_keys.is_empty()), (35, false), "AV-02");
    // Who asks for the brokers alone has no place for an error, and is answered.
    add(ApiKey::Metadata, ErrorCode::LeaderNotAvailable).unwrap();
    let nothing = MetadataRequest { topics: Some(Vec::new()), ..Default::default() };
    let Response::Metadata(answer) = fixture.client.call(9, nothing) else { panic!() };
    assert_eq!((answer.brokers.len(), fixture.faults.list().last().unwrap().applied), (1, 0));
}

#[test]
fn errors_come_in_their_order_and_requests_are_counted() {
    let mut fixture = fixture();
    for (code, times) in [(ErrorCode::NotLeaderOrFollower, 2), (ErrorCode::RequestTimedOut, 1)] {
        let fault = Fault::new(ApiKey::Produce, Effect::error(code)).times(times);
        fixture.faults.add(fault).unwrap();
    }
    let codes: Vec<i16> =
        (0..4).map(|_| fixture.client.produce("t", 0, -1, batch(&[b"x"])).error_code).collect();
    assert_eq!(codes, [6, 6, 7, 0]);
    assert_eq!(fixture.faults.requests()[&(ApiKey::Produce, 9)], 4);
    assert_eq!(fixture.faults.list().iter().map(|status| status.applied).sum::<u64>(), 3);
    assert_eq!(fixture.faults.list()[0].left(), Some(0));
    assert_eq!(fixture.faults.clear(None), 2);
    assert_eq!(fixture.faults.list(), []);
}

#[test]
fn without_acks_an_error_ends_the_connection() {
    let effects = [
        (Effect::error(CODE), 0),
        (Effect::Error { code: CODE, after: true }, 1),
        (Effect::Drop(Cut::Bytes(9)), 1),
    ];
    for (effect, appended) in effects {
        let mut fixture = fixture();
        fixture.faults.add(Fault::new(ApiKey::Produce, effect).times(1)).unwrap();
        fixture.client.send(9, &produce_request("t", 0, 0, batch(&[b"x"])).into());
        assert!(fixture.client.is_closed());
        let written = Client::connect(fixture.broker.addr()).fetch("t", 0, 0).high_watermark;
        assert_eq!(written, appended);
    }
}

#[test]
fn a_connection_ends_before_after_and_within_an_answer() {
    let mut fixture = fixture();
    let producer_id = fixture.client.producer_id();
    let one = || sequenced(&[b"x"], producer_id, 0, 0);
    let cuts = [(Cut::Before, 0, 0), (Cut::After, 0, 1), (Cut::Bytes(9), 9, 1)];
    for (cut, bytes, written) in cuts {
        let fault = Fault::new(ApiKey::Produce, Effect::Drop(cut)).topic("t").times(1);
        fixture.faults.add(fault).unwrap();
        let mut client = Client::connect(fixture.broker.addr());
        let request = produce_request("t", 0, -1, one()).into();
        client.stream.write_all(&frame(9, &request, 1)).unwrap();
        let mut received = Vec::new();
        match client.stream.read_to_end(&mut received) {
            Ok(_) => assert_eq!(received.len(), bytes, "{cut:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        assert_eq!(fixture.client.fetch("t", 0, 0).high_watermark, written, "{cut:?}");
    }
    assert_eq!(fixture.client.produce("t", 0, -1, one()).base_offset, 0, "a duplicate, still");
}

#[test]
fn answers_are_delayed_and_throttled() {
    let mut fixture = fixture();
    let delay = Duration::from_millis(150);
    for after in [false, true] {
        let fault = Fault::new(ApiKey::ListGroups, Effect::Delay { delay, after });
        fixture.faults.add(fault.times(1)).unwrap();
        let started = Instant::now();
        fixture.client.call(4, ListGroupsRequest::default());
        assert!(started.elapsed() >= delay, "{:?}", started.elapsed());
    }
    let throttle = Fault {
        effect: Effect::Throttle { ms: 1234 },
        api: None,
        filter: Filter::default(),
        times: None,
    };
    fixture.faults.add(throttle).unwrap();
    let has_none = |api: &ApiKey| api.name().starts_with("Sasl") || *api == ApiKey::DescribeQuorum;
    for api in fixture.served().iter().filter(|api| !has_none(api)) {
        let version = *api.stable_versions().end();
        if *api == ApiKey::Fetch {
            fixture.client.produce("t", 0, -1, batch(&[b"x"]));
        }
        let request = request(*api, version, fixture.id("u"));
        let text = format!("{:?}", fixture.client.call(version, request));
        assert!(text.contains("throttle_time_ms: 1234"), "{} v{version}: {text}", api.name());
        if *api == ApiKey::DeleteTopics {
            fixture.client.create_topic("u", 1, &[]);
        }
    }
}

#[test]
fn a_paused_broker_answers_when_it_is_resumed_and_can_be_stopped() {
    let mut fixture = fixture();
    fixture.faults.pause();
    let correlation_id = fixture.client.send(5, &create_topics(&["new"]).into());
    fixture.client.stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let nothing = fixture.client.stream.peek(&mut [0]).unwrap_err();
    assert!(matches!(nothing.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{nothing}");
    assert!(!fixture.has_topic("new"), "a paused broker did something");
    fixture.faults.resume();
    fixture.client.stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    fixture.client.receive(ApiKey::CreateTopics, 5, correlation_id);
    assert!(fixture.has_topic("new"));
    fixture.faults.pause();
    let forever = Effect::Delay { delay: Duration::from_secs(3600), after: false };
    fixture.faults.add(Fault::new(ApiKey::ListGroups, forever)).unwrap();
    fixture.client.send(4, &ListGroupsRequest::default().into());
    support::eventually("the request was read", || {
        fixture.faults.requests().contains_key(&(ApiKey::ListGroups, 4))
    });
    let started = Instant::now();
    fixture.runtime.block_on(fixture.broker.shutdown()).unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn faults_that_could_never_apply_are_refused() {
    let fixture = fixture();
    let error = Effect::error(CODE);
    let refused = |fault: Fault| fixture.faults.add(fault).unwrap_err().to_string();
    let text = refused(Fault::new(ApiKey::Heartbeat, error.clone()).topic("t"));
    assert_eq!(text, "Heartbeat has no topic, it has only group");
    let text = refused(Fault::new(ApiKey::ApiVersions, error.clone()).group("g"));
    assert_eq!(text, "ApiVersions has no group, it has nothing by which to choose");
    let text = refused(Fault::new(ApiKey::Produce, error.clone()).times(0));
    assert!(text.starts_with("times must be at least 1"), "{text}");
    let text = refused(Fault::new(ApiKey::Produce, Effect::error(ErrorCode::None)));
    assert!(text.starts_with("NONE is no error"), "{text}");
    let text = refused(Fault { api: None, ..Fault::new(ApiKey::Produce, error) });
    assert!(text.starts_with("an error needs an api"), "{text}");
    assert_eq!(fixture.faults.list(), []);
}

#[test]
fn fetch_sessions_are_forgotten_on_demand() {
    let mut fixture = fixture();
    let mut fetch = |session_id, session_epoch| {
        let request = FetchRequest { session_id, session_epoch, ..fetch_request("t", 0, 0, 0, 1) };
        let Response::Fetch(answer) = fixture.client.call(12, request) else { panic!() };
        (answer.error_code, answer.session_id)
    };
    let (code, session) = fetch(0, 0);
    assert!(code == 0 && session != 0, "a session was opened");
    assert_eq!(fetch(session, 1), (0, session));
    assert_eq!(fixture.faults.evict_fetch_sessions(), 1);
    assert_eq!(fetch(session, 2).0, 70, "FETCH_SESSION_ID_NOT_FOUND");
    assert_eq!(fixture.faults.evict_fetch_sessions(), 0);
    fixture.runtime.block_on(fixture.broker.kill());
}
