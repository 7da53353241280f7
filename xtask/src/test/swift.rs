//! The Swift suite.

use super::sum::Runner;
use super::{Context, Run, joined};
use crate::task::{root, run_quietly};
use crate::tools;

/// Runs everything about the Swift package.
pub(super) fn run(run: &mut Run, context: &Context) {
    let why = "Swift 6, from the machine or from Debian trixie in a root folder of its own";
    if run.step("Swift toolchain", why, tools::swift).is_none() {
        return run.skip("Swift", "no toolchain: see scripts/swift.sh");
    }
    // `packages::build` made the library together with others; alone it would be built anew.
    let mut generate = context.command(root().join("bindings/swift/generate.sh"));
    if run.step("generated Swift", "", || run_quietly(generate.arg("--check"))).is_some() {
        run.sum.passed += 1;
    }
    let mut suite = context.command(root().join("bindings/swift/test.sh"));
    suite.args(run.filter.iter().flat_map(|name| ["--filter", name]));
    suite.env("OTTLA_SWIFT_BUILD", "0").current_dir(root().join("bindings/swift"));
    let sum = run.suite("Swift tests", Runner::Swift, &mut joined(&suite));
    run.expect_common("swift", &sum);
}
