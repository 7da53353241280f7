//! The smallest workload: one producer, one consumer, one topic; what was acknowledged is read.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ottla::{Admin, Consumer, ErrorCode, NewTopic, Producer, Record};

use crate::trace;
use crate::world::{BOOTSTRAP, Client, Phase, Workload, World};

const TOPIC: &str = "smoke";
const PARTITIONS: i32 = 3;

#[derive(Debug, Default)]
struct Seen {
    /// Values by partition and offset, as they were acknowledged.
    acknowledged: BTreeMap<(i32, i64), String>,
    /// And as they were read.
    read: BTreeMap<(i32, i64), String>,
    violations: Vec<String>,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Smoke {
    seen: Rc<RefCell<Seen>>,
    produced: Rc<Cell<bool>>,
    consumed: Rc<Cell<bool>>,
}

impl Workload for Smoke {
    fn populate(&self, world: &mut World<'_>) {
        let (seen, produced) = (Rc::clone(&self.seen), Rc::clone(&self.produced));
        world.client("producer", |client| produce(client, seen, produced));
        let (seen, produced) = (Rc::clone(&self.seen), Rc::clone(&self.produced));
        let consumed = Rc::clone(&self.consumed);
        world.client("consumer", |client| consume(client, seen, produced, consumed));
    }

    fn is_finished(&self) -> bool {
        self.consumed.get()
    }

    fn verdict(&self) -> Result<String, Vec<String>> {
        let seen = self.seen.borrow();
        let mut violations = seen.violations.clone();
        for (at, value) in &seen.acknowledged {
            if self.consumed.get() && seen.read.get(at) != Some(value) {
                let read = seen.read.get(at);
                violations.push(format!("{at:?}: acknowledged {value}, read {read:?}"));
            }
        }
        // The producer is idempotent: what it sent once is there once, at most.
        let mut places: BTreeMap<&String, (i32, i64)> = BTreeMap::new();
        for (at, value) in &seen.read {
            if let Some(other) = places.insert(value, *at) {
                violations.push(format!("{value} is at {other:?} and at {at:?}"));
            }
        }
        if !violations.is_empty() {
            return Err(violations);
        }
        Ok(format!("{} acknowledged, {} read", seen.acknowledged.len(), seen.read.len()))
    }
}

/// Calls again until it works.
async fn until_ok<T, E: std::fmt::Display>(mut call: impl AsyncFnMut() -> Result<T, E>) -> T {
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) => trace::note(&format!("tries again: {error}")),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn produce(client: Client, seen: Rc<RefCell<Seen>>, produced: Rc<Cell<bool>>) {
    let admin =
        until_ok(async || Admin::builder().bootstrap_servers(BOOTSTRAP).build().await).await;
    until_ok(async || {
        match admin.create_topic(NewTopic::new(TOPIC, PARTITIONS, 3)).await {
            // An earlier attempt whose answer was lost.
            Err(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) => Ok(()),
            made => made.map(drop),
        }
    })
    .await;
    let producer =
        until_ok(async || Producer::builder().bootstrap_servers(BOOTSTRAP).build().await).await;
    for number in 0.. {
        if *client.phase.borrow() != Phase::Faults {
            break;
        }
        let value = format!("{}-{number}", client.name);
        let record = Record::to(TOPIC).value(&value);
        match producer.send(record).await {
            Ok(delivery) => match delivery.await {
                Ok(at) => {
                    trace::note(&format!("acknowledged {value} {at:?}"));
                    let at = (at.partition, at.offset);
                    let before = seen.borrow_mut().acknowledged.insert(at, value);
                    if let Some(other) = before {
                        let twice = format!("{at:?} was acknowledged for {other} as well");
                        seen.borrow_mut().violations.push(twice);
                    }
                }
                Err(error) => trace::note(&format!("not acknowledged {value}: {error}")),
            },
            Err(error) => trace::note(&format!("not sent {value}: {error}")),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    produced.set(true);
}

async fn consume(
    _client: Client,
    seen: Rc<RefCell<Seen>>,
    produced: Rc<Cell<bool>>,
    consumed: Rc<Cell<bool>>,
) {
    let consumer = until_ok(async || {
        Consumer::builder()
            .bootstrap_servers(BOOTSTRAP)
            .group_id("smoke")
            .auto_offset_reset("earliest")
            .topics([TOPIC])
            .build()
            .await
    })
    .await;
    loop {
        match tokio::time::timeout(Duration::from_secs(1), consumer.next_batch()).await {
            Ok(Ok(None)) => break,
            Ok(Ok(Some(batch))) => {
                for record in &batch {
                    let at = (batch.partition(), record.offset);
                    let value = String::from_utf8_lossy(record.value.unwrap_or_default());
                    trace::note(&format!("read {at:?} {value}"));
                    let before = seen.borrow_mut().read.insert(at, value.clone().into_owned());
                    if before.as_ref().is_some_and(|before| *before != value) {
                        let changed = format!("{at:?} was {before:?} and is {value}");
                        seen.borrow_mut().violations.push(changed);
                    }
                }
            }
            Ok(Err(error)) => {
                trace::note(&format!("cannot read: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(_) => {}
        }
        let seen = seen.borrow();
        if produced.get() && seen.acknowledged.keys().all(|at| seen.read.contains_key(at)) {
            break;
        }
    }
    consumed.set(true);
}
