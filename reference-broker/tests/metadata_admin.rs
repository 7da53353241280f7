//! The rules of Metadata and of the administrative APIs that one node can be held to, by statement
//! id.

mod support;

use ottla_protocol::Uuid;
use ottla_protocol::messages::create_partitions::CreatePartitionsTopic;
use ottla_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreatableTopicResult,
};
use ottla_protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_protocol::messages::delete_topics::DeleteTopicState;
use ottla_protocol::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResult,
};
use ottla_protocol::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::messages::metadata::{MetadataRequestTopic, MetadataResponseTopic};
use ottla_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    MetadataRequest, Response, SaslHandshakeRequest,
};
use support::{Client, Process, batch, folder};

fn broker(settings: &[&str]) -> (tempfile::TempDir, Process, Client) {
    let (holder, data) = folder();
    let broker = Process::start(&data, settings);
    let client = broker.connect();
    (holder, broker, client)
}

fn metadata(
    client: &mut Client,
    version: i16,
    topics: Option<&[&str]>,
    create: bool,
) -> Vec<MetadataResponseTopic> {
    let named =
        |name: &&str| MetadataRequestTopic { name: Some((*name).to_owned()), ..Default::default() };
    let request = MetadataRequest {
        topics: topics.map(|topics| topics.iter().map(named).collect()),
        // Before version 4 a request cannot say so: it is always allowed.
        allow_auto_topic_creation: create || version < 4,
        ..Default::default()
    };
    let Response::Metadata(answer) = client.call(version, request) else { panic!() };
    assert_eq!(answer.brokers.len(), 1);
    assert_eq!(answer.controller_id, if version >= 1 { 1 } else { -1 });
    answer.topics
}

#[test]
fn which_topics_metadata_tells_of() {
    let (_folder, _broker, mut client) = broker(&[]);
    client.create_topic("t", 2, &[]);
    assert_eq!(metadata(&mut client, 0, Some(&[]), false).len(), 1, "MD-01: v0 empty is all");
    assert_eq!(metadata(&mut client, 1, None, true).len(), 1, "MD-01: null is all");
    assert_eq!(metadata(&mut client, 9, Some(&[]), false).len(), 0, "MD-01: empty is none");
    let twice = metadata(&mut client, 9, Some(&["t", "t"]), false);
    assert_eq!(twice.len(), 1, "MD-09");
    assert_eq!(twice[0].partitions.len(), 2);
    assert_eq!(twice[0].partitions[1].leader_epoch, 0, "MD-08");
    let unknown = metadata(&mut client, 9, Some(&["u"]), false);
    assert_eq!((unknown[0].error_code, unknown[0].partitions.len()), (3, 0), "MD-02");
    assert_eq!(metadata(&mut client, 9, None, false).len(), 1, "MD-02: nothing was created");
    let bad = metadata(&mut client, 9, Some(&["a b"]), true);
    assert_eq!(bad[0].error_code, 17, "MD-04");
    let made = metadata(&mut client, 9, Some(&["made"]), true);
    assert_eq!((made[0].error_code, made[0].partitions.len()), (0, 1), "MD-03");
    assert_eq!(client.produce("made", 0, -1, batch(&[b"x"])).error_code, 0, "MD-03");
}

#[test]
fn topics_by_id() {
    let (_folder, _broker, mut client) = broker(&[]);
    client.create_topic("t", 1, &[]);
    let id = metadata(&mut client, 12, Some(&["t"]), false)[0].topic_id;
    assert!(!id.is_zero());
    let mut by_id = |version, id| {
        let topic = MetadataRequestTopic { topic_id: id, name: None, ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
        let Response::Metadata(answer) = client.call(version, request) else { panic!() };
        answer.topics[0].clone()
    };
    assert_eq!(by_id(12, id).name.as_deref(), Some("t"));
    let unknown = by_id(12, Uuid([9; 16]));
    assert_eq!((unknown.error_code, unknown.name), (100, None), "MD-05");
    assert_eq!(by_id(12, Uuid::ZERO).error_code, 42, "MD-05");
    assert_eq!(by_id(11, id).error_code, 42, "MD-05");
}

fn creatable(name: &str, partitions: i32, factor: i16) -> CreatableTopic {
    CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: factor,
        ..Default::default()
    }
}

