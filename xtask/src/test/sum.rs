//! What the runners of four languages print, as counts.

use std::collections::BTreeSet;

/// What a Rust test that needs a missing tool writes past libtest's capture; see
/// `ottla_interop::skip`.
pub(super) const SKIP_MARK: &str = "ottla-skip: ";

/// Whose output is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Runner {
    /// `cargo test`.
    Libtest,
    Pytest,
    /// `node --test`: the `spec` and the `tap` reporter.
    Node,
    /// `swift test`: XCTest and Swift Testing.
    Swift,
}

/// Tests by outcome.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Sum {
    pub(super) passed: usize,
    pub(super) failed: usize,
    /// Ignored ones, and those that found their tools missing.
    pub(super) skipped: usize,
    /// How many sums were read: a runner that crashed prints none.
    pub(super) closed: usize,
    /// Names of tests that passed, without what they were parametrised with; not libtest's.
    pub(super) names: BTreeSet<String>,
    /// Lines of Swift Testing that count until its sum comes.
    failed_so_far: usize,
    skipped_so_far: usize,
}

impl Sum {
    /// Adds what a line says.
    pub(super) fn read(&mut self, runner: Runner, line: &str) {
        match runner {
            Runner::Libtest => self.read_libtest(line),
            Runner::Pytest => self.read_pytest(line),
            Runner::Node => self.read_node(line),
            Runner::Swift => self.read_swift(line),
        }
    }

    /// Adds another sum.
    pub(super) fn add(&mut self, other: Self) {
        // A test that skipped itself comes before its program's sum: `passed` may stand below 0.
        self.passed = self.passed.wrapping_add(other.passed);
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.closed += other.closed;
        self.names.extend(other.names);
    }

    /// Whether the run may be called good.
    pub(super) fn is_good(&self, in_ci: bool) -> bool {
        self.failed == 0 && self.passed > 0 && (self.skipped == 0 || !in_ci)
    }

    fn read_libtest(&mut self, line: &str) {
        if let Some((_, reason)) = line.split_once(SKIP_MARK) {
            // libtest counts it as passed; the reason was printed with the line.
            debug_assert!(!reason.is_empty(), "a skip has a reason");
            self.skipped += 1;
            self.passed = self.passed.wrapping_sub(1);
        }
        let Some((_, counts)) = line.split_once("test result: ") else { return };
        self.closed += 1;
        for (count, what) in counts.split([';', '.']).filter_map(count_and_word) {
            match what {
                "passed" => self.passed = self.passed.wrapping_add(count),
                "failed" => self.failed += count,
                "ignored" => self.skipped += count,
                _ => {}
            }
        }
    }

    /// `tests/test_a.py::test_b[ottla] PASSED [ 3%]`, then `=== 3 passed, 1 failed in 0.1s ===`.
    fn read_pytest(&mut self, line: &str) {
        if let Some((id, _)) = line.split_once(" PASSED") {
            let name = id.rsplit("::").next().unwrap_or_default();
            let name = name.split('[').next().unwrap_or_default();
            self.names.insert(name.strip_prefix("test_").unwrap_or(name).to_owned());
        }
        let Some((counts, time)) = line.trim_matches(['=', ' ']).rsplit_once(" in ") else {
            return;
        };
        if !time.starts_with(|letter: char| letter.is_ascii_digit()) {
            return;
        }
        let parts: Vec<_> = counts.split(',').map(count_and_word).collect();
        if parts.iter().any(Option::is_none) {
            // A log line that speaks of some time; or "no tests ran", which is no sum.
            return;
        }
        self.closed += 1;
        for (count, what) in parts.into_iter().flatten() {
            match what {
                "passed" | "xpassed" => self.passed += count,
                "failed" | "error" | "errors" => self.failed += count,
                "skipped" | "xfailed" | "deselected" => self.skipped += count,
                _ => {}
            }
        }
    }

    /// `ok 1 - name` or `✔ name (1ms)` at any depth; at the end `# pass 3` or `ℹ pass 3`.
    fn read_node(&mut self, line: &str) {
        let inner = line.trim_start();
        if let Some(name) = node_passed(inner) {
            self.names.insert(name.to_owned());
        }
        let Some(rest) = line.strip_prefix("# ").or(line.strip_prefix("ℹ ")) else { return };
        let Some((what, count)) = rest.split_once(' ') else { return };
        let Ok(count) = count.trim().parse::<usize>() else { return };
        match what {
            "pass" => {
                self.closed += 1;
                self.passed += count;
            }
            "fail" | "cancelled" => self.failed += count,
            "skipped" | "todo" => self.skipped += count,
            _ => {}
        }
    }

