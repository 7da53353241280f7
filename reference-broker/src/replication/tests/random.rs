//! Three replicas, a controller, and whatever order the seed makes of them: what was committed
//! stays, and all see the same.

use std::collections::BTreeMap;

use super::*;

const NODES: [i32; 3] = [1, 2, 3];

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn node(&mut self) -> i32 {
        NODES[self.below(NODES.len())]
    }
}

enum Role {
    Leader(Box<Leadership>),
    Follower(Following),
}

/// A replica with what it knows of the metadata, which may be old.
struct Replica {
    log: Toy,
    role: Role,
    seen: Assignment,
    leader: i32,
    proposals: Vec<(i32, IsrProposal)>,
}

impl Replica {
    fn high_watermark(&self) -> i64 {
        match &self.role {
            Role::Leader(leadership) => leadership.high_watermark(),
            Role::Follower(following) => following.high_watermark(),
        }
    }
}

struct World {
    random: Random,
    now: u64,
    replicas: BTreeMap<i32, Replica>,
    /// The metadata as it is.
    truth: Assignment,
    leader: i32,
    next_number: u64,
    /// What was committed once, by offset.
    committed: Vec<(i32, u64)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let truth = Assignment {
            leader_epoch: 0,
            partition_epoch: 0,
            replicas: NODES.to_vec(),
            isr: NODES.to_vec(),
            active: NODES.iter().map(|id| (*id, 1)).collect(),
        };
        let replica = |id: i32| Replica {
            log: Toy::default(),
            role: Role::Follower(Following::new(-1, 0, 0)),
            seen: Assignment { leader_epoch: -1, ..truth.clone() },
            leader: id,
            proposals: Vec::new(),
        };
        let replicas = NODES.iter().map(|id| (*id, replica(*id))).collect();
        let random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        Self { random, now: 0, replicas, truth, leader: 1, next_number: 0, committed: vec![] }
    }

    fn step(&mut self) {
        self.now += self.random.below(40) as u64;
        let id = self.random.node();
        match self.random.below(20) {
            0 => self.elect(),
            1 => self.fence(),
            2 => self.restart(id),
            3..=5 => self.see_metadata(id),
            6..=8 => self.propose(id),
            9..=11 => self.produce(id),
            _ => self.fetch(id),
        }
        self.check();
    }

    /// Another leader out of the ISR.
    fn elect(&mut self) {
        let isr = &self.truth.isr;
        self.leader = isr[self.random.below(isr.len())];
        self.truth.leader_epoch += 1;
        self.truth.partition_epoch += 1;
    }

    /// A broker is taken out of the ISR (M4), and comes back as a new incarnation (M2).
    fn fence(&mut self) {
        let id = self.random.node();
        if self.truth.isr.len() > 1 {
            self.truth.isr.retain(|member| *member != id);
            self.truth.partition_epoch += 1;
            if self.leader == id {
                self.elect();
            }
        }
    }

    fn restart(&mut self, id: i32) {
        if self.truth.isr == [id] {
            return;
        }
        if self.truth.isr.contains(&id) {
            self.truth.isr.retain(|member| *member != id);
            self.truth.partition_epoch += 1;
            if self.leader == id {
                self.elect();
            }
        }
        *self.truth.active.get_mut(&id).unwrap() += 1;
        // It was out of the ISR before its tail was lost, and so much is on disk.
        let lost = self.random.below(3);
        let replica = self.replicas.get_mut(&id).unwrap();
        let end = replica.log.records.len().saturating_sub(lost);
        replica.log.truncate_to(i64::try_from(end).unwrap());
        replica.role = Role::Follower(Following::new(-1, 0, 0));
        replica.seen.leader_epoch = -1;
        replica.proposals.clear();
    }

    fn see_metadata(&mut self, id: i32) {
        let replica = self.replicas.get_mut(&id).unwrap();
        let is_new = self.truth.leader_epoch > replica.seen.leader_epoch;
        replica.seen = self.truth.clone();
        replica.leader = self.leader;
        if !is_new {
            if let Role::Leader(leadership) = &mut replica.role {
                leadership.on_assignment(self.truth.clone(), self.now);
            }
            return;
        }
        let end = replica.log.end();
        let high_watermark = replica.high_watermark();
        replica.proposals.clear();
        replica.role = if self.leader == id {
            replica.log.begin_epoch(self.truth.leader_epoch);
            let ends = LogEnds { high_watermark, log_end: end, durable_end: end };
            Role::Leader(Box::new(Leadership::new(id, self.truth.clone(), ends, RULE, self.now)))
        } else {
            replica.log.truncate_to(end);
            Role::Follower(Following::new(self.truth.leader_epoch, high_watermark, end))
        };
    }

    /// The leader asks for an ISR, or the controller gets around to what it asked for.
    fn propose(&mut self, id: i32) {
        let answered = self.random.below(2) == 0;
        let replica = self.replicas.get_mut(&id).unwrap();
        let Role::Leader(leadership) = &mut replica.role else { return };
        if let Some(proposal) = leadership.poll(self.now) {
            replica.proposals.push((leadership.epoch(), proposal));
        }
        let Some((epoch, proposal)) = replica.proposals.pop() else { return };
        let alive = |(id, epoch): &(i32, i64)| self.truth.active[id] == *epoch;
        let result = if epoch != self.truth.leader_epoch {
            ProposalResult::Refused(ErrorCode::FencedLeaderEpoch)
        } else if proposal.partition_epoch != self.truth.partition_epoch {
            ProposalResult::Refused(ErrorCode::InvalidUpdateVersion)
        } else if !proposal.isr.iter().all(alive) {
            ProposalResult::Refused(ErrorCode::IneligibleReplica)
        } else {
            self.truth.isr = proposal.isr.iter().map(|(id, _)| *id).collect();
            self.truth.partition_epoch += 1;
            ProposalResult::Applied
        };
        let result = if answered { result } else { ProposalResult::Unknown };
        leadership.on_proposal(&proposal, result, self.now);
    }

    fn produce(&mut self, id: i32) {
        let replica = self.replicas.get_mut(&id).unwrap();
        if let Role::Leader(leadership) = &mut replica.role {
            replica.log.append(leadership.epoch(), self.next_number);
            self.next_number += 1;
            leadership.on_append(replica.log.end(), self.now);
        }
    }

    fn fetch(&mut self, id: i32) {
        let broker_epoch = self.truth.active[&id];
        let mut replica = self.replicas.remove(&id).unwrap();
        if let Role::Follower(following) = &mut replica.role
            && let Some(leader) = self.replicas.get_mut(&replica.leader)
            && let Role::Leader(leadership) = &mut leader.role
            && leadership.epoch() == following.epoch()
        {
            let asked = following.request(0, &replica.log, 1);
            let answer = leader.log.answer(&asked, leadership.high_watermark());
            if answer.diverging_epoch == EpochEndOffset::default() {
                leadership.on_fetch(id, broker_epoch, asked.fetch_offset, self.now);
            }
            fetch(following, &mut replica.log, &leader.log, leadership.high_watermark());
        }
        self.replicas.insert(id, replica);
    }

    /// What one replica calls committed, no other contradicts, now or later; and everybody in the
    /// ISR has it.
    fn check(&mut self) {
        for (id, replica) in &self.replicas {
            let visible = usize::try_from(replica.high_watermark()).unwrap();
            let visible = &replica.log.records[..visible];
            let known = visible.len().min(self.committed.len());
            assert_eq!(visible[..known], self.committed[..known], "replica {id} tells otherwise");
            self.committed.extend_from_slice(&visible[known..]);
        }
        for id in &self.truth.isr {
            let log = &self.replicas[id].log.records;
            assert!(log.starts_with(&self.committed), "{id} is in sync and lacks records");
        }
    }
}

#[test]
fn what_was_committed_stays() {
    let mut committed = 0;
    for seed in 0..300 {
        let mut world = World::new(seed);
        for _ in 0..400 {
            world.step();
        }
        committed += world.committed.len();
    }
    assert!(committed > 3000, "only {committed} records were committed in all");
}
