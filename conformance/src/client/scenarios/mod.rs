//! The scenarios, a file per area with the stem of its statements.

use super::Scenario;

mod admin;
mod commits;
mod connection;
mod consumer;
mod contents;
mod framing;
mod group;
mod hostile;
mod metadata;
mod producer;
mod records;

const AREAS: &[&[Scenario]] = &[
    connection::SCENARIOS,
    framing::SCENARIOS,
    metadata::SCENARIOS,
    producer::SCENARIOS,
    contents::SCENARIOS,
    consumer::SCENARIOS,
    records::SCENARIOS,
    group::SCENARIOS,
    commits::SCENARIOS,
    hostile::SCENARIOS,
    admin::SCENARIOS,
];

/// Every scenario.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    AREAS.iter().copied().flatten()
}

/// A frame whose length holds again.
fn reframed(mut frame: Vec<u8>) -> Vec<u8> {
    let len = (frame.len() - 4) as u32;
    frame[..4].copy_from_slice(&len.to_be_bytes());
    frame
}
