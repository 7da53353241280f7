//! Topics: made, described, changed, deleted; and the errors around them.

use std::time::Duration;

use ottla::{
    Admin, ConfigChange, ConfigResource, ErrorCode, ErrorKind, NewTopic, Producer, Record,
};
use ottla_interop::topic;

use crate::records::make_topic;

pub(crate) async fn topics_are_made_described_changed_and_deleted(bootstrap: &'static str) {
    let admin = Admin::builder().bootstrap_servers(bootstrap).build().await.unwrap();
    let name = topic("admin");
    let new = NewTopic::new(name.as_str(), 2, 1).config("retention.ms", 3_600_000);
    admin.create_topic(new.clone()).await.unwrap();
    let again = admin.create_topic(new).await.unwrap_err();
    assert_eq!(again.code(), Some(ErrorCode::TopicAlreadyExists), "{again}");
    assert!(admin.list_topics().await.unwrap().iter().any(|listed| listed.name == name));

    let retention = async || {
        let topic = ConfigResource::Topic(name.clone());
        let mut configs = admin.describe_configs([topic.clone()]).await.unwrap();
        let entries = configs.remove(&topic).unwrap().unwrap();
        entries.into_iter().find(|entry| entry.name == "retention.ms").unwrap().value.unwrap()
    };
    assert_eq!(retention().await, "3600000");
    let change = ConfigChange::Set("retention.ms".into(), "7200000".into());
    let resource = ConfigResource::Topic(name.clone());
    let changed = admin.alter_configs([(resource.clone(), vec![change])]).await.unwrap();
    changed[&resource].clone().unwrap();
    while retention().await != "7200000" {} // brokers learn of it a moment later

    let partitions = async || {
        let mut described = admin.describe_topics([name.as_str()]).await.unwrap();
        described.remove(&name).unwrap().map(|topic| topic.partitions.len())
    };
    assert_eq!(partitions().await.unwrap(), 2);
    let more = admin.create_partitions([(name.as_str(), 5)]).await.unwrap();
    more[&name].clone().unwrap();
    while partitions().await.unwrap() != 5 {}

    let deleted = admin.delete_topics([name.as_str()]).await.unwrap();
    deleted[&name].clone().unwrap();
    loop {
        if let Err(error) = partitions().await {
            assert_eq!(error.code(), Some(ErrorCode::UnknownTopicOrPartition), "{error}");
            break;
        }
    }
    admin.close().await;
}

pub(crate) async fn errors_name_what_is_wrong(bootstrap: &'static str) {
    let producer = Producer::builder()
        .bootstrap_servers(bootstrap)
        .set("max.block.ms", 2_000)
        .unwrap()
        .set("max.request.size", 5_000_000)
        .unwrap()
        .build()
        .await
        .unwrap();
    let name = topic("no-such-topic+");
    let error = producer.send(Record::to(&name).value(b"v")).await.unwrap_err();
    assert!(error.to_string().contains(&name), "{error}");
    assert!(!error.possibly_written(), "{error}");

    let name = topic("too-large");
    make_topic(bootstrap, &name, 1).await;
    // More than the broker's message.max.bytes, then more than the client's own limit.
    let large = vec![b'x'; 2_000_000];
    let error = producer.send(Record::to(&name).value(&large)).await.unwrap().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::MessageTooLarge), "{error}");
    assert!(!error.possibly_written() && !error.is_retriable(), "{error}");
    let larger = vec![b'x'; 6_000_000];
    let error = producer.send(Record::to(&name).value(&larger)).await.unwrap_err();
    assert!(error.to_string().contains("max.request.size"), "{error}");
    // The producer goes on.
    let written = producer.send(Record::to(&name).value(b"small")).await.unwrap().await.unwrap();
    assert_eq!(written.offset, 0);
    producer.close().await.unwrap();

    let nowhere = tokio::time::timeout(
        Duration::from_secs(90),
        Admin::builder()
            .bootstrap_servers("127.0.0.1:1")
            .default_api_timeout(Duration::from_secs(2))
            .build(),
    );
    let error = match nowhere.await.unwrap() {
        Err(error) => error,
        Ok(admin) => admin.describe_cluster().await.unwrap_err(),
    };
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}
