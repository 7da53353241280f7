//! `cargo xtask asan`: the code that other languages call, under the address sanitizer.
//!
//! Rust's compiler has the sanitizer behind an unstable flag, which `RUSTC_BOOTSTRAP` opens on the
//! stable compiler; its runtime comes with the toolchain for programs, and with the C compiler for
//! what an interpreter loads.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages::{copy_folder, python};
use crate::programs::program;
use crate::task::{self, Failure, cargo, root, run_quietly};
use crate::test::Servers;
use crate::tools;

/// What of the suites is run: not what forks, counts memory or takes minutes.
const TESTS: [&str; 16] = [
    "produce_and_consume_with_every_codec",
    "headers_keep_order_and_repeat",
    "null_and_empty_keys_and_values_differ",
    "a_group_of_two_shares_and_one_leaves",
    "commit_and_resume",
    "seek_to_offset_time_and_ends",
    "errors_of_each_kind",
    "close_with_work_in_flight",
    "one_mebibyte_messages",
    "cancellation_reaches_the_core",
    "back_pressure_keeps_memory_within_buffer_memory",
    "what_is_held_back_is_given_up_refused_and_closed",
    "admin_creates_lists_describes_deletes",
    "iterates_by_record_and_by_batch",
    "batch_views_are_lazy_and_outlive_the_consumer",
    "wrong_argument_types_are_named",
];

/// Runs the shared crate's tests, then the Python and Node suites on instrumented modules.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    if !arguments.is_empty() {
        return Err(Failure::new("asan takes no arguments"));
    }
    let target = host()?;
    task::step("shared crate", "its tests, instrumented", || {
        task::run(instrumented(&target, "test").args(["-p", "ottla-bindings", "--tests"]))
    })?;
    let why = "instrumented, for the suites";
    task::step("native modules", why, || {
        let packages = ["-p", "ottla-python", "-p", "ottla-node"];
        task::run(instrumented(&target, "build").args(packages))
    })?;
    task::step("broker", "as it is", || {
        task::run(cargo().args(["build", "--release", "--locked", "-p", "ottla-broker"]))
    })?;
    let servers = Servers::start(&program("release", "ottla-broker"))?;
    let built = folder().join(&target).join("debug");
    let runtime = runtime()?;
    task::step("Python suite", "on the instrumented module", || {
        task::run(&mut under(&runtime, &servers, python(&built)?))
    })?;
    task::step("Node suite", "on the instrumented module", || {
        task::run(&mut under(&runtime, &servers, node(&built)?))
    })
}

/// The flags differ from those of all other builds, and so does the folder.
fn folder() -> PathBuf {
    program("debug", "x").ancestors().nth(2).map_or_else(root, Path::to_owned).join("asan")
}

/// What the compiler builds for where nothing is said. Named on the command line it keeps the
/// flags away from build scripts and macros.
fn host() -> Result<String, Failure> {
    let said = run_quietly(Command::new("rustc").arg("-vV").current_dir(root()))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("rustc -vV names no host"))
}

fn instrumented(target: &str, task: &str) -> Command {
    let mut command = cargo();
    command.args([task, "--locked", "--target", target]);
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
    command.env("CARGO_TARGET_DIR", folder()).env("PYO3_BUILD_EXTENSION_MODULE", "1");
    command
}

/// The sanitizer's runtime for an interpreter that was built without it.
fn runtime() -> Result<PathBuf, Failure> {
    let said = run_quietly(Command::new("cc").arg("-print-file-name=libasan.so"))?;
    let path = PathBuf::from(said.trim());
    // The compiler repeats the name of what it does not have.
    if path.is_absolute() { Ok(path) } else { Err(Failure::new("the C compiler has no libasan")) }
}

fn under(runtime: &Path, servers: &Servers, mut command: Command) -> Command {
    command.env("LD_PRELOAD", runtime);
    // Interpreters do not free everything at their end: leaks are what the suites' own tests count.
    command.env("ASAN_OPTIONS", "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1");
    command.env("OTTLA_TEST_BROKERS", &servers.brokers);
    command.env("OTTLA_BROKER_BIN", program("release", "ottla-broker"));
    command
}

/// The suite's environment, with the instrumented package before the installed one.
fn python(built: &Path) -> Result<Command, Failure> {
    let staged = tools::folder().join("asan/python");
    let sources = root().join("bindings/python/python/ottla");
    copy_folder(&sources, &staged.join("ottla"), |name| name.ends_with(".py"))?;
    std::fs::copy(built.join("lib_native.so"), staged.join("ottla/_native.abi3.so"))?;
    let mut pytest = Command::new(python::interpreter(&python::suite()?));
    pytest.args(["-m", "pytest", "-x", "-v", "--color=no", "-k"]).arg(TESTS.join(" or "));
    // Python's own allocator would hide what is wrong with a small object.
    pytest.env("PYTHONPATH", staged).env("PYTHONMALLOC", "malloc");
    pytest.current_dir(root().join("bindings/python"));
    Ok(pytest)
}

/// A copy of the package with the instrumented module beside it, which is where it looks first.
fn node(built: &Path) -> Result<Command, Failure> {
    let staged = tools::folder().join("asan/bindings/node");
    let sources = root().join("bindings/node");
    // The examples' tests need packages that are not installed there, and are none of these.
    let is_wanted = |name: &str| !name.ends_with(".node") && name != "examples.test.mjs";
    for part in ["", "lib", "test"] {
        copy_folder(&sources.join(part), &staged.join(part), is_wanted)?;
    }
    let module = crate::packages::node::module_name()?;
    std::fs::copy(built.join("libottla_node.so"), staged.join(module))?;
    let mut node = Command::new("node");
    node.arg("--test").arg(format!("--test-name-pattern=^({})$", TESTS.join("|"))).arg("test/");
    node.current_dir(staged);
    Ok(node)
}
