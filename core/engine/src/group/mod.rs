//! Consumer groups: the classic protocol's member, the embedded consumer protocol, the assignors.
//!
//! [`classic::Member`] is the state machine of one member (join, sync, heartbeat, leave);
//! [`consumer_protocol`] is what members tell each other through the coordinator, which does not
//! look into it; [`assignor`] divides the partitions. Nothing here does input or output.

pub mod assignor;
pub mod classic;
pub mod consumer_protocol;

pub use assignor::Assignor;
pub use classic::{Member, MemberConfig, MemberOutput};

use std::fmt;
use std::sync::Arc;

/// A partition by topic name and number. Cloning costs a reference count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl<T: Into<Arc<str>>> From<(T, i32)> for TopicPartition {
    fn from((topic, partition): (T, i32)) -> Self {
        Self::new(topic, partition)
    }
}
