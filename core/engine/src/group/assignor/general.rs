//! The sticky algorithm for members with different subscriptions: each free partition goes to the
//! subscriber with the fewest, then partitions move from members with more to members with fewer
//! until no single move improves the balance. A result that is no better than the start is
//! dropped, so that nothing moves for nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::sticky::Previous;
use super::{Assignment, PartitionCounts, Subscriber, subscribed_partitions};
use crate::group::TopicPartition;

struct Balancer {
    /// The members that may have a partition, by topic name order of the partitions.
    takers: BTreeMap<TopicPartition, BTreeSet<String>>,
    assignment: BTreeMap<String, BTreeSet<TopicPartition>>,
    owner: BTreeMap<TopicPartition, String>,
    before: BTreeMap<TopicPartition, String>,
}

pub(super) fn assign(
    members: &[Subscriber],
    topics: &PartitionCounts,
    previous: Previous,
) -> Assignment {
    let mut takers = BTreeMap::new();
    for partition in subscribed_partitions(members, topics) {
        let of_topic = members.iter().filter(|m| m.topics.contains(&partition.topic));
        let ids: BTreeSet<String> = of_topic.map(|m| m.member_id.clone()).collect();
        takers.insert(partition, ids);
    }
    let mut balancer = Balancer {
        takers,
        assignment: members.iter().map(|m| (m.member_id.clone(), BTreeSet::new())).collect(),
        owner: BTreeMap::new(),
        before: previous.before,
    };
    for (member, owned) in previous.owned {
        for partition in owned {
            // A member keeps what it owned only while it subscribes to the topic.
            if balancer.takers.get(&partition).is_some_and(|ids| ids.contains(&member)) {
                balancer.give(&partition, &member);
            }
        }
    }
    balancer.place_free();
    balancer.improve();
    balancer.assignment.into_iter().map(|(id, set)| (id, set.into_iter().collect())).collect()
}

impl Balancer {
    fn give(&mut self, partition: &TopicPartition, member: &str) {
        if let Some(old) = self.owner.insert(partition.clone(), member.to_string()) {
            self.assignment.get_mut(&old).expect("every member is a key").remove(partition);
        }
        let share = self.assignment.get_mut(member).expect("every member is a key");
        share.insert(partition.clone());
    }

    fn size(&self, member: &str) -> usize {
        self.assignment.get(member).map_or(0, BTreeSet::len)
    }

    /// The subscriber with the fewest partitions.
    fn least_loaded(&self, partition: &TopicPartition) -> Option<String> {
        let ids = self.takers.get(partition)?;
        ids.iter().min_by_key(|id| (self.size(id), (*id).clone())).cloned()
    }

    /// Partitions with the fewest possible takers first: they have the least choice.
    fn by_choice(&self) -> Vec<TopicPartition> {
        let mut all: Vec<TopicPartition> = self.takers.keys().cloned().collect();
        all.sort_by_key(|p| (self.takers[p].len(), p.clone()));
        all
    }

    fn place_free(&mut self) {
        for partition in self.by_choice() {
            if !self.owner.contains_key(&partition)
                && let Some(member) = self.least_loaded(&partition)
            {
                self.give(&partition, &member);
            }
        }
    }

    /// Each move lowers the sum of squared sizes, so the loop ends.
    fn improve(&mut self) {
        let (start, start_owner) = (self.assignment.clone(), self.owner.clone());
        let order = self.by_choice();
        let mut moved = true;
        while moved {
            moved = false;
            for partition in &order {
                let Some(owner) = self.owner.get(partition).cloned() else { continue };
                let target = self.better_owner(partition, &owner);
                if let Some(member) = target {
                    self.give(partition, &member);
                    moved = true;
                }
            }
        }
        if score(&self.assignment) >= score(&start) {
            self.assignment = start;
            self.owner = start_owner;
        }
    }

    /// A member that gains by one move: the owner of an earlier generation first, since the
    /// partition was there before, then the one with the fewest.
    fn better_owner(&self, partition: &TopicPartition, owner: &str) -> Option<String> {
        if let Some(earlier) = self.before.get(partition)
            && self.takers.get(partition).is_some_and(|ids| ids.contains(earlier))
            && self.size(owner) > self.size(earlier) + 1
        {
            return Some(earlier.clone());
        }
        self.least_loaded(partition).filter(|member| self.size(owner) > self.size(member) + 1)
    }
}

/// The sum over all pairs of members of the difference of their sizes; 0 is a perfect balance.
fn score(assignment: &BTreeMap<String, BTreeSet<TopicPartition>>) -> usize {
    let sizes: Vec<usize> = assignment.values().map(BTreeSet::len).collect();
    let pairs = sizes.iter().enumerate();
    pairs.map(|(i, a)| sizes[i + 1..].iter().map(|b| a.abs_diff(*b)).sum::<usize>()).sum()
}
