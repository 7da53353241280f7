//! The cluster's metadata: a state machine over a log of commands.
//!
//! [`Command`]s carry what their proposer believed (ids, epochs, counts); [`apply`] tests it again,
//! deterministically, against the state that all earlier commands made, and its result is the
//! answer (M1). The log behind it is a trait, [`MetadataLog`]: [`LocalLog`] keeps it on one node's
//! disk, [`RaftLog`] on those of several nodes. What nobody asks for, [`Controller`] decides, and
//! proposes it as everybody does.
//!
//! Nothing in [`Image`] or [`apply`] has a clock or a random number: ids and times are in the
//! command.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;

mod apply;
mod command;
mod controller;
mod election;
mod image;
mod local;
mod partitions;
mod placement;
mod raft_log;
mod registration;

pub use apply::apply;
pub use command::{
    Command, ConfigResource, Election, IsrChange, Outcome, PartitionId, Reassignment, Rejection,
};
pub use controller::{Controller, Heartbeat, HeartbeatAnswer};
pub use image::{BrokerImage, ControllerImage, Image, PartitionImage, TopicImage, collision_name};
pub use local::LocalLog;
pub use placement::{PlacementError, place};
pub use raft_log::{Machine, PublishedImage, RaftLog};

/// How many producer ids one command hands out (M10, KIP-730).
pub const PRODUCER_ID_BLOCK_LEN: i64 = 1000;

/// The answer to a proposed command, once it is durable and applied.
pub type Proposal<'a> = Pin<Box<dyn Future<Output = Result<Outcome, MetadataError>> + Send + 'a>>;

/// A durable log of commands with the state that they make.
pub trait MetadataLog: Send + Sync + fmt::Debug {
    /// Appends a command, makes it durable, applies it; resolves to what [`apply`] said.
    fn propose(&self, command: Command) -> Proposal<'_>;

    /// The state after every command that was applied so far.
    fn image(&self) -> Arc<Image>;

    /// The index of the last applied command, as it moves.
    fn changes(&self) -> watch::Receiver<u64>;

    /// The active controller, if there is one and this node knows it.
    fn controller(&self) -> Option<i32>;

    /// Writes a snapshot, so that the next start need not replay the log.
    fn snapshot(&self) -> Result<(), MetadataError>;
}

/// The metadata log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The disk refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The bytes are not what was once written.
    #[error(
        "corrupt metadata in {path} at byte {offset}: {reason}; restore the file \
         from a backup, or remove the data folder \
         to start empty"
    )]
    Corrupt {
        /// The file.
        path: String,
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The quorum did not answer: the command may be applied or not.
    #[error(
        "the metadata quorum does not answer: {reason}; the command may have been applied, look \
         at the metadata"
    )]
    Unavailable {
        /// What was tried last.
        reason: String,
    },
    /// An earlier write failed, so nothing further is accepted before a restart.
    #[error(
        "the metadata log {path} failed earlier and takes no more commands; restart the broker"
    )]
    Failed {
        /// The file.
        path: String,
    },
}
