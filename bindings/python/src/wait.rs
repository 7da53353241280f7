//! Waiting on the caller's thread: without the interpreter, and ended by Ctrl-C.

use crate::errors::to_py;
use ottla_bindings::runtime;
use pyo3::prelude::*;
use std::future::Future;
use std::time::{Duration, Instant};

/// How long the main thread waits before it looks for signals, whose Python handlers no other
/// thread runs. The operating system ends no wait of ours by a signal.
const SLICE: Duration = Duration::from_millis(50);

/// Runs a future to its end, at most this long; `None` if that was too short. The future is dropped
/// then, and when a signal handler raises.
pub(crate) fn wait<T: Send>(
    py: Python<'_>,
    timeout: Option<Duration>,
    future: impl Future<Output = T> + Send,
) -> PyResult<Option<T>> {
    let runtime = runtime::runtime().map_err(to_py)?;
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    py.detach(move || {
        let mut future = std::pin::pin!(future);
        let mut slice = Some(SLICE);
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let limit = [slice, left].into_iter().flatten().min();
            let done = runtime.block_on(async {
                match limit {
                    Some(limit) => tokio::time::timeout(limit, future.as_mut()).await.ok(),
                    None => Some(future.as_mut().await),
                }
            });
            if done.is_some() {
                return Ok(done);
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(None);
            }
            let looked = Python::try_attach(|py| {
                py.check_signals()?;
                is_main_thread(py)
            });
            match looked {
                Some(is_main) => slice = is_main?.then_some(SLICE),
                // The interpreter has ended: a daemon thread waits for the end of the process.
                None => std::thread::park(),
            }
        }
    })
}

fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    threading.call_method0("get_ident")?.eq(main)
}