    fn read_swift(&mut self, line: &str) {
        let line = line.trim();
        // XCTest: `Executed 3 tests, with 1 test skipped and 1 failure (0 unexpected) in 0.1 ...`,
        // for each suite and then for all of them.
        if let Some(rest) = line.strip_prefix("Executed ") {
            self.read_xctest(rest);
            return;
        }
        if let Some(rest) = line.strip_prefix("Test Case '") {
            if let Some((name, _)) = rest.split_once("' passed") {
                let name = name.rsplit('.').next().unwrap_or_default();
                self.names.insert(name.strip_prefix("test").unwrap_or(name).to_owned());
            }
            return;
        }
        let Some((_, rest)) = line.split_once(" Test ") else { return };
        if let Some(rest) = rest.strip_prefix("run with ") {
            if let (Some((count, _)), true) = (count_and_word(rest), is_swift_sum(rest)) {
                self.closed += 1;
                self.passed += count.saturating_sub(self.failed_so_far + self.skipped_so_far);
                self.failed += self.failed_so_far;
                self.skipped += self.skipped_so_far;
                // Issues outside of a test fail the run, too.
                if rest.contains(" failed after") && self.failed_so_far == 0 {
                    self.failed += 1;
                }
                (self.failed_so_far, self.skipped_so_far) = (0, 0);
            }
            return;
        }
        let name = rest.split(['(', ' ']).next().unwrap_or_default();
        let rest = rest.trim_start_matches(name);
        let rest = rest.strip_prefix('(').and_then(|r| r.split_once(')')).map_or(rest, |r| r.1);
        // `name() passed after`, `name(broker:) with 2 test cases passed after`.
        if rest.contains(" passed after") {
            self.names.insert(name.to_owned());
        } else if rest.contains(" failed after") {
            self.failed_so_far += 1;
        } else if rest.starts_with(" skipped") {
            self.skipped_so_far += 1;
        }
    }

    /// Each suite has a line, and the last one, "All tests" or "Selected tests", is the sum of
    /// them; so the largest counts.
    fn read_xctest(&mut self, rest: &str) {
        let Some((all, _)) = count_and_word(rest) else { return };
        let before = |what: &str| {
            let words: Vec<&str> = rest.split([' ', ',', '(']).filter(|w| !w.is_empty()).collect();
            let at = words.iter().position(|word| word.starts_with(what))?;
            words[..at].iter().rev().find_map(|word| word.parse::<usize>().ok())
        };
        let failed = before("failure").unwrap_or(0).min(all);
        let skipped = before("skipped").unwrap_or(0).min(all);
        let now = Self { passed: all - failed - skipped, failed, skipped, ..Self::default() };
        if all > 0 && all >= self.passed + self.failed + self.skipped {
            self.closed = self.closed.max(1);
            (self.passed, self.failed, self.skipped) = (now.passed, now.failed, now.skipped);
        }
    }
}

/// `3 passed` and what may follow.
fn count_and_word(text: &str) -> Option<(usize, &str)> {
    let mut words = text.split_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?))
}

fn is_swift_sum(rest: &str) -> bool {
    rest.contains(" passed after") || rest.contains(" failed after")
}

