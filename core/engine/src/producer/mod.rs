//! The producer: partitioner, accumulator, sender.

pub mod partitioner;
