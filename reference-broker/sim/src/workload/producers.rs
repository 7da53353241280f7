//! Producers through the ordinary client: each sends for a while, to all partitions, with more than
//! one record on the way; then it is closed, or dropped, and another takes its place.

use std::rc::Rc;
use std::time::Duration;

use ottla::{Delivery, Producer, Record};
use ottla_oracle::Promise;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, sleep};

use super::{PARTITIONS, Shared, TOPIC, create_topic, until_ok};
use crate::readers::now;
use crate::trace;
use crate::world::{BOOTSTRAP, Client, Phase};

/// How long an answer may take, in milliseconds: short ones make a producer send again what is
/// still waiting for replicas.
const REQUEST_TIMEOUTS_MS: [u64; 4] = [300, 1000, 5000, 30_000];
/// Some batches hold a few records, others many.
const BATCH_SIZES: [usize; 3] = [150, 1000, 16 << 10];

/// Sends until faults are over.
pub(super) async fn run(client: Client, shared: Rc<Shared>, promise: Promise) {
    let mut random = StdRng::seed_from_u64(client.seed);
    create_topic().await;
    let is_on = || *client.phase.borrow() == Phase::Faults;
    for incarnation in 1.. {
        if !is_on() {
            break;
        }
        let name = format!("{}.{incarnation}", client.name);
        shared.log.borrow_mut().producer(&name, promise);
        let producer = build(promise, &mut random).await;
        live(&name, producer, &shared, &mut random, is_on).await;
    }
    shared.produced.set(shared.produced.get() + 1);
    shared.end();
}

async fn build(promise: Promise, random: &mut StdRng) -> Producer {
    let request_timeout_ms = *REQUEST_TIMEOUTS_MS.choose(random).expect("there are some");
    let (linger_ms, longer_ms) = (random.gen_range(0..20), random.gen_range(0..30_000));
    let batch_size = *BATCH_SIZES.choose(random).expect("there are some");
    let builder = || {
        let delivery_timeout_ms = linger_ms + request_timeout_ms + longer_ms;
        Producer::builder()
            .bootstrap_servers(BOOTSTRAP)
            .enable_idempotence(promise == Promise::Once)
            .request_timeout(Duration::from_millis(request_timeout_ms))
            .delivery_timeout(Duration::from_millis(delivery_timeout_ms))
            .linger(Duration::from_millis(linger_ms))
            .batch_size(batch_size)
    };
    until_ok(async || builder().build().await).await
}

/// Sends for a while, and ends when each record's sending has ended.
async fn live(
    name: &str,
    producer: Producer,
    shared: &Rc<Shared>,
    random: &mut StdRng,
    is_on: impl Fn() -> bool,
) {
    let until = Instant::now() + Duration::from_millis(random.gen_range(500..15_000));
    let mut deliveries = Vec::new();
    for number in 0.. {
        if !is_on() || Instant::now() >= until {
            break;
        }
        let partition = random.gen_range(0..PARTITIONS);
        let value = format!("{name}/{partition}/{number}");
        deliveries.extend(send(name, &producer, partition, &value, shared).await);
        sleep(Duration::from_millis(random.gen_range(1..20))).await;
    }
    let ended = match random.gen_bool(0.3) && is_on() {
        true => producer.close_within(Duration::ZERO).await,
        false => producer.close().await,
    };
    trace::note(&format!("{name} is closed: {ended:?}"));
    drop(producer);
    for delivery in deliveries {
        delivery.await.expect("a delivery does not panic");
    }
}

async fn send(
    name: &str,
    producer: &Producer,
    partition: i32,
    value: &str,
    shared: &Rc<Shared>,
) -> Option<JoinHandle<()>> {
    shared.log.borrow_mut().sent(now(), name, partition, value);
    match producer.send(Record::to(TOPIC).partition(partition).value(value)).await {
        Ok(delivery) => {
            let (value, shared) = (value.to_owned(), Rc::clone(shared));
            Some(spawn_local(settle(delivery, value, shared)))
        }
        Err(error) => {
            trace::note(&format!("not sent {value}: {error}"));
            shared.log.borrow_mut().refused(now(), value);
            None
        }
    }
}

async fn settle(delivery: Delivery, value: String, shared: Rc<Shared>) {
    let outcome = delivery.await;
    let mut log = shared.log.borrow_mut();
    match outcome {
        Ok(at) => {
            trace::note(&format!("acknowledged {value} {at:?}"));
            log.acknowledged(now(), &value, Some(at.offset).filter(|offset| *offset >= 0));
        }
        Err(error) => {
            let may_be_there = error.possibly_written();
            trace::note(&format!("not acknowledged {value} ({may_be_there}): {error}"));
            match may_be_there {
                true => log.unknown(now(), &value),
                false => log.refused(now(), &value),
            }
        }
    }
}
