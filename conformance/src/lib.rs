//! Tells whether a broker or a client keeps to the Kafka protocol, statement by statement.
//!
//! A [`Case`](case::Case) is a test; with a version of its API it is a [`Test`](case::Test), which
//! speaks to a [`Target`](target::Target) through [`Wire`](wire::Wire)s and asserts statements of
//! `protocol/statements` through its [`Context`](context::Context), which keeps the
//! [`findings`]. The [`runner`] runs tests in
//! parallel and gives [`Verdict`](verdict::Verdict)s.
//!
//! It uses no client code: frames are made by `ottla-protocol`, malformed ones by hand.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod annotate;
pub mod baseline;
pub mod case;
pub mod clean;
pub mod client;
pub mod codec;
pub mod context;
pub mod findings;
pub mod links;
pub mod report;
pub mod runner;
pub mod statement;
pub mod suites;
pub mod target;
pub mod vectors;
pub mod verdict;
pub mod wire;
