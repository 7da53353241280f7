//! What the broker takes from its surroundings besides the file system ([`crate::log::storage`]):
//! sockets and threads. With the feature `simulation`, and inside one, they are simulated; time is
//! tokio's in both.

use tokio::task::JoinHandle;

#[cfg(feature = "simulation")]
mod simulated;

#[cfg(feature = "simulation")]
pub use simulated::{TcpListener, TcpStream, set_blocking_latency};
#[cfg(not(feature = "simulation"))]
pub use tokio::net::{TcpListener, TcpStream};

/// Whether the caller is a host in a simulation.
pub(crate) fn is_simulated() -> bool {
    #[cfg(feature = "simulation")]
    return turmoil::in_simulation();
    #[cfg(not(feature = "simulation"))]
    false
}

/// Runs what may block on a thread for that; as a task where threads would be another source of
/// chance.
pub(crate) fn spawn_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    #[cfg(feature = "simulation")]
    if is_simulated() {
        return simulated::spawn_late(work);
    }
    tokio::task::spawn_blocking(work)
}

/// Runs `work` on so many threads, the caller's among them, and waits for all.
pub(crate) fn on_threads(threads: usize, work: impl Fn() + Sync) {
    std::thread::scope(|scope| {
        for _ in 1..threads {
            if !is_simulated() {
                scope.spawn(&work);
            }
        }
        work();
    });
}
