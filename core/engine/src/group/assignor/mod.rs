//! Who gets which partition: the four assignors of the classic group protocol.
//!
//! The leader of a group calls [`Assignor::assign`] with every member's subscription and the
//! partition counts of the topics. All functions here are pure; the order of the members does not
//! matter, since they are sorted by instance id and member id as Apache Kafka's own assignors do.
//! Racks are not considered.

mod general;
mod quota;
mod range;
mod round_robin;
mod sticky;
mod user_data;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ottla_protocol::Bytes;

use crate::group::TopicPartition;

pub use user_data::{StickyState, cooperative_user_data, sticky_user_data};

/// The generation of a member that has none: it never took part, or speaks an old version.
pub const NO_GENERATION: i32 = -1;

/// What a group's leader knows of one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscriber {
    /// The member id that the coordinator gave.
    pub member_id: String,
    /// `group.instance.id` of a static member (KIP-345).
    pub instance_id: Option<String>,
    /// The topics it subscribes to.
    pub topics: Vec<Arc<str>>,
    /// The partitions it says it owns (`ConsumerProtocolSubscription` v1).
    pub owned: Vec<TopicPartition>,
    /// The generation in which it came to own them (v2), or [`NO_GENERATION`].
    pub generation: i32,
    /// What its assignor added to the subscription.
    pub user_data: Option<Bytes>,
}

/// Partition counts by topic; a topic that does not exist is absent.
pub type PartitionCounts = BTreeMap<Arc<str>, i32>;

/// The partitions of each member, by member id. Every member is a key.
pub type Assignment = BTreeMap<String, Vec<TopicPartition>>;

/// A strategy of `partition.assignment.strategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assignor {
    /// Consecutive partitions per topic; equally numbered partitions of topics with the same
    /// number of partitions and subscribers go to the same member.
    Range,
    /// All partitions dealt out one by one.
    RoundRobin,
    /// Balanced, and as few partitions move as possible; everything is revoked in a rebalance.
    Sticky,
    /// As `Sticky`, and only the partitions that move are revoked (KIP-429).
    CooperativeSticky,
}

impl Assignor {
    /// The name on the wire and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// Whether partitions that stay are kept during a rebalance.
    pub const fn is_cooperative(self) -> bool {
        matches!(self, Self::CooperativeSticky)
    }

    /// Divides the partitions of `topics` among `members`.
    ///
    /// With [`Assignor::CooperativeSticky`] a partition that moves is given to nobody while its
    /// old owner has it: that member revokes it and rejoins, and the next round hands it out.
    pub fn assign(self, members: &[Subscriber], topics: &PartitionCounts) -> Assignment {
        match self {
            Self::Range => range::assign(members, topics),
            Self::RoundRobin => round_robin::assign(members, topics),
            Self::Sticky => sticky::assign(members, topics, user_data::sticky_state),
            Self::CooperativeSticky => {
                let balanced = sticky::assign(members, topics, user_data::cooperative_state);
                sticky::withhold_moving(members, balanced)
            }
        }
    }
}

impl fmt::Display for Assignor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Assignor {
    type Err = String;

    /// Takes the name on the wire or the name of Apache Kafka's class.
    fn from_str(name: &str) -> Result<Self, String> {
        match name.trim().trim_start_matches("org.apache.kafka.clients.consumer.") {
            "range" | "RangeAssignor" => Ok(Self::Range),
            "roundrobin" | "RoundRobinAssignor" => Ok(Self::RoundRobin),
            "sticky" | "StickyAssignor" => Ok(Self::Sticky),
            "cooperative-sticky" | "CooperativeStickyAssignor" => Ok(Self::CooperativeSticky),
            other => Err(format!(
                "unknown assignor '{other}': use range, roundrobin, sticky or cooperative-sticky"
            )),
        }
    }
}

/// The members in the order in which every assignor goes through them: static ones by instance
/// id, then the others by member id, so that a static member keeps its place over a restart.
fn in_order(members: &[Subscriber]) -> Vec<&Subscriber> {
    let mut sorted: Vec<&Subscriber> = members.iter().collect();
    sorted.sort_by(|a, b| {
        let key = |m: &Subscriber| (m.instance_id.is_none(), m.instance_id.clone());
        key(a).cmp(&key(b)).then_with(|| a.member_id.cmp(&b.member_id))
    });
    sorted
}

fn empty_assignment(members: &[Subscriber]) -> Assignment {
    members.iter().map(|m| (m.member_id.clone(), Vec::new())).collect()
}

/// All partitions of the topics that somebody subscribes to, by topic and number.
fn subscribed_partitions(members: &[Subscriber], topics: &PartitionCounts) -> Vec<TopicPartition> {
    let mut all = Vec::new();
    for (topic, &count) in topics {
        if members.iter().any(|m| m.topics.contains(topic)) {
            all.extend((0..count).map(|p| TopicPartition::new(topic.clone(), p)));
        }
    }
    all
}
