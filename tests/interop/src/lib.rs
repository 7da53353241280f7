//! Interoperability: other people's clients on our broker, our client on other people's brokers.
//!
//! Everything runs as processes, over sockets, on real disk. A test whose tools are missing says
//! so by [`skip`] and passes; `cargo xtask test` installs the tools, counts what was skipped, and
//! in CI fails if anything was.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod client;
mod java;
mod member;
mod process;
mod record;
mod server;
mod tools;

pub use client::{Client, Job, Produced};
pub use java::Java;
pub use member::Member;
pub use record::{CODECS, Consumed, Record, assert_same, from_hex, hex, sample};
pub use server::{Apache, ottla_broker, topic};
pub use tools::skip;

use std::time::Duration;

/// How long anything may take that takes far less.
pub const DEADLINE: Duration = Duration::from_secs(60);
