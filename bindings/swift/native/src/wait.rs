//! Waiting: futures of the core on whatever thread Swift polls them, ended by a token.

use crate::failure::NativeError;
use ottla_bindings::runtime::{self, Generation};
use ottla_bindings::{Class, Failure};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// Ends calls: Swift's `Task.cancel()` does not reach a future of Rust's by itself.
#[derive(Debug, Default, uniffi::Object)]
pub struct CancelToken {
    is_cancelled: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

#[uniffi::export]
impl CancelToken {
    /// A token for one call.
    #[uniffi::constructor]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Drops the future of the call, or of the one that comes with this token later.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::SeqCst);
        let waker = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl CancelToken {
    /// Whether it was cancelled; if not, cancelling wakes the context's task.
    fn poll(&self, context: &Context<'_>) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: a cancellation after this look finds the waker.
        if self.is_cancelled.load(Ordering::SeqCst) {
            return true;
        }
        match &mut *waiting {
            Some(known) => known.clone_from(context.waker()),
            None => *waiting = Some(context.waker().clone()),
        }
        false
    }
}

/// Which process a handle belongs to, and the name that is told if it is another.
#[derive(Debug, Clone, Copy)]
pub struct Home {
    generation: Generation,
    client: &'static str,
}

impl Home {
    /// Of a client that is made now.
    pub fn of(client: &'static str) -> Self {
        Self { generation: Generation::current(), client }
    }

    /// Refuses what crossed a fork.
    ///
    /// # Errors
    ///
    /// `Closed`.
    pub fn check(self) -> Result<(), NativeError> {
        Ok(self.generation.check(self.client)?)
    }

    /// Runs the future to its end, or until the token is cancelled, whichever is first: then it is
    /// dropped, which every future of the core allows at any time.
    ///
    /// The future is polled where Swift's executor polls, inside the one runtime's context.
    ///
    /// # Errors
    ///
    /// The future's; `Cancelled`; as [`Self::check`]; as [`runtime::runtime`].
    pub async fn run<T, E: Into<NativeError>>(
        self,
        token: &CancelToken,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, NativeError> {
        self.check()?;
        let runtime = runtime::runtime()?;
        let mut future = pin!(future);
        poll_fn(|context| {
            let _inside = runtime.enter();
            if token.poll(context) {
                return Poll::Ready(Err(cancelled()));
            }
            future.as_mut().poll(context).map(|result| result.map_err(Into::into))
        })
        .await
    }
}

fn cancelled() -> NativeError {
    Failure::new(Class::Cancelled, "the task was cancelled").into()
}
