//! What the client knows of the cluster: the metadata, when to refresh it, when to try a broker again, who coordinates a group.

pub mod backoff;
pub mod metadata;

pub use backoff::Backoff;
pub use metadata::{BrokerAddress, Metadata, PartitionMetadata, TopicMetadata};
