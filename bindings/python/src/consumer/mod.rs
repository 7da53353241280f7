//! The consumers, for threads and for event loops.

mod base;
mod source;
mod sync;

pub(crate) use base::ConsumerBase;
pub(crate) use sync::{Batches, Consumer};