fn create(
    client: &mut Client,
    topics: Vec<CreatableTopic>,
    validate_only: bool,
) -> Vec<CreatableTopicResult> {
    let request =
        CreateTopicsRequest { topics, validate_only, timeout_ms: 5000, ..Default::default() };
    let Response::CreateTopics(answer) = client.call(7, request) else { panic!() };
    answer.topics
}

#[test]
fn topics_that_cannot_be_created() {
    let (_folder, _broker, mut client) = broker(&[]);
    client.create_topic("a.b", 1, &[]);
    let mut code = |topic: CreatableTopic| create(&mut client, vec![topic], false)[0].error_code;
    assert_eq!(code(creatable("", 1, 1)), 17, "AD-01");
    assert_eq!(code(creatable("a_b", 1, 1)), 17, "AD-01: collides");
    assert_eq!(code(creatable("a.b", 1, 1)), 36);
    assert_eq!(code(creatable("t", 0, 1)), 37, "AD-02");
    assert_eq!(code(creatable("t", 1, 0)), 38, "AD-02");
    assert_eq!(code(creatable("t", 1, 2)), 38, "AD-02");
    let config = |name: &str, value: &str| CreatableTopic {
        configs: vec![CreatableTopicConfig {
            name: name.into(),
            value: Some(value.into()),
            ..Default::default()
        }],
        ..creatable("t", 1, 1)
    };
    assert_eq!(code(config("retention.ms", "soon")), 40, "AD-05");
    assert_eq!(code(config("no.such.thing", "1")), 40, "AD-05");
    assert_eq!(code(config("compression.type", "zstd")), 40, "P7");
    let assigned = |partitions, factor, brokers: &[i32]| CreatableTopic {
        assignments: vec![CreatableReplicaAssignment {
            broker_ids: brokers.to_vec(),
            ..Default::default()
        }],
        ..creatable("t", partitions, factor)
    };
    assert_eq!(code(assigned(1, -1, &[1])), 42, "AD-03");
    assert_eq!(code(assigned(-1, -1, &[7])), 39, "AD-03");
    let twice = create(&mut client, vec![creatable("t", 1, 1), creatable("t", 1, 1)], false);
    assert_eq!((twice.len(), twice[0].error_code), (1, 42), "AD-03");
    assert_eq!(metadata(&mut client, 9, None, false).len(), 1, "nothing was created");
    let assigned = create(&mut client, vec![assigned(-1, -1, &[1])], false);
    assert_eq!((assigned[0].error_code, assigned[0].num_partitions), (0, 1));
}

#[test]
fn of_names_that_collide_in_one_request_the_first_is_made() {
    let (_data, _process, mut client) = broker(&[]);
    let names = ["one.a", "one_a", "one", "one-a"];
    let wanted = names.map(|name| creatable(name, 1, 1)).to_vec();
    let made = create(&mut client, wanted, false);
    let codes: Vec<i16> = made.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [0, 17, 0, 0], "AD-01");
    let in_order: Vec<&str> = made.iter().map(|topic| topic.name.as_str()).collect();
    assert_eq!(in_order, names);
}

#[test]
fn creation_can_be_tried_and_reports_what_is_in_force() {
    let (_folder, _broker, mut client) = broker(&["num.partitions=3"]);
    let tried = create(&mut client, vec![creatable("t", -1, -1)], true);
    assert_eq!((tried[0].error_code, tried[0].num_partitions), (0, 3), "AD-04");
    assert!(metadata(&mut client, 9, None, false).is_empty(), "AD-04");
    let made = create(&mut client, vec![creatable("t", -1, -1)], false);
    assert!(!made[0].topic_id.is_zero());
    let configs = made[0].configs.as_ref().unwrap();
    let retention = configs.iter().find(|config| config.name == "retention.ms").unwrap();
    assert_eq!(retention.value.as_deref(), Some("604800000"), "AD-06");
    let again = create(&mut client, vec![creatable("t", -1, -1)], true);
    assert_eq!(again[0].error_code, 36, "AD-04");
}

