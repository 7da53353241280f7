//! What the controller decides by itself: who is alive, who may serve, who may end, whose
//! leaderships go back. Sans-IO; times are milliseconds of one steady clock.
//!
//! Every voter has one and tells it the heartbeats that it gets, so that a new controller knows who
//! was alive before its election (M14). Only that of the active controller is asked for decisions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::Uuid;
use serde::{Deserialize, Serialize};

use super::command::{Command, Election, PartitionId};
use super::election::Rules;
use super::image::{BrokerImage, Image, PartitionImage, TopicImage, uuid_list};

/// The most elections in one command.
const ELECTIONS_MAX: usize = 1000;

/// A broker is alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Its id.
    pub broker: i32,
    /// Its broker epoch.
    pub epoch: i64,
    /// Index of the last command that it has applied.
    pub applied: u64,
    /// It wants to end.
    pub wants_shutdown: bool,
    /// Ids of its log directories that have failed.
    #[serde(with = "uuid_list")]
    pub failed_log_dirs: Vec<Uuid>,
}

/// What a heartbeat is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// The incarnation is fenced, or not the registered one.
    pub fenced: bool,
    /// It has applied its own registration.
    pub caught_up: bool,
    /// It asked to end, and nothing depends on it any more.
    pub may_shut_down: bool,
    /// A later incarnation is registered: another process has the id.
    #[serde(default)]
    pub superseded: bool,
}

/// The controller's decisions.
#[derive(Debug)]
pub struct Controller {
    image: Arc<Image>,
    /// `broker.session.timeout.ms`.
    session: u64,
    contacts: BTreeMap<i32, Contact>,
    /// The latest time that it was told.
    now: u64,
    /// Nobody is fenced before: silence may have been this node's own.
    grace_until: u64,
    /// `leader.imbalance.check.interval.seconds`, if preferred leaders are put back.
    rebalance_every: Option<u64>,
    rebalance_at: u64,
    /// `unclean.leader.election.enable` where neither a topic nor a dynamic setting says otherwise.
    unclean: bool,
}

/// What is known of a broker's incarnation.
#[derive(Debug)]
struct Contact {
    epoch: i64,
    /// When it was last heard of, or registered.
    at: u64,
    /// What it said last.
    heartbeat: Option<Heartbeat>,
    /// The metadata held its shutdown from this index on.
    handed_over: Option<u64>,
    /// Its process has ended; `at` is when that was found.
    gone: bool,
}

impl Contact {
    fn new(epoch: i64, at: u64) -> Self {
        Self { epoch, at, heartbeat: None, handed_over: None, gone: false }
    }

    fn wants_shutdown(&self) -> bool {
        self.heartbeat.as_ref().is_some_and(|heartbeat| heartbeat.wants_shutdown)
    }

    fn applied(&self, index: u64) -> bool {
        self.heartbeat.as_ref().is_some_and(|heartbeat| heartbeat.applied >= index)
    }
}

impl Controller {
    /// A controller that has heard of nobody yet: who is not fenced in `image` has a session from
    /// `now` on.
    pub fn new(image: Arc<Image>, now: u64, session_timeout: Duration) -> Self {
        let mut controller = Self {
            image: Arc::default(),
            session: millis(session_timeout),
            contacts: BTreeMap::new(),
            now,
            grace_until: now,
            rebalance_every: None,
            rebalance_at: now,
            unclean: false,
        };
        controller.on_image(now, image);
        controller
    }

    /// Puts preferred leaders back this often (`auto.leader.rebalance.enable`); none is never.
    #[must_use]
    pub fn with_leader_rebalance(mut self, every: Option<Duration>) -> Self {
        self.rebalance_every = every.map(millis);
        self.rebalance_at = self.now.saturating_add(self.rebalance_every.unwrap_or(0));
        self
    }

    /// Elects leaders that were not in sync where no setting of the metadata says otherwise
    /// (`unclean.leader.election.enable` of the node's own configuration).
    #[must_use]
    pub fn with_unclean_election(mut self, enabled: bool) -> Self {
        self.unclean = enabled;
        self
    }

