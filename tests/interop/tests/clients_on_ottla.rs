//! Other people's clients on our broker: what any of them writes with any codec, all of them read;
//! groups share partitions, hand them over and resume where they had committed.
//!
//! `OTTLA_INTEROP_BOOTSTRAP` names another broker, to see what the clients themselves do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

use ottla_interop::{
    CODECS, Client, Consumed, Java, Job, Member, Record, assert_same, ottla_broker, sample, topic,
};

const RECORDS_PER_TOPIC: usize = 60;

fn bootstrap() -> Option<&'static str> {
    static OTHER: OnceLock<Option<String>> = OnceLock::new();
    let other = OTHER.get_or_init(|| std::env::var("OTTLA_INTEROP_BOOTSTRAP").ok());
    other.as_deref().or_else(|| ottla_broker())
}

/// A topic per codec, each with the same records.
fn jobs(prefix: &str, null_headers: bool) -> Vec<Job> {
    let records = sample(RECORDS_PER_TOPIC, null_headers);
    let job = |codec| Job {
        topic: topic(&format!("{prefix}.{codec}")),
        partitions: 3,
        codec,
        records: records.clone(),
    };
    CODECS.into_iter().map(job).collect()
}

fn everyone_reads_what_it_writes(writer: Client) {
    if !Client::ALL.into_iter().all(Client::is_here) {
        return;
    }
    let Some(bootstrap) = bootstrap() else { return };
    let jobs = jobs(writer.name(), writer.writes_null_headers());
    let acknowledged = writer.produce(bootstrap, &jobs);
    assert_eq!(acknowledged.len(), CODECS.len() * RECORDS_PER_TOPIC);
    let places: BTreeSet<_> = acknowledged.iter().collect();
    assert_eq!(places.len(), acknowledged.len(), "every record has a place of its own");
    let written: BTreeMap<String, Vec<Record>> =
        jobs.into_iter().map(|job| (job.topic, job.records)).collect();
    let counts = written.iter().map(|(topic, records)| (topic.clone(), records.len())).collect();
    for reader in Client::ALL {
        println!("{} reads what {} wrote", reader.name(), writer.name());
        assert_same(&written, &reader.consume(bootstrap, &counts));
    }
}

#[test]
fn all_read_what_confluent_kafka_writes_with_every_codec() {
    everyone_reads_what_it_writes(Client::ConfluentKafka);
}

#[test]
fn all_read_what_kafka_python_writes_with_every_codec() {
    everyone_reads_what_it_writes(Client::KafkaPython);
}

#[test]
fn all_read_what_aiokafka_writes_with_every_codec() {
    everyone_reads_what_it_writes(Client::Aiokafka);
}

#[test]
fn all_read_what_kafkajs_writes_with_every_codec() {
    everyone_reads_what_it_writes(Client::KafkaJs);
}

/// One batch per partition of a topic that is made by the first.
struct Feed {
    topic: String,
    partitions: i32,
    written: usize,
}

impl Feed {
    fn new(prefix: &str, partitions: i32) -> Self {
        Self { topic: topic(prefix), partitions, written: 0 }
    }

    /// Writes some records, spread evenly; the topic exists from the first call on.
    fn write(&mut self, bootstrap: &str, count: usize) {
        let record = |i: usize| Record {
            partition: (i % self.partitions as usize) as i32,
            key: None,
            value: Some(format!("{:08x}", self.written + i)),
            headers: Vec::new(),
        };
        let job = Job {
            topic: self.topic.clone(),
            partitions: if self.written == 0 { self.partitions } else { 0 },
            codec: "none",
            records: (0..count).map(record).collect(),
        };
        let written = Client::ConfluentKafka.produce(bootstrap, &[job]);
        assert_eq!(written.len(), count);
        self.written += count;
    }
}

fn assert_each_once(read: &[Consumed], count: usize) {
    let values: BTreeSet<_> = read.iter().map(|record| record.value.clone()).collect();
    assert_eq!(values.len(), count, "lost some");
    assert_eq!(read.len(), count, "duplicated some");
}

