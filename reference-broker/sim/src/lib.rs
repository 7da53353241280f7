//! Real brokers and real clients on a simulated network, disk and clock, with faults: the same seed
//! gives the same run, byte for byte.
//!
//! In reading order: [`system`] (chance and time of the process), [`trace`] (what happened, as one
//! number), [`world`] (hosts and faults), [`smoke`] (the smallest workload).
#![cfg(target_os = "linux")]
#![warn(missing_docs)]

pub mod smoke;
pub mod system;
pub mod trace;
pub mod world;
