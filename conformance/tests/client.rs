//! Our own client passes every scenario, a client with a planted fault is caught by the statement
//! that names it, and a shim that is none ends in a clear verdict.

mod bad_client;

use ottla_conformance::client::shim::ShimCommand;
use ottla_conformance::client::{self, Options, Scenario};
use ottla_conformance::runner::Outcome;
use ottla_conformance::verdict::Verdict;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

fn options() -> Options {
    Options { parallel: 6, patience: PATIENCE }
}

fn scenario(name: &str) -> &'static Scenario {
    client::all().find(|scenario| scenario.name == name).expect("a scenario of this name")
}

fn command(text: &str) -> ShimCommand {
    ShimCommand::parse(text).expect("a sound command")
}

/// The shim of our Rust client, built where the tests are.
fn own_shim() -> ShimCommand {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "--quiet", "-p", "ottla-shim"]).status();
    assert!(built.is_ok_and(|status| status.success()), "the shim cannot be built");
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("tests are in deps");
    let mut path = PathBuf::from(profile);
    if profile.file_name().is_some_and(|name| name != "debug") {
        path = profile.with_file_name("debug");
    }
    command(&format!("'{}'", path.join("ottla-shim").display()))
}

#[test]
fn our_client_passes_every_scenario() {
    let scenarios: Vec<_> = client::all().collect();
    let outcomes = client::run(&own_shim(), &scenarios, &options(), |_| {});
    let is_bad = |outcome: &&Outcome| match outcome.verdict {
        Verdict::Pass | Verdict::Info => false,
        // It opens no fetch sessions and has no rack.
        Verdict::Unsupported => {
            !["session", "preferred-replica"].iter().any(|part| outcome.test.contains(part))
        }
        // It waits for metadata where a Fetch is told the new leader (KIP-951).
        Verdict::NonStrict => outcome.test != "client/fetch-names-the-leader",
        _ => true,
    };
    let bad: Vec<String> = outcomes.iter().filter(is_bad).map(shown).collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert_eq!(outcomes.len(), scenarios.len());
}

fn shown(outcome: &Outcome) -> String {
    let statement = outcome.statement.as_deref().unwrap_or_default();
    format!("{} {} {statement} {}", outcome.verdict, outcome.test, outcome.message)
}

/// This binary as a shim: the test harness prints to standard output, so that the shim's lines go
/// by another file descriptor.
fn planted(fault: &str) -> ShimCommand {
    let test = std::env::current_exe().expect("a test has a path");
    let test = test.display();
    let script = format!(
        "FAULT={fault} OPERATION=$0 exec {test} --exact the_bad_client --nocapture \
         3>&1 >/dev/null"
    );
    command(&format!("sh -c '{script}'"))
}

/// Is the client where the tests start it.
#[test]
fn the_bad_client() {
    if std::env::var_os("FAULT").is_some() {
        bad_client::run();
    }
}

/// Fault, scenario, and the statement that is to catch it.
const PLANTED: &[(&str, &str, &str)] = &[
    ("newest-version", "client/only-old-versions", "K-CLIENT-CONNECTION-008"),
    ("any-correlation-id", "client/wrong-correlation-id", "K-CLIENT-CONNECTION-015"),
    ("waits-for-acks-0", "client/acks-0", "K-CLIENT-PRODUCER-014"),
    ("guesses-partitions", "client/topic-without-partitions", "K-CLIENT-METADATA-001"),
    ("new-sequence", "client/lost-answer", "K-CLIENT-PRODUCER-003"),
    ("retries-all", "client/error-that-lasts", "K-CLIENT-PRODUCER-018"),
    ("whole-batches", "client/batch-from-before-the-position", "K-CLIENT-CONSUMER-001"),
    ("hands-over-control", "client/control-batch", "K-CLIENT-CONSUMER-003"),
    ("forgets-member-id", "client/member-id-required", "K-CLIENT-GROUP-001"),
    ("commits-the-last", "client/commits-the-next-offset", "K-CLIENT-GROUP-015"),
    ("trusts-checksums", "client/batch-with-wrong-crc", "K-CLIENT-HOSTILE-009"),
    ("success-by-default", "client/unknown-error-code", "K-CLIENT-HOSTILE-013"),
    ("keeps-messages", "client/error-message-is-told", "K-CLIENT-ADMIN-002"),
];

#[test]
fn a_planted_fault_is_caught_by_the_statement_that_names_it() {
    std::thread::scope(|scope| {
        let runs: Vec<_> = PLANTED
            .iter()
            .map(|(fault, name, statement)| {
                scope.spawn(move || {
                    let sound = client::run_one(&planted("none"), scenario(name), &options());
                    assert_eq!(sound.verdict, Verdict::Pass, "{}", shown(&sound));
                    let caught = client::run_one(&planted(fault), scenario(name), &options());
                    assert_eq!(caught.verdict, Verdict::Fail, "{fault}: {}", shown(&caught));
                    let by = caught.statement.as_deref();
                    assert_eq!(by, Some(*statement), "{fault}: {}", shown(&caught));
                })
            })
            .collect();
        for run in runs {
            if let Err(panic) = run.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// How a shim that does this ends in a scenario.
fn ends(script: &str) -> Outcome {
    let options = Options { parallel: 1, patience: Duration::from_secs(2) };
    let shim = command(&format!("sh -c \"{script}\""));
    client::run_one(&shim, scenario("client/retriable-error"), &options)
}

#[test]
fn a_shim_that_is_none_ends_in_a_clear_verdict() {
    let hangs = ends("exec sleep 60");
    assert_eq!(hangs.verdict, Verdict::Fail, "{}", shown(&hangs));
    assert!(hangs.message.contains("hangs"), "{}", hangs.message);
    assert!(hangs.took_ms < 20_000, "{}", hangs.took_ms);
    let dies = ends("echo it broke >&2; exit 3");
    assert_eq!(dies.verdict, Verdict::Fail, "{}", shown(&dies));
    assert!(dies.message.contains("it broke"), "{}", dies.message);
    let garbage = ends("echo hello; cat >/dev/null");
    assert_eq!(garbage.verdict, Verdict::Blocked, "{}", shown(&garbage));
    assert!(garbage.message.contains("hello"), "{}", garbage.message);
    let lacks = ends("exit 89");
    assert_eq!(lacks.verdict, Verdict::Unsupported, "{}", shown(&lacks));
    let lacks = ends(r"printf '{\042unimplemented\042: \042no acks\042}\n'; exit 89");
    assert_eq!(lacks.verdict, Verdict::Unsupported, "{}", shown(&lacks));
    assert_eq!(lacks.message, "no acks");
}

#[test]
fn a_shim_that_is_not_there_is_told() {
    let ran = Command::new(env!("CARGO_BIN_EXE_ottla-conformance"))
        .args(["client", "--shim", "no-such-shim"])
        .output()
        .expect("the command runs");
    assert_eq!(ran.status.code(), Some(2));
    let text = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(text.contains("no-such-shim") && text.contains("cannot be started"), "{text}");
}
