//! What changed between two reports, and what the commands say of it.

use super::sample::{outcome, report};
use ottla_conformance::report::{Diff, Report};
use ottla_conformance::verdict::Verdict;
use std::process::Command;

fn one(verdict: Verdict, message: &str) -> Report {
    report("T", vec![outcome("a/b@v1", verdict, message)])
}

#[test]
fn verdicts_get_worse_and_better() {
    use Verdict::{Blocked, Fail, Info, NonStrict, Pass, Unsupported};
    for (old, new, is_worse, part) in [
        (Pass, Fail, true, "worse (1)\n  PASS -> FAIL"),
        (Pass, Unsupported, true, "worse (1)"),
        (NonStrict, Blocked, true, "worse (1)"),
        (Fail, Pass, false, "better (1)\n  FAIL -> PASS"),
        (Pass, Info, false, "for another reason (1)\n  PASS -> INFO"),
        (Fail, Fail, false, "no difference"),
    ] {
        let (old, new) = (one(old, "m"), one(new, "m"));
        let diff = Diff::new(&old, &new);
        assert_eq!(diff.is_worse(), is_worse, "{}", diff.to_text());
        assert!(diff.to_text().starts_with(part), "{}", diff.to_text());
    }
}

#[test]
fn messages_differ_but_for_names_of_the_run() {
    let (old, mut new) = (one(Verdict::Fail, "topic run-of-T-1"), one(Verdict::Fail, "topic r2-1"));
    new.run = "r2".to_owned();
    assert_eq!(Diff::new(&old, &new).to_text(), "no difference\n");
    new.outcomes[0].message = "another".to_owned();
    let diff = Diff::new(&old, &new);
    assert_eq!((diff.reworded.len(), diff.is_worse()), (1, false));
    assert!(diff.to_text().contains("- topic run-of-T-1\n      + another"), "{}", diff.to_text());
}

#[test]
fn versions_that_changed_alike_are_told_together() {
    let failed = |version: i16| {
        let message = format!("ottla-conformance-1-2-a-b-v{version}-1 is not there");
        outcome(&format!("a/b@v{version}"), Verdict::Fail, &message)
    };
    let pass = |version: i16| outcome(&format!("a/b@v{version}"), Verdict::Pass, "");
    let old = report("T", vec![pass(3), pass(4), pass(5)]);
    let mut new = report("T", vec![failed(3), failed(4), failed(5)]);
    new.outcomes[2].message = "another".to_owned();
    let text = Diff::new(&old, &new).to_text();
    assert!(text.starts_with("worse (3)\n"), "{text}");
    assert_eq!(text.matches("PASS -> FAIL").count(), 2, "{text}");
    assert!(text.contains("a/b v3–v4\n") && text.contains("a/b v5\n"), "{text}");
}

#[test]
fn tests_appear_and_go_in_the_order_of_versions() {
    let pass = |test| outcome(test, Verdict::Pass, "");
    let old = report("T", vec![pass("a@v9"), pass("a@v10"), pass("b")]);
    let mut new = report("T", vec![pass("b"), pass("c")]);
    let diff = Diff::new(&old, &new);
    assert!(!diff.is_worse());
    let text = diff.to_text();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let squeezed: Vec<String> =
        lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(squeezed, ["appeared (1)", "PASS c", "gone (2)", "PASS a v9–v10"]);
    new.outcomes.push(outcome("d", Verdict::Fail, "broken"));
    assert!(Diff::new(&old, &new).is_worse());
}

#[test]
fn the_commands_read_files_and_tell_by_their_status() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let json = |report: &Report| serde_json::to_string(report).expect("plain data");
    let good = file("good.json", &json(&one(Verdict::Pass, "")));
    let bad = file("bad.json", &json(&one(Verdict::Fail, "it is 7")));
    let none = file("none.json", "{}");
    let out = folder.path().join("m.html").display().to_string();
    for (arguments, status, part) in [
        (vec!["diff", &good, &bad], 1, "PASS -> FAIL"),
        (vec!["diff", &bad, &good], 0, "better (1)"),
        (vec!["diff", &good, &none], 2, "none.json is no report of this suite"),
        (vec!["matrix", &good, &bad, "--out", &out], 0, "2 reports in"),
        (vec!["matrix", &none, "--out", &out], 2, "no report"),
        (vec!["annotate", "--message", "MetadataRequest:1", "ffffffff"], 0, "null"),
        (vec!["annotate", "--message", "MetadataRequest:1", "0000"], 1, "✗ cannot decode"),
        (vec!["annotate", "--response", "NoApi:1", "00"], 2, "no API is named NoApi"),
        (vec!["explain", "K-FETCH-005"], 0, "KIP-74: https://cwiki.apache.org/"),
    ] {
        let run = Command::new(env!("CARGO_BIN_EXE_ottla-conformance")).args(&arguments).output();
        let run = run.expect("it runs");
        let told = [run.stdout, run.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert_eq!(run.status.code(), Some(status), "{arguments:?}: {told}");
        assert!(told.contains(part), "{arguments:?}: {told}");
    }
    assert!(std::fs::read_to_string(out).expect("a page").starts_with("<!DOCTYPE html>"));
}
