//! A child of `fork` that starts while the parent's threads check their first batch.
#![cfg(unix)]

use ottla_bindings::runtime::prepare_for_forks;
use ottla_protocol::records::crc::crc32c;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{hint, thread};

/// Enough that the old fault showed in every run: it hung one child in a hundred and fifty.
const TRIES: usize = 1000;
/// A child needs microseconds. Whoever hangs is killed by the kernel's own clock.
const DEADLINE_SECONDS: u32 = 10;

/// Runs `child` in a fork and returns how it ended, as `waitpid` tells it.
fn in_a_fork(child: impl FnOnce()) -> i32 {
    // SAFETY: the child runs `child`, which is allowed what the test is about, and ends without
    // going back into the test's code; the status is a place that lives through the call.
    unsafe {
        let process = libc::fork();
        if process == 0 {
            libc::alarm(DEADLINE_SECONDS);
            child();
            libc::_exit(0);
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(process, &raw mut status, 0), process);
        status
    }
}

/// The process of the test forks one that has not initialised anything; that one is the "parent",
/// whose thread computes a checksum while it forks the "child", which computes one too.
#[test]
fn a_child_checks_batches_though_a_thread_of_its_parent_was_at_its_first() {
    for each in 0..TRIES {
        let status = in_a_fork(|| {
            prepare_for_forks();
            static BEGINS: AtomicBool = AtomicBool::new(false);
            thread::spawn(|| {
                BEGINS.store(true, Ordering::Release);
                crc32c(b"parent")
            });
            while !BEGINS.load(Ordering::Acquire) {
                hint::spin_loop();
            }
            // The fork comes at another moment of it in every try.
            (0..each % 100 * 10).for_each(|_| hint::spin_loop());
            let child = in_a_fork(|| assert_eq!(crc32c(b"123456789"), 0xe306_9283));
            // SAFETY: ends this process at once, as it must not go back into the test.
            unsafe { libc::_exit(i32::from(child != 0)) };
        });
        assert_eq!(status, 0, "try {each}: the child did not compute a checksum");
    }
}
