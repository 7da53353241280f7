//! Real brokers and real clients on a simulated network, disk and clock, with faults: the same seed
//! gives the same run, byte for byte.
//!
//! In reading order: [`system`] (chance and time of the process), [`trace`] (what happened, as one
//! number), [`world`] (hosts and faults), [`wire`] and [`readers`] (of every replica), [`workload`]
//! (what clients do; the oracle judges).
#![cfg(target_os = "linux")]
#![warn(missing_docs)]

pub mod readers;
pub mod system;
pub mod trace;
pub mod wire;
pub mod workload;
pub mod world;
