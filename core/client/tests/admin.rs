//! The admin client against a broker in the same process.

mod common;

use common::{LIMIT, TestBroker};
use ottla::{
    Admin, ConfigChange, ConfigResource, ConfigSource, Consumer, ErrorCode, ErrorKind, NewTopic,
    OffsetSpec, Record,
};
use std::time::{Duration, Instant};

async fn admin(broker: &TestBroker) -> Admin {
    let admin = Admin::builder().bootstrap_servers(broker.address()).client_id("admin-tests");
    admin.build().await.expect("an admin client")
}

#[tokio::test]
async fn topics_are_created_described_grown_and_deleted() {
    let broker = TestBroker::start().await;
    let admin = admin(&broker).await;
    let created = admin.create_topic(NewTopic::new("orders", 3, 1)).await.expect("created");
    assert_eq!((created.partitions, created.replication_factor), (Some(3), Some(1)));

    let listed = admin.list_topics().await.expect("listed");
    let listing = listed.iter().find(|topic| topic.name == "orders").expect("it is listed");
    assert_eq!((listing.id, listing.is_internal), (created.id, false));

    let grown = admin.create_partitions([("orders", 5)]).await.expect("answered");
    grown["orders"].clone().expect("grown");
    let described = admin.describe_topics(["orders"]).await.expect("answered");
    let topic = described["orders"].as_ref().expect("described");
    assert_eq!(topic.partitions.len(), 5);
    assert!(topic.partitions.iter().all(|p| p.leader == Some(1) && p.isr == [1]));

    let deleted = admin.delete_topics(["orders"]).await.expect("answered");
    deleted["orders"].clone().expect("deleted");
    let gone = admin.describe_topics(["orders"]).await.expect("answered");
    let error = gone["orders"].as_ref().expect_err("it is gone");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn one_items_failure_leaves_the_others_as_they_are() {
    let broker = TestBroker::start().await;
    let admin = admin(&broker).await;
    let topics = [
        NewTopic::new("good", 1, 1),
        NewTopic::new("bad/name", 1, 1),
        NewTopic::new("too-many-replicas", 1, 3),
        NewTopic::new("bad-config", 1, 1).config("retention.ms", "soon"),
    ];
    let outcomes = admin.create_topics(topics).await.expect("answered");
    assert!(outcomes["good"].is_ok());
    let code = |name: &str| outcomes[name].as_ref().expect_err("refused").code();
    assert_eq!(code("bad/name"), Some(ErrorCode::InvalidTopicException));
    assert_eq!(code("too-many-replicas"), Some(ErrorCode::InvalidReplicationFactor));
    assert_eq!(code("bad-config"), Some(ErrorCode::InvalidConfig));
    let again = admin.create_topic(NewTopic::new("good", 1, 1)).await.expect_err("it exists");
    assert_eq!(again.code(), Some(ErrorCode::TopicAlreadyExists));
    assert!(again.message().contains("\"good\""), "{again}");
    let names: Vec<_> = admin.list_topics().await.expect("listed");
    assert_eq!(names.iter().filter(|topic| !topic.is_internal).count(), 1);
}

#[tokio::test]
async fn validation_creates_nothing() {
    let broker = TestBroker::start().await;
    let admin = admin(&broker).await;
    let outcomes = admin.validate_topics([NewTopic::new("maybe", 2, 1)]).await.expect("answered");
    assert!(outcomes["maybe"].is_ok());
    assert!(admin.list_topics().await.expect("listed").iter().all(|topic| topic.name != "maybe"));
}

#[tokio::test]
async fn configurations_are_read_changed_and_reset() {
    let broker = TestBroker::start().await;
    let admin = admin(&broker).await;
    let topic = NewTopic::new("kept", 1, 1).config("retention.ms", 60_000);
    admin.create_topic(topic).await.expect("created");
    let resource = ConfigResource::Topic("kept".to_owned());
    let value = async |name: &str| {
        let configs = admin.describe_configs([resource.clone()]).await.expect("answered");
        let configs = configs[&resource].clone().expect("described");
        configs.into_iter().find(|entry| entry.name == name).expect("it has the value")
    };
    let retention = value("retention.ms").await;
    assert_eq!(retention.value.as_deref(), Some("60000"));
    assert_eq!(retention.source, ConfigSource::Topic);

    let changes = vec![
        ConfigChange::Delete("retention.ms".to_owned()),
        ConfigChange::Set("max.message.bytes".to_owned(), "2000".to_owned()),
    ];
    let altered = admin.alter_configs([(resource.clone(), changes)]).await.expect("answered");
    altered[&resource].clone().expect("changed");
    assert_ne!(value("retention.ms").await.source, ConfigSource::Topic);
    assert_eq!(value("max.message.bytes").await.value.as_deref(), Some("2000"));

    let wrong = vec![ConfigChange::Set("max.message.bytes".to_owned(), "many".to_owned())];
    let refused = admin.alter_configs([(resource.clone(), wrong)]).await.expect("answered");
    let error = refused[&resource].as_ref().expect_err("not a number");
    assert_eq!(error.code(), Some(ErrorCode::InvalidConfig));
    assert_eq!(value("max.message.bytes").await.value.as_deref(), Some("2000"));
}

#[tokio::test]
async fn offsets_are_found_by_place_and_by_time() {
    let broker = TestBroker::start().await;
    broker.create_topic("times", 1).await;
    let producer = broker.producer().build().await.expect("a producer");
    for timestamp in [1_000, 2_000, 3_000] {
        let record = Record::to("times").value("v").timestamp(timestamp);
        producer.send(record).await.expect("appended").await.expect("written");
    }
    let admin = admin(&broker).await;
    let at = async |spec| {
        let partition = ("times".to_owned(), 0);
        let found = admin.list_offsets([(partition.clone(), spec)]).await.expect("answered");
        found[&partition].clone().expect("found").offset
    };
    assert_eq!(at(OffsetSpec::Earliest).await, 0);
    assert_eq!(at(OffsetSpec::Latest).await, 3);
    assert_eq!(at(OffsetSpec::Timestamp(1_500)).await, 1);
    assert_eq!(at(OffsetSpec::Timestamp(4_000)).await, -1);
    assert_eq!(at(OffsetSpec::MaxTimestamp).await, 2);
}

#[tokio::test]
async fn groups_are_listed_described_and_deleted() {
    let broker = TestBroker::start().await;
    broker.create_topic("shared", 2).await;
    let producer = broker.producer().build().await.expect("a producer");
    producer
        .send(Record::to("shared").partition(0).value("v"))
        .await
        .expect("appended")
        .await
        .expect("written");
    let consumer = Consumer::builder()
        .bootstrap_servers(broker.address())
        .group_id("readers")
        .topics(["shared"])
        .auto_offset_reset("earliest")
        .build()
        .await
        .expect("a consumer");
    let batch = tokio::time::timeout(LIMIT, consumer.next_batch()).await.expect("in time");
    assert_eq!(batch.expect("a batch").expect("it is open").len(), 1);
    consumer.commit().await.expect("committed");

    let admin = admin(&broker).await;
    let listed = admin.list_groups().await.expect("listed");
    let listing = listed.iter().find(|group| group.group_id == "readers").expect("listed");
    assert_eq!((&*listing.protocol_type, &*listing.state), ("consumer", "Stable"));
    let described = admin.describe_groups(["readers"]).await.expect("answered");
    let group = described["readers"].as_ref().expect("described");
    assert_eq!(group.members.len(), 1);
    assert_eq!(group.members[0].assignment.len(), 2);
    let committed = admin.list_consumer_group_offsets("readers").await.expect("read");
    assert_eq!(committed[&("shared".to_owned(), 0)].offset, 1);

    let refused = admin.delete_groups(["readers"]).await.expect("answered");
    let error = refused["readers"].as_ref().expect_err("it has a member");
    assert_eq!(error.code(), Some(ErrorCode::NonEmptyGroup));
    consumer.close().await.expect("closed");
    let deadline = Instant::now() + LIMIT;
    loop {
        let deleted = admin.delete_groups(["readers"]).await.expect("answered");
        match &deleted["readers"] {
            Ok(()) => break,
            // The broker may still be writing the member's departure.
            Err(error) if Instant::now() < deadline => {
                assert_eq!(error.code(), Some(ErrorCode::NonEmptyGroup));
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(admin.list_consumer_group_offsets("readers").await.expect("read").is_empty());
}

#[tokio::test]
async fn the_cluster_is_described() {
    let broker = TestBroker::start().await;
    let cluster = admin(&broker).await.describe_cluster().await.expect("described");
    assert!(!cluster.cluster_id.is_empty());
    assert_eq!(cluster.brokers.len(), 1);
    let at = format!("{}:{}", cluster.brokers[0].host, cluster.brokers[0].port);
    assert_eq!(at, broker.address());
}

#[tokio::test]
async fn a_broker_that_is_gone_is_named_when_the_time_is_up() {
    let mut broker = TestBroker::start().await;
    let admin = Admin::builder()
        .bootstrap_servers(broker.address())
        .default_api_timeout(Duration::from_millis(500))
        .build()
        .await
        .expect("an admin client");
    broker.kill().await;
    let error = admin.list_topics().await.expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.message().contains("cannot list topics"), "{error}");
    assert!(error.message().contains(&broker.address()), "{error}");
    // Items carry the failure, so that none is taken for done.
    let outcomes = admin.create_topics([NewTopic::new("t", 1, 1)]).await.expect("per item");
    assert_eq!(outcomes["t"].as_ref().expect_err("not created").kind(), ErrorKind::Unreachable);
}
