//! The sans-IO client engine: connection, cluster, producer, consumer, group. No clock, socket,
//! thread or random number in here.
//!
//! Each part is a state machine: `handle_*` takes input, `poll_*` yields one output and is called
//! until it answers `None`, `on_*` is a private reaction. `now` and the seed come from outside, so
//! that everything replays.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod admin;
pub mod call;
pub mod cluster;
pub mod config;
pub mod connection;
pub mod consumer;
pub mod error;
pub mod group;
pub mod producer;
pub mod time;
pub mod timer;
