//! Which brokers get the replicas of new partitions (AD-02): leaders in turn over the brokers, each
//! partition's replicas in different racks as long as there are racks, and no broker with many more
//! replicas than another. The same input gives the same placement.

use std::collections::BTreeMap;

use super::image::BrokerImage;

/// Why partitions cannot be placed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// Asked for no replicas.
    #[error("Replication factor must be larger than 0.")]
    NoReplicas,
    /// There are fewer brokers than replicas.
    #[error(
        "Unable to replicate the partition {factor} time(s): The target replication factor of \
         {factor} cannot be reached because only {registered} broker(s) are registered."
    )]
    TooFewBrokers {
        /// What was asked for.
        factor: usize,
        /// How many brokers there are.
        registered: usize,
    },
    /// There is nobody to lead.
    #[error("All brokers are currently fenced or in controlled shutdown.")]
    NoActiveBroker,
}

/// Replicas for `partitions` partitions, the preferred leader first. `start` is where in the ring
/// of brokers the first leader stands: the number of partitions placed before spreads topics of
/// one partition as well. Brokers that are not active lead nothing and are taken last.
///
/// # Errors
/// When `factor` is 0 or more than there are brokers, or when no broker is active.
pub fn place(
    brokers: &BTreeMap<i32, BrokerImage>,
    start: usize,
    partitions: usize,
    factor: usize,
) -> Result<Vec<Vec<i32>>, PlacementError> {
    if factor == 0 {
        return Err(PlacementError::NoReplicas);
    }
    if factor > brokers.len() {
        return Err(PlacementError::TooFewBrokers { factor, registered: brokers.len() });
    }
    let active = ring(brokers, true);
    let inactive = ring(brokers, false);
    if active.is_empty() {
        return Err(PlacementError::NoActiveBroker);
    }
    let of = |index: usize| {
        let leader = index % active.len();
        let mut others = active.clone();
        others.rotate_left(leader);
        // Another first follower in each round, so that not all leaderships of a broker fall to
        // the same one when it fails.
        if others.len() > 1 {
            others[1..].rotate_left(index / active.len() % (active.len() - 1));
        }
        choose(brokers, &[others, inactive.clone()].concat(), factor)
    };
    Ok((start..start + partitions).map(of).collect())
}

/// The active or the other brokers, racks taking turns.
fn ring(brokers: &BTreeMap<i32, BrokerImage>, active: bool) -> Vec<i32> {
    let mut racks: BTreeMap<Option<&str>, Vec<i32>> = BTreeMap::new();
    for (id, broker) in brokers.iter().filter(|(_, broker)| broker.is_active() == active) {
        racks.entry(broker.rack.as_deref()).or_default().push(*id);
    }
    let longest = racks.values().map(Vec::len).max().unwrap_or(0);
    let round = |turn: usize| racks.values().filter_map(move |ids| ids.get(turn).copied());
    (0..longest).flat_map(round).collect()
}

/// The first of `candidates`, then those that are in the racks used least so far.
fn choose(brokers: &BTreeMap<i32, BrokerImage>, candidates: &[i32], factor: usize) -> Vec<i32> {
    let rack = |id: &i32| brokers[id].rack.as_deref();
    let mut chosen: Vec<i32> = candidates[..1].to_vec();
    let mut used: BTreeMap<Option<&str>, usize> = BTreeMap::from([(rack(&chosen[0]), 1)]);
    let mut rest: Vec<i32> = candidates[1..].to_vec();
    while chosen.len() < factor {
        // `min_by_key` takes the first of equals, which keeps the order of the ring.
        let next = (0..rest.len())
            .min_by_key(|at| {
                let id = &rest[*at];
                (!brokers[id].is_active(), used.get(&rack(id)).copied().unwrap_or(0))
            })
            .expect("there are at least as many brokers as replicas");
        let id = rest.remove(next);
        *used.entry(rack(&id)).or_default() += 1;
        chosen.push(id);
    }
    chosen
}

#[cfg(test)]
mod tests;
