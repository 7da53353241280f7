//! Kafka's protocols as models that [stateright] goes through state by state.
//!
//! Five of them, a folder or file each; its invariants stand at its head in words, with their
//! sources. A source is a KIP, an issue of Apache Kafka (`KAFKA-n`), a statement of
//! `protocol/statements` (`K-AREA-n`), or one of the project's mechanisms, as the broker's comments
//! cite them (`M1` to `M21`).
//!
//! Every model has *goals* beside its invariants: states that must be reached, so that no invariant
//! holds for want of events. Every model can be given known faults, and each is found.

pub mod catalogue;
pub mod check;
pub mod classic;
pub mod idempotence;
pub mod reconciliation;
pub mod replication;
pub mod transactions;
