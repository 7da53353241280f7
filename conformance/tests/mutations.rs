//! Every test fails when answers are wrong: `mutations.tsv` names for each test, in the first and
//! the last version of its axis, mutations of our broker's answers and the statements whose
//! assertions they break. A relay makes them, and the statement must be the one that fails.
//!
//! `OTTLA_CODEGEN=write` looks for mutations where none is known or a known one has lost its
//! effect, which takes minutes, and writes the file; `OTTLA_MUTATIONS=GLOB` limits it to some
//! tests.

mod mutation;
mod relay;

use mutation::meddler::Meddler;
use mutation::{Mutation, Selector, candidates};
use ottla_conformance::case::{self, Test};
use ottla_conformance::runner::{self, Outcome};
use ottla_conformance::suites;
use ottla_conformance::target::Target;
use ottla_conformance::verdict::Verdict;
use relay::Relay;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Brokers and relays at a time: tests wait more than they compute.
const WORKERS: usize = 6;
/// How long tests wait where they are to see that nothing comes.
const SHORT_PATIENCE: Duration = Duration::from_millis(700);
/// A mutation that is seen this quickly is taken at once; others, where none is.
const QUICK: Duration = Duration::from_millis(2_500);
/// How many mutations are tried for further statements of a test that has failed once;
/// `OTTLA_MUTATION_TRIES` sets another limit.
const FURTHER_TRIES: usize = 120;
/// Tests end in any case before this: three patiences for each of some waits.
const NEVER_LONGER: Duration = Duration::from_secs(60);

/// What a worker works with.
struct Bench {
    relay: Relay,
    target: Target,
    number: usize,
}

/// Numbers the benches of a process: no two tests use the same names.
static BENCHES: AtomicUsize = AtomicUsize::new(0);

impl Bench {
    fn new() -> Self {
        let relay = Relay::start();
        let target = Target::reach(&relay.address().to_string()).expect("the relay answers");
        Self { relay, target, number: BENCHES.fetch_add(1_000_000, Ordering::Relaxed) }
    }

    /// Runs a test with a mutation, or without.
    fn run(
        &mut self,
        test: &Test,
        mutation: Option<&Mutation>,
        patience: Option<Duration>,
    ) -> (Outcome, Arc<Meddler>) {
        let meddler = Arc::new(Meddler::new(mutation.cloned()));
        self.relay.plant(Some(Arc::<Meddler>::clone(&meddler)));
        let mut target = self.target.clone();
        if mutation.is_some_and(|mutation| mutation.selector == Selector::Target) {
            if let Ok(another) = Target::reach(&self.relay.address().to_string()) {
                target.advertised = another.advertised;
            }
            self.relay.plant(None);
        }
        if let Some(patience) = patience {
            target.patience = patience;
        }
        self.number += 1;
        let outcome = runner::run_one(&target, test, &format!("m{}", self.number));
        (outcome, meddler)
    }

    /// What the target says of itself.
    fn of_the_target(&self) -> Vec<Mutation> {
        let meddler = Arc::new(Meddler::new(None));
        self.relay.plant(Some(Arc::<Meddler>::clone(&meddler)));
        Target::reach(&self.relay.address().to_string()).expect("the relay answers");
        candidates::of_the_target(&meddler.answered())
    }

    /// The statement that a mutation breaks in a test.
    fn broken(&mut self, test: &Test, mutation: &Mutation) -> (Option<String>, Outcome) {
        let patience = mutation.is_silence().then_some(SHORT_PATIENCE);
        let (mut outcome, meddler) = self.run(test, Some(mutation), patience);
        write!(outcome.message, " ({} answers were changed)", meddler.changed()).expect("memory");
        let fails = matches!(outcome.verdict, Verdict::Fail | Verdict::NonStrict);
        (outcome.statement.clone().filter(|_| fails), outcome)
    }
}

/// The first and the last version of each test that our broker claims.
fn selected(target: &Target) -> Vec<Test> {
    let mut all = Vec::new();
    for case in suites::all() {
        let tests = Test::of(case).into_iter().filter(|test| test.unsupported(target).is_none());
        let tests: Vec<Test> = tests.collect();
        all.extend(tests.first());
        all.extend(tests.last().filter(|_| tests.len() > 1));
    }
    all
}

/// Gives every item to one of the workers, each with a bench of its own.
fn work<T: Sync>(items: &[T], with: impl Fn(&mut Bench, &T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS.min(items.len()) {
            scope.spawn(|| {
                let mut bench = Bench::new();
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    with(&mut bench, item);
                }
            });
        }
    });
}

/// Statement and mutation.
type Known = (String, String);

fn file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mutations.tsv"))
}

const HEADER: &str = "test\tstatement\tmutation";

fn read() -> BTreeMap<String, Vec<Known>> {
    let text = std::fs::read_to_string(file()).unwrap_or_default();
    let mut known: BTreeMap<String, Vec<Known>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [test, statement, mutation] = columns[..] else { panic!("three columns: {line}") };
        known.entry(test.into()).or_default().push((statement.into(), mutation.into()));
    }
    known
}

