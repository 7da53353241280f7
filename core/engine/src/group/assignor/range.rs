//! Per topic, consecutive partitions to the members in order; the first ones get one more.

use super::{Assignment, PartitionCounts, Subscriber, empty_assignment, in_order};
use crate::group::TopicPartition;

pub(super) fn assign(members: &[Subscriber], topics: &PartitionCounts) -> Assignment {
    let ordered = in_order(members);
    let mut assignment = empty_assignment(members);
    for (topic, &count) in topics {
        let takers: Vec<_> = ordered.iter().filter(|m| m.topics.contains(topic)).collect();
        if takers.is_empty() {
            continue;
        }
        let each = count / takers.len() as i32;
        let with_extra = (count % takers.len() as i32) as usize;
        let mut next = 0;
        for (index, member) in takers.iter().enumerate() {
            let end = next + each + i32::from(index < with_extra);
            let share = assignment.get_mut(&member.member_id).expect("every member is a key");
            share.extend((next..end).map(|p| TopicPartition::new(topic.clone(), p)));
            next = end;
        }
    }
    assignment
}
