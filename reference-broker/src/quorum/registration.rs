//! Brokers come, are fenced, serve and go.

use ottla_protocol::{ErrorCode, Uuid};

use super::command::{Outcome, Rejection};
use super::election::change_all;
use super::image::{BrokerImage, Image};
use crate::planted::{self, Bug};

/// What a broker says of the ends of its logs (M11, M12).
#[derive(Debug, Clone, Copy)]
pub(super) struct Tail {
    /// They are as they were.
    pub(super) intact: bool,
    /// Some may be empty, whatever was acknowledged.
    pub(super) log_dir_lost: bool,
    /// Nothing was acknowledged before it was on disk, unless a setting of the metadata says so.
    pub(super) flushes_before_ack: bool,
}

/// Registers an incarnation. Its epoch is the index of the command, so that no two share one (M2):
/// not even one that is back before its session has ended may lead on under its old leader epoch,
/// with a tail that is lost perhaps.
pub(super) fn register(
    image: &mut Image,
    node_id: i32,
    cluster_id: &str,
    tail: Tail,
    broker: BrokerImage,
) -> Outcome {
    if !cluster_id.is_empty() {
        if image.cluster_id.is_empty() {
            cluster_id.clone_into(&mut image.cluster_id);
        } else if image.cluster_id != cluster_id {
            let message = format!(
                "the cluster is {}, the data folder of node {node_id} belongs to {cluster_id}",
                image.cluster_id
            );
            return Outcome::Rejected(Rejection::new(ErrorCode::InconsistentClusterId, message));
        }
    }
    let epoch = broker.epoch;
    let former = image.brokers.get(&node_id);
    if let Some(former) = former.filter(|former| former.incarnation == broker.incarnation) {
        return Outcome::BrokerEpoch(former.epoch);
    }
    // Before there were directory ids nobody had one.
    let same_folder = former.is_some_and(|former| {
        former.directory == broker.directory || former.directory == Uuid::default()
    });
    let was_active = former.is_some_and(BrokerImage::is_active);
    image.brokers.insert(node_id, broker);
    if was_active && planted::has(Bug::SameEpochAfterRestart) {
        return Outcome::BrokerEpoch(epoch);
    }
    change_all(
        image,
        |partition| partition.replicas.contains(&node_id),
        |rules, partition| {
            // M11, M15.
            let flushes = || rules.flushes_before_ack(node_id).unwrap_or(tail.flushes_before_ack);
            let reused = planted::has(Bug::LostTailReused);
            let intact = same_folder && !tail.log_dir_lost && (tail.intact || flushes() || reused);
            rules.change(partition, (!intact).then_some(node_id), |partition| {
                partition.isr.retain(|id| *id != node_id);
                partition.offline.retain(|id| *id != node_id);
            });
            // An empty folder is no last resort either.
            if !same_folder && partition.last_known_elr.contains(&node_id) {
                partition.last_known_elr.clear();
                partition.partition_epoch += 1;
            }
        },
    );
    Outcome::BrokerEpoch(epoch)
}

/// The broker leads nothing and is in no ISR until it is unfenced (M4).
pub(super) fn fence(image: &mut Image, node_id: i32, epoch: i64) -> Result<(), Rejection> {
    let broker = incarnation(image, node_id, epoch)?;
    broker.fenced = true;
    leave_every_isr(image, node_id);
    Ok(())
}

/// The broker may serve; what waits for a leader may find it in it.
pub(super) fn unfence(image: &mut Image, node_id: i32, epoch: i64) -> Result<(), Rejection> {
    let broker = incarnation(image, node_id, epoch)?;
    if broker.shutting_down {
        let message = format!("broker {node_id} is shutting down");
        return Err(Rejection::new(ErrorCode::InvalidRequest, message));
    }
    broker.fenced = false;
    change_all(
        image,
        |partition| partition.leader == -1 && partition.replicas.contains(&node_id),
        |rules, partition| {
            rules.change(partition, None, |_| {});
        },
    );
    Ok(())
}

pub(super) fn begin_shutdown(image: &mut Image, node_id: i32, epoch: i64) -> Result<(), Rejection> {
    incarnation(image, node_id, epoch)?.shutting_down = true;
    leave_every_isr(image, node_id);
    Ok(())
}

pub(super) fn fail_log_dirs(
    image: &mut Image,
    node_id: i32,
    epoch: i64,
    failed: &[Uuid],
) -> Result<(), Rejection> {
    let broker = incarnation(image, node_id, epoch)?;
    let had_some = !broker.log_dirs.is_empty();
    broker.log_dirs.retain(|dir| !failed.contains(dir));
    if had_some && broker.log_dirs.is_empty() {
        return fence(image, node_id, epoch);
    }
    Ok(())
}

/// Forgets a broker. If it comes back, nobody knows whether its folder is the same: it counts as
/// one that has lost everything.
pub(super) fn unregister(image: &mut Image, node_id: i32) -> Result<(), Rejection> {
    if image.brokers.remove(&node_id).is_none() {
        let message = format!("Broker ID {node_id} is not currently registered");
        return Err(Rejection::new(ErrorCode::BrokerIdNotRegistered, message));
    }
    change_all(
        image,
        |partition| partition.replicas.contains(&node_id),
        |rules, partition| {
            rules.change(partition, Some(node_id), |partition| {
                partition.isr.retain(|id| *id != node_id);
            });
        },
    );
    Ok(())
}

fn leave_every_isr(image: &mut Image, node_id: i32) {
    change_all(
        image,
        |partition| partition.isr.contains(&node_id),
        |rules, partition| {
            rules.change(partition, None, |partition| partition.isr.retain(|id| *id != node_id));
        },
    );
}

/// The registered incarnation, if it is the one that is meant.
pub(super) fn incarnation(
    image: &mut Image,
    node_id: i32,
    epoch: i64,
) -> Result<&mut BrokerImage, Rejection> {
    let broker = image.brokers.get_mut(&node_id).filter(|broker| broker.epoch == epoch);
    broker.ok_or_else(|| {
        let message = format!("broker {node_id} has not the epoch {epoch}");
        Rejection::new(ErrorCode::StaleBrokerEpoch, message)
    })
}
