//! What befalls the cluster, and when: all from the seed.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{NODES, World, Wrong};
use crate::trace;

mod damage;
mod patterns;

use damage::Flip;
use patterns::Next;

/// The first fault strikes after the cluster could form.
const FIRST: Duration = Duration::from_secs(3);

/// What is to come: most steps undo a fault.
#[derive(Debug, Clone)]
enum Step {
    Start(usize),
    Heal(usize, usize),
    Release(usize),
    Quick,
    Space(usize),
    QuickDisk(usize),
    /// A node is killed, and started after a while.
    Kill(usize, Duration),
    /// The next leader of a partition is killed.
    KillNext(Next),
}

/// See the module's text.
pub(super) struct Faults {
    random: StdRng,
    next: Option<Duration>,
    pending: Vec<(Duration, Step)>,
    counts: BTreeMap<&'static str, u32>,
    flip: Option<Flip>,
}

impl Faults {
    pub(super) fn new(wanted: bool, world: &mut World<'_>) -> Self {
        Self {
            random: StdRng::seed_from_u64(world.random.r#gen()),
            next: wanted.then_some(FIRST),
            pending: Vec::new(),
            counts: BTreeMap::new(),
            flip: None,
        }
    }

    /// Does what is due.
    pub(super) fn strike(&mut self, world: &mut World<'_>) {
        let now = world.sim.elapsed();
        while let Some(at) = self.pending.iter().position(|(at, _)| *at <= now) {
            let (_, step) = self.pending.remove(at);
            self.take(world, step);
        }
        if self.next.is_some_and(|next| next <= now) {
            self.next = Some(now + Duration::from_millis(self.random.gen_range(200..4000)));
            self.fault(world, now);
        }
    }

    /// Ends everything that is still wrong.
    pub(super) fn heal(&mut self, world: &mut World<'_>) {
        self.next = None;
        for (_, step) in std::mem::take(&mut self.pending) {
            if !matches!(step, Step::Kill(..) | Step::KillNext(_)) {
                self.take(world, step);
            }
        }
        for node in &world.nodes {
            node.set_skew_ms(0);
        }
    }

    /// How many of each kind.
    pub(super) fn summary(&self) -> String {
        let mut text = String::new();
        for (kind, count) in &self.counts {
            let _ = write!(text, "{}{count} {kind}", if text.is_empty() { "" } else { " " });
        }
        if text.is_empty() { "no faults".to_owned() } else { text }
    }

    fn count(&mut self, kind: &'static str, detail: &str) {
        *self.counts.entry(kind).or_default() += 1;
        trace::note(&format!("fault {kind} {detail}"));
        tracing::info!(target: "ottla_sim", kind, detail, "fault");
    }

    fn is_down(&self, node: usize) -> bool {
        self.pending.iter().any(|(_, step)| matches!(step, Step::Start(down) if *down == node))
    }

    /// Whether what is acknowledged survives it that a broker loses what is not on its disk: always
    /// with a flush before each acknowledgement, else while all replicas are in sync (the
    /// promise is for `min.insync.replicas` - 1 of them).
    fn may_lose_power(&mut self, world: &World<'_>) -> bool {
        let is_wrong = world.rules.wrong == Some(Wrong::UnflushedPowerLoss);
        if world.rules.flush_before_ack || is_wrong {
            return true;
        }
        self.are_all_in_sync(world) && !self.is_damaged(world)
    }

    fn fault(&mut self, world: &mut World<'_>, now: Duration) {
        let node = self.random.gen_range(0..NODES);
        let other = (node + self.random.gen_range(1..NODES)) % NODES;
        let for_ms =
            |random: &mut StdRng, most: u64| now + Duration::from_millis(random.gen_range(1..most));
        let (name, other_name) = (world.nodes[node].name(), world.nodes[other].name());
        let detail = format!("{name} {other_name}");
        match self.random.gen_range(0..150) {
            140.. => self.flip(world, node),
            100..140 => self.pattern(world, now),
            0..25 if !self.is_down(node) => {
                self.crash(world, node, false);
                let until = for_ms(&mut self.random, 8000);
                self.pending.push((until, Step::Start(node)));
            }
            25..35 if !self.is_down(node) && self.may_lose_power(world) => {
                self.crash(world, node, true);
                let until = for_ms(&mut self.random, 8000);
                self.pending.push((until, Step::Start(node)));
            }
            35..45 if !self.is_down(node) => {
                self.count("restarts", &name);
                world.nodes[node].restart.notify_one();
            }
            45..47 => {
                // Long enough to lose what is sent just now.
                self.count("losses", &detail);
                world.sim.partition(name, other_name);
                self.pending.push((for_ms(&mut self.random, 5), Step::Heal(node, other)));
            }
            47..50 => {
                self.count("kills of all", "");
                for node in 0..NODES {
                    if !self.is_down(node) {
                        let power = self.may_lose_power(world);
                        self.crash(world, node, power);
                        let until = for_ms(&mut self.random, 3000);
                        self.pending.push((until, Step::Start(node)));
                    }
                }
            }
            50..60 => {
                self.count("partitions", &detail);
                world.sim.partition(name, other_name);
                self.pending.push((for_ms(&mut self.random, 5000), Step::Heal(node, other)));
            }
            60..70 => {
                self.count("one-way partitions", &detail);
                world.sim.partition_oneway(name, other_name);
                self.pending.push((for_ms(&mut self.random, 5000), Step::Heal(node, other)));
            }
            chosen => self.fault_of_surroundings(world, now, node, chosen),
        }
    }

    /// What strikes a node's network as a whole, its clock or its disk.
    fn fault_of_surroundings(
        &mut self,
        world: &mut World<'_>,
        now: Duration,
        node: usize,
        chosen: u32,
    ) {
        let for_ms =
            |random: &mut StdRng, most: u64| now + Duration::from_millis(random.gen_range(1..most));
        let name = world.nodes[node].name();
        match chosen {
            70..80 => {
                self.count("isolations", &name);
                for peer in (0..NODES).filter(|peer| *peer != node) {
                    let until = for_ms(&mut self.random, 5000);
                    self.cut(world, node, peer, until);
                }
            }
            80..85 => {
                self.count("slow networks", "");
                let most = Duration::from_millis(self.random.gen_range(5..200));
                world.sim.set_max_message_latency(most);
                self.pending.push((for_ms(&mut self.random, 4000), Step::Quick));
            }
            85..88 if !self.is_down(node) => {
                self.count("stalls", &name);
                world.nodes[node].stall.send_replace(self.random.gen_range(10..5000));
            }
            88..93 => {
                self.count("clock jumps", &name);
                world.nodes[node].set_skew_ms(self.random.gen_range(-600_000..600_000));
            }
            93..96 => {
                self.count("full disks", &name);
                let disk = &world.nodes[node].disk;
                disk.set_capacity(Some(disk.used() + self.random.gen_range(0..20_000)));
                self.pending.push((for_ms(&mut self.random, 5000), Step::Space(node)));
            }
            96..98 => {
                self.count("slow disks", &name);
                let latency = Duration::from_millis(self.random.gen_range(1..500));
                world.nodes[node].set_disk_latency(latency);
                self.pending.push((for_ms(&mut self.random, 5000), Step::QuickDisk(node)));
            }
            _ => {
                self.count("pauses", &name);
                self.hold(world, node);
                self.pending.push((for_ms(&mut self.random, 4000), Step::Release(node)));
            }
        }
    }

    fn crash(&mut self, world: &mut World<'_>, node: usize, power: bool) {
        let name = world.nodes[node].name();
        self.count(if power { "power losses" } else { "kills" }, &name);
        world.sim.crash(name);
        if power {
            world.nodes[node].disk.power_loss(self.random.r#gen());
        }
    }

    fn later(&mut self, at: Duration, step: Step) {
        self.pending.push((at, step));
    }

    /// Two nodes do not hear of each other.
    fn cut(&mut self, world: &World<'_>, a: usize, b: usize, until: Duration) {
        world.sim.partition(world.nodes[a].name(), world.nodes[b].name());
        self.later(until, Step::Heal(a, b));
    }

    /// Messages between a node and its peers wait.
    fn hold(&self, world: &World<'_>, node: usize) {
        for peer in (0..NODES).filter(|peer| *peer != node) {
            world.sim.hold(world.nodes[node].name(), world.nodes[peer].name());
        }
    }

    fn take(&mut self, world: &mut World<'_>, step: Step) {
        // Looked at every millisecond: nothing has been done yet.
        if let Step::KillNext(next) = step {
            return self.on_next(world, next);
        }
        trace::note(&format!("step {step:?}"));
        tracing::info!(target: "ottla_sim", ?step, "step");
        match step {
            Step::Start(node) => world.sim.bounce(world.nodes[node].name()),
            Step::Heal(a, b) => {
                world.sim.repair(world.nodes[a].name(), world.nodes[b].name());
            }
            Step::Release(node) => {
                for peer in (0..NODES).filter(|peer| *peer != node) {
                    world.sim.release(world.nodes[node].name(), world.nodes[peer].name());
                }
            }
            Step::Quick => world.sim.set_max_message_latency(Duration::from_millis(2)),
            Step::Space(node) => world.nodes[node].disk.set_capacity(None),
            Step::QuickDisk(node) => world.nodes[node].set_disk_latency(Duration::ZERO),
            Step::Kill(node, down) => {
                if !self.is_down(node) {
                    self.crash(world, node, false);
                    self.later(world.sim.elapsed() + down, Step::Start(node));
                }
            }
            Step::KillNext(_) => {}
        }
    }
}
