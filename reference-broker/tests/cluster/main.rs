//! Several real processes: they form a quorum, register, elect, and go on without the one that was
//! killed.

mod alone;
#[path = "../support/mod.rs"]
mod broker;
mod chaos;
mod deleted;
mod divergence;
mod failover;
mod followers;
mod growth;
mod log_dirs;
mod operations;
mod rebalance;
mod refusals;
mod replicas;
mod support;
mod zombies;
