//! Whether the target is still there. A run against one that has died or hangs ends soon, and says
//! so once, in place of waiting in each test.

use crate::target::Target;
use crate::wire::{NoAnswer, Trace, Wire};
use ottla_protocol::messages::Request;
use ottla_protocol::messages::api_versions::ApiVersionsRequest;
use std::collections::BTreeSet;
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
    running: Mutex<BTreeSet<String>>,
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

    /// A test begins.
    pub(crate) fn begin(&self, test: &str) {
        self.running().insert(test.to_owned());
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
                    let text = format!(
                        "not run: the target no longer answers ({why}); these ran when it was \
                         noticed: {}",
                        self.running().iter().cloned().collect::<Vec<_>>().join(", ")
                    );
                    let _ = self.gone.set(text); // another thread may have said it
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

    fn running(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks for ApiVersions on a new connection.
fn ask(target: &Target) -> Result<(), NoAnswer> {
    let began = Instant::now();
    let mut wire = Wire::connect(target.address, target.patience, Trace::default(), 1, began)?;
    wire.call(0, &Request::ApiVersions(Box::<ApiVersionsRequest>::default())).map(drop)
}
