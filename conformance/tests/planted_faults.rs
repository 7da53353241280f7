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
use std::sync::Arc;

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

#[test]
fn planted_faults_are_caught_by_the_statements_that_name_them() {
    let relay = Relay::start();
    let target = Target::reach(&relay.address().to_string()).expect("the relay answers");
    let tests: Vec<Test> = suites::all().flat_map(Test::of).collect();
    let mut wrong = Vec::new();
    for (number, planted) in all().into_iter().enumerate() {
        let test = tests.iter().find(|test| test.id() == planted.test);
        let Some(test) = test else {
            wrong.push(format!("{} is no test", planted.test));
            continue;
        };
        relay.plant(None);
        let without = runner::run_one(&target, test, &format!("without-{number}"));
        if without.verdict != Verdict::Pass {
            wrong.push(format!("{} without a fault: {without:?}", planted.test));
        }
        let (api, version, change) = (planted.api, planted.version, planted.change);
        relay.plant(Some(Arc::new(Changed { api, version, change })));
        let with = runner::run_one(&target, test, &format!("with-{number}"));
        let caught = (with.verdict, with.statement.as_deref());
        if caught != (Verdict::Fail, Some(planted.statement)) {
            let (test, statement, message) = (planted.test, planted.statement, with.message);
            wrong.push(format!("{test}: {statement} should fail; {caught:?} {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
