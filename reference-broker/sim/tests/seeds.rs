//! A few seeds, each twice: nothing is lost, and the same seed does the same.
#![cfg(target_os = "linux")]

use std::process::Command;

fn simulate(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla-sim"));
    let output = command.args(arguments).output().expect("the simulation was built");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn hash(line: &str) -> &str {
    line.rsplit("trace hash ").next().expect("a line has an end").trim()
}

#[test]
fn a_seed_with_faults_is_kept_and_repeated() {
    let (ended_well, text) = simulate(&["--seed", "2", "--minutes", "0.1"]);
    assert!(ended_well, "{text}");
    let line = text.lines().last().expect("it says what it did");
    assert!(line.starts_with("seed 2: ") && hash(line).len() == 16, "{line}");
    assert!(!line.contains("no faults"), "{line}");
}

#[test]
fn another_seed_does_something_else() {
    let run = |seed| simulate(&["--seed", seed, "--minutes", "0.03", "--calm", "--once"]).1;
    let (one, other) = (run("1"), run("2"));
    assert!(one.contains("no faults"), "{one}");
    assert_ne!(hash(&one), hash(&other));
}
