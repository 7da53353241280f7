//! The reference broker for the Kafka wire protocol: real sockets, real disk, small enough to read
//! in a day.
//!
//! Reading order: [`config`] (what can be set), [`server`] (sockets, frames, one request at a
//! time), [`api`] (a handler per API, file names as in `protocol/schemas`), [`partition`] (a log
//! with its leader epoch and high watermark), [`log`] (segments, indexes, recovery), [`quorum`]
//! (topics, configurations and producer ids as a state machine over a command log), [`coordinator`]
//! (consumer groups). `ops` serves metrics and health. [`testing`] answers with errors when it is
//! told to.
//!
//! A program that wants a broker inside itself calls [`Broker::start`] and gets a
//! [`RunningBroker`].
#![forbid(unsafe_code)]

pub mod api;
pub mod broker;
pub mod config;
pub mod coordinator;
pub mod internal;
pub mod log;
mod ops;
pub mod partition;
pub mod planted;
pub mod quorum;
pub mod replication;
pub mod runtime;
pub mod server;
pub mod start;
pub mod testing;

pub use broker::Broker;
pub use config::Config;
pub use start::{RunningBroker, StartError};