#[test]
fn deletion_by_name_and_by_id() {
    let (_folder, _broker, mut client) = broker(&[]);
    client.create_topic("t", 1, &[]);
    client.produce("t", 0, 1, batch(&[b"old"]));
    let first = metadata(&mut client, 12, Some(&["t"]), false)[0].topic_id;
    let mut delete = |name: Option<&str>, topic_id| {
        let topic =
            DeleteTopicState { name: name.map(str::to_owned), topic_id, ..Default::default() };
        let request =
            DeleteTopicsRequest { topics: vec![topic], timeout_ms: 5000, ..Default::default() };
        let Response::DeleteTopics(answer) = client.call(6, request) else { panic!() };
        answer.responses[0].error_code
    };
    assert_eq!(delete(Some("t"), first), 42, "AD-07");
    assert_eq!(delete(Some("u"), Uuid::ZERO), 3, "AD-07");
    assert_eq!(delete(None, Uuid([7; 16])), 100, "AD-07");
    assert_eq!(delete(None, first), 0);
    assert_eq!(delete(None, first), 100, "AD-07: the old id is gone");
    client.create_topic("t", 1, &[]);
    let second = metadata(&mut client, 12, Some(&["t"]), false)[0].topic_id;
    assert_ne!(first, second, "AD-07");
    assert!(client.read_all("t", 0).is_empty(), "nothing of the old topic is left");
}

#[test]
fn partitions_are_only_ever_added() {
    let (_folder, _broker, mut client) = broker(&[]);
    client.create_topic("t", 2, &[]);
    let mut grow = |name: &str, count| {
        let topic = CreatePartitionsTopic {
            name: name.into(),
            count,
            assignments: None,
            ..Default::default()
        };
        let request =
            CreatePartitionsRequest { topics: vec![topic], timeout_ms: 5000, ..Default::default() };
        let Response::CreatePartitions(answer) = client.call(3, request) else { panic!() };
        assert_eq!(answer.results.len(), 1, "AD-08");
        answer.results[0].error_code
    };
    assert_eq!(grow("t", 2), 37, "AD-08");
    assert_eq!(grow("t", 1), 37, "AD-08");
    assert_eq!(grow("u", 3), 3);
    assert_eq!(grow("t", 5), 0);
    assert_eq!(client.produce("t", 4, -1, batch(&[b"x"])).error_code, 0);
    assert_eq!(metadata(&mut client, 9, Some(&["t"]), false)[0].partitions.len(), 5);
}

fn describe(
    client: &mut Client,
    kind: i8,
    name: &str,
    keys: Option<&[&str]>,
) -> DescribeConfigsResult {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configuration_keys: keys.map(|keys| keys.iter().map(|key| (*key).into()).collect()),
            ..Default::default()
        }],
        include_synonyms: true,
        include_documentation: true,
        ..Default::default()
    };
    let Response::DescribeConfigs(answer) = client.call(4, request) else { panic!() };
    answer.results[0].clone()
}

fn one<'a>(result: &'a DescribeConfigsResult, name: &str) -> &'a DescribeConfigsResourceResult {
    result.configs.iter().find(|config| config.name == name).expect("the setting is described")
}

fn alter(client: &mut Client, kind: i8, name: &str, changes: &[(&str, i8, Option<&str>)]) -> i16 {
    let change = |(name, operation, value): &(&str, i8, Option<&str>)| AlterableConfig {
        name: (*name).into(),
        config_operation: *operation,
        value: value.map(str::to_owned),
        ..Default::default()
    };
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configs: changes.iter().map(change).collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let Response::IncrementalAlterConfigs(answer) = client.call(1, request) else { panic!() };
    answer.responses[0].error_code
}

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

