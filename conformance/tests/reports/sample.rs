//! Reports by hand.

use ottla_conformance::case::Profile;
use ottla_conformance::report::wire::Frame;
use ottla_conformance::report::{Report, Side};
use ottla_conformance::runner::Outcome;
use ottla_conformance::verdict::Verdict;
use ottla_conformance::wire::{Trace, Way};
use std::collections::BTreeMap;

/// A report of this target.
pub(super) fn report(target: &str, outcomes: Vec<Outcome>) -> Report {
    Report {
        suite: "ottla-conformance 0.1.0".to_owned(),
        target: target.to_owned(),
        side: Side::Broker,
        run: format!("run-of-{target}"),
        ended_ms: 1_795_375_403_077,
        took_ms: 1500,
        round_trip_us: 300,
        patience_ms: 3000,
        advertised: BTreeMap::new(),
        outcomes,
    }
}

/// An outcome of profile core.
pub(super) fn outcome(test: &str, verdict: Verdict, message: &str) -> Outcome {
    Outcome {
        test: test.to_owned(),
        profile: Profile::Core,
        verdict,
        statement: None,
        message: message.to_owned(),
        evaluated: Vec::new(),
        took_ms: 5,
        wire: Vec::new(),
        trace: Trace::default(),
    }
}

/// A frame of connection 1 that is wholly there.
pub(super) fn frame(way: Way, hex: &str) -> Frame {
    let bytes = hex.len() / 2;
    Frame { connection: 1, way, at_us: 1234, api: None, hex: hex.to_owned(), bytes }
}
