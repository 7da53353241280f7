//! `list`.

use super::{CannotRun, Select, tests};
use std::io::Write;
use std::process::ExitCode;

pub(super) fn list(select: &Select) -> Result<ExitCode, CannotRun> {
    for test in tests(select)? {
        say!("{:<10} {:<44} {}", test.case.profile, test.id(), test.case.statements.join(" "));
    }
    Ok(ExitCode::SUCCESS)
}
