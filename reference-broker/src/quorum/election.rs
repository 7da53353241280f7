//! Who leads a partition and who is in sync: the one way in which a partition changes.
//!
//! A change edits replicas and ISR; what follows from it is always the same: a reassignment that
//! is complete ends (M21), who left an ISR that is too small becomes eligible (KIP-966), a
//! partition without its leader gets another, and the epochs count (M5).

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::ErrorCode;

use super::command::Rejection;
use super::image::{BrokerImage, Image, PartitionImage, TopicImage};
use crate::planted::{self, Bug};

const MIN_IN_SYNC_REPLICAS: &str = "min.insync.replicas";
const UNCLEAN_ELECTION: &str = "unclean.leader.election.enable";
const FLUSH_MESSAGES: &str = "flush.messages";
const LOG_FLUSH_INTERVAL_MESSAGES: &str = "log.flush.interval.messages";

/// What the fate of a topic's partitions depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    brokers: &'a BTreeMap<i32, BrokerImage>,
    topic: &'a BTreeMap<String, String>,
    all_brokers: &'a BTreeMap<String, String>,
    each_broker: &'a BTreeMap<i32, BTreeMap<String, String>>,
    /// Elect although records may be lost, whatever the settings say.
    force_unclean: bool,
}

impl<'a> Rules<'a> {
    pub(super) fn new(image: &'a Image, topic: &'a TopicImage) -> Self {
        Self {
            brokers: &image.brokers,
            topic: &topic.configs,
            all_brokers: &image.default_broker_configs,
            each_broker: &image.broker_configs,
            force_unclean: false,
        }
    }

    pub(super) fn forced_unclean(self) -> Self {
        Self { force_unclean: true, ..self }
    }

    /// The least number of replicas that a commit may have had. A leader uses the topic's setting,
    /// or else its own, its cluster's or the one in its file: this is never more than what any
    /// leader uses, or an ELR could lack what was committed.
    fn min_in_sync(&self, partition: &PartitionImage) -> usize {
        let number =
            |configs: &BTreeMap<String, String>| configs.get(MIN_IN_SYNC_REPLICAS)?.parse().ok();
        let of_brokers = || {
            let each = self.each_broker.values().filter_map(number);
            let files = || self.brokers.values().map(|broker| broker.min_in_sync).min();
            each.chain(number(self.all_brokers).or_else(files)).min()
        };
        let min: usize = number(self.topic).or_else(of_brokers).unwrap_or(1);
        min.min(partition.replicas.len()).max(1)
    }

    /// Whether the metadata allows or forbids unclean elections; none if it says nothing.
    pub(super) fn unclean_setting(&self) -> Option<bool> {
        let setting = self.topic.get(UNCLEAN_ELECTION).or(self.all_brokers.get(UNCLEAN_ELECTION));
        setting.map(|value| value == "true")
    }

    /// Whether a replica acknowledges only what it has on disk; none if that is a matter of the
    /// broker's file.
    pub(super) fn flushes_before_ack(&self, id: i32) -> Option<bool> {
        let of_broker = || self.each_broker.get(&id)?.get(LOG_FLUSH_INTERVAL_MESSAGES);
        let of_all = || self.all_brokers.get(LOG_FLUSH_INTERVAL_MESSAGES);
        let value = self.topic.get(FLUSH_MESSAGES).or_else(of_broker).or_else(of_all);
        value.map(|value| value == "1")
    }

    /// Whether a replica could serve as the leader, in sync or not.
    pub(super) fn may_lead(&self, partition: &PartitionImage, id: i32) -> bool {
        self.brokers.get(&id).is_some_and(BrokerImage::is_active)
            && !partition.offline.contains(&id)
    }

    /// The preferred leader, if it can take over.
    pub(super) fn preferred(&self, partition: &PartitionImage) -> Result<i32, Rejection> {
        let preferred = partition.replicas.first().copied().unwrap_or(-1);
        if partition.leader == preferred {
            let message = "the preferred replica leads it already";
            return Err(Rejection::new(ErrorCode::ElectionNotNeeded, message));
        }
        if !partition.isr.contains(&preferred) || !self.may_lead(partition, preferred) {
            let message = format!("the preferred replica {preferred} is not in sync");
            return Err(Rejection::new(ErrorCode::PreferredLeaderNotAvailable, message));
        }
        Ok(preferred)
    }

    /// Makes the first replica the leader.
    pub(super) fn elect_preferred(&self, partition: &mut PartitionImage) -> Result<(), Rejection> {
        let preferred = self.preferred(partition)?;
        partition.leader = preferred;
        partition.recovering = false;
        partition.leader_epoch += 1;
        partition.partition_epoch += 1;
        Ok(())
    }

