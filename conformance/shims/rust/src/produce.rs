//! `produce`.

use crate::lines::{Blob, Config, Input, configure, failure, say};
use ottla::{Delivery, Error, Header, Producer, ProducerBuilder, Record};
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;
use tokio::task::JoinSet;

#[derive(Deserialize)]
struct Task {
    bootstrap: String,
    topic: String,
    #[serde(default = "all")]
    acks: String,
    idempotence: Option<bool>,
    #[serde(default = "none")]
    compression: String,
    #[serde(default = "linger")]
    linger_ms: u64,
    #[serde(default = "request_timeout")]
    request_timeout_ms: u64,
    #[serde(default = "delivery_timeout")]
    delivery_timeout_ms: u64,
    #[serde(default)]
    wait_each: bool,
    #[serde(default)]
    config: Config,
}

fn all() -> String {
    "all".to_owned()
}

fn none() -> String {
    "none".to_owned()
}

fn linger() -> u64 {
    5
}

fn request_timeout() -> u64 {
    3_000
}

fn delivery_timeout() -> u64 {
    15_000
}

#[derive(Deserialize)]
struct Line {
    partition: Option<i32>,
    key: Option<Blob>,
    value: Option<Blob>,
    #[serde(default)]
    headers: Vec<(String, Option<Blob>)>,
    timestamp: Option<i64>,
}

pub(crate) async fn run(mut input: Input) -> Result<(), Box<dyn std::error::Error>> {
    let task: Task = input.task().await?;
    let producer = connect(&task).await;
    let mut waiting = JoinSet::new();
    let mut number = 0;
    while let Some(line) = input.next::<Line>().await? {
        // Without a client no record can be written: the suite wants to hear why.
        let sent = match &producer {
            Ok(producer) => producer.send(record(&task.topic, &line)).await,
            Err(error) => Err(error.clone()),
        };
        let answer = answer(number, sent);
        if task.wait_each {
            answer.await;
        } else {
            waiting.spawn(answer);
        }
        number += 1;
    }
    if let Ok(producer) = &producer {
        // What it could not write is told by the records.
        let _ = producer.close().await;
    }
    waiting.join_all().await;
    Ok(())
}

async fn connect(task: &Task) -> Result<Producer, Error> {
    let mut builder =
        configure(&task.config, |builder: ProducerBuilder, name, value| builder.set(name, value))?
            .bootstrap_servers(&task.bootstrap)
            .set("acks", &task.acks)?
            .set("compression.type", &task.compression)?
            .set("linger.ms", task.linger_ms)?
            .set("request.timeout.ms", task.request_timeout_ms)?
            .set("delivery.timeout.ms", task.delivery_timeout_ms)?
            .set("max.block.ms", task.delivery_timeout_ms)?;
    if let Some(enable) = task.idempotence {
        builder = builder.enable_idempotence(enable);
    }
    builder.build().await
}

fn record<'a>(topic: &'a str, line: &'a Line) -> Record<'a> {
    let mut record = Record::to(topic).headers(line.headers.iter().map(|(name, value)| Header {
        key: Cow::Borrowed(name.as_str()),
        value: value.as_ref().map(|value| Cow::Borrowed(value.0.as_slice())),
    }));
    if let Some(key) = &line.key {
        record = record.key(&key.0);
    }
    if let Some(value) = &line.value {
        record = record.value(&value.0);
    }
    if let Some(partition) = line.partition {
        record = record.partition(partition);
    }
    if let Some(timestamp) = line.timestamp {
        record = record.timestamp(timestamp);
    }
    record
}

async fn answer(number: usize, sent: Result<Delivery, Error>) {
    let written = match sent {
        Ok(delivery) => delivery.await,
        Err(error) => Err(error),
    };
    match written {
        Ok(place) => {
            let (partition, offset) = (place.partition, place.offset);
            say(&json!({"record": number, "partition": partition, "offset": offset}));
        }
        Err(error) => say(&json!({"record": number, "error": failure(&error)})),
    }
}
