//! The tests, a file per area with the stem of its schema and statements.

use crate::case::Case;

mod api_versions;
mod common;
mod framing;
mod honesty;
mod metadata;
mod produce_validation;
mod records;

/// Every test of every suite.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [framing::CASES, api_versions::CASES, metadata::CASES, produce_validation::CASES]
        .into_iter()
        .flatten()
}
