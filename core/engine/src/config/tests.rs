use std::time::Duration;

use super::*;

fn config(settings: &[(&str, &str)]) -> Config {
    let config = Config::new().set("bootstrap.servers", "127.0.0.1:9092").unwrap();
    settings.iter().fold(config, |config, (name, value)| config.set(name, value).unwrap())
}

fn refusal(name: &str, value: &str) -> String {
    Config::new().set(name, value).unwrap_err().to_string()
}

#[test]
fn every_default_is_allowed_and_every_name_is_there_once() {
    for (index, setting) in SETTINGS.iter().enumerate() {
        if let Some(default) = setting.default {
            Value::parse(setting, default).unwrap();
        }
        assert!(SETTINGS[..index].iter().all(|other| other.name != setting.name));
        assert!(setting.doc.ends_with('.'), "{} has no sentence", setting.name);
    }
}

#[test]
fn names_of_bindings_lead_back_to_the_setting() {
    for setting in SETTINGS {
        for name in [setting.snake_case(), setting.camel_case()] {
            assert_eq!(Setting::of_binding_name(&name).unwrap().name, setting.name);
        }
    }
    let linger = Setting::named("linger.ms").unwrap();
    assert_eq!((linger.snake_case(), linger.camel_case()), ("linger_ms".into(), "lingerMs".into()));
}

#[test]
fn defaults_are_kafkas() {
    let producer = config(&[]).producer().unwrap();
    assert_eq!(producer.acks, Acks::All);
    assert!(producer.enable_idempotence);
    assert_eq!(producer.max_in_flight_requests_per_connection, 5);
    assert_eq!(producer.delivery_timeout, Duration::from_secs(120));
    assert_eq!(producer.compression, CompressionType::None);
    assert_eq!(producer.partitioner, PartitionerKind::Murmur2);
    assert_eq!(producer.common.send_buffer_bytes, None);
    let consumer = config(&[]).consumer().unwrap();
    assert_eq!(consumer.auto_offset_reset, OffsetReset::Latest);
    assert_eq!(consumer.session_timeout, Duration::from_secs(45));
    assert_eq!(
        consumer.partition_assignment_strategy,
        [Assignor::Range, Assignor::CooperativeSticky]
    );
    assert_eq!(config(&[]).admin().unwrap().default_api_timeout, Duration::from_secs(60));
}

#[test]
fn unknown_name_is_refused_with_the_nearest() {
    for (wrong, meant) in [
        ("linger.sm", "linger.ms"),
        ("lingerMs", "linger.ms"),
        ("batch_size", "batch.size"),
        ("bootstrap.server", "bootstrap.servers"),
        ("max.in.flight.request.per.connection", "max.in.flight.requests.per.connection"),
        ("enable.idempotent", "enable.idempotence"),
        ("autocommit.interval.ms", "auto.commit.interval.ms"),
    ] {
        let message = refusal(wrong, "1");
        assert_eq!(message, format!("unknown setting {wrong:?}: did you mean {meant:?}?"));
    }
    let message = refusal("colour", "1");
    assert_eq!(message, "unknown setting \"colour\": docs/guide/configuration.md lists all");
}

#[test]
fn names_of_other_clients_say_what_to_do() {
    let message = refusal("metadata.broker.list", "x:1");
    assert_eq!(message, "no setting \"metadata.broker.list\" here: it is called bootstrap.servers");
    assert!(refusal("ssl.keystore.location", "x").contains("plain text only"));
}

#[test]
fn value_out_of_range_says_range_and_unit() {
    assert_eq!(
        refusal("linger.ms", "-1"),
        "linger.ms is -1: out of range, expected 0 to 2147483647 ms"
    );
    assert_eq!(
        refusal("batch.size", "2147483648"),
        "batch.size is 2147483648: out of range, expected 0 to 2147483647 bytes"
    );
    assert_eq!(
        refusal("compression.zstd.level", "23").split(": ").nth(1),
        Some("out of range, expected -131072 to 22")
    );
}

