//! Sequences of faults that go for the leader of a partition: what random strikes do together once
//! in a thousand runs. All are within what is promised.

use std::time::Duration;

use rand::Rng;
use rand::seq::SliceRandom;

use super::super::{NODES, World};
use super::{Faults, Step};

/// A leader that does not come is not waited for any longer.
const ELECTION: Duration = Duration::from_secs(2);

/// A partition, by its topic's name and index.
#[derive(Debug, Clone)]
pub(super) struct Target {
    topic: String,
    index: usize,
}

impl Target {
    /// The node that leads, by the newest metadata; counted from 0.
    fn leader(&self, world: &World<'_>) -> Option<usize> {
        let image = world.newest_image()?;
        let partition = image.topics.get(&self.topic)?.partitions.get(self.index)?;
        usize::try_from(partition.leader - 1).ok().filter(|node| *node < NODES)
    }
}

/// What is done to the next leader of a partition, once there is one.
#[derive(Debug, Clone)]
pub(super) struct Next {
    target: Target,
    /// Who led before.
    former: usize,
    /// It is not waited for after this time.
    until: Duration,
    /// How long after its election the next leader is killed.
    after: Duration,
    /// How long it is down.
    down: Duration,
}

impl Faults {
    /// One of the sequences.
    pub(super) fn pattern(&mut self, world: &mut World<'_>, now: Duration) {
        let Some(target) = self.any_partition(world) else { return };
        let Some(leader) = target.leader(world).filter(|node| !self.is_down(*node)) else { return };
        match self.random.gen_range(0..7) {
            0 => self.blackout(world, now),
            6 => self.back_at_once(world, now, leader),
            1 => self.cascade(world, now, target, leader),
            2 => self.cut_leader(world, now, target, leader),
            3 => self.cut_followers(world, now, target, leader),
            4 => self.cut_follower(world, now, target, leader),
            _ => self.hold_leader(world, now, target, leader),
        }
    }

    fn any_partition(&mut self, world: &World<'_>) -> Option<Target> {
        let image = world.newest_image()?;
        let topics = image.topics.iter();
        let all: Vec<Target> = topics
            .flat_map(|(name, topic)| {
                let topic = (0..topic.partitions.len()).map(|index| (name.clone(), index));
                topic.map(|(topic, index)| Target { topic, index })
            })
            .collect();
        all.choose(&mut self.random).cloned()
    }

    fn within(&mut self, most_ms: u64) -> Duration {
        Duration::from_millis(self.random.gen_range(0..most_ms))
    }

    /// The other two, in any order.
    fn others(&mut self, node: usize) -> (usize, usize) {
        let one = (node + self.random.gen_range(1..NODES)) % NODES;
        (one, NODES - node - one)
    }

    /// The leader of the partition, or the controller, has lost its power or is killed, and is back
    /// before anybody has missed it.
    fn back_at_once(&mut self, world: &mut World<'_>, now: Duration, leader: usize) {
        let controller = world.newest_image().and_then(|image| image.controller);
        let controller = controller.and_then(|one| usize::try_from(one.node_id - 1).ok());
        let wanted = self.random.gen_bool(0.5);
        let node = controller.filter(|node| wanted && !self.is_down(*node)).unwrap_or(leader);
        let power = self.may_lose_power(world);
        self.crash(world, node, power);
        let down = self.within(300);
        self.later(now + down, Step::Start(node));
    }

    /// All are gone at once, one of them by a loss of power; two are back soon, the third later.
    fn blackout(&mut self, world: &mut World<'_>, now: Duration) {
        self.count("blackouts", "");
        let mut nodes: Vec<usize> = (0..NODES).filter(|node| !self.is_down(*node)).collect();
        nodes.shuffle(&mut self.random);
        let power = self.may_lose_power(world);
        for (at, node) in nodes.iter().enumerate() {
            self.crash(world, *node, power && at == 0);
        }
        nodes.shuffle(&mut self.random);
        for (at, node) in nodes.into_iter().enumerate() {
            let least = Duration::from_millis(if at < 2 { 0 } else { 500 });
            let down = least + self.within(if at < 2 { 300 } else { 3000 });
            self.later(now + down, Step::Start(node));
        }
    }

    /// The leader is killed, and the next one as soon as it is elected.
    fn cascade(&mut self, world: &mut World<'_>, now: Duration, target: Target, leader: usize) {
        self.count("cascades", "");
        self.crash(world, leader, false);
        let back = self.within(3000);
        self.later(now + back, Step::Start(leader));
        self.kill_next(now, target, leader);
    }

    fn kill_next(&mut self, now: Duration, target: Target, former: usize) {
        let (after, down) = (self.within(30), self.within(3000));
        let next = Next { target, former, until: now + ELECTION, after, down };
        self.later(now, Step::KillNext(next));
    }

    /// Neither follower hears of the leader, but clients do; it may be killed in the end.
    fn cut_leader(&mut self, world: &mut World<'_>, now: Duration, target: Target, leader: usize) {
        self.count("cut leaders", "");
        let for_ms = self.within(6000);
        for peer in (0..NODES).filter(|peer| *peer != leader) {
            self.cut(world, leader, peer, now + for_ms);
        }
        if self.random.gen_bool(0.5) {
            let down = self.within(1000);
            self.later(now + for_ms, Step::Kill(leader, down));
        } else {
            self.kill_next(now, target, leader);
        }
    }

    /// The followers do not hear of each other when one of them is elected, and that one is killed.
    fn cut_followers(
        &mut self,
        world: &mut World<'_>,
        now: Duration,
        target: Target,
        leader: usize,
    ) {
        self.count("cut followers", "");
        let (one, other) = self.others(leader);
        let for_ms = self.within(3000);
        self.cut(world, one, other, now + for_ms);
        let (at, down) = (self.within(50), self.within(500));
        self.later(now + at, Step::Kill(leader, down));
        self.kill_next(now + at, target, leader);
    }

    /// A follower is cut off until it is out of sync, and the leader killed when it is back.
    fn cut_follower(
        &mut self,
        world: &mut World<'_>,
        now: Duration,
        target: Target,
        leader: usize,
    ) {
        self.count("cut followers", "");
        let (one, other) = self.others(leader);
        let for_ms = Duration::from_millis(500) + self.within(4000);
        self.cut(world, leader, one, now + for_ms);
        let at = (now + for_ms + self.within(100)).saturating_sub(Duration::from_millis(50));
        let down = self.within(3000);
        self.later(at, Step::Kill(leader, down));
        if self.random.gen_bool(0.3) {
            let down = self.within(3000);
            self.later(at, Step::Kill(other, down));
        } else {
            self.kill_next(at, target, leader);
        }
    }

    /// What the leader sends comes late; when it comes, whoever leads then is killed.
    fn hold_leader(&mut self, world: &mut World<'_>, now: Duration, target: Target, leader: usize) {
        self.count("held leaders", "");
        self.hold(world, leader);
        let for_ms = Duration::from_millis(500) + self.within(3000);
        self.later(now + for_ms, Step::Release(leader));
        self.kill_next(now + for_ms, target, leader);
    }

    /// The leader after the former one is killed, if there is one yet.
    pub(super) fn on_next(&mut self, world: &mut World<'_>, next: Next) {
        let now = world.sim.elapsed();
        let leader = next.target.leader(world).filter(|leader| *leader != next.former);
        match leader {
            Some(leader) => self.later(now + next.after, Step::Kill(leader, next.down)),
            None if now < next.until => {
                self.later(now + Duration::from_millis(1), Step::KillNext(next));
            }
            None => {}
        }
    }
}
