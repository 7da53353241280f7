//! The scenarios, a file per area with the stem of its statements.

use super::Scenario;

mod connection;

const AREAS: &[&[Scenario]] = &[connection::SCENARIOS];

/// Every scenario.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    AREAS.iter().copied().flatten()
}
