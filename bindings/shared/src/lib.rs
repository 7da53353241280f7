//! What the Python, Node and Swift bindings share, so that each of them is only types, awaiting and
//! exceptions of its language.
//!
//! - [`Settings`]: values by any spelling of a setting's name, for the core's one table.
//! - [`Failure`]: an error as every language shows it: class, code, message, three flags.
//! - [`runtime`]: one tokio runtime a process; a client that crossed a `fork` is refused.
//! - [`Calls`]: what runs on the runtime for a language that waits by completion, with
//!   cancellation; results come through a [`CompletionQueue`] that wakes its reader once per burst.
//! - [`Index`]: where the records of a batch are, as integers, so that records are views.
//!
//! There is no default, retry, check or state of a client here: those are the core's.
#![warn(missing_docs)]

mod calls;
mod failure;
mod index;
mod queue;
pub mod runtime;
mod settings;
mod sync;

pub use calls::{CallId, Calls};
pub use failure::{Class, Failure};
pub use index::{FIELDS, Index};
pub use queue::{CompletionQueue, Wake};
pub use settings::{Role, Settings, Value};
