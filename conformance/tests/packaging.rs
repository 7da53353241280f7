//! The scripts of the GitHub Action and of the container, run as they run there.

use ottla_broker::{Broker, Config};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ottla-conformance");

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A job of its own: a folder, and what GitHub's runner sets in the environment.
struct Job {
    folder: tempfile::TempDir,
}

impl Job {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a writable folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        read(&self.path(name))
    }

    /// Runs a script with these variables.
    fn run(&self, script: &str, variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new("bash");
        command.arg(folder().join("scripts").join(script)).current_dir(self.folder.path());
        command.env("GITHUB_OUTPUT", self.path("output"));
        command.env("GITHUB_STEP_SUMMARY", self.path("summary"));
        command.env("RUNNER_TEMP", self.folder.path());
        command.envs(variables.iter().copied());
        command.output().expect("bash is there")
    }

    /// A program that leaves its arguments in `arguments`, one a line, and then does this.
    fn stub(&self, name: &str, then: &str) -> PathBuf {
        let path = self.path(name);
        let arguments = self.path("arguments");
        let text =
            format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > '{}'\n{then}\n", arguments.display());
        fs::write(&path, text).expect("a writable folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        path
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_run_against_our_broker_is_the_summary() {
    let job = Job::new();
    let config = Config::dev()
        .set("listeners", "PLAINTEXT://127.0.0.1:0")
        .and_then(|config| config.set("log.dirs", job.path("data").to_str().expect("plain")))
        .expect("settings that exist");
    let runtime = tokio::runtime::Runtime::new().expect("threads are to be had");
    let broker = runtime.block_on(Broker::start(config)).expect("the broker starts");
    fs::write(job.path("known.toml"), "\"list-groups/*\" = \"a line that is stale\"\n")
        .expect("a writable folder");

    let obtained = job.run("obtain.sh", &[("CONFORMANCE_BINARY", PROGRAM)]);
    assert!(obtained.status.success(), "{}", text(&obtained.stderr));
    assert_eq!(text(&obtained.stdout).trim(), PROGRAM);
    assert_eq!(job.read("output"), format!("binary={PROGRAM}\n"));
    let bootstrap = broker.addr().to_string();
    let ran = job.run(
        "run.sh",
        &[
            ("CONFORMANCE_BINARY", PROGRAM),
            ("CONFORMANCE_BOOTSTRAP", &bootstrap),
            ("CONFORMANCE_PROFILE", "groups"),
            ("CONFORMANCE_BASELINE", "known.toml"),
            ("CONFORMANCE_REPORT", "reports/of this job"),
            ("CONFORMANCE_NAME", "our broker"),
        ],
    );
    // Nothing fails, and so the known failure is stale.
    let out = text(&ran.stdout);
    assert_eq!(ran.status.code(), Some(1), "{out}{}", text(&ran.stderr));
    assert!(out.contains("STALE"), "{out}");
    assert!(out.contains("0 failures are known, 0 are not"), "{out}");
    assert!(job.read("output").ends_with("status=1\nreport=reports/of this job\n"));
    let report = job.path("reports/of this job");
    let summary = job.read("summary");
    assert_eq!(summary, read(&report.join("report.md")));
    assert!(summary.contains("our broker") && summary.contains("| groups |"), "{summary}");
    assert!(read(&report.join("report.json")).contains("\"our broker\""));
    assert!(read(&report.join("report.xml")).contains("<testsuite name=\"groups\""));
    runtime.block_on(broker.shutdown()).expect("it ends in order");
}

#[test]
fn what_cannot_run_has_its_status_and_a_summary() {
    let job = Job::new();
    fs::create_dir(job.path("conformance-report")).expect("a writable folder");
    fs::write(job.path("conformance-report/report.md"), "of an earlier run").expect("writable");
    let variables = [("CONFORMANCE_BINARY", PROGRAM), ("CONFORMANCE_BOOTSTRAP", "127.0.0.1:1")];
    let ran = job.run("run.sh", &variables);
    assert_eq!(ran.status.code(), Some(2), "{}", text(&ran.stdout));
    assert!(text(&ran.stderr).contains("the target cannot be tested"), "{}", text(&ran.stderr));
    assert_eq!(job.read("summary"), "The conformance suite could not run: status 2.\n");
    assert_eq!(job.read("output"), "status=2\nreport=conformance-report\n");

    let ran = job.run("run.sh", &[("CONFORMANCE_BINARY", PROGRAM)]);
    assert_eq!(ran.status.code(), Some(2));
    assert!(text(&ran.stderr).contains("no bootstrap is given"), "{}", text(&ran.stderr));
    let variables =
        [("CONFORMANCE_BINARY", "no-such-program"), ("CONFORMANCE_BOOTSTRAP", "127.0.0.1:1")];
    let ran = job.run("run.sh", &variables);
    assert_eq!(ran.status.code(), Some(2));
    assert!(text(&ran.stderr).contains("no-such-program is no program"), "{}", text(&ran.stderr));
}

#[test]
fn only_what_is_given_is_handed_on() {
    let job = Job::new();
    let stub = job.stub("stub", "exit 0");
    let stub = stub.to_str().expect("a plain path");
    let bootstrap = ("CONFORMANCE_BOOTSTRAP", "one:9092,two:9092");
    let ran = job.run("run.sh", &[("CONFORMANCE_BINARY", stub), bootstrap]);
    assert!(ran.status.success());
    let reports = "json=conformance-report/report.json,junit=conformance-report/report.xml,\
                   md=conformance-report/report.md";
    let given = format!("run\n--bootstrap\none:9092,two:9092\n--report\n{reports}\n");
    assert_eq!(job.read("arguments"), given);

    let more = [("CONFORMANCE_PROFILE", "core,admin"), ("CONFORMANCE_BASELINE", "a b.toml")];
    let ran = job.run("run.sh", &[("CONFORMANCE_BINARY", stub), bootstrap, more[0], more[1]]);
    assert!(ran.status.success());
    let given = format!("{given}--profile\ncore,admin\n--baseline\na b.toml\n");
    assert_eq!(job.read("arguments"), given);
}

#[test]
fn a_long_summary_is_cut_at_a_line() {
    let job = Job::new();
    let stub =
        job.stub("stub", "printf 'first line\\nsecond line\\n' > conformance-report/report.md");
    let ran = job.run(
        "run.sh",
        &[
            ("CONFORMANCE_BINARY", stub.to_str().expect("a plain path")),
            ("CONFORMANCE_BOOTSTRAP", "one:9092"),
            ("SUMMARY_BYTES", "15"),
        ],
    );
    assert!(ran.status.success());
    assert_eq!(job.read("summary"), "first line\n\nThe rest is in report.md.\n");
}

#[test]
fn a_program_that_is_downloaded_has_the_checksum_that_is_given() {
    let job = Job::new();
    let stub = job.stub("served", "exit 0");
    let sum = Command::new("sha256sum").arg(&stub).output().expect("coreutils are there");
    let sum = text(&sum.stdout)[..64].to_owned();
    let url = format!("file://{}", stub.display());
    let got = job.run("obtain.sh", &[("CONFORMANCE_BINARY", &url), ("CONFORMANCE_SHA256", &sum)]);
    assert!(got.status.success(), "{}", text(&got.stderr));
    assert_eq!(read(&job.path("ottla-conformance")), read(&stub));

    let refused = |variables: &[(&str, &str)], says: &str| {
        let got = job.run("obtain.sh", variables);
        assert_eq!(got.status.code(), Some(2), "{says}");
        assert!(text(&got.stderr).contains(says), "{}", text(&got.stderr));
        assert_eq!(text(&got.stdout), "");
    };
    refused(&[("CONFORMANCE_BINARY", &url)], "a URL needs its checksum");
    let other = "0".repeat(64);
    refused(&[("CONFORMANCE_BINARY", &url), ("CONFORMANCE_SHA256", &other)], "its checksum is");
    refused(&[("CONFORMANCE_BINARY", PROGRAM), ("CONFORMANCE_SHA256", &other)], "its checksum is");
    let missing = format!("{url}-missing");
    refused(&[("CONFORMANCE_BINARY", &missing), ("CONFORMANCE_SHA256", &sum)], "cannot be had");
    refused(&[("CONFORMANCE_BINARY", "missing")], "missing is no program");
}

#[test]
fn without_a_program_it_is_built_from_these_sources() {
    let job = Job::new();
    let built = "mkdir -p \"$CARGO_TARGET_DIR/release\"
pwd > \"$CARGO_TARGET_DIR/where\"
cp \"$0\" \"$CARGO_TARGET_DIR/release/ottla-conformance\"
echo compiling";
    job.stub("cargo", built);
    let path = std::env::var("PATH").expect("there are programs");
    let path = format!("{}:{path}", job.folder.path().display());
    let target = job.path("target");
    let target = target.to_str().expect("a plain path");
    let got = job.run("obtain.sh", &[("PATH", &path), ("CARGO_TARGET_DIR", target)]);
    assert!(got.status.success(), "{}", text(&got.stderr));
    // Nothing else is on standard output.
    assert_eq!(text(&got.stdout), format!("{target}/release/ottla-conformance\n"));
    let given = "build\n--quiet\n--release\n--locked\n-p\nottla-conformance\n";
    assert_eq!(job.read("arguments"), given);
    let workspace = folder().parent().expect("it is in the workspace");
    assert_eq!(job.read("target/where").trim(), workspace.to_str().expect("a plain path"));
}

#[test]
fn the_action_hands_on_every_input() {
    let action = read(&folder().join("action.yml"));
    let inputs =
        action.split("\ninputs:\n").nth(1).and_then(|rest| rest.split("\noutputs:").next());
    let inputs: Vec<&str> = inputs
        .expect("it has inputs")
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'))
        .filter(|name| !name.starts_with(' '))
        .collect();
    assert_eq!(inputs.len(), 7, "{inputs:?}");
    for input in &inputs {
        let used = action.matches(&format!("${{{{ inputs.{input} }}}}")).count();
        assert_eq!(used, 1, "{input}");
        let name = input.to_uppercase();
        let line = format!("        CONFORMANCE_{name}: ${{{{ inputs.{input} }}}}\n");
        assert!(action.contains(&line), "{input} is handed on under another name");
    }
    let (obtain, run) = action.split_once("- id: run").expect("it has two steps");
    for (step, script) in [(obtain, "obtain"), (run, "run")] {
        let runs = format!("run: bash \"$GITHUB_ACTION_PATH/scripts/{script}.sh\"\n");
        assert!(step.contains(&runs), "{script}: {step}");
        let text = read(&folder().join(format!("scripts/{script}.sh")));
        let code: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(variables(step), variables(&code.join("\n")), "{script}");
    }
}

/// The variables `CONFORMANCE_*` of a text, each once. Digits end a name: that of the checksum is
/// `CONFORMANCE_SHA`.
fn variables(text: &str) -> Vec<&str> {
    let words = text.split(|letter: char| !(letter.is_ascii_uppercase() || letter == '_'));
    let mut names: Vec<&str> = words.filter(|word| word.starts_with("CONFORMANCE_")).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn the_action_takes_only_what_its_steps_tell() {
    let action = read(&folder().join("action.yml"));
    let wanted = |step: &str| {
        let mark = format!("steps.{step}.outputs.");
        let after = action.split(&mark).skip(1);
        let mut names: Vec<String> =
            after.filter_map(|rest| Some(rest.split_once(' ')?.0.to_owned())).collect();
        names.sort();
        names
    };
    let told = |script: &str| {
        let job = Job::new();
        let stub = job.stub("stub", "exit 0");
        let stub = stub.to_str().expect("a plain path");
        let ran =
            job.run(script, &[("CONFORMANCE_BINARY", stub), ("CONFORMANCE_BOOTSTRAP", "one:9092")]);
        assert!(ran.status.success(), "{}", text(&ran.stderr));
        let output = job.read("output");
        let mut names: Vec<String> =
            output.lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect();
        names.sort();
        names
    };
    assert_eq!(wanted("obtain"), told("obtain.sh"));
    assert_eq!(wanted("run"), told("run.sh"));
}

#[test]
fn the_container_file_is_true() {
    let file = read(&folder().join("Containerfile"));
    let workspace = folder().parent().expect("it is in the workspace");
    let toolchain = read(&workspace.join("rust-toolchain.toml"));
    let version = file.split("FROM rust:").nth(1).and_then(|rest| rest.split('-').next());
    let version = version.expect("it is built by Rust");
    assert!(toolchain.contains(&format!("channel = \"{version}\"")), "{version}: {toolchain}");
    let last = file.rsplit("\nFROM ").next().expect("it has stages");
    let user = last.lines().find_map(|line| line.strip_prefix("USER "));
    let user = user.and_then(|user| user.split(':').next()).and_then(|id| id.parse::<u32>().ok());
    assert!(user.is_some_and(|id| id > 0), "it does not run as root");
    let mut program = None;
    for line in file.lines().filter_map(|line| line.strip_prefix("COPY ")) {
        let mut places: Vec<&str> = line.split(' ').filter(|at| !at.starts_with("--")).collect();
        let to = places.pop().expect("a place to copy to");
        assert!(!places.is_empty(), "{line}");
        if line.starts_with("--from=build ") {
            // What obtain.sh builds there, without a target folder of its own.
            assert_eq!(places, ["/source/target/release/ottla-conformance"]);
            program = to.rsplit('/').next();
            continue;
        }
        for source in places {
            assert!(workspace.join(source).exists(), "{source} is missing");
        }
    }
    assert!(file.contains("\nWORKDIR /source\n"), "the sources are elsewhere");
    let entry = format!("ENTRYPOINT [\"{}\"]", program.expect("the program is copied"));
    assert!(last.lines().any(|line| line == entry), "{entry}");
    let script = file.split("RUN bash ").nth(1).and_then(|rest| rest.split_whitespace().next());
    assert!(script.is_some_and(|script| workspace.join(script).exists()), "{script:?}");
}
