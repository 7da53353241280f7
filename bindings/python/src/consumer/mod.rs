//! The consumers.

mod base;
pub(crate) mod source;
mod sync;

pub(crate) use base::{ConsumerBase, Slot, connected, start};
pub(crate) use sync::{Batches, Consumer};