#[test]
fn settings_are_described_with_source_and_synonyms() {
    let (_folder, _broker, mut client) = broker(&["log.retention.hours=2"]);
    client.create_topic("t", 1, &[("segment.bytes", "4096")]);
    let all = describe(&mut client, TOPIC, "t", None);
    let segment = one(&all, "segment.bytes");
    assert_eq!((segment.value.as_deref(), segment.config_source), (Some("4096"), 1), "AD-09");
    assert!(segment.synonyms.len() >= 2 && segment.documentation.is_some());
    let retention = one(&all, "retention.ms");
    assert_eq!((retention.value.as_deref(), retention.config_source), (Some("7200000"), 4));
    let flush = one(&all, "flush.ms");
    assert_eq!((flush.config_source, flush.config_type), (5, 5));
    let some = describe(&mut client, TOPIC, "t", Some(&["flush.ms", "no.such.thing"]));
    assert_eq!(some.configs.len(), 1);
    assert_eq!(describe(&mut client, TOPIC, "u", None).error_code, 3);
    let broker = describe(&mut client, BROKER, "1", None);
    assert!(one(&broker, "node.id").read_only && !one(&broker, "log.retention.ms").read_only);
    assert_eq!(describe(&mut client, BROKER, "2", None).error_code, 42);
}

#[test]
fn settings_are_set_deleted_appended_to_and_subtracted_from() {
    let (_folder, _broker, mut client) = broker(&[]);
    client.create_topic("t", 1, &[]);
    let value = |client: &mut Client, name: &str| {
        one(&describe(client, TOPIC, "t", None), name).value.clone().unwrap()
    };
    assert_eq!(alter(&mut client, TOPIC, "t", &[("retention.ms", SET, Some("5000"))]), 0);
    assert_eq!(value(&mut client, "retention.ms"), "5000");
    assert_eq!(alter(&mut client, TOPIC, "t", &[("retention.ms", DELETE, None)]), 0);
    assert_eq!(value(&mut client, "retention.ms"), "604800000");
    assert_eq!(alter(&mut client, TOPIC, "t", &[("cleanup.policy", APPEND, Some("compact"))]), 0);
    assert_eq!(value(&mut client, "cleanup.policy"), "delete,compact", "AD-11");
    assert_eq!(client.produce("t", 0, 1, batch(&[b"no key"])).error_code, 87, "in force at once");
    assert_eq!(alter(&mut client, TOPIC, "t", &[("cleanup.policy", SUBTRACT, Some("compact"))]), 0);
    assert_eq!(client.produce("t", 0, 1, batch(&[b"no key"])).error_code, 0);
    assert_eq!(alter(&mut client, TOPIC, "t", &[("retention.ms", APPEND, Some("1"))]), 40, "AD-11");
    let twice = [("retention.ms", SET, Some("1")), ("retention.ms", SET, Some("2"))];
    assert_eq!(alter(&mut client, TOPIC, "t", &twice), 42, "AD-11");
    assert_eq!(alter(&mut client, TOPIC, "t", &[("retention.ms", SET, Some("x"))]), 40);
    assert_eq!(alter(&mut client, TOPIC, "u", &[("retention.ms", SET, Some("1"))]), 3);
}

