//! The primitives of the completion queue. A module of its own, so that `tests/queue.rs` can
//! compile the queue with shuttle's, which tries interleavings.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};
