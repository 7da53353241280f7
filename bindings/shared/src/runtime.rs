//! One tokio runtime a process, and what becomes of clients at a `fork`.
//!
//! Threads do not survive a `fork`: in the child the parent's runtime is a picture without workers.
//! So every handle holds the [`Generation`] that it was made in, the child has a new one, and what
//! crossed the fork is refused instead of hanging. The child's first client starts a new runtime.

use crate::{Class, Failure};
use std::future::Future;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use tokio::runtime::{Builder, Runtime};

/// Which process made a handle: it grows with every `fork` that led here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation(u32);

static GENERATION: AtomicU32 = AtomicU32::new(0);
/// The runtime of this process; null before the first client. Never freed: tasks of clients that
/// nobody closed may run until the process ends.
static RUNTIME: AtomicPtr<Runtime> = AtomicPtr::new(std::ptr::null_mut());
static STARTING: Mutex<()> = Mutex::new(());

impl Generation {
    /// That of this process.
    pub fn current() -> Self {
        prepare_for_forks();
        Self(GENERATION.load(Ordering::Relaxed))
    }

    /// Whether a handle of this generation belongs to this process.
    pub fn is_current(self) -> bool {
        self.0 == GENERATION.load(Ordering::Relaxed)
    }

    /// Refuses what crossed a `fork`.
    ///
    /// # Errors
    ///
    /// `Closed`, saying which client it is and what to do.
    pub fn check(self, client: &str) -> Result<(), Failure> {
        if self.is_current() {
            return Ok(());
        }
        let message = format!(
            "this {client} was made before the process forked and works in the parent only: make \
             a new one in the child"
        );
        Err(Failure::new(Class::Closed, message))
    }
}

/// The runtime of this process; started at the first call.
///
/// # Errors
///
/// `Full` where the operating system gives no threads or file descriptors.
pub fn runtime() -> Result<&'static Runtime, Failure> {
    prepare_for_forks();
    if let Some(runtime) = running() {
        return Ok(runtime);
    }
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = running() {
        return Ok(runtime);
    }
    let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().min(4));
    let built = Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("ottla")
        .enable_io()
        .enable_time()
        .build();
    let runtime = built.map_err(|error| {
        let message = format!("cannot start the client's threads: {error}");
        Failure::new(Class::Full, message)
    })?;
    RUNTIME.store(Box::into_raw(Box::new(runtime)), Ordering::Release);
    Ok(running().expect("it was stored by this thread, under the lock"))
}

fn running() -> Option<&'static Runtime> {
    let runtime = RUNTIME.load(Ordering::Acquire);
    // SAFETY: null, or from a box that is never freed.
    unsafe { runtime.as_ref() }
}

/// Runs a future to its end on the calling thread, which must not be one of the runtime's.
///
/// # Errors
///
/// As [`runtime`].
pub fn block_on<F: Future>(future: F) -> Result<F::Output, Failure> {
    Ok(runtime()?.block_on(future))
}

/// Makes a child of this process able to have clients of its own, whenever the `fork` comes. Every
/// client calls it before it starts; a language in which programs fork calls it when its module is
/// loaded, where no other thread of this library runs yet. Calling it again costs nothing.
///
/// A thread that holds a lock at a `fork` never gives it back in the child. So what the clients'
/// threads would initialise under a lock, once a process, is initialised here: the choice of the
/// machine's instructions for checksums, for which the first batch of a child waited for ever.
#[cfg(unix)]
pub fn prepare_for_forks() {
    static WATCHING: Once = Once::new();

    extern "C" fn in_child() {
        // Only atomics: a child of a process with threads may call nothing else here. The parent's
        // runtime is left behind; its memory is shared until it is written.
        GENERATION.fetch_add(1, Ordering::Relaxed);
        RUNTIME.store(std::ptr::null_mut(), Ordering::Release);
    }

    WATCHING.call_once(|| {
        ottla_protocol::records::crc::crc32c(b"");
        // SAFETY: the handler is a function of this library, which is never unloaded, and does
        // nothing but store to atomics.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// There is no `fork` here.
#[cfg(not(unix))]
pub fn prepare_for_forks() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_of_another_process_is_refused_with_its_name() {
        let here = Generation::current();
        assert_eq!(here.check("Producer"), Ok(()));
        let failure = Generation(here.0 + 1).check("Producer").expect_err("it is another's");
        assert_eq!(failure.class, Class::Closed);
        assert!(failure.message.starts_with("this Producer was made before"), "{failure}");
    }

    #[test]
    fn the_runtime_is_one() {
        let (one, other) = (runtime().expect("starts"), runtime().expect("runs"));
        assert!(std::ptr::eq(one, other));
        assert_eq!(block_on(async { 7 }), Ok(7));
    }
}
