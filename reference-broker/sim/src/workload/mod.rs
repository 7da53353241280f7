//! The workload: a topic of three partitions; idempotent producers and a plain one, which come and
//! go; a reader of each replica; consumers in a group; and a group whose members speak the protocol
//! themselves, so that generations and commits can be judged one by one. The oracle judges.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ottla::{Admin, ErrorCode, NewTopic};
use ottla_oracle::{Group, Log, Promise};

use crate::readers::Reader;
use crate::trace;
use crate::world::{BOOTSTRAP, Client, NODES, Phase, Workload, World};

mod consumers;
mod members;
mod producers;

const TOPIC: &str = "records";
const PARTITIONS: i32 = 3;
/// Idempotent producers at a time.
const IDEMPOTENT: usize = 2;
/// Consumers at a time.
const CONSUMERS: usize = 2;
/// Members of the other group at a time.
const MEMBERS: usize = 3;

/// What all clients know.
#[derive(Debug, Default)]
struct Shared {
    log: Rc<RefCell<Log>>,
    group: RefCell<Group>,
    /// Producers that have ended.
    produced: Cell<usize>,
    /// Clients that have ended, but readers.
    ended: Cell<usize>,
    /// Readers that have ended.
    read: Cell<usize>,
}

impl Shared {
    /// Whether nothing more will be acknowledged.
    fn is_produced(&self) -> bool {
        self.produced.get() == IDEMPOTENT + 1
    }

    /// Whether nobody but the readers does anything more: what is there then is what is there.
    fn is_settled(&self) -> bool {
        self.ended.get() == IDEMPOTENT + 1 + CONSUMERS + MEMBERS
    }

    fn end(&self) {
        self.ended.set(self.ended.get() + 1);
    }
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Clients(Rc<Shared>);

impl Workload for Clients {
    fn populate(&self, world: &mut World<'_>) {
        let shared = || Rc::clone(&self.0);
        for number in 1..=IDEMPOTENT {
            let name = format!("producer-{number}");
            world.client(&name, |client| producers::run(client, shared(), Promise::Once));
        }
        let plain = Promise::AtLeastOnce;
        world.client("plain", |client| producers::run(client, shared(), plain));
        for number in 1..=CONSUMERS {
            let name = format!("consumer-{number}");
            world.client(&name, |client| consumers::run(client, shared()));
        }
        for number in 1..=MEMBERS {
            let name = format!("member-{number}");
            world.client(&name, |client| members::run(client, shared()));
        }
        for node in 1..=NODES {
            world.client(&format!("reader-{node}"), |client| read(client, node, shared()));
        }
    }

    fn is_finished(&self) -> bool {
        self.0.is_settled() && self.0.read.get() == NODES
    }

    fn verdict(&self) -> Result<String, Vec<String>> {
        let (mut log, group) = (self.0.log.borrow_mut(), self.0.group.borrow());
        log.check();
        let violations = log.violations().iter().chain(group.violations());
        let violations: Vec<String> = violations.map(ToString::to_string).collect();
        if !violations.is_empty() {
            return Err(violations);
        }
        let ((acknowledged, seen), (generations, commits)) = (log.counts(), group.counts());
        Ok(format!(
            "{acknowledged} acknowledged, {seen} read, {generations} generations, {commits} commits"
        ))
    }
}

/// Whoever comes first makes the topic: it would have another number of partitions if a client made
/// it by asking for it.
async fn create_topic() {
    let builder = || Admin::builder().bootstrap_servers(BOOTSTRAP);
    let admin = until_ok(async || builder().build().await).await;
    until_ok(async || {
        match admin.create_topic(NewTopic::new(TOPIC, PARTITIONS, 3)).await {
            // Somebody else was first, or an earlier attempt whose answer was lost.
            Err(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) => Ok(()),
            made => made.map(drop),
        }
    })
    .await;
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

/// Reads a node's replicas while faults strike, and once more from the start when they are over.
async fn read(client: Client, node: usize, shared: Rc<Shared>) {
    let start = vec![0; usize::try_from(PARTITIONS).expect("it is small")];
    let mut reader = Reader {
        name: client.name.clone(),
        host: format!("node-{node}"),
        topic: TOPIC.to_owned(),
        isolation_level: i8::from(client.seed.is_multiple_of(2)),
        positions: start.clone(),
        is_last: false,
        log: Rc::clone(&shared.log),
    };
    reader.run(|_| *client.phase.borrow() == Phase::Quiet).await;
    (reader.positions, reader.is_last) = (start, true);
    shared.log.borrow_mut().replica(&reader.host);
    let is_read =
        |positions: &[i64]| shared.is_settled() && shared.log.borrow().is_covered(positions);
    reader.run(is_read).await;
    shared.read.set(shared.read.get() + 1);
}
