//! The Swift suite.

use super::sum::Runner;
use super::{Context, Run, joined};
use crate::task::root;
use crate::tools;

/// Runs everything about the Swift package.
pub(super) fn run(run: &mut Run, context: &Context) {
    let why = "Swift 6, from the machine or from Debian trixie in a root folder of its own";
    if run.step("Swift toolchain", why, tools::swift).is_none() {
        return run.skip("Swift", "no toolchain: see scripts/swift.sh");
    }
    let mut suite = context.command(root().join("bindings/swift/test.sh"));
    suite.args(&run.filter).current_dir(root().join("bindings/swift"));
    let sum = run.suite("Swift tests", Runner::Swift, &mut joined(&suite));
    run.expect_common("swift", &sum);
}
