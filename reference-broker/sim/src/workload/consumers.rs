//! Consumers of a group through the ordinary client, which come and go: what was acknowledged is
//! delivered to one of them at least once.

use std::rc::Rc;
use std::time::Duration;

use ottla::Consumer;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, sleep, timeout};

use super::{Shared, TOPIC, create_topic, until_ok};
use crate::readers::now;
use crate::trace;
use crate::world::{BOOTSTRAP, Client, Phase};

const GROUP: &str = "consumers";
/// The shortest that Kafka takes by default: who is gone is soon forgotten.
const SESSION: Duration = Duration::from_secs(6);
/// Leaving may take this long; who has not left by then is gone all the same.
const LEAVING: Duration = Duration::from_secs(10);

/// Consumes until all is delivered.
pub(super) async fn run(client: Client, shared: Rc<Shared>) {
    let mut random = StdRng::seed_from_u64(client.seed);
    shared.log.borrow_mut().group(GROUP);
    create_topic().await;
    let is_over = || shared.is_produced() && shared.log.borrow().is_delivered(GROUP);
    while !is_over() {
        let builder = || {
            Consumer::builder()
                .bootstrap_servers(BOOTSTRAP)
                .group_id(GROUP)
                .auto_offset_reset("earliest")
                .auto_commit_interval(Duration::from_millis(500))
                .session_timeout(SESSION)
                .topics([TOPIC])
        };
        let consumer = until_ok(async || builder().build().await).await;
        let until = Instant::now() + Duration::from_millis(random.gen_range(1000..20_000));
        let is_on =
            || !is_over() && (Instant::now() < until || *client.phase.borrow() == Phase::Quiet);
        while is_on() {
            consume(&client.name, &consumer, &shared).await;
        }
        if random.gen_bool(0.7) {
            let left = timeout(LEAVING, consumer.close()).await;
            trace::note(&format!("{} leaves: {left:?}", client.name));
        }
        drop(consumer);
        sleep(Duration::from_millis(random.gen_range(0..3000))).await;
    }
    shared.end();
}

/// Takes a batch, if one comes soon.
async fn consume(name: &str, consumer: &Consumer, shared: &Shared) {
    match timeout(Duration::from_secs(1), consumer.next_batch()).await {
        Ok(Ok(Some(batch))) => {
            let mut log = shared.log.borrow_mut();
            for record in &batch {
                let value = String::from_utf8_lossy(record.value.unwrap_or_default());
                let place = (batch.partition(), record.offset);
                trace::note(&format!("{name} reads {place:?} {value}"));
                log.read(now(), name, place, Some(batch.leader_epoch()), &value);
                log.delivered(GROUP, place);
            }
        }
        Ok(Err(error)) => {
            trace::note(&format!("{name} cannot read: {error}"));
            sleep(Duration::from_millis(100)).await;
        }
        Ok(Ok(None)) | Err(_) => {}
    }
}
