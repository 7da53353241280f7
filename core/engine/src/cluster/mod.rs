//! What the client knows of the cluster: the metadata, when to refresh it, when to try a broker
//! again, who coordinates a group.

pub mod backoff;
pub mod metadata;
pub mod refresh;

pub use backoff::{Backoff, Seed};
pub use metadata::{BrokerAddress, Metadata, PartitionMetadata, TopicMetadata};
pub use refresh::{Refresh, Urgency};
