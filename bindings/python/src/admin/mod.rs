//! The admin clients, for threads and for event loops.

mod ops;
mod show;
mod sync;

pub(crate) use sync::Admin;
