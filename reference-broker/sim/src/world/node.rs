//! One broker: its disk, which outlives it, and its configuration.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ottla_broker::{Broker, Config};
use ottla_faulty_storage::FaultyStorage;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tokio::sync::{Notify, watch};

use super::NODES;
use crate::{system, trace};

/// A broker that does not start tries again after this long, as an operator would.
const RETRY: Duration = Duration::from_secs(1);
/// Kafka's default, and shorter ones, with which replicas leave the ISR that are alive.
const LAGS_MAX_MS: [u64; 4] = [300, 1000, 3000, 30_000];

/// What a run's brokers are configured to, beyond what all have.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Nothing is acknowledged before it is on the disk: any number of brokers may lose power.
    /// Otherwise one at a time may.
    pub flush_before_ack: bool,
    /// A replica that has not caught up for so long is out of sync: `replica.lag.time.max.ms`.
    pub lag_max_ms: u64,
    /// What is wrong on purpose.
    pub wrong: Option<Wrong>,
}

/// Rules that are broken to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Brokers lose power although nothing is flushed.
    UnflushedPowerLoss,
    /// A replica that is not in sync may be elected.
    UncleanElection,
}

impl Wrong {
    /// By the name that the command line has for it.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "unflushed-power-loss" => Some(Self::UnflushedPowerLoss),
            "unclean-election" => Some(Self::UncleanElection),
            _ => None,
        }
    }
}

impl Rules {
    pub(super) fn from_chance(random: &mut StdRng, wrong: Option<Wrong>) -> Self {
        let flush_before_ack = random.gen_bool(0.5) && wrong != Some(Wrong::UnflushedPowerLoss);
        let lag_max_ms = *LAGS_MAX_MS.choose(random).expect("there are some");
        Self { flush_before_ack, lag_max_ms, wrong }
    }
}

/// See the module's text.
#[derive(Debug)]
pub struct Node {
    id: usize,
    pub(super) disk: FaultyStorage,
    rules: Rules,
    skew_ms: Cell<i64>,
    /// Tells the broker to shut down in order, and to start again.
    pub(super) restart: Notify,
    /// Tells the host to stand still for some milliseconds: its clock jumps, nothing has run.
    pub(super) stall: watch::Sender<u64>,
    broker: RefCell<Weak<Broker>>,
}

impl Node {
    pub(super) fn new(id: usize, rules: Rules) -> Self {
        let now_ms = i64::try_from(system::EPOCH.as_millis()).unwrap_or(0);
        Self {
            id,
            disk: FaultyStorage::new(now_ms),
            rules,
            skew_ms: Cell::new(0),
            restart: Notify::new(),
            stall: watch::Sender::new(0),
            broker: RefCell::default(),
        }
    }

    /// Its host's name.
    pub fn name(&self) -> String {
        format!("node-{}", self.id)
    }

    /// The broker, while it runs.
    pub fn broker(&self) -> Option<Arc<Broker>> {
        self.broker.borrow().upgrade()
    }

    /// Sets how far its wall clock is ahead.
    pub(super) fn set_skew_ms(&self, skew_ms: i64) {
        self.skew_ms.set(skew_ms);
        trace::set_skew_ms(&self.name(), skew_ms);
    }

    /// Sets how long its disk takes for what the broker leaves to other threads.
    pub(super) fn set_disk_latency(&self, latency: Duration) {
        trace::set_disk_latency(&self.name(), latency);
    }

    pub(super) fn set_time(&self, elapsed: Duration) {
        let now = i64::try_from((system::EPOCH + elapsed).as_millis()).unwrap_or(0);
        self.disk.set_now_ms(now + self.skew_ms.get());
    }

    fn config(&self) -> Config {
        let voters: Vec<String> = (1..=NODES).map(|id| format!("{id}@node-{id}:9093")).collect();
        let name = self.name();
        let listeners = format!("PLAINTEXT://{name}:9092,INTERNAL://{name}:9093");
        let settings = [
            ("node.id", self.id.to_string()),
            ("cluster.id", "simulated".to_owned()),
            ("log.dirs", "/data".to_owned()),
            ("advertised.listeners", listeners.clone()),
            ("listeners", listeners),
            ("controller.quorum.voters", voters.join(",")),
            ("default.replication.factor", "3".to_owned()),
            ("min.insync.replicas", "2".to_owned()),
            ("offsets.topic.replication.factor", "3".to_owned()),
            ("offsets.topic.num.partitions", "2".to_owned()),
            ("log.segment.bytes", (64 << 10).to_string()),
            ("log.index.size.max.bytes", (16 << 10).to_string()),
            ("log.scrub.interval.ms", "1000".to_owned()),
            ("log.scrub.max.bytes.per.second", i64::MAX.to_string()),
            ("replica.lag.time.max.ms", self.rules.lag_max_ms.to_string()),
        ];
        let unclean = self.rules.wrong == Some(Wrong::UncleanElection);
        let settings = settings
            .into_iter()
            .chain(unclean.then(|| ("unclean.leader.election.enable", "true".to_owned())));
        let mut config = Config::dev();
        for (name, value) in settings {
            config = config.set(name, &value).expect("the settings are known");
        }
        if self.rules.flush_before_ack {
            config = config.set("log.flush.interval.messages", "1").expect("the setting is known");
        }
        config
    }

    /// The host's software.
    pub(super) async fn run(self: Rc<Self>) -> turmoil::Result {
        let mut stall = self.stall.subscribe();
        tokio::task::spawn_local(async move {
            while stall.changed().await.is_ok() {
                let for_ms = *stall.borrow_and_update();
                tokio::time::advance(Duration::from_millis(for_ms)).await;
            }
        });
        loop {
            let storage = Arc::new(self.disk.clone());
            match Broker::start_on(self.config(), storage).await {
                Ok(running) => {
                    trace::note("serves");
                    *self.broker.borrow_mut() = Arc::downgrade(running.broker());
                    tokio::select! {
                        reason = running.over() => trace::note(&format!("is over: {reason}")),
                        () = self.restart.notified() => {
                            let ended = running.shutdown().await;
                            trace::note(&format!("has shut down: {ended:?}"));
                        }
                    }
                }
                Err(error) => {
                    tracing::error!(target: "ottla_sim", %error, "does not start");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}
