//! Each model passes, and finds each fault that is planted.

use ottla_models::catalogue::{ENTRIES, Entry};
use ottla_models::check::{Search, Size, Verdict};

fn entry(name: &str) -> &'static Entry {
    ENTRIES.iter().find(|entry| entry.name == name).expect("the model is in the catalogue")
}

fn passes(name: &str) {
    let entry = entry(name);
    let outcome = (entry.run)(Search::small(None));
    let story = outcome.counterexample.as_ref().map(|(name, steps)| (name, steps.join("\n")));
    assert!(outcome.passed(), "{:?} {story:?}", outcome.findings);
    assert!(outcome.unique > 1_000, "{} states only", outcome.unique);
    let told = entry.invariants.len() + entry.goals.len();
    assert_eq!(outcome.findings.len(), told, "every property is told in words");
    for finding in &outcome.findings {
        let list = match finding.verdict {
            Verdict::Held | Verdict::Broken => entry.invariants,
            Verdict::Reached | Verdict::NotReached => entry.goals,
        };
        assert!(list.iter().any(|told| told.name == finding.name), "{}", finding.name);
    }
}

fn finds_its_faults(name: &str) {
    let entry = entry(name);
    assert!(!entry.faults.is_empty());
    for fault in entry.faults {
        let outcome = (entry.run)(Search::small(Some(fault.name)));
        let (broken, steps) =
            outcome.counterexample.unwrap_or_else(|| panic!("{} is not found", fault.name));
        assert_eq!(broken, fault.breaks, "{}:\n{}", fault.name, steps.join("\n"));
    }
}

macro_rules! models {
    ($($name:ident: $faults:ident),*) => {$(
        #[test]
        fn $name() { passes(stringify!($name)); }
        #[test]
        fn $faults() { finds_its_faults(stringify!($name)); }
    )*};
}

models! {
    replication: replication_faults,
    classic: classic_faults,
    reconciliation: reconciliation_faults,
    idempotence: idempotence_faults,
    transactions: transactions_faults
}

#[test]
fn every_invariant_of_a_classic_group_is_what_some_fault_breaks() {
    let entry = entry("classic");
    for invariant in entry.invariants {
        let found = entry.faults.iter().any(|fault| fault.breaks == invariant.name);
        assert!(found, "nothing shows that \"{}\" can fail", invariant.name);
    }
}

#[test]
fn a_search_that_is_stopped_says_so() {
    for entry in ENTRIES {
        let search = Search { size: Size::Large, limit: Some(4_000), ..Search::small(None) };
        let outcome = (entry.run)(search);
        assert!(outcome.stopped, "{}: {} states", entry.name, outcome.total);
        assert!(outcome.passed(), "{}: {:?}", entry.name, outcome.findings);
        assert!(outcome.total < 200_000, "{}: {} states", entry.name, outcome.total);
    }
    let outcome =
        (entry("idempotence").run)(Search { limit: Some(usize::MAX), ..Search::small(None) });
    assert!(!outcome.stopped && outcome.passed(), "{:?}", outcome.findings);
}
