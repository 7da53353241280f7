//! `consume-group`.

use crate::lines::{Config, Input, configure, encode, failure, say};
use ottla::{
    Admin, AdminBuilder, Consumer, ConsumerBuilder, ConsumerRecord, Error, RebalanceEvent,
    TopicPartition,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::cell::Cell;

#[derive(Deserialize)]
struct Task {
    bootstrap: String,
    topics: Vec<String>,
    group: Option<String>,
    #[serde(default = "earliest")]
    offset_reset: String,
    #[serde(default = "read_uncommitted")]
    isolation: String,
    count: Option<u64>,
    #[serde(default = "yes")]
    commit: bool,
    #[serde(default = "session_timeout")]
    session_timeout_ms: u64,
    #[serde(default)]
    config: Config,
}

fn earliest() -> String {
    "earliest".to_owned()
}

fn read_uncommitted() -> String {
    "read_uncommitted".to_owned()
}

fn yes() -> bool {
    true
}

fn session_timeout() -> u64 {
    10_000
}

pub(crate) async fn run(mut input: Input) -> Result<(), Box<dyn std::error::Error>> {
    let task: Task = input.task().await?;
    let consumer = match connect(&task).await {
        Ok(consumer) => consumer,
        Err(error) => {
            tell(&error);
            return Ok(());
        }
    };
    let delivered = Cell::new(0);
    tokio::select! {
        () = consume(&consumer, task.count, &delivered) => {}
        ended = until_end(&mut input) => ended?,
    }
    if task.commit
        && task.group.is_some()
        && delivered.get() > 0
        && let Err(error) = consumer.commit().await
    {
        tell(&error);
    }
    if let Err(error) = consumer.close().await {
        tell(&error);
    }
    Ok(())
}

async fn connect(task: &Task) -> Result<Consumer, Error> {
    let builder =
        configure(&task.config, |builder: ConsumerBuilder, name, value| builder.set(name, value))?
            .bootstrap_servers(&task.bootstrap)
            .set("auto.offset.reset", &task.offset_reset)?
            .set("isolation.level", &task.isolation)?
            .set("session.timeout.ms", task.session_timeout_ms)?
            .enable_auto_commit(false);
    if let Some(group) = &task.group {
        let topics = task.topics.iter().map(String::as_str);
        return builder.group_id(group).topics(topics).on_rebalance(rebalanced).build().await;
    }
    let partitions = partitions(task).await?;
    say(&json!({"assigned": places(&partitions)}));
    builder.assign(partitions).build().await
}

/// All partitions of the topics.
async fn partitions(task: &Task) -> Result<Vec<TopicPartition>, Error> {
    let admin: Admin = AdminBuilder::default().bootstrap_servers(&task.bootstrap).build().await?;
    let mut partitions = Vec::new();
    for (topic, described) in admin.describe_topics(task.topics.clone()).await? {
        let indexes = described?.partitions.into_iter().map(|partition| partition.index);
        partitions.extend(indexes.map(|index| TopicPartition::from((topic.as_str(), index))));
    }
    admin.close().await;
    Ok(partitions)
}

/// Tells records until there were so many.
async fn consume(consumer: &Consumer, count: Option<u64>, delivered: &Cell<u64>) {
    while Some(delivered.get()) != count {
        match consumer.next().await {
            Ok(Some(record)) => {
                say(&line(&record));
                delivered.set(delivered.get() + 1);
            }
            Ok(None) => break,
            Err(error) => {
                tell(&error);
                if error.is_fatal() {
                    break;
                }
            }
        }
    }
}

/// Waits for the end of the input.
async fn until_end(input: &mut Input) -> std::io::Result<()> {
    while input.next::<Value>().await?.is_some() {}
    Ok(())
}

fn line(record: &ConsumerRecord) -> Value {
    let headers: Vec<_> =
        record.headers().map(|(name, value)| json!([name, encode(value)])).collect();
    json!({
        "topic": record.topic(),
        "partition": record.partition(),
        "offset": record.offset(),
        "timestamp": record.timestamp(),
        "key": encode(record.key()),
        "value": encode(record.value()),
        "headers": headers,
    })
}

fn tell(error: &Error) {
    say(&json!({"error": failure(error)}));
}

fn rebalanced(event: &RebalanceEvent) {
    match event {
        RebalanceEvent::Assigned(partitions) => say(&json!({"assigned": places(partitions)})),
        RebalanceEvent::Revoked(partitions) | RebalanceEvent::Lost(partitions) => {
            say(&json!({"revoked": places(partitions)}));
        }
        _ => {}
    }
}

fn places(partitions: &[TopicPartition]) -> Vec<Value> {
    partitions.iter().map(|place| json!([&*place.topic, place.partition])).collect()
}
