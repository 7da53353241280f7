//! The producer: partitioner, accumulator, sender.
//!
//! A record goes through a [`partitioner`], into its partition's open batch in the [`accumulator`],
//! and with it through the [`sender`] to the partition's leader; its [`Delivery`] tells how it
//! ended.

pub mod accumulator;
pub mod completion;
pub mod partitioner;
pub mod sender;

pub use accumulator::{Accumulator, AppendError, Appended, Limits, NewRecord, PartitionBuffer};
pub use completion::{BatchCompletion, Delivery, RecordMetadata};
pub use sender::{CompressJob, Compressed, Output, Sender, SenderConfig};
