//! The tests, a file per area with the stem of its statements.

pub(crate) use common::is_passing;

use crate::case::Case;

mod admin;
mod alter_configs;
mod api_versions;
mod api_versions_bytes;
mod common;
mod coordinator;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_topic_partitions;
mod elect_leaders;
mod fetch;
mod fetch_replicas;
mod fetch_sessions;
mod find_coordinator;
mod framing;
mod group_timeouts;
mod groups;
mod honesty;
mod idempotence;
mod incremental_alter_configs;
mod join_group;
mod list_groups;
mod list_offsets;
mod malformed;
mod malformed_records;
mod malformed_requests;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offsets;
mod produce;
mod produce_validation;
mod reassignments;
mod records;
mod round_trips;
mod sync_group;
mod told;

const SUITES: &[&[Case]] = &[
    framing::CASES,
    api_versions::CASES,
    api_versions_bytes::CASES,
    metadata::CASES,
    produce::CASES,
    produce_validation::CASES,
    idempotence::CASES,
    fetch::CASES,
    fetch_replicas::CASES,
    fetch_sessions::CASES,
    list_offsets::CASES,
    round_trips::CASES,
    join_group::CASES,
    sync_group::CASES,
    group_timeouts::CASES,
    offset_commit::CASES,
    offset_fetch::CASES,
    offset_delete::CASES,
    find_coordinator::CASES,
    coordinator::CASES,
    describe_groups::CASES,
    list_groups::CASES,
    delete_groups::CASES,
    create_topics::CASES,
    delete_topics::CASES,
    create_partitions::CASES,
    describe_configs::CASES,
    incremental_alter_configs::CASES,
    alter_configs::CASES,
    delete_records::CASES,
    describe_cluster::CASES,
    describe_topic_partitions::CASES,
    elect_leaders::CASES,
    reassignments::CASES,
    malformed::CASES,
];

/// Every test of every suite.
pub fn all() -> impl Iterator<Item = &'static Case> {
    SUITES.iter().copied().flatten()
}
