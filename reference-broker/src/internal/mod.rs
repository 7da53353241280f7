//! What the nodes of a cluster say to each other: the listener between nodes, and [`Peer`], the
//! way to another node.
//!
//! The frames are Kafka's. Followers fetch with Kafka's own Fetch; what has no API there has keys
//! from 30000 on, with a request header of version 1 and a response header of version 0: [`RAFT`]
//! carries what the crate `ottla-raft` wants carried, the others are JSON.

pub(crate) mod controller;
mod hello;
mod links;
mod listener;
mod membership;
mod peer;
mod services;
mod transport;

pub use hello::{Hello, HelloAnswer, Introduction};
pub use links::{Link, Links};
pub(crate) use listener::serve;
pub(crate) use membership::{Description, QuorumAnswer, QuorumRequest, Replica};
pub use peer::{Peer, PeerError};
pub(crate) use services::Services;
pub use transport::Peers;

/// A request of the metadata quorum, opaque.
pub const RAFT: i16 = 30_000;
/// A command for the metadata log, sent to the controller.
pub const PROPOSE: i16 = 30_001;
/// A broker is alive; sent to every voter (M14).
pub const HEARTBEAT: i16 = 30_002;
/// The first request of every connection.
pub const HELLO: i16 = 30_003;
/// A question about the quorum or a change of it, sent to its leader.
pub const QUORUM: i16 = 30_004;

/// The version of the request header of those.
const PRIVATE_HEADER_VERSION: i16 = 1;
/// The response header of those is the correlation id.
const PRIVATE_RESPONSE_HEADER_LEN: usize = 4;
