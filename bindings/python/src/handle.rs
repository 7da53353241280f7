//! A client behind the checks that every call begins with.

use crate::errors::{Result, to_py};
use ottla_bindings::runtime::Generation;
use ottla_bindings::{Class, Failure};
use pyo3::PyErr;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};

/// A client of this process that was not closed.
pub(crate) struct Handle<C> {
    client: ManuallyDrop<C>,
    generation: Generation,
    is_closed: AtomicBool,
    /// "producer", for messages.
    what: &'static str,
}

impl<C> Handle<C> {
    pub(crate) fn new(what: &'static str, client: C) -> Self {
        let (client, generation) = (ManuallyDrop::new(client), Generation::current());
        Self { client, generation, is_closed: AtomicBool::new(false), what }
    }

    /// The client, unless it was closed or is another process's.
    pub(crate) fn get(&self) -> Result<&C, PyErr> {
        if self.generation.is_current() && !self.is_closed() {
            return Ok(&self.client);
        }
        Err(self.refusal())
    }

    #[cold]
    fn refusal(&self) -> PyErr {
        to_py(self.generation.check(self.what).err().unwrap_or_else(|| closed(self.what)))
    }

    /// The client, closed or not.
    pub(crate) fn client(&self) -> &C {
        &self.client
    }

    /// Marks it closed. `None`: somebody else did, or it is another process's and there is nothing
    /// to close.
    pub(crate) fn close(&self) -> Option<&C> {
        let is_first = !self.is_closed.swap(true, Ordering::SeqCst);
        (is_first && self.is_here()).then_some(&*self.client)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Whether it belongs to this process.
    pub(crate) fn is_here(&self) -> bool {
        self.generation.is_current()
    }
}

impl<C> Drop for Handle<C> {
    fn drop(&mut self) {
        // What came over a fork may hold a lock of a thread that is not here: it is left behind.
        if self.generation.is_current() {
            // SAFETY: dropped once, and not used after.
            unsafe { ManuallyDrop::drop(&mut self.client) };
        }
    }
}

pub(crate) fn closed(what: &str) -> Failure {
    Failure::new(Class::Closed, format!("the {what} is closed: make a new one"))
}