fn write(known: &BTreeMap<String, Vec<Known>>) {
    let mut text = format!("{HEADER}\n");
    for (test, rows) in known {
        for (statement, mutation) in rows {
            writeln!(text, "{test}\t{statement}\t{mutation}").expect("memory");
        }
    }
    std::fs::write(file(), text).expect("a writable file");
}

/// What is wrong, from all workers.
#[derive(Default)]
struct Wrong(Mutex<Vec<String>>);

impl Wrong {
    fn add(&self, what: String) {
        self.0.lock().expect("no thread panics with it").push(what);
    }

    fn end(self) {
        let mut all = self.0.into_inner().expect("no thread panics with it");
        all.sort();
        assert!(all.is_empty(), "{} are wrong:\n{}", all.len(), all.join("\n"));
    }
}

#[test]
fn every_test_fails_under_a_mutation() {
    let tests = selected(&Bench::new().target);
    let known = read();
    let filter = std::env::var("OTTLA_MUTATIONS").unwrap_or_else(|_| "**".to_owned());
    let some: Vec<Test> =
        tests.iter().filter(|test| case::matches(&filter, &test.id())).copied().collect();
    if std::env::var("OTTLA_CODEGEN").is_ok_and(|mode| mode == "write") {
        search(&some, &tests, known);
    } else {
        verify(&some, &tests, &known);
    }
}

fn verify(some: &[Test], tests: &[Test], known: &BTreeMap<String, Vec<Known>>) {
    let wrong = Wrong::default();
    let ids: BTreeSet<String> = tests.iter().map(Test::id).collect();
    for stranger in known.keys().filter(|id| !ids.contains(*id)) {
        wrong.add(format!(
            "{stranger} is in mutations.tsv, and no test in its first or last version"
        ));
    }
    let mut rows = Vec::new();
    for test in some {
        let of_test = known.get(&test.id()).map_or(&[][..], Vec::as_slice);
        if of_test.is_empty() {
            wrong.add(format!(
                "{} has no mutation in mutations.tsv under which it fails",
                test.id()
            ));
        }
        rows.extend(of_test.iter().map(|row| (test, row)));
    }
    work(&rows, |bench, (test, (statement, text))| {
        let mutation = Mutation::parse(text).unwrap_or_else(|| panic!("{text} is no mutation"));
        assert_eq!(mutation.to_string(), *text, "the written form is the only one");
        let (broken, outcome) = bench.broken(test, &mutation);
        if broken.as_ref() != Some(statement) {
            wrong.add(format!(
                "{}, {text}: {statement} should fail; {}",
                test.id(),
                told(&outcome)
            ));
        }
    });
    wrong.end();
}

fn told(outcome: &Outcome) -> String {
    let statement = outcome.statement.as_deref().unwrap_or("no statement");
    format!("{} of {statement} after {} ms: {}", outcome.verdict, outcome.took_ms, outcome.message)
}

/// Looks for mutations, and writes each test's when it is done.
fn search(some: &[Test], tests: &[Test], mut known: BTreeMap<String, Vec<Known>>) {
    let wrong = Wrong::default();
    let ids: BTreeSet<String> = tests.iter().map(Test::id).collect();
    known.retain(|id, _| ids.contains(id));
    let known = Mutex::new(known);
    work(some, |bench, test| {
        let before = known.lock().expect("no thread panics with it").remove(&test.id());
        let found = mutations_of(bench, test, &before.unwrap_or_default(), &wrong);
        let mut known = known.lock().expect("no thread panics with it");
        if found.is_empty() {
            wrong.add(format!("{} survives every mutation", test.id()));
        } else {
            known.insert(test.id(), found);
        }
        write(&known);
    });
    wrong.end();
}

