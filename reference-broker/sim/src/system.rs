//! The two calls by which chance and time come in from the operating system: `getrandom` and
//! `clock_gettime`, replaced for the whole executable. On a thread that simulates, random numbers
//! come from the seed and time is the simulated host's; elsewhere the kernel is asked.
//!
//! Thus hash maps, ids and time stamps are the same for the same seed, in the broker and in every
//! crate below it, without a seam for each.

use std::cell::Cell;
use std::ffi::{c_int, c_long, c_uint, c_void};
use std::time::Duration;

/// Where the monotonic clock starts, so that nothing reaches below zero.
const START: Duration = Duration::from_secs(1_000_000);
/// When simulations begin: 2026-01-01T00:00:00Z, since 1970.
pub const EPOCH: Duration = Duration::from_secs(1_767_225_600);

#[derive(Clone, Copy)]
struct Simulated {
    random: u64,
    /// Since the simulation began, where no runtime says better.
    elapsed: Duration,
    /// The runtime is being asked: it may ask back.
    asking: bool,
    /// An instant and when it was.
    origin: Option<(tokio::time::Instant, Duration)>,
}

thread_local! {
    static SIMULATED: Cell<Option<Simulated>> = const { Cell::new(None) };
    /// What the present host's wall clock is ahead, in milliseconds.
    static SKEW_MS: Cell<i64> = const { Cell::new(0) };
}

/// From now on this thread's chance comes from `seed`, and its time is simulated.
pub fn simulate(seed: u64) {
    let simulated =
        Simulated { random: seed, elapsed: Duration::ZERO, asking: false, origin: None };
    SIMULATED.set(Some(simulated));
    let origin = Some((tokio::time::Instant::now(), Duration::ZERO));
    SIMULATED.set(Some(Simulated { origin, ..simulated }));
}

/// Tells how much time the simulation has behind it.
pub fn set_elapsed(elapsed: Duration) {
    update(|simulated| simulated.elapsed = elapsed);
}

/// Tells what the host that runs now believes of the time of day.
pub fn set_skew_ms(skew_ms: i64) {
    SKEW_MS.set(skew_ms);
}

/// The next number of this thread's seed.
fn update<T>(act: impl FnOnce(&mut Simulated) -> T) -> Option<T> {
    let mut simulated = SIMULATED.get()?;
    let result = act(&mut simulated);
    SIMULATED.set(Some(simulated));
    Some(result)
}

fn next_random() -> Option<u64> {
    update(|simulated| {
        simulated.random = simulated.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = simulated.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// The time since the simulation began, by the runtime of the host that runs now.
pub fn elapsed() -> Option<Duration> {
    let simulated = SIMULATED.get()?;
    let Some((origin, _)) = simulated.origin.filter(|_| !simulated.asking) else {
        return Some(simulated.elapsed);
    };
    // Outside of a runtime tokio asks the system, and comes here again.
    update(|simulated| simulated.asking = true);
    let since = tokio::time::Instant::now().saturating_duration_since(origin);
    update(|simulated| simulated.asking = false);
    Some(since)
}

/// # Safety
/// `buffer` must be valid for writes of `len` bytes, as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, len: usize, flags: c_uint) -> isize {
    if SIMULATED.get().is_none() {
        // SAFETY: the caller's promise.
        let read = unsafe { libc::syscall(libc::SYS_getrandom, buffer, len, flags) };
        return isize::try_from(read).unwrap_or(-1);
    }
    for at in 0..len {
        let byte = next_random().unwrap_or_default().to_le_bytes()[0];
        // SAFETY: `at` is below `len`, for which the caller promises that writes are valid.
        unsafe { buffer.cast::<u8>().add(at).write(byte) };
    }
    isize::try_from(len).unwrap_or(-1)
}

/// # Safety
/// `time` must be valid for a write, as for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut libc::timespec) -> c_int {
    let Some(elapsed) = elapsed() else {
        // SAFETY: the caller's promise.
        let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
        return c_int::try_from(result).unwrap_or(-1);
    };
    let now = match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => {
            let skew = Duration::from_millis(SKEW_MS.get().unsigned_abs());
            match SKEW_MS.get() {
                ..0 => EPOCH + elapsed - skew,
                _ => EPOCH + elapsed + skew,
            }
        }
        _ => START + elapsed,
    };
    let seconds = libc::time_t::try_from(now.as_secs()).unwrap_or(libc::time_t::MAX);
    let nanos = c_long::from(now.subsec_nanos().cast_signed());
    // SAFETY: the caller's promise.
    unsafe { time.write(libc::timespec { tv_sec: seconds, tv_nsec: nanos }) };
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a thread of its own draws and sees.
    fn draw(seed: u64) -> (u64, String, u128) {
        let run = move || {
            simulate(seed);
            set_elapsed(Duration::from_millis(1500));
            let mut bytes = [0; 8];
            // SAFETY: the buffer has that many bytes.
            let filled = unsafe { getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
            assert_eq!(filled, 8);
            let map: std::collections::HashMap<i32, i32> = (0..100).map(|k| (k, k)).collect();
            let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
            (u64::from_le_bytes(bytes), format!("{:?}", map.keys()), since.as_millis())
        };
        std::thread::spawn(run).join().unwrap()
    }

    #[test]
    fn chance_and_time_come_from_the_seed() {
        let (first, again, other) = (draw(1), draw(1), draw(2));
        assert_eq!(first, again);
        assert_ne!(first.0, other.0);
        assert_ne!(first.1, other.1, "the order of a hash map");
        assert_eq!(first.2, EPOCH.as_millis() + 1500);
    }
}
