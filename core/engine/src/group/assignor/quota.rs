//! The sticky algorithm for members that all subscribe to the same topics: each gets the lower or
//! the upper quota of partitions, and keeps what it owned up to that.

use std::collections::{BTreeSet, VecDeque};

use super::sticky::Previous;
use super::{Assignment, PartitionCounts, Subscriber, empty_assignment, subscribed_partitions};
use crate::group::TopicPartition;

pub(super) fn assign(
    members: &[Subscriber],
    topics: &PartitionCounts,
    previous: Previous,
) -> Assignment {
    let mut assignment = empty_assignment(members);
    if assignment.is_empty() {
        return assignment;
    }
    let all = subscribed_partitions(members, topics);
    let subscribed: BTreeSet<&TopicPartition> = all.iter().collect();
    let lower = all.len() / assignment.len();
    // How many members get one more than the lower quota.
    let mut above_left = all.len() % assignment.len();
    let mut below: Vec<String> = Vec::new();
    let mut at_lower: Vec<String> = Vec::new();

    // Those who owned most keep the upper quota first: fewer partitions move.
    let mut owners: Vec<(String, Vec<TopicPartition>)> = previous.owned.into_iter().collect();
    owners.sort_by_key(|(member, owned)| (usize::MAX - owned.len(), member.clone()));
    for (member, mut owned) in owners {
        owned.retain(|partition| subscribed.contains(partition));
        if owned.len() < lower {
            below.push(member.clone());
        } else if owned.len() > lower && above_left > 0 {
            above_left -= 1;
            owned.truncate(lower + 1);
        } else {
            owned.truncate(lower);
            at_lower.push(member.clone());
        }
        assignment.insert(member, owned);
    }
    below.sort();
    at_lower.sort();

    let taken: BTreeSet<TopicPartition> = assignment.values().flatten().cloned().collect();
    let mut free = all.into_iter().filter(|partition| !taken.contains(partition));
    fill_to_lower(&mut assignment, &mut free, below, &mut at_lower, lower);
    // The members are at the lower quota now, or above it; the rest goes one to each.
    let mut next = at_lower.into_iter();
    for partition in free {
        let member = next.next().expect("fewer partitions are left than members at the quota");
        assignment.get_mut(&member).expect("every member is a key").push(partition);
    }
    assignment
}

/// Deals the free partitions round-robin to the members below the lower quota.
fn fill_to_lower(
    assignment: &mut Assignment,
    free: &mut impl Iterator<Item = TopicPartition>,
    below: Vec<String>,
    at_lower: &mut Vec<String>,
    lower: usize,
) {
    let mut circle: VecDeque<String> = below.into();
    while let Some(member) = circle.pop_front() {
        let share = assignment.get_mut(&member).expect("every member is a key");
        let partition = free.next().expect("quotas add up to the number of partitions");
        share.push(partition);
        if share.len() < lower {
            circle.push_back(member);
        } else {
            at_lower.push(member);
        }
    }
}
