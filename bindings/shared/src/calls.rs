//! Futures that run for a language which waits by completion.

use crate::{Class, CompletionQueue, Failure, runtime};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::AbortHandle;

/// Names a call until its completion was drained.
pub type CallId = u64;

/// The calls of one loop: each is started with a future, and ends exactly once in the queue, with
/// its result or as `Cancelled`.
pub struct Calls<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    queue: Arc<CompletionQueue<(CallId, Result<T, Failure>)>>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    next_id: CallId,
    /// `None`: the call was named and is not spawned yet.
    handles: BTreeMap<CallId, Option<AbortHandle>>,
}

impl<T: Send + 'static> Calls<T> {
    /// None are running; completions go to this queue.
    pub fn new(queue: Arc<CompletionQueue<(CallId, Result<T, Failure>)>>) -> Self {
        Self { shared: Arc::new(Shared { queue, running: Mutex::default() }) }
    }

    /// Starts a call.
    ///
    /// # Errors
    ///
    /// As [`runtime::runtime`]; nothing comes to the queue then.
    pub fn start<E: Into<Failure>>(
        &self,
        future: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<CallId, Failure> {
        let runtime = runtime::runtime()?;
        let id = {
            let mut running = self.shared.lock();
            running.next_id += 1;
            let id = running.next_id;
            running.handles.insert(id, None);
            id
        };
        let shared = self.shared.clone();
        let task = runtime.spawn(async move {
            let result = future.await;
            shared.end(id, result.map_err(Into::into));
        });
        if let Some(slot) = self.shared.lock().handles.get_mut(&id) {
            *slot = Some(task.abort_handle());
        }
        Ok(id)
    }

    /// Ends a call early: its future is dropped and `Cancelled` comes to the queue, unless its
    /// result is there already.
    pub fn cancel(&self, id: CallId) {
        let handle = self.shared.lock().handles.get(&id).cloned();
        let Some(handle) = handle else { return };
        if let Some(handle) = handle {
            handle.abort();
        }
        self.shared.end(id, Err(Failure::new(Class::Cancelled, "the call was cancelled")));
    }

    /// How many have not ended.
    pub fn running(&self) -> usize {
        self.shared.lock().handles.len()
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever removes the id tells the end: the task or the one who cancels, not both.
    fn end(&self, id: CallId, result: Result<T, Failure>) {
        let was_running = self.lock().handles.remove(&id).is_some();
        if was_running {
            self.queue.push((id, result));
        }
    }
}

impl<T> std::fmt::Debug for Calls<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Calls({} running)", self.shared.lock().handles.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    type Ended = Vec<(CallId, Result<u32, Failure>)>;

    struct Loop {
        queue: Arc<CompletionQueue<(CallId, Result<u32, Failure>)>>,
        calls: Calls<u32>,
        woken: mpsc::Receiver<()>,
    }

    impl Loop {
        fn new() -> Self {
            let (wake, woken) = mpsc::channel();
            let queue = Arc::new(CompletionQueue::new(move || {
                let _ = wake.send(()); // the test may be over
            }));
            Self { calls: Calls::new(queue.clone()), queue, woken }
        }

        /// Completions until there are so many.
        fn wait(&self, count: usize) -> Ended {
            let mut ended = Vec::new();
            while ended.len() < count {
                self.woken.recv_timeout(Duration::from_secs(20)).expect("a completion wakes");
                self.queue.drain(&mut ended);
            }
            ended
        }
    }

    #[test]
    fn every_call_ends_once() {
        let calls = Loop::new();
        let mut started: Vec<_> = (0..1_000)
            .map(|i| calls.calls.start(async move { Ok::<_, Failure>(i) }).expect("it starts"))
            .collect();
        let mut ended: Vec<_> = calls.wait(1_000).into_iter().map(|(id, _)| id).collect();
        started.sort_unstable();
        ended.sort_unstable();
        assert_eq!(started, ended);
        assert_eq!(calls.calls.running(), 0);
    }

    #[test]
    fn a_cancelled_call_ends_as_cancelled_and_drops_its_future() {
        struct Dropped(mpsc::Sender<()>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                let _ = self.0.send(()); // the test may be over
            }
        }
        let calls = Loop::new();
        let (tell, told) = mpsc::channel();
        let held = Dropped(tell);
        let id = calls.calls.start(async move {
            let _held = held;
            std::future::pending::<Result<u32, Failure>>().await
        });
        let id = id.expect("it starts");
        calls.calls.cancel(id);
        calls.calls.cancel(id);
        let ended = calls.wait(1);
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].1.as_ref().map_err(|failure| failure.class), Err(Class::Cancelled));
        told.recv_timeout(Duration::from_secs(20)).expect("the future is dropped");
    }
}
