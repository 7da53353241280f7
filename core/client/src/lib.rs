//! A Kafka client: the driver of [`ottla_engine`] over tokio, and the public Rust API.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod admin;
mod consumer;
mod network;
mod producer;

pub use admin::{Admin, AdminBuilder};
pub use consumer::{
    Batch, Consumer, ConsumerBuilder, ConsumerRecord, HeaderIter, OffsetAndMetadata,
    OffsetAndTimestamp, RebalanceEvent, Records, TopicPartition,
};
pub use ottla_engine::admin::{
    ClusterDescription, CommittedOffset, ConfigChange, ConfigEntry, ConfigResource, ConfigSource,
    CreatedTopic, GroupDescription, GroupListing, ListedOffset, MemberDescription, NewTopic,
    OffsetSpec, Outcomes, TopicListing,
};
pub use ottla_engine::cluster::{BrokerAddress, PartitionMetadata, TopicMetadata};
pub use ottla_engine::config::{Acks, Config, ConfigError};
pub use ottla_engine::error::{Error, ErrorKind};
pub use ottla_engine::producer::partitioner::{Partitioner, Partitions, Unplaced};
pub use ottla_engine::producer::{Delivery, RecordMetadata};
pub use ottla_protocol::ErrorCode;
pub use ottla_protocol::records::{Compression, Header};
pub use producer::{Producer, ProducerBuilder, Record};
