//! What `sticky` and `cooperative-sticky` share: who validly owned what, which of the two
//! algorithms applies, and the second half of a cooperative round.

use std::collections::{BTreeMap, BTreeSet};

use super::user_data::StickyState;
use super::{Assignment, PartitionCounts, Subscriber, general, quota};
use crate::group::TopicPartition;

/// The owned partitions of each member, conflicts settled.
pub(super) struct Previous {
    /// By member id; every member is a key. Only partitions that exist.
    pub(super) owned: BTreeMap<String, Vec<TopicPartition>>,
    /// The owner before the present one, where two generations claim a partition.
    pub(super) before: BTreeMap<TopicPartition, String>,
}

pub(super) fn assign(
    members: &[Subscriber],
    topics: &PartitionCounts,
    state_of: fn(&Subscriber) -> StickyState,
) -> Assignment {
    let previous = previous_owners(members, topics, state_of);
    let same_subscription = members.windows(2).all(|pair| {
        let set = |m: &Subscriber| m.topics.iter().cloned().collect::<BTreeSet<_>>();
        set(&pair[0]) == set(&pair[1])
    });
    if same_subscription {
        quota::assign(members, topics, previous)
    } else {
        general::assign(members, topics, previous)
    }
}

/// A partition belongs to the member that claims it with the higher generation. If two claim it
/// with the same one, neither has a right to it.
fn previous_owners(
    members: &[Subscriber],
    topics: &PartitionCounts,
    state_of: fn(&Subscriber) -> StickyState,
) -> Previous {
    let mut claims: BTreeMap<TopicPartition, Vec<(i32, &str)>> = BTreeMap::new();
    for member in members {
        let state = state_of(member);
        let unique: BTreeSet<TopicPartition> = state.owned.into_iter().collect();
        for partition in unique {
            let exists = topics.get(&partition.topic).is_some_and(|&n| partition.partition < n);
            if exists && partition.partition >= 0 {
                claims.entry(partition).or_default().push((state.generation, &member.member_id));
            }
        }
    }
    let mut owned: BTreeMap<String, Vec<TopicPartition>> =
        members.iter().map(|m| (m.member_id.clone(), Vec::new())).collect();
    let mut before = BTreeMap::new();
    for (partition, mut claimants) in claims {
        claimants.sort_by(|a, b| b.cmp(a));
        if claimants.len() > 1 && claimants[0].0 == claimants[1].0 {
            continue;
        }
        if let Some((_, earlier)) = claimants.get(1) {
            before.insert(partition.clone(), (*earlier).to_string());
        }
        owned.get_mut(claimants[0].1).expect("every member is a key").push(partition);
    }
    Previous { owned, before }
}

/// A partition that another member says it owns goes to nobody in this round (KIP-429).
pub(super) fn withhold_moving(members: &[Subscriber], mut balanced: Assignment) -> Assignment {
    let mut owners: BTreeMap<&TopicPartition, BTreeSet<&str>> = BTreeMap::new();
    for member in members {
        for partition in &member.owned {
            owners.entry(partition).or_default().insert(&member.member_id);
        }
    }
    for (member_id, partitions) in &mut balanced {
        partitions.retain(|partition| {
            owners.get(partition).is_none_or(|by| by.iter().all(|owner| owner == member_id))
        });
    }
    balanced
}
