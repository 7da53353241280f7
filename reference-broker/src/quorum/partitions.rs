//! What is asked of single partitions: an ISR by its leader, elections, reassignments.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_protocol::{ErrorCode, Uuid};

use super::command::{Election, IsrChange, PartitionId, Reassignment, Rejection};
use super::election::Rules;
use super::image::{Image, PartitionImage};
use super::registration::incarnation;
use crate::planted::{self, Bug};

/// A leader changes its ISR. The order of the checks and their codes are Kafka's (M1).
pub(super) fn alter_partition(
    image: &mut Image,
    leader: i32,
    broker_epoch: i64,
    wanted: &IsrChange,
) -> Result<(), Rejection> {
    incarnation(image, leader, broker_epoch)?;
    check_isr_change(image, leader, wanted)?;
    with_partition(image, wanted.partition, |rules, partition| {
        let isr: Vec<i32> = wanted.isr.iter().map(|(id, _)| *id).collect();
        rules.change(partition, None, |partition| {
            // Who caught up has a log that can be served.
            partition.offline.retain(|id| !isr.contains(id));
            partition.isr = isr;
            partition.recovering = false;
        });
        Ok(())
    })
}

fn check_isr_change(image: &Image, leader: i32, wanted: &IsrChange) -> Result<(), Rejection> {
    let PartitionId { topic_id, index } = wanted.partition;
    if image.topic_by_id(topic_id).is_none() {
        return Err(unknown_id(topic_id));
    }
    let partition = image.partition(wanted.partition);
    let partition = partition.ok_or_else(|| unknown_partition(wanted.partition))?;
    let refused = |code, message: String| Err(Rejection::new(code, message));
    let IsrChange { leader_epoch, partition_epoch, ref isr, .. } = *wanted;
    if leader_epoch > partition.leader_epoch || partition_epoch > partition.partition_epoch {
        let message = format!("the metadata here is behind what broker {leader} has seen");
        return refused(ErrorCode::NotController, message);
    }
    if planted::has(Bug::StaleAlterPartition) && isr.iter().any(|(id, _)| *id == partition.leader) {
        return Ok(());
    }
    if leader_epoch < partition.leader_epoch {
        let now = partition.leader_epoch;
        let message = format!("the leader epoch of partition {index} is {now}");
        return refused(ErrorCode::FencedLeaderEpoch, message);
    }
    if leader != partition.leader {
        let message = format!("broker {leader} does not lead partition {index}");
        return refused(ErrorCode::InvalidRequest, message);
    }
    if partition_epoch < partition.partition_epoch {
        let now = partition.partition_epoch;
        let message = format!("the partition epoch of partition {index} is {now}");
        return refused(ErrorCode::InvalidUpdateVersion, message);
    }
    let ids: BTreeSet<i32> = isr.iter().map(|(id, _)| *id).collect();
    if ids.len() != isr.len() || !ids.iter().all(|id| partition.replicas.contains(id)) {
        let message = "the ISR names a broker twice, or one that is no replica";
        return refused(ErrorCode::InvalidRequest, message.into());
    }
    if !ids.contains(&leader) {
        let message = "a leader cannot leave its own ISR; it can resign";
        return refused(ErrorCode::InvalidRequest, message.into());
    }
    // M3, KIP-841, KIP-903: what was seen of a former incarnation says nothing of this one.
    let is_eligible = |(id, epoch): &(i32, i64)| {
        let broker = image.brokers.get(id);
        broker.is_some_and(|broker| broker.is_active() && broker.epoch == *epoch)
    };
    if let Some((id, _)) = isr.iter().find(|member| !is_eligible(member)) {
        let message =
            format!("broker {id} is fenced, shutting down or was started again in the meantime");
        return refused(ErrorCode::IneligibleReplica, message);
    }
    Ok(())
}

/// M19: a replica that its broker cannot serve.
pub(super) fn resign(
    image: &mut Image,
    of: PartitionId,
    node_id: i32,
    broker_epoch: i64,
) -> Result<(), Rejection> {
    incarnation(image, node_id, broker_epoch)?;
    with_partition(image, of, |rules, partition| {
        if !partition.replicas.contains(&node_id) {
            let message = format!("broker {node_id} has no replica of partition {}", of.index);
            return Err(Rejection::new(ErrorCode::InvalidRequest, message));
        }
        rules.change(partition, Some(node_id), |partition| {
            partition.isr.retain(|id| *id != node_id);
            if !partition.offline.contains(&node_id) {
                partition.offline.push(node_id);
            }
            // What it fetched before does not count any more: it is repaired by losing it.
            partition.leader_epoch += 1;
        });
        Ok(())
    })
}

