//! Whether the target is still there. A run against one that has died or hangs ends soon, and says
//! so once, in place of waiting in each test.

use crate::target::Target;
use crate::wire::{NoAnswer, Trace, Wire};
use ottla_protocol::messages::Request;
use ottla_protocol::messages::api_versions::ApiVersionsRequest;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How many times the patience for an answer it may be away: a machine that is busy with something
/// else passes.
const BACK_WITHIN: u32 = 5;
/// How long between two tries to reach a target that is being started again.
const PAUSE: Duration = Duration::from_millis(50);

/// What is known of the target, and which tests are running.
#[derive(Default)]
pub(crate) struct Health {
    gone: OnceLock<String>,
    running: Mutex<BTreeMap<String, Trace>>,
    /// When it was last seen to be away.
    away: Mutex<Option<Instant>>,
}

/// What became of the target while a test ran that went badly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Down {
    /// It was away for so long, and no other test ran.
    ByIt(Duration),
    /// It was away for a while, and other tests ran.
    Meanwhile,
}

impl Health {
    /// Why no further test is run, if so.
    pub(crate) fn gone(&self) -> Option<&str> {
        self.gone.get().map(String::as_str)
    }

    /// A test begins, and writes down what it sends here.
    pub(crate) fn begin(&self, test: &str, trace: Trace) {
        self.running().insert(test.to_owned(), trace);
    }

    /// A test that began then has ended; where it went badly the target is asked whether it is
    /// still there. It has some time to come back.
    pub(crate) fn end(
        &self,
        test: &str,
        began: Instant,
        went_badly: bool,
        target: &Target,
    ) -> Option<Down> {
        let mut away = None;
        if went_badly && self.gone().is_none() {
            let asked = Instant::now();
            while self.gone().is_none()
                && let Err(why) = ask(target)
            {
                away = Some(asked.elapsed());
                *self.away.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                if asked.elapsed() >= target.patience * BACK_WITHIN {
                    self.give_up(&why);
                    break;
                }
                std::thread::sleep(PAUSE);
            }
        }
        let mut running = self.running();
        running.remove(test);
        if let Some(away) = away.filter(|_| running.is_empty()) {
            return Some(Down::ByIt(away));
        }
        let last = *self.away.lock().unwrap_or_else(PoisonError::into_inner);
        last.filter(|last| went_badly && *last >= began).map(|_| Down::Meanwhile)
    }

    /// No further test is run, and those that run end soon.
    fn give_up(&self, why: &NoAnswer) {
        let running = self.running();
        let names: Vec<&str> = running.keys().map(String::as_str).collect();
        let text = format!(
            "not run: the target no longer answers ({why}); these ran when it was noticed: {}",
            names.join(", ")
        );
        let _ = self.gone.set(text); // another thread may have said it
        running.values().for_each(Trace::give_up);
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Trace>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks for ApiVersions on a new connection.
fn ask(target: &Target) -> Result<(), NoAnswer> {
    let began = Instant::now();
    let mut wire = Wire::connect(target.address, target.patience, Trace::default(), 1, began)?;
    wire.call(0, &Request::ApiVersions(Box::<ApiVersionsRequest>::default())).map(drop)
}
