//! Tests of the partition log, by area. Most run on a file system in memory that loses what was not
//! synced.

mod append_and_read;
mod compaction;
mod epochs;
mod faults;
mod follower;
mod lookup;
mod manager;
mod producers;
mod properties;
mod recovery;
mod retention;
mod scrub;
mod support;
mod throughput;
