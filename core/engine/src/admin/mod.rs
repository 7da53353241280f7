//! Admin operations, sans-IO: what to ask of whom, and what the answers mean.
//!
//! The driver calls [`Operation::requests`], sends each request to its target, hands every answer
//! to [`Operation::read`] and asks [`Operation::answer`]; while that is `None` it waits (backoff,
//! metadata refresh) and begins again. Items that a broker settled are never asked for a second
//! time.

mod cluster;
mod configs;
mod groups;
mod items;
mod offsets;
mod topics;

pub use cluster::{ClusterDescription, DescribeCluster, DescribeTopics, ListTopics, TopicListing};
pub use configs::{
    AlterConfigs, ConfigChange, ConfigEntry, ConfigResource, ConfigSource, DescribeConfigs,
};
pub use groups::{
    DeleteGroups, DescribeGroups, GroupDescription, GroupListing, ListGroups, MemberDescription,
};
pub use offsets::{CommittedOffset, CommittedOffsets, ListOffsets, ListedOffset, OffsetSpec};
pub use topics::{CreatePartitions, CreateTopics, CreatedTopic, DeleteTopics, NewTopic};

use crate::call::Target;
use crate::cluster::Metadata;
use crate::error::Error;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{Request, Response};
use std::collections::BTreeMap;

/// A topic's name and a partition's index.
pub type Partition = (String, i32);

/// The outcome of each item of an operation: one item's failure leaves the others as they are.
pub type Outcomes<K, T> = BTreeMap<K, Result<T, Error>>;

/// One admin operation under way.
pub trait Operation {
    /// What it yields at the end.
    type Answer;

    /// What is being done, for messages: `create topics`.
    fn what(&self) -> &'static str;

    /// What to send to whom for the items that are not settled. Empty when the metadata has nobody
    /// to ask: refresh it.
    fn requests(&mut self, metadata: &Metadata) -> Vec<(Target, Request)>;

    /// Takes one answer.
    ///
    /// # Errors
    ///
    /// When the operation as a whole was refused and trying again is of no use.
    fn read(&mut self, target: &Target, response: Response) -> Result<(), Error>;

    /// What it yields, once every item is settled.
    fn answer(&mut self) -> Option<Self::Answer>;

    /// Settles what is open: there is no time left. `why` is the last failure seen.
    ///
    /// # Errors
    ///
    /// `why`, where the operation has no items that could carry it.
    fn give_up(&mut self, why: Error) -> Result<Self::Answer, Error> {
        Err(why)
    }
}

/// Whether the same request may succeed a moment later: leadership, coordinator or controller on
/// the move, a quota to wait for.
fn is_transient(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotController
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::UnknownLeaderEpoch
            | ErrorCode::OffsetNotAvailable
            | ErrorCode::ReplicaNotAvailable
            | ErrorCode::BrokerNotAvailable
            | ErrorCode::KafkaStorageError
            | ErrorCode::NetworkException
            | ErrorCode::ThrottlingQuotaExceeded
    )
}

/// An answer of another API than was asked: the driver's fault.
#[cold]
fn unexpected(response: &Response) -> Error {
    Error::new(
        crate::error::ErrorKind::Protocol,
        format!("an answer of {} to another request", response.api_key().name()),
    )
}