/// One mutation for each statement that the test decides, as far as there is one.
fn mutations_of(bench: &mut Bench, test: &Test, before: &[Known], wrong: &Wrong) -> Vec<Known> {
    let (healthy, meddler) = bench.run(test, None, None);
    if matches!(healthy.verdict, Verdict::Fail | Verdict::NonStrict | Verdict::Blocked) {
        wrong.add(format!("{} without a mutation: {}", test.id(), told(&healthy)));
        return Vec::new();
    }
    let mut open: BTreeSet<String> =
        test.case.statements.iter().map(|statement| (*statement).to_owned()).collect();
    if !healthy.evaluated.is_empty() {
        open.retain(|statement| healthy.evaluated.contains(statement));
    }
    let mut found: Vec<Known> = Vec::new();
    for (statement, text) in before {
        let still = Mutation::parse(text)
            .is_some_and(|mutation| bench.broken(test, &mutation).0.as_ref() == Some(statement));
        if still && open.remove(statement) {
            found.push((statement.clone(), text.clone()));
        }
    }
    // Where none of its own statements is found: one that the test needs on its way.
    let mut others = BTreeMap::new();
    let mut slow = BTreeMap::new();
    let quick = QUICK.max(Duration::from_millis(healthy.took_ms * 3 / 2));
    let about = test.case.axis.map(|(api, _)| api);
    let mut all = candidates::of(&meddler.answered(), about);
    all.extend(bench.of_the_target());
    let (count, mut tried) = (all.len(), 0);
    let tries = std::env::var("OTTLA_MUTATION_TRIES").ok().and_then(|text| text.parse().ok());
    let tries = tries.unwrap_or(FURTHER_TRIES);
    for mutation in all {
        if open.is_empty() || (!found.is_empty() && tried >= tries) {
            break;
        }
        tried += 1;
        let began = Instant::now();
        let (broken, outcome) = bench.broken(test, &mutation);
        if outcome.verdict == Verdict::HarnessError || began.elapsed() > NEVER_LONGER {
            wrong.add(format!("{}, {mutation}: {}", test.id(), told(&outcome)));
        }
        let Some(statement) = broken else { continue };
        if !open.contains(&statement) {
            if !test.case.statements.contains(&&statement[..]) {
                others.entry(statement).or_insert(mutation);
            }
            continue;
        }
        if began.elapsed() > quick {
            slow.entry(statement).or_insert(mutation);
        } else if bench.broken(test, &mutation).0.as_ref() == Some(&statement) {
            open.remove(&statement);
            found.push((statement, mutation.to_string()));
        }
    }
    slow.retain(|statement, _| open.remove(statement));
    if found.is_empty() && slow.is_empty() {
        slow.extend(others.pop_first());
    }
    found.extend(slow.into_iter().map(|(statement, mutation)| (statement, mutation.to_string())));
    found.sort();
    eprintln!("{}: {} found, {tried} of {count} tried, open: {open:?}", test.id(), found.len());
    found
}

/// How many seeds a run takes; `OTTLA_MUTATION_SEEDS=FROM..TO` takes others.
const SEEDS: std::ops::Range<u64> = 0..60;

fn seeds() -> std::ops::Range<u64> {
    let given = std::env::var("OTTLA_MUTATION_SEEDS").ok();
    let range = given.as_deref().and_then(|text| {
        let (from, to) = text.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    range.unwrap_or(SEEDS)
}

#[test]
fn no_mutation_breaks_the_suite_itself() {
    let tests = selected(&Bench::new().target);
    let wrong = Wrong::default();
    let seeds: Vec<u64> = seeds().collect();
    let caught = AtomicUsize::new(0);
    work(&seeds, |bench, seed| {
        // A stride, so that few seeds meet many suites.
        let test = &tests[(*seed as usize).wrapping_mul(101) % tests.len()];
        let change = mutation::Change::Random(*seed);
        // Mostly of what the test is about: others only keep it from beginning.
        let api = test.case.axis.map(|(api, _)| api).filter(|_| seed % 4 != 0);
        let mutation = Mutation { selector: Selector::Answers(api, None), change };
        let began = Instant::now();
        let (outcome, _) = bench.run(test, Some(&mutation), Some(SHORT_PATIENCE));
        let took = began.elapsed();
        caught.fetch_add(usize::from(outcome.verdict == Verdict::Fail), Ordering::Relaxed);
        if outcome.verdict == Verdict::HarnessError || took > NEVER_LONGER {
            wrong.add(format!("{}, {mutation}: {}", test.id(), told(&outcome)));
        }
    });
    wrong.end();
    // Otherwise the mutations are none, or end every test before it begins.
    let (caught, all) = (caught.into_inner(), seeds.len());
    assert!(caught * 16 >= all, "only {caught} of {all} random mutations were caught");
}

/// Apache Kafka 4.3.1 was seen to answer 6 for a topic that its own Metadata said it leads.
#[test]
fn a_leader_that_hears_late_of_a_topic_is_waited_for() {
    let mut bench = Bench::new();
    let tests = selected(&bench.target);
    let mutation = Mutation::parse("ListOffsets#0 topics/*/partitions/*/errorCode set 6");
    for test in tests.iter().filter(|test| test.id().starts_with("list-offsets/")) {
        let (outcome, meddler) = bench.run(test, mutation.as_ref(), None);
        assert_eq!(outcome.verdict, Verdict::Pass, "{}, {}", test.id(), told(&outcome));
        assert_eq!(meddler.changed(), 1, "{}", test.id());
    }
}

#[test]
fn mutations_are_written_as_they_are_read() {
    for text in [
        "Fetch#2 responses/*/partitions/0/highWatermark add 1",
        "Metadata#* topics/last/name set null",
        "ApiVersions#0 frame tag-in",
        "* frame stays-open",
        "* random 7",
        "target apiKeys/last/apiKey set 62",
        "Fetch#0 responses/*/partitions/*/records sealed 22",
        "Produce#* responses/*/partitionResponses/*/errorCode set 42",
    ] {
        let read = Mutation::parse(text).map(|mutation| mutation.to_string());
        assert_eq!(read.as_deref(), Some(text));
    }
    for text in ["Fetch#2", "Nothing#2 a set 1", "Fetch#x a set 1", "Fetch#* frame x", "* a what"] {
        assert_eq!(Mutation::parse(text), None, "{text}");
    }
}
