//! What befalls the cluster, and when: all from the seed.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{NODES, World, Wrong};
use crate::trace;

/// The first fault strikes after the cluster could form.
const FIRST: Duration = Duration::from_secs(3);

/// What undoes a fault.
#[derive(Debug, Clone, Copy)]
enum Undo {
    Start(usize),
    Heal(usize, usize),
    Release(usize),
    Quick,
    Space(usize),
}

/// See the module's text.
pub(super) struct Faults {
    random: StdRng,
    next: Option<Duration>,
    pending: Vec<(Duration, Undo)>,
    counts: BTreeMap<&'static str, u32>,
}

impl Faults {
    pub(super) fn new(wanted: bool, world: &mut World<'_>) -> Self {
        Self {
            random: StdRng::seed_from_u64(world.random.r#gen()),
            next: wanted.then_some(FIRST),
            pending: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Does what is due.
    pub(super) fn strike(&mut self, world: &mut World<'_>) {
        let now = world.sim.elapsed();
        while let Some(at) = self.pending.iter().position(|(at, _)| *at <= now) {
            let (_, undo) = self.pending.remove(at);
            self.undo(world, undo);
        }
        if self.next.is_some_and(|next| next <= now) {
            self.next = Some(now + Duration::from_millis(self.random.gen_range(200..6000)));
            self.fault(world, now);
        }
    }

    /// Ends everything that is still wrong.
    pub(super) fn heal(&mut self, world: &mut World<'_>) {
        self.next = None;
        for (_, undo) in std::mem::take(&mut self.pending) {
            self.undo(world, undo);
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
        self.pending.iter().any(|(_, undo)| matches!(undo, Undo::Start(down) if *down == node))
    }

    /// Whether what is acknowledged survives it that a broker loses what is not on its disk: always
    /// with a flush before each acknowledgement, else while all replicas are in sync (the
    /// promise is for `min.insync.replicas` - 1 of them).
    fn may_lose_power(&self, world: &World<'_>) -> bool {
        let is_wrong = world.rules.wrong == Some(Wrong::UnflushedPowerLoss);
        if world.rules.flush_before_ack || is_wrong {
            return true;
        }
        let brokers: Vec<_> = world.nodes.iter().filter_map(|node| node.broker()).collect();
        (0..NODES).all(|node| !self.is_down(node))
            && brokers.len() == NODES
            && brokers.iter().all(|broker| {
                let image = broker.image();
                let mut topics = image.topics.values();
                topics.all(|topic| {
                    topic.partitions.iter().all(|partition| partition.isr.len() == NODES)
                })
            })
    }

    fn fault(&mut self, world: &mut World<'_>, now: Duration) {
        let node = self.random.gen_range(0..NODES);
        let other = (node + self.random.gen_range(1..NODES)) % NODES;
        let for_ms =
            |random: &mut StdRng, most: u64| now + Duration::from_millis(random.gen_range(1..most));
        let (name, other_name) = (world.nodes[node].name(), world.nodes[other].name());
        let detail = format!("{name} {other_name}");
        match self.random.gen_range(0..100) {
            0..25 if !self.is_down(node) => {
                self.crash(world, node, false);
                let until = for_ms(&mut self.random, 8000);
                self.pending.push((until, Undo::Start(node)));
            }
            25..35 if !self.is_down(node) && self.may_lose_power(world) => {
                self.crash(world, node, true);
                let until = for_ms(&mut self.random, 8000);
                self.pending.push((until, Undo::Start(node)));
            }
            35..45 if !self.is_down(node) => {
                self.count("restarts", &name);
                world.nodes[node].restart.notify_one();
            }
            45..48 => {
                // Long enough to lose what is sent just now.
                self.count("losses", &detail);
                world.sim.partition(name, other_name);
                self.pending.push((for_ms(&mut self.random, 5), Undo::Heal(node, other)));
            }
            48..50 => {
                self.count("kills of all", "");
                for node in 0..NODES {
                    if !self.is_down(node) {
                        let power = self.may_lose_power(world);
                        self.crash(world, node, power);
                        let until = for_ms(&mut self.random, 3000);
                        self.pending.push((until, Undo::Start(node)));
                    }
                }
            }
            50..60 => {
                self.count("partitions", &detail);
                world.sim.partition(name, other_name);
                self.pending.push((for_ms(&mut self.random, 5000), Undo::Heal(node, other)));
            }
            60..70 => {
                self.count("one-way partitions", &detail);
                world.sim.partition_oneway(name, other_name);
                self.pending.push((for_ms(&mut self.random, 5000), Undo::Heal(node, other)));
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
                    world.sim.partition(name.clone(), world.nodes[peer].name());
                    let until = for_ms(&mut self.random, 5000);
                    self.pending.push((until, Undo::Heal(node, peer)));
                }
            }
            80..85 => {
                self.count("slow networks", "");
                let most = Duration::from_millis(self.random.gen_range(5..200));
                world.sim.set_max_message_latency(most);
                self.pending.push((for_ms(&mut self.random, 4000), Undo::Quick));
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
                self.pending.push((for_ms(&mut self.random, 5000), Undo::Space(node)));
            }
            _ => {
                self.count("pauses", &name);
                for peer in (0..NODES).filter(|peer| *peer != node) {
                    world.sim.hold(name.clone(), world.nodes[peer].name());
                }
                self.pending.push((for_ms(&mut self.random, 4000), Undo::Release(node)));
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

    fn undo(&mut self, world: &mut World<'_>, undo: Undo) {
        trace::note(&format!("undo {undo:?}"));
        tracing::info!(target: "ottla_sim", ?undo, "undo");
        match undo {
            Undo::Start(node) => world.sim.bounce(world.nodes[node].name()),
            Undo::Heal(a, b) => {
                world.sim.repair(world.nodes[a].name(), world.nodes[b].name());
            }
            Undo::Release(node) => {
                for peer in (0..NODES).filter(|peer| *peer != node) {
                    world.sim.release(world.nodes[node].name(), world.nodes[peer].name());
                }
            }
            Undo::Quick => world.sim.set_max_message_latency(Duration::from_millis(2)),
            Undo::Space(node) => world.nodes[node].disk.set_capacity(None),
        }
    }
}
