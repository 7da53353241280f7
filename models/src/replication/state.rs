//! What the brokers and the controller know.

use std::fmt;

use super::REPLICAS;
use super::log::{Record, last_epoch};

/// A set of replicas as bits.
pub(super) type Set = u8;

pub(super) fn bit(replica: usize) -> Set {
    1 << replica
}

pub(super) fn size(set: Set) -> usize {
    set.count_ones() as usize
}

/// The partition as the controller's log has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Controller {
    /// The leader, unless there is none.
    pub leader: Option<usize>,
    /// Leader epoch.
    pub epoch: u8,
    /// Counts every change (partition epoch).
    pub version: u8,
    /// In-sync replicas.
    pub isr: u8,
    /// Eligible leader replicas (KIP-966).
    pub elr: u8,
    /// Brokers whose session has ended.
    pub fenced: u8,
    /// How often each broker lost its log and registered: the part of its broker epoch that
    /// matters.
    pub incarnations: [u8; REPLICAS],
}

/// A broker with its replica.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Broker {
    /// Whether its process runs.
    pub alive: bool,
    /// Whether it lost a part of its log and has not registered since.
    pub unclean: bool,
    /// The log.
    pub log: Vec<Record>,
    /// High watermark.
    pub watermark: usize,
    /// The leader that it knows.
    pub leader: Option<usize>,
    /// The leader epoch that it knows.
    pub epoch: u8,
    /// The partition epoch that it knows.
    pub version: u8,
    /// The ISR that it knows.
    pub isr: u8,
    /// As leader: where its epoch began.
    pub epoch_start: usize,
    /// As leader: how far each replica has fetched.
    pub ends: [usize; REPLICAS],
    /// As leader: the incarnation that fetched.
    pub fetched_by: [u8; REPLICAS],
    /// As leader: the ISR that it asked for, and the incarnations of its members.
    pub pending: Option<(u8, [u8; REPLICAS])>,
}

/// What only the checker knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Ghost {
    /// All that some leader has committed, and so acknowledged or shown to readers.
    pub committed: Vec<Record>,
    /// Whether a leader committed another record at an offset.
    pub rewritten: bool,
    /// The highest answer to ListOffsets latest.
    pub listed: usize,
    /// Whether a follower has cut its log by epochs.
    pub truncated: bool,
    /// Whether a replica came back into the ISR.
    pub rejoined: bool,
}

/// A state of the whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The controller.
    pub controller: Controller,
    /// The brokers.
    pub brokers: [Broker; REPLICAS],
    /// What only the checker knows.
    pub ghost: Ghost,
    /// Records sent, fences, crashes, losses and ISR changes so far.
    pub used: [u8; 5],
}

impl State {
    pub(super) fn new() -> Self {
        let all = bit(REPLICAS) - 1;
        let broker = Broker {
            alive: true,
            unclean: false,
            log: Vec::new(),
            watermark: 0,
            leader: Some(0),
            epoch: 1,
            version: 0,
            isr: all,
            epoch_start: 0,
            ends: [0; REPLICAS],
            fetched_by: [0; REPLICAS],
            pending: None,
        };
        Self {
            controller: Controller {
                leader: Some(0),
                epoch: 1,
                version: 0,
                isr: all,
                elr: 0,
                fenced: 0,
                incarnations: [0; REPLICAS],
            },
            brokers: [broker.clone(), broker.clone(), broker],
            ghost: Ghost::default(),
            used: [0; 5],
        }
    }

    /// Whether `replica` believes that it leads.
    pub(super) fn leads(&self, replica: usize) -> bool {
        let broker = &self.brokers[replica];
        broker.alive && broker.leader == Some(replica)
    }

    /// The leader of the controller's epoch, once it has heard of it.
    fn current(&self) -> Option<&Broker> {
        let leader = self.controller.leader?;
        let broker = &self.brokers[leader];
        (self.leads(leader) && broker.epoch == self.controller.epoch).then_some(broker)
    }

    pub(super) fn committed_is_kept(&self) -> bool {
        let committed = &self.ghost.committed;
        self.current().is_none_or(|leader| leader.log.starts_with(committed))
    }

    pub(super) fn prefixes_are_committed(&self) -> bool {
        let fits = |broker: &Broker| {
            broker.watermark <= broker.log.len()
                && self.ghost.committed.starts_with(&broker.log[..broker.watermark])
        };
        self.brokers.iter().filter(|broker| broker.alive).all(fits)
    }

    pub(super) fn latest_never_falls(&self) -> bool {
        self.current().is_none_or(|leader| {
            leader.watermark < leader.epoch_start || leader.watermark >= self.ghost.listed
        })
    }

    pub(super) fn one_leader_an_epoch(&self) -> bool {
        let leaders: Vec<u8> = (0..REPLICAS)
            .filter(|replica| self.leads(*replica))
            .map(|replica| self.brokers[replica].epoch)
            .collect();
        leaders.iter().enumerate().all(|(i, epoch)| !leaders[..i].contains(epoch))
    }

    pub(super) fn commits_of_the_last_epoch(&self) -> bool {
        last_epoch(&self.ghost.committed) == self.controller.epoch
    }

    pub(super) fn zombie_has_tail(&self) -> bool {
        (0..REPLICAS).any(|replica| {
            let broker = &self.brokers[replica];
            self.leads(replica)
                && broker.epoch < self.controller.epoch
                && broker.log.len() > self.ghost.committed.len()
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let controller = &self.controller;
        let leader = controller.leader.map_or("none".to_owned(), |leader| leader.to_string());
        write!(f, "controller: leader {leader}, epoch {}, ", controller.epoch)?;
        write!(f, "isr {}, elr {}", names(controller.isr), names(controller.elr))?;
        for (replica, broker) in self.brokers.iter().enumerate() {
            let role = match (broker.alive, broker.leader == Some(replica)) {
                (false, _) => "down".to_owned(),
                (true, true) => format!("leads {}", broker.epoch),
                (true, false) => format!("follows {}", broker.epoch),
            };
            let log: Vec<String> =
                broker.log.iter().map(|r| format!("{}@{}", r.value, r.epoch)).collect();
            write!(f, "; {replica} {role} [{}] hw {}", log.join(" "), broker.watermark)?;
        }
        write!(f, "; committed {}", self.ghost.committed.len())
    }
}

fn names(set: Set) -> String {
    let names = (0..REPLICAS).filter(|replica| set & bit(*replica) != 0);
    format!("{{{}}}", names.map(|name| name.to_string()).collect::<Vec<_>>().join(","))
}
