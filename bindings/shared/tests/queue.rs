//! The completion queue under shuttle, which tries interleavings of its threads at random.

/// What `src/queue.rs` finds under this name here.
mod sync {
    pub(crate) use shuttle::sync::atomic::{AtomicBool, Ordering};
    pub(crate) use shuttle::sync::{Mutex, MutexGuard};
}
#[path = "../src/queue.rs"]
#[expect(unreachable_pub, reason = "it is public in the crate")]
mod queue;

use queue::CompletionQueue;
use shuttle::sync::mpsc::{Sender, channel};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;

const PUSHERS: u32 = 3;
const PUSHES: u32 = 4;
const RUNS: usize = 5_000;

/// A waker into a channel; shuttle's is not `Sync` by itself.
fn waker(wake: Sender<()>) -> impl Fn() + Send + Sync + 'static {
    let wake = Mutex::new(wake);
    move || wake.lock().expect("nobody panics").send(()).expect("the reader listens")
}

#[test]
fn every_item_arrives_once_and_no_wake_up_is_lost() {
    shuttle::check_random(
        || {
            let (wake, woken) = channel();
            let queue = Arc::new(CompletionQueue::new(waker(wake)));
            let push = |pusher: u32| {
                let queue = queue.clone();
                thread::spawn(move || (0..PUSHES).for_each(|i| queue.push(pusher * PUSHES + i)))
            };
            let pushers: Vec<_> = (0..PUSHERS).map(push).collect();
            let (mut items, mut wake_ups) = (Vec::new(), 0);
            while items.len() < (PUSHERS * PUSHES) as usize {
                // A lost wake-up is a deadlock here, which shuttle reports.
                woken.recv().expect("the queue holds the sender");
                wake_ups += 1;
                queue.drain(&mut items);
            }
            pushers.into_iter().for_each(|pusher| pusher.join().expect("it ends"));
            for pusher in 0..PUSHERS {
                let own = items.iter().filter(|item| **item / PUSHES == pusher);
                let own: Vec<u32> = own.copied().collect();
                assert!(own.is_sorted(), "the pushes of one thread stay in order");
            }
            assert!(wake_ups <= items.len(), "at most one wake-up per item");
            items.sort_unstable();
            assert_eq!(items, (0..PUSHERS * PUSHES).collect::<Vec<_>>());
        },
        RUNS,
    );
}

#[test]
fn a_burst_wakes_once() {
    shuttle::check_random(
        || {
            let (wake, woken) = channel();
            let queue = CompletionQueue::new(waker(wake));
            (0..100).for_each(|i| queue.push(i));
            let mut items = Vec::new();
            queue.drain(&mut items);
            assert_eq!((items.len(), woken.try_iter().count()), (100, 1));
            queue.ring();
            assert_eq!(woken.try_iter().count(), 1);
        },
        10,
    );
}