#[test]
fn value_of_another_type_says_what_is_expected() {
    for (name, value, expected) in [
        ("linger.ms", "soon", "0 to 2147483647 ms"),
        ("check.crcs", "yes", "true or false"),
        ("compression.type", "brotli", "one of none, gzip, snappy, lz4, zstd"),
        ("bootstrap.servers", "localhost", "host:port"),
        ("bootstrap.servers", "", "host:port"),
        ("bootstrap.servers", "a:0", "host:port"),
        ("bootstrap.servers", ":9092", "host:port"),
        ("auto.offset.reset", "smallest", "earliest, latest, none"),
        ("auto.offset.reset", "by_duration:1h", "earliest, latest, none"),
        ("partition.assignment.strategy", "range,fair", "range, roundrobin"),
    ] {
        let message = refusal(name, value);
        assert!(message.starts_with(&format!("{name} is {value:?}: expected ")), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn name_of_the_other_role_is_told_so() {
    let message = config(&[("linger.ms", "1")]).consumer().unwrap_err().to_string();
    assert_eq!(message, "linger.ms is a setting of the producer, not of the consumer: remove it");
    let message = config(&[("group.id", "g")]).producer().unwrap_err().to_string();
    assert_eq!(message, "group.id is a setting of the consumer, not of the producer: remove it");
}

#[test]
fn bootstrap_servers_are_required() {
    let message = Config::new().admin().unwrap_err().to_string();
    assert!(message.starts_with("bootstrap.servers is not set"), "{message}");
    let several = Config::new().set("bootstrap.servers", "a:1, [::1]:2 ,c:3").unwrap();
    assert_eq!(several.admin().unwrap().common.bootstrap_servers, ["a:1", "[::1]:2", "c:3"]);
}

#[test]
fn idempotence_gives_way_unless_it_was_asked_for() {
    for (name, value) in
        [("acks", "1"), ("max.in.flight.requests.per.connection", "6"), ("retries", "0")]
    {
        assert!(!config(&[(name, value)]).producer().unwrap().enable_idempotence);
        let asked = config(&[(name, value), ("enable.idempotence", "true")]);
        let message = asked.producer().unwrap_err().to_string();
        assert!(message.starts_with("enable.idempotence=true needs "), "{message}");
        assert!(message.contains(name), "{message}");
    }
    assert!(config(&[("acks", "-1")]).producer().unwrap().enable_idempotence);
}

#[test]
fn delivery_timeout_covers_linger_and_request() {
    let grown = config(&[("request.timeout.ms", "200000"), ("linger.ms", "7")]);
    assert_eq!(grown.producer().unwrap().delivery_timeout, Duration::from_millis(200_007));
    let refused = config(&[("delivery.timeout.ms", "29999")]).producer().unwrap_err().to_string();
    assert_eq!(
        refused,
        "delivery.timeout.ms is 29999 ms: it must be at least linger.ms + request.timeout.ms, \
         30000 ms"
    );
    config(&[("delivery.timeout.ms", "30000")]).producer().unwrap();
}

#[test]
fn heartbeat_is_shorter_than_the_session() {
    let refused = config(&[("session.timeout.ms", "3000")]).consumer().unwrap_err().to_string();
    assert!(refused.starts_with("heartbeat.interval.ms is 3000 ms: it must be less"), "{refused}");
    config(&[("session.timeout.ms", "3001")]).consumer().unwrap();
}

#[test]
fn other_conflicts_are_refused() {
    for (settings, start) in [
        (&[("buffer.memory", "16383")][..], "buffer.memory is 16383 bytes"),
        (&[("retry.backoff.ms", "2"), ("retry.backoff.max.ms", "1")], "retry.backoff.ms is 2 ms"),
    ] {
        let message = config(settings).producer().unwrap_err().to_string();
        assert!(message.starts_with(start), "{message}");
    }
    for (settings, start) in [
        (&[("group.instance.id", "i")][..], "group.instance.id is set without group.id"),
        (&[("enable.auto.commit", "true")], "enable.auto.commit=true needs group.id"),
        (&[("fetch.max.wait.ms", "30000")], "fetch.max.wait.ms is 30000 ms"),
    ] {
        let message = config(settings).consumer().unwrap_err().to_string();
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn wait_longer_than_its_default_bound_raises_the_bound() {
    let common = config(&[("retry.backoff.ms", "5000")]).admin().unwrap().common;
    assert_eq!(common.retry_backoff_max, Duration::from_secs(5));
    let common = config(&[("reconnect.backoff.max.ms", "10")]).admin().unwrap().common;
    assert_eq!(common.reconnect_backoff, Duration::from_millis(10));
}

#[test]
fn offset_reset_has_all_its_forms() {
    for (text, reset) in [
        ("Earliest", OffsetReset::Earliest),
        ("none", OffsetReset::None),
        ("by_duration:P1DT1H", OffsetReset::ByDuration(Duration::from_secs(90_000))),
        ("by_duration:PT1M0.5S", OffsetReset::ByDuration(Duration::from_millis(60_500))),
        ("timestamp:1700000000000", OffsetReset::Timestamp { timestamp_ms: 1_700_000_000_000 }),
    ] {
        let consumer = config(&[("auto.offset.reset", text)]).consumer().unwrap();
        assert_eq!(consumer.auto_offset_reset, reset);
    }
}

#[test]
fn assignors_are_known_by_their_java_classes() {
    let java = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor, roundrobin";
    let consumer = config(&[("partition.assignment.strategy", java)]).consumer().unwrap();
    assert_eq!(
        consumer.partition_assignment_strategy,
        [Assignor::CooperativeSticky, Assignor::RoundRobin]
    );
}

#[test]
fn level_is_that_of_the_codec() {
    let level = |settings: &[(&str, &str)]| config(settings).producer().unwrap().compression_level;
    assert_eq!(level(&[("compression.type", "zstd")]), Some(3));
    assert_eq!(level(&[("compression.type", "gzip")]), None);
    assert_eq!(level(&[("compression.type", "gzip"), ("compression.gzip.level", "9")]), Some(9));
    assert_eq!(level(&[("compression.type", "snappy")]), None);
}

#[test]
fn properties_file_is_read() {
    let text = "# a comment\nbootstrap.servers=a:1,b:2\n\n acks = 1 \n! another\n";
    let producer = Config::from_properties(text).unwrap().producer().unwrap();
    assert_eq!(producer.acks, Acks::Leader);
    let message = Config::from_properties("acks=1\nnonsense").unwrap_err().to_string();
    assert_eq!(message, "line 2 is \"nonsense\": expected name=value");
}

#[test]
fn value_in_force_is_told() {
    let config = config(&[("linger.ms", "7")]);
    assert_eq!(config.get("linger.ms").as_deref(), Some("7"));
    assert_eq!(config.get("batch.size").as_deref(), Some("262144"));
    assert_eq!(config.get("group.id"), None);
    assert!(config.is_set("linger.ms") && !config.is_set("batch.size"));
}
