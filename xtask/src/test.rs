//! `cargo xtask test`: every test of the workspace, summed over all test programs.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::programs::program;
use crate::task::{self, Failure, cargo};
use crate::tools;

/// What a test that needs a missing tool writes past libtest's capture; see `ottla_interop::skip`.
const SKIP_MARK: &str = "ottla-skip: ";

/// Tests by outcome.
#[derive(Debug, Default, PartialEq)]
struct Sum {
    passed: usize,
    failed: usize,
    /// Ignored ones, and those that found their tools missing.
    skipped: usize,
}

impl Sum {
    /// Adds what a line of libtest's output says.
    fn read(&mut self, line: &str) {
        if let Some((_, reason)) = line.split_once(SKIP_MARK) {
            // libtest counts it as passed; the reason was printed with the line.
            debug_assert!(!reason.is_empty(), "a skip has a reason");
            self.skipped += 1;
            self.passed = self.passed.wrapping_sub(1);
        }
        let Some((_, counts)) = line.split_once("test result: ") else { return };
        for part in counts.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(count), Some(what)) = (words.next(), words.next()) else { continue };
            let Ok(count) = count.parse::<usize>() else { continue };
            match what {
                "passed" => self.passed = self.passed.wrapping_add(count),
                "failed" => self.failed += count,
                "ignored" => self.skipped += count,
                _ => {}
            }
        }
    }

    fn is_good(&self, in_ci: bool) -> bool {
        self.failed == 0 && self.passed > 0 && (self.skipped == 0 || !in_ci)
    }
}

/// Runs the tests. The last line on standard output is `N passed, N failed, N skipped`.
pub(crate) fn run(filter: &[String]) -> Result<(), Failure> {
    let start = Instant::now();
    let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    tools::install();
    let mut sum = Sum::default();
    let built = task::step("build", "the tests start the broker as a program", || {
        task::run(cargo().args(["build", "--locked", "-p", "ottla-broker"]))?;
        task::run(cargo().args(["test", "--locked", "--workspace", "--no-run"]))
    });
    match built {
        Ok(()) => task::step("test", "", || run_tests(filter, &mut sum))?,
        Err(failure) => {
            println!("    {failure}");
            sum.failed += 1;
        }
    }
    if in_ci && sum.skipped > 0 {
        println!("tests were skipped, and in CI nothing may be: see the lines with {SKIP_MARK:?}");
    }
    println!("all of it took {:.0} s", start.elapsed().as_secs_f64());
    println!("{} passed, {} failed, {} skipped", sum.passed, sum.failed, sum.skipped);
    if sum.is_good(in_ci) { Ok(()) } else { Err(Failure::new("not all tests passed")) }
}

fn run_tests(filter: &[String], sum: &mut Sum) -> Result<(), Failure> {
    let mut command = cargo();
    command.args(["test", "--locked", "--workspace", "--no-fail-fast"]).args(filter);
    command.env("OTTLA_BROKER_BIN", program("debug", "ottla-broker")).envs(tools::environment());
    let status = echo(&mut command, |line| sum.read(line))?;
    // A test program that crashed, or a documentation test that does not compile, has no counts.
    if !status && sum.failed == 0 {
        sum.failed = 1;
    }
    Ok(())
}

/// Runs a command, passing its standard output on line by line; tells whether it succeeded.
fn echo(command: &mut Command, mut line_read: impl FnMut(&str)) -> Result<bool, Failure> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().expect("the output was asked for as a pipe");
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        line_read(&line);
    }
    Ok(child.wait()?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(text: &str) -> Sum {
        let mut sum = Sum::default();
        text.lines().for_each(|line| sum.read(line));
        sum
    }

    #[test]
    fn results_of_all_programs_are_summed() {
        let found = sum("test a ... ok\n\
             test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished\n\
             test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out\n");
        assert_eq!(found, Sum { passed: 8, failed: 2, skipped: 1 });
    }

    #[test]
    fn test_that_skipped_itself_is_not_passed() {
        let found = sum("test a ... ottla-skip: a: no java\nok\n\
             test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n");
        assert_eq!(found, Sum { passed: 2, failed: 0, skipped: 1 });
        assert!(found.is_good(false));
        assert!(!found.is_good(true));
    }

    #[test]
    fn no_test_at_all_is_not_good() {
        assert!(!sum("").is_good(false));
    }
}
