//! `flush.ms` at run time, on a disk whose clock and power the test has.

mod support;

use std::path::Path;
use std::sync::Arc;

use ottla_broker::{Broker, Config};
use ottla_faulty_storage::FaultyStorage;
use ottla_protocol::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::messages::{IncrementalAlterConfigsRequest, Response};
use support::{Client, batch, eventually, folder};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const NOW_MS: i64 = 1_700_000_000_000;

fn alter(client: &mut Client, kind: i8, name: &str, config: (&str, &str)) {
    let (config, value) = config;
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: kind,
            resource_name: name.to_owned(),
            configs: vec![AlterableConfig {
                name: config.to_owned(),
                value: Some(value.to_owned()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let Response::IncrementalAlterConfigs(answer) = client.call(1, request) else { panic!() };
    assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
}

/// Whether a value outlives the power of the disk, whatever that leaves of what was not flushed.
fn is_durable(storage: &FaultyStorage, data: &Path, topic: &str, value: &[u8]) -> bool {
    let segment = data.join(format!("{topic}-0/00000000000000000000.log"));
    (0..16).all(|seed| {
        let after = storage.fork();
        after.power_loss(seed);
        let content = after.content(&segment).unwrap_or_default();
        content.windows(value.len()).any(|window| window == value)
    })
}

#[test]
fn flush_ms_is_obeyed_from_when_it_is_set_and_until_it_is_set_again() {
    let (_folder, data) = folder();
    // A cluster of one has its metadata on the real disk.
    std::fs::create_dir_all(&data).unwrap();
    let config = Config::dev()
        .set("listeners", "PLAINTEXT://127.0.0.1:0")
        .and_then(|config| config.set("log.dirs", data.to_str().unwrap()))
        .and_then(|config| config.set("log.flush.scheduler.interval.ms", "1"))
        .unwrap();
    let storage = FaultyStorage::new(NOW_MS);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let started = Broker::start_on(config, Arc::new(storage.clone()));
    let broker = runtime.block_on(started).unwrap();
    let mut client = Client::connect(broker.addr());
    for topic in ["t", "u", "v"] {
        client.create_topic(topic, 1, &[]);
    }
    let mut now_ms = NOW_MS;
    let mut pass = |ms: i64| {
        now_ms += ms;
        storage.set_now_ms(now_ms);
    };
    let mut produce = |topic: &str, value: &str| {
        let answer = client.produce(topic, 0, -1, batch(&[value.as_bytes()]));
        assert_eq!(answer.error_code, 0, "{topic}");
    };
    let durable = |topic: &str, value: &str| is_durable(&storage, &data, topic, value.as_bytes());
    let mut admin = Client::connect(broker.addr());

    produce("t", "first of t");
    produce("u", "first of u");
    pass(3_600_000);
    alter(&mut admin, TOPIC, "t", ("flush.ms", "1000"));
    eventually("what had waited for long is flushed", || durable("t", "first of t"));
    assert!(!durable("u", "first of u"), "nobody asked for it");

    // The other one has it now, and this one not any more.
    alter(&mut admin, TOPIC, "t", ("flush.ms", "7200000"));
    alter(&mut admin, TOPIC, "u", ("flush.ms", "1000"));
    eventually("the other one is flushed", || durable("u", "first of u"));
    produce("t", "second of t");
    produce("u", "second of u");
    pass(999);
    produce("v", "first of v");
    alter(&mut admin, TOPIC, "v", ("flush.messages", "1"));
    eventually("a third one is flushed", || durable("v", "first of v"));
    assert!(!durable("u", "second of u"), "a millisecond is missing");
    pass(1);
    eventually("it was the time", || durable("u", "second of u"));
    assert!(!durable("t", "second of t"), "it waits for two hours");

    // A topic's own setting goes before that of all brokers, which is for the others.
    produce("v", "second of v");
    alter(&mut admin, TOPIC, "v", ("flush.messages", "1000"));
    produce("v", "third of v");
    pass(3_600_000);
    alter(&mut admin, BROKER, "", ("log.flush.interval.ms", "1000"));
    eventually("it holds for all brokers", || durable("v", "third of v"));
    assert!(!durable("t", "second of t"), "it waits for one hour more");
    pass(3_600_000);
    eventually("two hours are over", || durable("t", "second of t"));
    runtime.block_on(broker.kill());
}
