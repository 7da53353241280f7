//! Our broker keeps to every statement that the suite tests.

use ottla_broker::{Broker, Config};
use ottla_conformance::case::Test;
use ottla_conformance::clean;
use ottla_conformance::runner::{self, Options};
use ottla_conformance::suites;
use ottla_conformance::target::Target;
use ottla_conformance::verdict::Verdict;

#[test]
fn it_passes_every_test() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = Config::dev()
        .set("listeners", "PLAINTEXT://127.0.0.1:0")
        .and_then(|config| config.set("log.dirs", folder.path().to_str().expect("a plain path")))
        .expect("valid properties");
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let broker = runtime.block_on(Broker::start(config)).expect("the broker starts");

    let target = Target::reach(&broker.addr().to_string()).expect("it is a Kafka broker");
    let tests: Vec<Test> = suites::all().flat_map(Test::of).collect();
    let options = Options { parallel: 8, run: "ottla-conformance-test".to_owned() };
    let outcomes = runner::run(&target, &tests, &options, |_| {});
    let bad: Vec<String> = outcomes
        .iter()
        .filter(|outcome| outcome.verdict >= Verdict::NonStrict)
        .map(|outcome| {
            let statement = outcome.statement.as_deref().unwrap_or("");
            format!("{} {} {statement}: {}", outcome.verdict, outcome.test, outcome.message)
        })
        .collect();
    assert!(bad.is_empty(), "{} of {} tests:\n{}", bad.len(), outcomes.len(), bad.join("\n"));
    let passed = outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Pass).count();
    assert!(passed * 10 > outcomes.len() * 8, "only {passed} of {} passed", outcomes.len());

    let left = clean::clean(&target, "ottla-conformance-").expect("it answers");
    // Groups whose members have not timed out yet stay.
    assert!(left.topics > 100, "{left:?}");
    let topics = clean::clean(&target, "ottla-conformance-").expect("it answers").topics;
    assert_eq!(topics, 0, "cleaning leaves no topic");
    runtime.block_on(broker.shutdown()).expect("it ends in order");
}
