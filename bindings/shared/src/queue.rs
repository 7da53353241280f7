//! Completions on their way to a language's own loop.

use crate::sync::{AtomicBool, Mutex, Ordering};

/// Wakes the loop that reads a [`CompletionQueue`]: a byte into a socket pair, a thread-safe
/// function. Called on any thread, never twice before the reader has drained.
pub trait Wake: Send + Sync + 'static {
    /// Sees to it that the reader calls [`CompletionQueue::drain`] soon.
    fn wake(&self);
}

impl<F: Fn() + Send + Sync + 'static> Wake for F {
    fn wake(&self) {
        self();
    }
}

/// A queue that wakes its one reader once per burst, however many items come meanwhile.
///
/// Invariant: whenever an item is in the queue and no drain is running, a wake-up is on its way.
pub struct CompletionQueue<T> {
    items: Mutex<Vec<T>>,
    /// Whether a wake-up is on its way. Set by the push that wakes; cleared by the drain *before*
    /// it takes the items, so that a push after the taking wakes again.
    is_armed: AtomicBool,
    wake: Box<dyn Wake>,
}

impl<T> CompletionQueue<T> {
    /// An empty queue.
    pub fn new(wake: impl Wake) -> Self {
        let wake = Box::new(wake);
        Self { items: Mutex::new(Vec::new()), is_armed: AtomicBool::new(false), wake }
    }

    /// Adds an item and wakes the reader if nobody has.
    pub fn push(&self, item: T) {
        self.lock().push(item);
        self.ring();
    }

    /// Wakes the reader if nobody has, for news that are not in the queue.
    pub fn ring(&self) {
        if !self.is_armed.swap(true, Ordering::SeqCst) {
            self.wake.wake();
        }
    }

    /// Takes everything, in the order of the pushes, onto the end of `into`.
    pub fn drain(&self, into: &mut Vec<T>) {
        self.is_armed.store(false, Ordering::SeqCst);
        into.append(&mut self.lock());
    }

    fn lock(&self) -> crate::sync::MutexGuard<'_, Vec<T>> {
        self.items.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl<T> std::fmt::Debug for CompletionQueue<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompletionQueue").finish_non_exhaustive()
    }
}