/// Waits until the members share all partitions as told, in whatever order they learn it.
fn wait_for_shares(members: &mut [&mut Member], share: usize, partitions: i32) {
    for member in members.iter_mut() {
        member.wait("its share was assigned", |member| member.assigned().len() == share);
    }
    let mut all: Vec<i32> = members.iter().flat_map(|m| m.assigned().to_vec()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..partitions).collect::<Vec<i32>>(), "each partition has one member");
}

/// Two members, one of which leaves in the middle; then a third that finds what was committed.
fn group_shares_hands_over_and_resumes(client: Client) {
    if ![client, Client::ConfluentKafka].into_iter().all(Client::is_here) {
        return;
    }
    let Some(bootstrap) = bootstrap() else { return };
    let mut feed = Feed::new(&format!("group.{}", client.name()), 4);
    let group = feed.topic.clone();
    feed.write(bootstrap, 40);
    let mut first = Member::join(client, bootstrap, &group, &feed.topic);
    first.wait("it read and committed all", |m| m.read().len() == 40 && m.has_committed_all());

    let mut second = Member::join(client, bootstrap, &group, &feed.topic);
    wait_for_shares(&mut [&mut first, &mut second], 2, 4);
    feed.write(bootstrap, 40);
    first.wait("it read its half", |m| m.read().len() == 60 && m.has_committed_all());
    second.wait("it read its half", |m| m.read().len() == 20 && m.has_committed_all());

    let read_by_first = first.leave();
    second.wait("it had all partitions", |member| member.assigned() == [0, 1, 2, 3]);
    feed.write(bootstrap, 40);
    second.wait("it read the rest", |m| m.read().len() == 60 && m.has_committed_all());
    let read_by_second = second.leave();
    assert_each_once(&[read_by_first, read_by_second].concat(), 120);

    feed.write(bootstrap, 8);
    let mut third = Member::join(client, bootstrap, &group, &feed.topic);
    third.wait("it read what is new", |m| m.read().len() >= 8 && m.has_committed_all());
    third.look(Duration::from_millis(200));
    let read = third.leave();
    assert_each_once(&read, 8);
    assert!(read.iter().all(|record| record.offset >= 30), "it began where the others ended");
}

#[test]
fn confluent_kafka_group_shares_hands_over_and_resumes() {
    group_shares_hands_over_and_resumes(Client::ConfluentKafka);
}

#[test]
fn kafka_python_group_shares_hands_over_and_resumes() {
    group_shares_hands_over_and_resumes(Client::KafkaPython);
}

#[test]
fn aiokafka_group_shares_hands_over_and_resumes() {
    group_shares_hands_over_and_resumes(Client::Aiokafka);
}

#[test]
fn kafkajs_group_shares_hands_over_and_resumes() {
    group_shares_hands_over_and_resumes(Client::KafkaJs);
}

#[test]
fn three_kinds_of_clients_share_one_group() {
    let kinds = [Client::ConfluentKafka, Client::KafkaPython, Client::Aiokafka];
    if !kinds.into_iter().all(Client::is_here) {
        return;
    }
    let Some(bootstrap) = bootstrap() else { return };
    let mut feed = Feed::new("group.mixed", 6);
    feed.write(bootstrap, 6);
    let group = feed.topic.clone();
    let mut members: Vec<Member> = Vec::new();
    for kind in kinds {
        members.push(Member::join(kind, bootstrap, &group, &feed.topic));
        let share = 6 / members.len();
        wait_for_shares(&mut members.iter_mut().collect::<Vec<_>>(), share, 6);
    }
    members[0].wait("it read the first records", |m| m.has_committed_all());
    feed.write(bootstrap, 30);
    let share = |m: &Member| m.read().iter().filter(|record| record.offset > 0).count() == 10;
    for member in &mut members {
        member.wait("it read its third", |m| share(m) && m.has_committed_all());
    }
    let read: Vec<Consumed> = members.into_iter().flat_map(Member::leave).collect();
    assert_each_once(&read, 36);
}