    /// The metadata has moved on.
    pub fn on_image(&mut self, now: u64, image: Arc<Image>) {
        self.now = self.now.max(now);
        if image.controller != self.image.controller {
            self.begin_grace();
            self.rebalance_at = now.saturating_add(self.rebalance_every.unwrap_or(0));
        }
        // A broker that this node's metadata does not have yet may be heard of already.
        let is_coming = |contact: &Contact| contact.epoch > index_as_epoch(image.applied);
        self.contacts.retain(|id, contact| image.brokers.contains_key(id) || is_coming(contact));
        for (id, broker) in &image.brokers {
            let contact =
                self.contacts.entry(*id).or_insert_with(|| Contact::new(broker.epoch, now));
            if contact.epoch < broker.epoch {
                *contact = Contact::new(broker.epoch, now);
            }
            if contact.epoch == broker.epoch && broker.shutting_down {
                contact.handed_over.get_or_insert(image.applied);
            }
        }
        self.image = image;
    }

    /// A broker was heard of.
    pub fn on_heartbeat(&mut self, now: u64, heartbeat: Heartbeat) -> HeartbeatAnswer {
        self.now = self.now.max(now);
        let (id, epoch) = (heartbeat.broker, heartbeat.epoch);
        let known = self.image.brokers.get(&id).map(|broker| broker.epoch);
        let caught_up = heartbeat.applied >= epoch_as_index(epoch);
        let wants_shutdown = heartbeat.wants_shutdown;
        let is_over = match known {
            Some(known) => epoch < known,
            None => epoch <= index_as_epoch(self.image.applied),
        };
        if is_over {
            let superseded = known.is_some();
            let may_shut_down = wants_shutdown;
            return HeartbeatAnswer { fenced: true, caught_up, may_shut_down, superseded };
        }
        let contact = self.contacts.entry(id).or_insert_with(|| Contact::new(epoch, now));
        if contact.epoch < epoch {
            *contact = Contact::new(epoch, now);
        }
        if contact.epoch == epoch {
            contact.at = contact.at.max(now);
            contact.heartbeat = Some(heartbeat);
            contact.gone = false;
        }
        let registered = self.image.brokers.get(&id).filter(|broker| broker.epoch == epoch);
        HeartbeatAnswer {
            fenced: registered.is_none_or(|broker| broker.fenced),
            caught_up,
            may_shut_down: wants_shutdown
                && registered.is_some_and(|broker| self.may_shut_down(id, broker)),
            superseded: false,
        }
    }

    /// Nothing listens any more where this incarnation did: its session ends here.
    pub fn on_gone(&mut self, now: u64, broker: i32, epoch: i64) {
        self.now = self.now.max(now);
        if let Some(contact) = self.contacts.get_mut(&broker).filter(|c| c.epoch == epoch) {
            contact.at = self.now;
            contact.gone = true;
        }
    }

    /// What is to be proposed now. To be asked again once the answer is applied and was told by
    /// [`Self::on_image`]; nothing comes twice when nothing has gone wrong.
    pub fn poll(&mut self, now: u64) -> Option<Command> {
        // A process that was stopped, or had no time for this, has not read the heartbeats.
        let silent = self.image.brokers.iter().filter(|(id, _)| !self.is_gone(**id));
        let due = silent.filter_map(|(id, broker)| self.deadline(*id, broker));
        if due.min().is_some_and(|due| now.saturating_sub(due) > self.session / 2) {
            self.now = self.now.max(now);
            self.begin_grace();
        }
        self.now = self.now.max(now);
        let brokers = self.image.brokers.iter();
        let decided = brokers.filter_map(|(id, broker)| self.decide(*id, broker)).next();
        decided.or_else(|| self.unclean_elections()).or_else(|| self.preferred_elections())
    }

    /// When [`Self::poll`] has something to say if nothing else happens until then.
    pub fn next_timeout(&self) -> Option<u64> {
        let brokers = self.image.brokers.iter();
        let deadlines = brokers.filter_map(|(id, broker)| self.deadline(*id, broker));
        let rebalance = self.rebalance_every.map(|_| self.rebalance_at);
        // What is past is not waited for: an inactive controller has nobody who acts on it.
        deadlines.chain(rebalance).filter(|at| *at > self.now).min()
    }

    fn is_gone(&self, id: i32) -> bool {
        self.contacts.get(&id).is_some_and(|contact| contact.gone)
    }

    fn begin_grace(&mut self) {
        self.grace_until = self.now.saturating_add(self.session / 4);
    }

    /// When a broker's session ends; none if it has none.
    fn deadline(&self, id: i32, broker: &BrokerImage) -> Option<u64> {
        let contact = self.contacts.get(&id).filter(|_| !broker.fenced)?;
        if contact.gone && contact.epoch == broker.epoch {
            return Some(contact.at);
        }
        Some(contact.at.saturating_add(self.session).max(self.grace_until))
    }

