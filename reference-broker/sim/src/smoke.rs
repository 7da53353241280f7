//! The workload: a topic of three partitions, a producer, a consumer in a group, and a reader of
//! each replica. What was acknowledged is at its offset on every replica, and there once; an offset
//! has one value for everybody, at any time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ottla::{Admin, Consumer, ErrorCode, NewTopic, Producer, Record};

use crate::readers::{Reader, Readings};
use crate::trace;
use crate::world::{BOOTSTRAP, Client, NODES, Phase, Workload, World};

const TOPIC: &str = "smoke";
const PARTITIONS: i32 = 3;

#[derive(Debug, Default)]
struct Shared {
    /// Values by partition and offset, as they were acknowledged.
    acknowledged: RefCell<BTreeMap<(i32, i64), String>>,
    readings: Rc<RefCell<Readings>>,
    /// The last positions of the group's consumer.
    consumed: RefCell<Vec<i64>>,
    violations: RefCell<Vec<String>>,
    /// Nothing more will be acknowledged.
    is_produced: Cell<bool>,
    /// Clients that have ended.
    ended: Cell<usize>,
}

impl Shared {
    /// Whether everything that was acknowledged lies below these positions.
    fn is_read(&self, positions: &[i64]) -> bool {
        let is_below = |(partition, offset): &(i32, i64)| {
            let position = usize::try_from(*partition).ok().and_then(|at| positions.get(at));
            position.is_some_and(|position| offset < position)
        };
        self.is_produced.get() && self.acknowledged.borrow().keys().all(is_below)
    }

    fn end(&self) {
        self.ended.set(self.ended.get() + 1);
    }
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Smoke(Rc<Shared>);

impl Workload for Smoke {
    fn populate(&self, world: &mut World<'_>) {
        let shared = || Rc::clone(&self.0);
        let partitions = usize::try_from(PARTITIONS).expect("it is small");
        *self.0.consumed.borrow_mut() = vec![0; partitions];
        world.client("producer", |client| produce(client, shared()));
        world.client("consumer", |_| consume(shared()));
        for node in 1..=NODES {
            world.client(&format!("reader-{node}"), |client| read(client, node, shared()));
        }
    }

    fn is_finished(&self) -> bool {
        self.0.ended.get() == NODES + 2
    }

    fn verdict(&self) -> Result<String, Vec<String>> {
        let (readings, acknowledged) = (self.0.readings.borrow(), self.0.acknowledged.borrow());
        let mut violations = self.0.violations.borrow().clone();
        violations.extend_from_slice(&readings.violations);
        for (at, value) in acknowledged.iter().filter(|_| self.is_finished()) {
            let read = readings.value(*at);
            if read != Some(value) {
                violations.push(format!("{at:?}: acknowledged {value}, read {read:?}"));
            }
        }
        // The producer is idempotent: what it sent once is there once, at most.
        let mut places: BTreeMap<&str, (i32, i64)> = BTreeMap::new();
        for (at, value) in readings.values() {
            if let Some(other) = places.insert(value, at) {
                violations.push(format!("{value} is at {other:?} and at {at:?}"));
            }
        }
        if !violations.is_empty() {
            return Err(violations);
        }
        Ok(format!("{} acknowledged, {} read", acknowledged.len(), readings.len()))
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

async fn produce(client: Client, shared: Rc<Shared>) {
    let builder = || Admin::builder().bootstrap_servers(BOOTSTRAP);
    let admin = until_ok(async || builder().build().await).await;
    until_ok(async || {
        match admin.create_topic(NewTopic::new(TOPIC, PARTITIONS, 3)).await {
            // An earlier attempt whose answer was lost.
            Err(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) => Ok(()),
            made => made.map(drop),
        }
    })
    .await;
    let builder = || Producer::builder().bootstrap_servers(BOOTSTRAP);
    let producer = until_ok(async || builder().build().await).await;
    for number in 0.. {
        if *client.phase.borrow() != Phase::Faults {
            break;
        }
        send(&producer, &format!("{}-{number}", client.name), &shared).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shared.is_produced.set(true);
    shared.end();
}

async fn send(producer: &Producer, value: &str, shared: &Shared) {
    let delivery = match producer.send(Record::to(TOPIC).value(value)).await {
        Ok(delivery) => delivery,
        Err(error) => return trace::note(&format!("not sent {value}: {error}")),
    };
    match delivery.await {
        Ok(at) => {
            trace::note(&format!("acknowledged {value} {at:?}"));
            let at = (at.partition, at.offset);
            let before = shared.acknowledged.borrow_mut().insert(at, value.to_owned());
            if let Some(other) = before {
                let twice = format!("{at:?} was acknowledged for {other} and for {value}");
                shared.violations.borrow_mut().push(twice);
            }
        }
        Err(error) => trace::note(&format!("not acknowledged {value}: {error}")),
    }
}

async fn consume(shared: Rc<Shared>) {
    let builder = || {
        let builder = Consumer::builder().bootstrap_servers(BOOTSTRAP).group_id("smoke");
        builder.auto_offset_reset("earliest").topics([TOPIC])
    };
    let consumer = until_ok(async || builder().build().await).await;
    while !shared.is_read(&shared.consumed.borrow()) {
        match tokio::time::timeout(Duration::from_secs(1), consumer.next_batch()).await {
            Ok(Ok(Some(batch))) => {
                for record in &batch {
                    let value = String::from_utf8_lossy(record.value.unwrap_or_default());
                    let at = (batch.partition(), record.offset);
                    trace::note(&format!("read {at:?} {value}"));
                    shared.readings.borrow_mut().note("consumer", at, &value);
                }
                let partition = usize::try_from(batch.partition()).expect("it is not negative");
                shared.consumed.borrow_mut()[partition] = batch.last_offset() + 1;
            }
            Ok(Err(error)) => {
                trace::note(&format!("cannot read: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(Ok(None)) | Err(_) => {}
        }
    }
    shared.end();
}

/// Reads a node's replicas while faults strike, and once more from the start when they are over.
async fn read(client: Client, node: usize, shared: Rc<Shared>) {
    let start = vec![0; usize::try_from(PARTITIONS).expect("it is small")];
    let mut reader = Reader {
        name: client.name.clone(),
        host: format!("node-{node}"),
        topic: TOPIC.to_owned(),
        positions: start.clone(),
        readings: Rc::clone(&shared.readings),
    };
    reader.run(|_| *client.phase.borrow() == Phase::Quiet).await;
    reader.positions = start;
    reader.run(|positions| shared.is_read(positions)).await;
    shared.end();
}
