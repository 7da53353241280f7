//! A cluster of three brokers, its clients, and what befalls them.
//!
//! A run has three phases: faults strike; then everything is healed and started, and the clients
//! end their work; then they read what is there. A [`Workload`] is the clients and what they swear
//! to afterwards.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use ottla_broker::planted::{self, Bug};
use ottla_broker::quorum::Image;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use turmoil::Sim;

use crate::{system, trace};

mod faults;
mod insides;
mod node;
mod operator;

use faults::Faults;
use insides::Insides;
pub use node::{Node, Rules, Wrong};

/// How many brokers there are; all are voters.
pub const NODES: usize = 3;
/// Where clients connect: their `bootstrap.servers`.
pub const BOOTSTRAP: &str = "node-1:9092,node-2:9092,node-3:9092";
/// When faults are over, everything must have gone well within this time.
const PATIENCE: Duration = Duration::from_secs(120);
/// The time that one step simulates.
const TICK: Duration = Duration::from_millis(1);

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Everything that is left to chance follows from it.
    pub seed: u64,
    /// How long faults strike.
    pub time: Duration,
    /// Whether any do.
    pub faults: bool,
    /// What is wrong on purpose.
    pub wrong: Option<Wrong>,
    /// What is wrong in the brokers on purpose.
    pub bug: Option<Bug>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Clients work, faults strike.
    Faults,
    /// No faults any more: clients bring their work to an end, and look at what is there.
    Quiet,
}

/// What a client of the simulation has.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its host.
    pub name: String,
    /// Its own chance.
    pub seed: u64,
    /// How far the run is.
    pub phase: watch::Receiver<Phase>,
    /// What the brokers of this run were configured to.
    pub rules: Rules,
}

/// Clients, and what must be true of what they saw.
pub trait Workload {
    /// Adds the clients.
    fn populate(&self, world: &mut World<'_>);

    /// Whether all clients have ended; looked at in [`Phase::Quiet`].
    fn is_finished(&self) -> bool;

    /// What was done, in a few words; else each violation of a promise.
    fn verdict(&self) -> Result<String, Vec<String>>;
}

/// How a run ended.
#[derive(Debug)]
pub struct Report {
    /// What was done, in a few words.
    pub summary: String,
    /// What went wrong; nothing should.
    pub violations: Vec<String>,
    /// See [`trace::hash`].
    pub hash: u64,
}

/// The simulated machines.
pub struct World<'a> {
    sim: Sim<'a>,
    nodes: Vec<Rc<Node>>,
    rules: Rules,
    random: StdRng,
    phase: watch::Sender<Phase>,
    clients: Rc<RefCell<Vec<String>>>,
}

impl World<'_> {
    fn new(settings: &Settings) -> Self {
        let mut random = StdRng::seed_from_u64(settings.seed);
        let mut sim = turmoil::Builder::new()
            .rng_seed(random.r#gen())
            .epoch(UNIX_EPOCH + system::EPOCH)
            .simulation_duration(Duration::MAX)
            .tick_duration(TICK)
            .min_message_latency(Duration::ZERO)
            .max_message_latency(Duration::from_millis(2))
            .tcp_capacity(1 << 20)
            .enable_random_order()
            .build();
        let rules = Rules::from_chance(&mut random, settings.wrong);
        let nodes: Vec<Rc<Node>> =
            (1..=NODES).map(|id| Rc::new(Node::new(id, rules.clone()))).collect();
        for node in &nodes {
            let node = Rc::clone(node);
            sim.host(node.name(), move || Rc::clone(&node).run());
        }
        let phase = watch::Sender::new(Phase::Faults);
        Self { sim, nodes, rules, random, phase, clients: Rc::default() }
    }

    /// Adds a host that runs a client.
    pub fn client<F: Future<Output = ()> + 'static>(
        &mut self,
        name: &str,
        run: impl FnOnce(Client) -> F,
    ) {
        let client = Client {
            name: name.to_owned(),
            seed: self.random.r#gen(),
            phase: self.phase.subscribe(),
            rules: self.rules.clone(),
        };
        let (name, clients) = (name.to_owned(), Rc::clone(&self.clients));
        let run = run(client);
        self.sim.client(name.clone(), async move {
            run.await;
            clients.borrow_mut().push(name);
            Ok(())
        });
    }

    /// The latest metadata that a broker here has.
    fn newest_image(&self) -> Option<Arc<Image>> {
        let images = self.nodes.iter().filter_map(|node| node.broker()).map(|one| one.image());
        images.max_by_key(|image| image.applied)
    }

    fn step(&mut self) {
        if let Err(error) = self.sim.step() {
            panicked(&format!("a host has failed: {error}"));
        }
        let elapsed = self.sim.elapsed();
        system::set_elapsed(elapsed);
        for node in &self.nodes {
            node.set_time(elapsed);
        }
    }
}

/// What panicked in this process, in any task.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn panicked(what: &str) {
    PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(what.to_owned());
}

fn panics() -> Vec<String> {
    PANICS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Runs a simulation on this thread, which must be a fresh one: hash maps that were made before
/// have an order of their own. A process runs one, because of its statics.
pub fn run(settings: &Settings, workload: &dyn Workload) -> Report {
    system::simulate(settings.seed);
    std::panic::set_hook(Box::new(|info| panicked(&info.to_string())));
    let mut world = World::new(settings);
    if let Some(bug) = settings.bug {
        planted::plant(bug);
    }
    workload.populate(&mut world);
    let mut faults = Faults::new(settings.faults, &mut world);
    if settings.faults {
        let nodes = world.nodes.clone();
        world.client("operator", |client| operator::run(client, nodes));
    }
    let (mut violations, mut insides) = (Vec::new(), Insides::default());
    while world.sim.elapsed() < settings.time && panics().is_empty() && violations.is_empty() {
        faults.strike(&mut world);
        world.step();
        violations.extend(insides.look(&world));
    }
    faults.heal(&mut world);
    world.phase.send_replace(Phase::Quiet);
    let deadline = world.sim.elapsed() + PATIENCE;
    let mut late = None;
    while !workload.is_finished() && panics().is_empty() && violations.is_empty() {
        if world.sim.elapsed() >= deadline {
            let (done, patience) = (world.clients.borrow().join(", "), PATIENCE.as_secs());
            late = Some(format!("not done {patience} s after the last fault; done: {done}"));
            break;
        }
        world.step();
        violations.extend(insides.look(&world));
    }
    violations.extend(panics().iter().map(|panic| format!("panic: {panic}")));
    let verdict = match workload.verdict() {
        Ok(verdict) => verdict,
        Err(found) => {
            violations.extend(found);
            "violations".to_owned()
        }
    };
    violations.extend(late);
    let (hash, events) = trace::hash();
    let summary = format!(
        "{:.0} s simulated, {}, {verdict}, {events} events",
        world.sim.elapsed().as_secs_f64(),
        faults.summary(),
    );
    Report { summary, violations, hash }
}
