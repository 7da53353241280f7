//! The tests, a file per area with the stem of its schema and statements.

use crate::case::Case;

mod common;
mod framing;

/// Every test of every suite.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [framing::CASES].into_iter().flatten()
}