/// The lines of the console producer, and what they mean.
fn console_lines(codec: &str) -> (String, Vec<Record>) {
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut text = String::new();
    let mut records = Vec::new();
    for i in 0..20 {
        let key = if i % 3 == 0 { "NULL".to_owned() } else { format!("key{i}") };
        let value = match i % 4 {
            0 => "NULL".to_owned(),
            1 => String::new(),
            _ => format!("{codec} value {i} ").repeat(30).trim_end().to_owned(),
        };
        text.push_str(&format!("h:{i},e:\t{key}\t{value}\n"));
        let bytes = |part: &str| (part != "NULL").then(|| hex(part));
        records.push(Record {
            partition: 0,
            key: bytes(&key),
            value: bytes(&value),
            headers: vec![("h".into(), Some(hex(&i.to_string()))), ("e".into(), bytes(""))],
        });
    }
    (text, records)
}

#[test]
fn java_console_producer_writes_with_every_codec() {
    let Some(bootstrap) = bootstrap() else { return };
    let Some(java) = Java::new(bootstrap).filter(|_| Client::ConfluentKafka.is_here()) else {
        return;
    };
    let mut written = BTreeMap::new();
    let empty = |codec| Job {
        topic: topic(&format!("java.{codec}")),
        partitions: 1,
        codec,
        records: Vec::new(),
    };
    let jobs: Vec<Job> = CODECS.into_iter().map(empty).collect();
    Client::ConfluentKafka.produce(bootstrap, &jobs);
    for job in jobs {
        let (text, records) = console_lines(job.codec);
        let arguments = [
            "--topic",
            &job.topic,
            "--compression-codec",
            job.codec,
            "--reader-property",
            "parse.key=true",
            "--reader-property",
            "parse.headers=true",
            "--reader-property",
            "null.marker=NULL",
        ];
        java.run("console-producer", &arguments, &text);
        written.insert(job.topic, records);
    }
    let counts = written.iter().map(|(topic, records)| (topic.clone(), records.len())).collect();
    assert_same(&written, &Client::ConfluentKafka.consume(bootstrap, &counts));
}

#[test]
fn java_console_consumer_reads_every_codec_in_a_group_and_resumes() {
    let Some(bootstrap) = bootstrap() else { return };
    let Some(java) = Java::new(bootstrap).filter(|_| Client::KafkaJs.is_here()) else { return };
    let prefix = topic("to-java");
    let jobs = jobs(&prefix, false);
    Client::KafkaJs.produce(bootstrap, &jobs);
    let count = CODECS.len() * RECORDS_PER_TOPIC;
    let group = format!("{prefix}.group");
    let pattern = format!("{prefix}\\..*");
    let read = |count: usize| {
        let count = count.to_string();
        let mut arguments =
            vec!["--include", &pattern, "--group", &group, "--max-messages", &count];
        arguments.extend(["--timeout-ms", "30000"]);
        arguments.extend(["--command-property", "auto.offset.reset=earliest"]);
        for property in ["print.key", "print.headers", "print.partition", "print.offset"] {
            let property: &str = Box::leak(format!("{property}=true").into_boxed_str());
            arguments.extend(["--formatter-property", property]);
        }
        arguments.extend(["--formatter-property", "null.literal=NULL"]);
        let text = java.run("console-consumer", &arguments, "");
        text.lines().map(str::to_owned).collect::<Vec<String>>()
    };
    let lines = read(count);
    assert_eq!(lines.len(), count, "{lines:#?}");
    let with_text = lines.iter().filter(|line| line.contains("value 2 value 2")).count();
    assert_eq!(with_text, CODECS.len(), "record 2 of each codec was decompressed");
    let without_value = lines.iter().filter(|line| line.ends_with("\tNULL")).count();
    assert!(without_value >= CODECS.len(), "null values are null: {lines:#?}");

    // Only what is new comes out to the same group.
    let more = Job { partitions: 0, codec: "lz4", ..jobs[0].clone() };
    Client::KafkaJs.produce(bootstrap, &[more]);
    assert_eq!(read(RECORDS_PER_TOPIC).len(), RECORDS_PER_TOPIC);
    let described = java.run("consumer-groups", &["--describe", "--group", &group], "");
    let rows: Vec<Vec<&str>> = described
        .lines()
        .filter(|line| line.starts_with(&group))
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 3 * CODECS.len(), "{described}");
    assert!(rows.iter().all(|row| row[5] == "0"), "nothing lags behind: {described}");
    let committed: usize = rows.iter().map(|row| row[3].parse::<usize>().unwrap()).sum();
    assert_eq!(committed, count + RECORDS_PER_TOPIC, "{described}");
}
