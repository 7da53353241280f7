//! The admin clients, for threads and for event loops.

pub(crate) mod ops;
mod show;
mod sync;

pub(crate) use sync::Admin;
