//! `cargo xtask test`: every test of the workspace and of the packages in other languages, summed.

mod node;
mod python;
pub(crate) mod servers;
mod sum;
mod swift;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::packages;
use crate::parity;
use crate::programs::program;
use crate::task::{self, Failure, cargo, root};
use crate::tools;
pub(crate) use servers::Servers;
use sum::{Runner, SKIP_MARK, Sum};

/// The parts that a run can be narrowed to.
const PARTS: [&str; 4] = ["rust", "python", "node", "swift"];

/// The seeds that every run simulates, and how many of them make a step.
const SEED_FIRST: usize = 101;
const SEEDS: usize = 20;
const SEEDS_A_STEP: usize = 10;
/// Planted bugs that almost every seed finds.
const BUGS: [&str; 4] =
    ["ack-before-isr", "truncation-to-high-watermark", "early-commit", "unclean-election"];

/// What a run is about.
struct Run {
    /// One of [`PARTS`], or all.
    part: Option<String>,
    /// Handed on to the runners.
    filter: Vec<String>,
    sum: Sum,
}

/// Runs the tests. The last line on standard output is `N passed, N failed, N skipped`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let start = Instant::now();
    let part = arguments.first().filter(|first| PARTS.contains(&first.as_str())).cloned();
    // A test's name alone narrows the Rust tests, as it always did.
    let (part, filter) = match (part, arguments) {
        (Some(part), [_, rest @ ..]) => (Some(part), rest),
        (_, []) => (None, arguments),
        (_, _) => (Some("rust".to_owned()), arguments),
    };
    let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    let mut run = Run { part, filter: filter.to_vec(), sum: Sum::default() };
    tools::install(run.wants("rust"));
    if run.wants("rust") {
        run.rust();
    }
    if ["python", "node", "swift"].iter().any(|part| run.wants(part)) {
        run.bindings();
    }
    let sum = &run.sum;
    if in_ci && sum.skipped > 0 {
        println!("tests were skipped, and in CI nothing may be: see the lines with {SKIP_MARK:?}");
    }
    println!("all of it took {:.0} s", start.elapsed().as_secs_f64());
    println!("{} passed, {} failed, {} skipped", sum.passed, sum.failed, sum.skipped);
    if sum.is_good(in_ci) { Ok(()) } else { Err(Failure::new("not all tests passed")) }
}

impl Run {
    fn wants(&self, part: &str) -> bool {
        self.part.as_deref().is_none_or(|wanted| wanted == part)
    }