fn node_passed(line: &str) -> Option<&str> {
    if let Some(rest) = line.strip_prefix("ok ") {
        let (number, name) = rest.split_once(" - ")?;
        number.parse::<usize>().ok()?;
        // `# SKIP` and the like: it did not pass.
        return (!name.contains(" # ")).then_some(name);
    }
    let name = line.strip_prefix("✔ ")?;
    if name.contains(" # ") {
        return None;
    }
    Some(name.rsplit_once(" (").map_or(name, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(runner: Runner, text: &str) -> Sum {
        let mut sum = Sum::default();
        text.lines().for_each(|line| sum.read(runner, line));
        sum
    }

    fn counts(sum: &Sum) -> [usize; 4] {
        [sum.passed, sum.failed, sum.skipped, sum.closed]
    }

    fn names(sum: &Sum) -> Vec<&str> {
        sum.names.iter().map(String::as_str).collect()
    }

    #[test]
    fn results_of_all_rust_programs_are_summed() {
        let found = sum(
            Runner::Libtest,
            "test a ... ok\n\
             test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished\n\
             test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out\n",
        );
        assert_eq!(counts(&found), [8, 2, 1, 2]);
    }

    #[test]
    fn test_that_skipped_itself_is_not_passed() {
        let found = sum(
            Runner::Libtest,
            "test a ... ottla-skip: a: no java\nok\n\
             test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n",
        );
        assert_eq!(counts(&found), [2, 0, 1, 1]);
        assert!(found.is_good(false));
        assert!(!found.is_good(true));
    }

    #[test]
    fn no_test_at_all_is_not_good() {
        assert!(!Sum::default().is_good(false));
    }

    #[test]
    fn pytest_is_read_by_its_last_line() {
        let found = sum(
            Runner::Pytest,
            "tests/test_a.py::test_commit_and_resume[ottla] PASSED [ 10%]\n\
             tests/test_a.py::test_commit_and_resume[apache-4.3] PASSED [ 20%]\n\
             tests/test_a.py::TestX::test_seek SKIPPED (no broker) [ 30%]\n\
             tests/test_a.py::test_b FAILED [ 40%]\n\
             it took 12 passed seconds in 4 s\n\
             = 2 passed, 1 failed, 1 skipped, 3 warnings, 1 error in 61.20s (0:01:01) =\n",
        );
        assert_eq!(counts(&found), [2, 2, 1, 1]);
        assert_eq!(names(&found), ["commit_and_resume"]);
        let quiet = sum(Runner::Pytest, "3 passed in 0.12s\n");
        assert_eq!(counts(&quiet), [3, 0, 0, 1]);
        let none = sum(Runner::Pytest, "===== no tests ran in 0.01s =====\nSegmentation fault\n");
        assert_eq!(counts(&none), [0; 4]);
    }

    #[test]
    fn node_is_read_in_both_forms() {
        let tap = "TAP version 13\n# Subtest: a_test\n    # Subtest: ottla\n    ok 1 - ottla\n    \
                   1..1\nok 1 - a_test\nok 2 - other # SKIP not here\nnot ok 3 - bad\n\
                   # tests 4\n# suites 0\n# pass 2\n# fail 1\n# cancelled 1\n# skipped 1\n\
                   # todo 0\n";
        let found = sum(Runner::Node, tap);
        assert_eq!(counts(&found), [2, 2, 1, 1]);
        assert_eq!(names(&found), ["a_test", "ottla"]);
        let spec = "✔ a_test (12.5ms)\n✖ bad (1ms)\nℹ tests 2\nℹ pass 1\nℹ fail 1\nℹ cancelled 0\n\
                    ℹ skipped 0\nℹ todo 0\nℹ duration_ms 55\n";
        let found = sum(Runner::Node, spec);
        assert_eq!(counts(&found), [1, 1, 0, 1]);
        assert_eq!(names(&found), ["a_test"]);
    }

    #[test]
    fn swift_testing_counts_failures_by_their_lines() {
        let found = sum(
            Runner::Swift,
            "◇ Test run started.\n◇ Test commitAndResume(broker:) started.\n\
             ✘ Test seek() recorded an issue at A.swift:3:5: Expectation failed\n\
             ✔ Test commitAndResume(broker:) with 2 test cases passed after 0.1 seconds.\n\
             ✘ Test seek() failed after 0.1 seconds with 1 issue.\n\
             ➜ Test later() skipped: \"not here\"\n\
             ✘ Suite All failed after 0.2 seconds with 1 issue.\n\
             ✘ Test run with 3 tests failed after 0.2 seconds with 1 issue.\n",
        );
        assert_eq!(counts(&found), [1, 1, 1, 1]);
        assert_eq!(names(&found), ["commitAndResume"]);
    }

    #[test]
    fn xctest_is_read_by_its_largest_sum() {
        let found = sum(
            Runner::Swift,
            "Test Case 'A.testSeek' passed (0.1 seconds)\n\
             Executed 2 tests, with 0 failures (0 unexpected) in 0.1 (0.1) seconds\n\
             Executed 3 tests, with 1 test skipped and 1 failure (0 unexpected) in 0.1 (0.1) s\n\
             Executed 3 tests, with 1 test skipped and 1 failure (0 unexpected) in 0.1 (0.1) s\n\
             ✔ Test run with 0 tests passed after 0.001 seconds.\n",
        );
        assert_eq!(counts(&found), [1, 1, 1, 2]);
        assert_eq!(names(&found), ["Seek"]);
    }

    #[test]
    fn a_swift_run_that_fails_outside_of_its_tests_failed() {
        let found = sum(
            Runner::Swift,
            "✔ Test a() passed after 0.1 seconds.\n\
             ✘ Test run with 1 test failed after 0.2 seconds with 1 issue.\n",
        );
        assert_eq!(counts(&found), [1, 1, 0, 1]);
    }
}