    fn decide(&self, node_id: i32, broker: &BrokerImage) -> Option<Command> {
        let broker_epoch = broker.epoch;
        let contact = self.contacts.get(&node_id)?;
        let heartbeat = contact.heartbeat.as_ref().filter(|_| contact.epoch == broker_epoch);
        let failed = heartbeat.map_or(&[][..], |heartbeat| &heartbeat.failed_log_dirs);
        if !broker.fenced {
            if self.deadline(node_id, broker).is_some_and(|deadline| self.now >= deadline) {
                return Some(Command::FenceBroker { node_id, broker_epoch });
            }
            let wants_shutdown = heartbeat.is_some_and(|heartbeat| heartbeat.wants_shutdown);
            if wants_shutdown && !broker.shutting_down {
                return Some(Command::BeginControlledShutdown { node_id, broker_epoch });
            }
            if wants_shutdown && self.may_shut_down(node_id, broker) {
                return Some(Command::FenceBroker { node_id, broker_epoch });
            }
        }
        if broker.log_dirs.iter().any(|dir| failed.contains(dir)) {
            let log_dirs = failed.to_vec();
            return Some(Command::FailLogDirs { node_id, broker_epoch, log_dirs });
        }
        let all_failed = broker.log_dirs.is_empty() && !failed.is_empty();
        let heartbeat = heartbeat?;
        // M13: it has applied its own registration. A session that has ended is none to begin.
        let may_serve = broker.fenced
            && !broker.shutting_down
            && !heartbeat.wants_shutdown
            && !all_failed
            && !contact.gone
            && heartbeat.applied >= epoch_as_index(broker_epoch)
            && self.now < contact.at.saturating_add(self.session);
        may_serve.then_some(Command::UnfenceBroker { node_id, broker_epoch })
    }

    /// M13: its leaderships are with others, and all who are active know that.
    fn may_shut_down(&self, id: i32, broker: &BrokerImage) -> bool {
        if broker.fenced {
            return true;
        }
        let Some(contact) = self.contacts.get(&id).filter(|contact| contact.wants_shutdown())
        else {
            return false;
        };
        let Some(index) = contact.handed_over else { return false };
        let mut active = self.image.brokers.iter().filter(|(_, broker)| broker.is_active());
        active.all(|(id, _)| self.contacts.get(id).is_some_and(|contact| contact.applied(index)))
    }

    fn unclean_elections(&self) -> Option<Command> {
        let enabled = |topic: &TopicImage| {
            self.unclean && Rules::new(&self.image, topic).unclean_setting().is_none()
        };
        let stuck = |topic: &TopicImage, partition: &PartitionImage| {
            let acceptable = |id: &i32| Rules::new(&self.image, topic).may_lead(partition, *id);
            partition.leader == -1 && partition.replicas.iter().any(acceptable)
        };
        let partitions =
            self.partitions(|topic, partition| enabled(topic) && stuck(topic, partition));
        (!partitions.is_empty())
            .then_some(Command::ElectLeaders { election: Election::Unclean, partitions })
    }

    fn preferred_elections(&mut self) -> Option<Command> {
        let every = self.rebalance_every.filter(|_| self.now >= self.rebalance_at)?;
        let partitions = self.partitions(|topic, partition| {
            Rules::new(&self.image, topic).preferred(partition).is_ok()
        });
        if partitions.len() < ELECTIONS_MAX {
            self.rebalance_at = self.now.saturating_add(every);
        }
        (!partitions.is_empty())
            .then_some(Command::ElectLeaders { election: Election::Preferred, partitions })
    }

    /// Some partitions, at most as many as go into one command.
    fn partitions(
        &self,
        wanted: impl Fn(&TopicImage, &PartitionImage) -> bool,
    ) -> Vec<PartitionId> {
        let all = self.image.topics.values().flat_map(|topic| {
            let indexed = (0..).zip(&topic.partitions);
            indexed.map(move |(index, partition)| (topic, index, partition))
        });
        let wanted = all.filter(|(topic, _, partition)| wanted(topic, partition));
        let id = |(topic, index, _): (&Arc<TopicImage>, i32, _)| PartitionId {
            topic_id: topic.id,
            index,
        };
        wanted.map(id).take(ELECTIONS_MAX).collect()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A broker epoch is the log index of the registration.
fn epoch_as_index(epoch: i64) -> u64 {
    u64::try_from(epoch).unwrap_or(0)
}

fn index_as_epoch(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