    /// A step that counts as a failed test where it fails.
    fn step<T>(
        &mut self,
        what: &str,
        why: &str,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Option<T> {
        match task::step(what, why, work) {
            Ok(done) => Some(done),
            Err(failure) => {
                println!("    {failure}");
                self.sum.failed += 1;
                None
            }
        }
    }

    /// A part that cannot run here: as a skipped test, with the reason.
    fn skip(&mut self, what: &str, reason: &str) {
        println!("{SKIP_MARK}{what}: {reason}");
        self.sum.skipped += 1;
    }

    fn rust(&mut self) {
        let built = self.step("build", "the tests start the broker as a program", || {
            task::run(cargo().args([
                "build",
                "--locked",
                "-p",
                "ottla-broker",
                "-p",
                "ottla-shim",
            ]))?;
            task::run(cargo().args(["test", "--locked", "--workspace", "--no-run"]))
        });
        if built.is_none() {
            return;
        }
        let mut command = cargo();
        command.args(["test", "--locked", "--workspace", "--no-fail-fast"]).args(&self.filter);
        command.env("OTTLA_BROKER_BIN", program("debug", "ottla-broker"));
        command.envs(tools::environment());
        self.suite("Rust tests", Runner::Libtest, &mut command);
        self.simulation();
        self.definitions();
    }

    /// The schemas beside the definitions in Kafka's own jars; a test for each release.
    fn definitions(&mut self) {
        if !self.filter.is_empty() {
            return;
        }
        for version in crate::protocol::CHECKED {
            let what = format!("schemas of Apache Kafka {version}");
            let why = "compared with the definitions in its jars";
            if let Some(told) = self.step(&what, why, || crate::protocol::check(version)) {
                println!("    {told}");
                self.sum.passed += 1;
            }
        }
    }

    /// Seeds of the simulation; a test each.
    fn simulation(&mut self) {
        if !self.filter.is_empty() || !cfg!(target_os = "linux") {
            return;
        }
        let why = "brokers, clients and faults, in a build with optimisation";
        for first in (SEED_FIRST..SEED_FIRST + SEEDS).step_by(SEEDS_A_STEP) {
            let what = format!("simulation, {SEEDS_A_STEP} seeds from {first}");
            let (first, count) = (first.to_string(), SEEDS_A_STEP.to_string());
            let arguments = ["--seed", &first, "--seeds", &count, "--minutes", "0.3", "--once"];
            let arguments = arguments.map(str::to_owned);
            if self.step(&what, why, || crate::sim::run(&arguments)).is_some() {
                self.sum.passed += SEEDS_A_STEP;
            }
        }
        let names = BUGS.join(",");
        let arguments = ["--bugs", &names, "--seeds", "20", "--minutes", "0.6", "--jobs", "2"];
        let arguments = arguments.map(str::to_owned);
        let why = "each must be found";
        if self.step("simulation, planted bugs", why, || crate::sim::run(&arguments)).is_some() {
            self.sum.passed += BUGS.len();
        }
    }

    /// The suites of the packages, against brokers that they share.
    fn bindings(&mut self) {
        let why = "the suites run what users get";
        let Some(()) = self.step("build in release mode", why, packages::build) else { return };
        let broker = program("release", "ottla-broker");
        let Some(servers) = self.step("start brokers", "", || Servers::start(&broker)) else {
            return;
        };
        if !servers.have_apache() {
            self.skip("bindings", "Apache Kafka is missing: they ran against our broker only");
        }
        let context = Context { broker, brokers: servers.brokers.clone() };
        if self.wants("python") {
            python::run(self, &context);
        }
        if self.wants("node") {
            node::run(self, &context);
        }
        if self.wants("swift") {
            swift::run(self, &context);
        }
        self.shims();
    }

    /// The packages as the conformance suite drives them.
    fn shims(&mut self) {
        if !self.filter.is_empty() {
            return;
        }
        let languages = ["python", "node"].into_iter().filter(|language| self.wants(language));
        let languages: Vec<&str> = languages.collect();
        if languages.is_empty() {
            return;
        }
        let mut command = cargo();
        command.args(["test", "--locked", "-p", "ottla-conformance", "--test"]);
        command.args(["shims_of_bindings", "--"]).args(languages);
        self.suite("shims of the packages", Runner::Libtest, &mut command);
    }

    /// Runs a suite and adds its sum; one that ends without a sum has failed. Gives the suite's
    /// own sum.
    fn suite(&mut self, what: &str, runner: Runner, command: &mut Command) -> Sum {
        let mut sum = Sum::default();
        let result = task::step(what, "", || echo(command, |line| sum.read(runner, line)));
        if !self.filter.is_empty() && runner != Runner::Libtest {
            // What the filter left out.
            sum.skipped = 0;
        }
        let fault = match result {
            Err(failure) => Some(failure.to_string()),
            Ok(_) if sum.closed == 0 => Some("it ended without a sum".to_owned()),
            // A test program that crashed, or a documentation test that does not compile.
            Ok(false) if sum.failed == 0 => Some("it failed outside of its tests".to_owned()),
            Ok(_) => None,
        };
        if let Some(fault) = fault {
            println!("    {what}: {fault}");
            sum.failed += 1;
        }
        let (failed, skipped) = (sum.failed, sum.skipped);
        println!("    {what}: {} passed, {failed} failed, {skipped} skipped", sum.passed);
        self.sum.add(sum.clone());
        sum
    }

    /// Tests that every language must have passed, unless the run is a part of the suite.
    fn expect_common(&mut self, language: &str, sum: &Sum) {
        if !self.filter.is_empty() {
            return;
        }
        let read = || parity::read(&std::fs::read_to_string(root().join(parity::TABLE))?);
        let table = match read() {
            Ok(table) => table,
            Err(failure) => {
                println!("    {failure}");
                self.sum.failed += 1;
                return;
            }
        };
        for name in table.tests.of(language) {
            let spelt =
                if language == "swift" { parity::camel_case(name) } else { name.to_owned() };
            if !sum.names.contains(&spelt) {
                println!("    {language}: {spelt} did not run, or did not pass");
                self.sum.failed += 1;
            }
        }
    }
}

/// What the suites of the bindings are run with.
struct Context {
    /// Our broker, built in release mode.
    broker: PathBuf,
    /// `NAME=HOST:PORT`, separated by commas.
    brokers: String,
}

impl Context {
    /// A command that knows the brokers.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("OTTLA_BROKER_BIN", &self.broker).env("OTTLA_TEST_BROKERS", &self.brokers);
        command
    }
}

/// Runs a command, passing its output on line by line; tells whether it succeeded.
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

/// A command whose standard error joins its standard output.
fn joined(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$@\" 2>&1", "sh"]).arg(command.get_program());
    shell.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}
