//! Replication of one partition, sans-IO: what the leader knows of its replicas and where that puts
//! the high watermark ([`Leadership`]), and what a follower does with an answer of its leader
//! ([`Following`]).
//!
//! The leader's share of the high watermark is its log's end, or with flush-before-ack its durable
//! end (M12). While an ISR is under way the largest that may be in force counts (M3). The high
//! watermark stands still while fewer than `min.insync.replicas` are in sync, for every kind of
//! acks (P1).

mod follower;
mod leader;

pub use follower::{FollowerLog, Following, Step};
pub use leader::{Assignment, CommitRule, IsrProposal, Leadership, LogEnds, ProposalResult};

#[cfg(test)]
mod tests;
