//! A Kafka client: [`Producer`], [`Consumer`] and [`Admin`], over tokio.
//!
//! What is decided is decided in `ottla_engine`, state machines without clock or socket; here is
//! the driver that owns sockets and tasks, and the public API.
//!
//! **Configuration.** Builders have the common settings as methods and take every setting of
//! Kafka's by its own dotted name (`set("linger.ms", 5)`); a name or value that is not known is
//! refused with what is. [`Config`] holds settings for later.
//!
//! **Errors.** One type, [`Error`]: [`kind`](Error::kind) says what to do,
//! [`is_retriable`](Error::is_retriable) whether the same call may succeed later,
//! [`possibly_written`](Error::possibly_written) whether a record may be in the log although
//! sending it failed. The client has retried within its limits before it reports a failure.
//!
//! **Cancellation.** Every future may be dropped at any time. Sockets belong to tasks, so no frame
//! is ever cut in half; a dropped [`Delivery`] abandons the answer and not the record; a dropped
//! `next_batch()` loses nothing.
//!
//! **Runtime.** Clients must be built inside a tokio runtime with I/O and time, which they use
//! until they are closed or dropped.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod admin;
mod consumer;
mod network;
mod producer;
mod settings;

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

/// The README's examples are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