    /// Edits a partition, and does what follows from it. `lost` is a replica that no longer has all
    /// that it acknowledged. Answers whether anything is different.
    pub(super) fn change(
        &self,
        partition: &mut PartitionImage,
        lost: Option<i32>,
        edit: impl FnOnce(&mut PartitionImage),
    ) -> bool {
        let before = partition.clone();
        edit(partition);
        complete_reassignment(partition);
        self.keep_eligible(&before, partition, lost);
        self.elect(&before, partition);
        let changed = *partition != before;
        partition.partition_epoch += i32::from(changed);
        changed
    }

    /// KIP-966: nothing is committed while fewer than `min.insync.replicas` are in sync, so who
    /// leaves then has all that is committed until they are enough again.
    fn keep_eligible(
        &self,
        before: &PartitionImage,
        partition: &mut PartitionImage,
        lost: Option<i32>,
    ) {
        if partition.isr.len() >= self.min_in_sync(partition) {
            partition.elr.clear();
            partition.last_known_elr.clear();
            return;
        }
        let is_eligible = |id: &i32| {
            before.elr.contains(id) && partition.elr.contains(id) || before.isr.contains(id)
        };
        let may_stay = |id: &i32| !partition.isr.contains(id) && Some(*id) != lost;
        let replicas = partition.replicas.iter().copied();
        partition.elr = replicas.filter(|id| is_eligible(id) && may_stay(id)).collect();
        if partition.isr.is_empty() && !before.isr.is_empty() {
            partition.last_known_elr = vec![before.leader];
        }
    }

    fn elect(&self, before: &PartitionImage, partition: &mut PartitionImage) {
        // A replica that goes must not be taken for one by a leader that does not know.
        let is_gone = |id: &i32| !partition.replicas.contains(id);
        let some_gone = before.replicas.iter().any(is_gone);
        if partition.isr.contains(&before.leader) && self.may_lead(partition, before.leader) {
            partition.leader_epoch += i32::from(some_gone);
            return;
        }
        let leader = self.candidate(partition);
        partition.leader = leader.map_or(-1, |(id, _)| id);
        if let Some((id, unclean)) = leader {
            if !partition.isr.contains(&id) {
                partition.isr = vec![id];
                partition.elr.retain(|eligible| *eligible != id && !unclean);
            }
            if partition.isr.len() >= self.min_in_sync(partition) {
                partition.elr.clear();
                partition.last_known_elr.clear();
            }
            partition.recovering = unclean;
        }
        if leader.is_some() || before.leader != -1 || some_gone {
            partition.leader_epoch += 1;
        }
    }

    /// The next leader, and whether it may lack what was acknowledged.
    fn candidate(&self, partition: &PartitionImage) -> Option<(i32, bool)> {
        let live = || partition.replicas.iter().copied().filter(|id| self.may_lead(partition, *id));
        let any = planted::has(Bug::UncleanElection);
        let among = |ids: &[i32]| live().find(|id| any || ids.contains(id));
        if let Some(id) = among(&partition.isr).or_else(|| among(&partition.elr)) {
            return Some((id, false));
        }
        // M11: all who were eligible have lost their tails. The last leader lost the least.
        if partition.elr.is_empty()
            && let Some(id) = among(&partition.last_known_elr)
        {
            return Some((id, true));
        }
        let unclean = self.force_unclean || self.unclean_setting() == Some(true);
        live().find(|_| unclean).map(|id| (id, true))
    }
}

/// M21: every target replica is in sync.
fn complete_reassignment(partition: &mut PartitionImage) {
    if partition.adding.is_empty() && partition.removing.is_empty() {
        return;
    }
    let PartitionImage { replicas, isr, removing, .. } = partition;
    let mut target = replicas.iter().filter(|id| !removing.contains(id));
    if target.all(|id| isr.contains(id)) {
        let (adding, removing) = (&mut partition.adding, std::mem::take(&mut partition.removing));
        adding.clear();
        for ids in [&mut partition.replicas, &mut partition.isr, &mut partition.offline] {
            ids.retain(|id| !removing.contains(id));
        }
    }
}

/// Changes all partitions that `concerned` is true of.
pub(super) fn change_all(
    image: &mut Image,
    concerned: impl Fn(&PartitionImage) -> bool,
    change: impl Fn(&Rules<'_>, &mut PartitionImage),
) {
    let Image { brokers, topics, default_broker_configs, broker_configs, .. } = image;
    for topic in topics.values_mut() {
        if topic.partitions.iter().any(&concerned) {
            let TopicImage { partitions, configs, .. } = Arc::make_mut(topic);
            let rules = Rules {
                brokers,
                topic: configs,
                all_brokers: default_broker_configs,
                each_broker: broker_configs,
                force_unclean: false,
            };
            for partition in partitions.iter_mut().filter(|partition| concerned(partition)) {
                change(&rules, partition);
            }
        }
    }
}
