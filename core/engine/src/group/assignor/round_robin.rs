//! All partitions, by topic and number, dealt out to the members in a circle; a member that does
//! not subscribe to a partition's topic is passed over.

use super::{
    Assignment, PartitionCounts, Subscriber, empty_assignment, in_order, subscribed_partitions,
};

pub(super) fn assign(members: &[Subscriber], topics: &PartitionCounts) -> Assignment {
    let ordered = in_order(members);
    let mut assignment = empty_assignment(members);
    let mut circle = ordered.iter().cycle().peekable();
    for partition in subscribed_partitions(members, topics) {
        // Ends: `subscribed_partitions` yields only topics that a member subscribes to.
        while circle.peek().is_some_and(|m| !m.topics.contains(&partition.topic)) {
            circle.next();
        }
        let member = circle.next().expect("a subscribed topic has a subscriber");
        assignment.get_mut(&member.member_id).expect("every member is a key").push(partition);
    }
    assignment
}
