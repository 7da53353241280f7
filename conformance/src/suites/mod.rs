//! The tests, a file per area with the stem of its statements.

use crate::case::Case;

mod api_versions;
mod common;
mod fetch;
mod fetch_sessions;
mod framing;
mod groups;
mod honesty;
mod idempotence;
mod join_group;
mod list_offsets;
mod malformed;
mod malformed_records;
mod malformed_requests;
mod metadata;
mod produce;
mod produce_validation;
mod records;
mod round_trips;
mod sync_group;

const SUITES: &[&[Case]] = &[
    framing::CASES,
    api_versions::CASES,
    metadata::CASES,
    produce::CASES,
    produce_validation::CASES,
    idempotence::CASES,
    fetch::CASES,
    fetch_sessions::CASES,
    list_offsets::CASES,
    round_trips::CASES,
    join_group::CASES,
    sync_group::CASES,
    malformed::CASES,
];

/// Every test of every suite.
pub fn all() -> impl Iterator<Item = &'static Case> {
    SUITES.iter().copied().flatten()
}