#[test]
fn broker_settings_reach_the_topics_that_set_nothing() {
    let (_folder, _broker, mut client) = broker(&[]);
    client.create_topic("t", 1, &[]);
    let long = batch(&[&[b'x'; 2000]]);
    assert_eq!(
        alter(&mut client, BROKER, "", &[("message.max.bytes", SET, Some("500"))]),
        0,
        "AD-12"
    );
    assert_eq!(client.produce("t", 0, 1, long.clone()).error_code, 10);
    let shown = describe(&mut client, TOPIC, "t", None);
    assert_eq!(one(&shown, "max.message.bytes").config_source, 3);
    assert_eq!(alter(&mut client, BROKER, "1", &[("message.max.bytes", SET, Some("9000"))]), 0);
    assert_eq!(client.produce("t", 0, 1, long.clone()).error_code, 0, "its own goes before all's");
    assert_eq!(alter(&mut client, BROKER, "1", &[("message.max.bytes", DELETE, None)]), 0);
    assert_eq!(client.produce("t", 0, 1, long).error_code, 10);
    assert_eq!(alter(&mut client, BROKER, "1", &[("node.id", SET, Some("3"))]), 42);
}

#[test]
fn records_are_deleted_up_to_an_offset() {
    let (_folder, _broker, mut client) = broker(&[]);
    client.create_topic("t", 1, &[]);
    client.create_topic("kept", 1, &[("cleanup.policy", "compact")]);
    for _ in 0..3 {
        client.produce("t", 0, 1, batch(&[b"a", b"b"]));
    }
    let mut delete = |topic: &str, offset| {
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: topic.into(),
                partitions: vec![DeleteRecordsPartition { offset, ..Default::default() }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let Response::DeleteRecords(answer) = client.call(2, request) else { panic!() };
        let part = &answer.topics[0].partitions[0];
        (part.error_code, part.low_watermark)
    };
    assert_eq!(delete("t", 3), (0, 3), "AD-13");
    assert_eq!(delete("t", 1), (0, 3), "AD-13: it never goes back");
    assert_eq!(delete("t", 7).0, 1, "AD-13");
    assert_eq!(delete("kept", 0).0, 44, "AD-13");
    assert_eq!(client.fetch("t", 0, 2).error_code, 1, "FE-07");
    assert_eq!(client.fetch("t", 0, 3).log_start_offset, 3);
}

#[test]
fn the_cluster_and_sasl_on_a_plaintext_listener() {
    let (_folder, broker, mut client) = broker(&[]);
    let request = DescribeClusterRequest { endpoint_type: 1, ..Default::default() };
    let Response::DescribeCluster(answer) = client.call(1, request) else { panic!() };
    assert_eq!(answer.brokers[0].port, i32::from(broker.address.port()));
    assert!(broker.ready_line.contains(&answer.cluster_id));
    let request = DescribeClusterRequest { endpoint_type: 2, ..Default::default() };
    let Response::DescribeCluster(answer) = client.call(1, request) else { panic!() };
    assert_eq!(answer.error_code, 114);
    let handshake = SaslHandshakeRequest { mechanism: "PLAIN".into() };
    let Response::SaslHandshake(answer) = client.call(1, handshake) else { panic!() };
    assert_eq!(answer.error_code, 34, "SE-08");
    assert!(client.is_alive(), "SE-08");
}

/// Two clients create topics at once: one's image must not undo the other's, with what was written
/// there meanwhile.
#[test]
fn topics_that_are_created_side_by_side_keep_their_records() {
    let (_folder, broker, _client) = broker(&[]);
    let create_and_write = |thread: usize| {
        let mut client = broker.connect();
        for round in 0..60 {
            let topic = format!("t-{thread}-{round}");
            client.create_topic(&topic, 2, &[]);
            let written = client.produce(&topic, 1, -1, batch(&[b"kept"]));
            assert_eq!((written.error_code, written.base_offset), (0, 0), "{topic}");
            let read = client.read_all(&topic, 1);
            assert_eq!(read, [(0, b"kept".to_vec())], "{topic}");
        }
    };
    std::thread::scope(|scope| {
        (0..6).for_each(|thread| drop(scope.spawn(move || create_and_write(thread))));
    });
    let mut client = broker.connect();
    for topic in (0..6).flat_map(|thread| (0..60).map(move |round| format!("t-{thread}-{round}"))) {
        assert_eq!(client.read_all(&topic, 1), [(0, b"kept".to_vec())], "{topic}");
    }
}