pub(super) fn elect(
    image: &mut Image,
    election: Election,
    of: PartitionId,
) -> Result<(), Rejection> {
    with_partition(image, of, |rules, partition| match election {
        Election::Preferred => rules.elect_preferred(partition),
        Election::Unclean if partition.leader != -1 => {
            let message = "the partition has a leader";
            Err(Rejection::new(ErrorCode::ElectionNotNeeded, message))
        }
        Election::Unclean => {
            rules.forced_unclean().change(partition, None, |_| {});
            match partition.leader {
                -1 => {
                    let message = "no replica is alive";
                    Err(Rejection::new(ErrorCode::EligibleLeadersNotAvailable, message))
                }
                _ => Ok(()),
            }
        }
    })
}

/// M21: other replicas, or an end to what is under way.
pub(super) fn reassign(
    image: &mut Image,
    wanted: &Reassignment,
    may_change_factor: bool,
) -> Result<(), Rejection> {
    let bad = |message: String| Err(Rejection::new(ErrorCode::InvalidReplicaAssignment, message));
    let partition = image.partition(wanted.partition);
    let partition = partition.ok_or_else(|| unknown_partition(wanted.partition))?;
    let original = without(&partition.replicas, &partition.adding);
    let target = match &wanted.replicas {
        Some(target) => target.clone(),
        None if partition.adding.is_empty() && partition.removing.is_empty() => {
            let message = "No partition reassignment is in progress.";
            return Err(Rejection::new(ErrorCode::NoReassignmentInProgress, message));
        }
        None => original.clone(),
    };
    if target.is_empty() || target.iter().collect::<BTreeSet<_>>().len() != target.len() {
        return bad("The assignment names no broker, or one more than once.".into());
    }
    if let Some(id) = target.iter().find(|id| !image.brokers.contains_key(id))
        && wanted.replicas.is_some()
    {
        return bad(format!("The assignment includes broker {id}, which is not registered."));
    }
    if !may_change_factor && target.len() != original.len() {
        let (from, to) = (original.len(), target.len());
        let message = format!("The replication factor is changed from {from} to {to}.");
        return Err(Rejection::new(ErrorCode::InvalidReplicationFactor, message));
    }
    // Who was being added and is not wanted any more goes at once.
    let dropped = without(&partition.adding, &target);
    let eligible = [&partition.isr[..], &partition.elr].concat();
    if !eligible.is_empty() && without(&eligible, &dropped).is_empty() {
        return bad("Only replicas that would go have all records: it would be an unclean leader \
                    election."
            .into());
    }
    with_partition(image, wanted.partition, |rules, partition| {
        rules.change(partition, None, |partition| {
            partition.removing = without(&original, &target);
            partition.adding = without(&target, &original);
            partition.replicas = [&target[..], &partition.removing].concat();
            let PartitionImage { replicas, isr, offline, last_known_elr, .. } = partition;
            for ids in [isr, offline, last_known_elr] {
                ids.retain(|id| replicas.contains(id));
            }
        });
        Ok(())
    })
}

fn without(ids: &[i32], which: &[i32]) -> Vec<i32> {
    ids.iter().copied().filter(|id| !which.contains(id)).collect()
}

fn with_partition<T>(
    image: &mut Image,
    of: PartitionId,
    change: impl FnOnce(&Rules<'_>, &mut PartitionImage) -> Result<T, Rejection>,
) -> Result<T, Rejection> {
    let mut partition = image.partition(of).cloned().ok_or_else(|| unknown_partition(of))?;
    let topic = Arc::clone(image.topic_by_id(of.topic_id).expect("its partition was found"));
    let changed = change(&Rules::new(image, &topic), &mut partition)?;
    let name = topic.name.clone();
    drop(topic);
    let topic = image.topics.get_mut(&name).expect("names and topics hold the same topics");
    let index = usize::try_from(of.index).expect("its partition was found");
    if topic.partitions[index] != partition {
        Arc::make_mut(topic).partitions[index] = partition;
    }
    Ok(changed)
}

pub(super) fn unknown_id(id: Uuid) -> Rejection {
    Rejection::new(ErrorCode::UnknownTopicId, format!("there is no topic with id {id}"))
}

fn unknown_partition(of: PartitionId) -> Rejection {
    let message = format!("there is no partition {} of topic {}", of.index, of.topic_id);
    Rejection::new(ErrorCode::UnknownTopicOrPartition, message)
}
