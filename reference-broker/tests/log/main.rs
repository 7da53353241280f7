//! Tests of the partition log, by area. Most run on a file system in memory that loses what was not
//! synced.

mod append_and_read;
mod epochs;
mod faults;
mod lookup;
mod manager;
mod producers;
mod properties;
mod recovery;
mod retention;
mod support;
mod throughput;
