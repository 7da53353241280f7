//! A broker with a planted fault is told by the statement that the fault breaks, and by no other.
//!
//! The faults are in a relay between the suite and our broker, which decodes answers, changes them
//! and encodes them again; `planted` has them by profile.

mod planted;
mod relay;

use ottla_conformance::case::Test;
use ottla_conformance::runner;
use ottla_conformance::suites;
use ottla_conformance::target::Target;
use ottla_conformance::verdict::Verdict;
use planted::change::Changed;
use planted::{Planted, admin, basics, groups, robustness};
use relay::Relay;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

fn all() -> Vec<Planted> {
    let parts = [
        basics::connections(),
        basics::closed(),
        basics::cluster(),
        basics::records(),
        basics::positions(),
        groups::members(),
        groups::offsets(),
        groups::outside(),
        admin::topics(),
        admin::settings(),
        robustness::bytes(),
    ];
    parts.into_iter().flatten().collect()
}

/// Brokers and relays at a time: tests wait more than they compute.
const WORKERS: usize = 4;

#[test]
fn planted_faults_are_caught_by_the_statements_that_name_them() {
    let tests: Vec<Test> = suites::all().flat_map(Test::of).collect();
    let (faults, next) = (all(), AtomicUsize::new(0));
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let relay = Relay::start();
                let target = Target::reach(&relay.address().to_string()).expect("it answers");
                while let Some(planted) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = missed(&relay, &target, &tests, planted);
                    wrong.lock().expect("no thread panics with it").extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no thread panics with it");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with how a fault is caught.
fn missed(relay: &Relay, target: &Target, tests: &[Test], planted: &Planted) -> Vec<String> {
    let mut wrong = Vec::new();
    let Some(test) = tests.iter().find(|test| test.id() == planted.test) else {
        return vec![format!("{} is no test", planted.test)];
    };
    // A test may be there for several faults.
    let run = format!("-{}-{}", planted.statement, planted.api.name());
    relay.plant(None);
    let without = runner::run_one(target, test, &format!("without{run}"));
    if without.verdict != Verdict::Pass {
        wrong.push(format!("{} without a fault: {without:?}", planted.test));
    }
    let (api, version, change) = (planted.api, planted.version, planted.change);
    relay.plant(Some(Arc::new(Changed { api, version, change })));
    let with = runner::run_one(target, test, &format!("with{run}"));
    let caught = (with.verdict, with.statement.as_deref());
    if caught != (Verdict::Fail, Some(planted.statement)) {
        let (test, statement, message) = (planted.test, planted.statement, with.message);
        wrong.push(format!("{test}: {statement} should fail; {caught:?} {message}"));
    }
    wrong
}
