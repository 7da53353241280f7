//! Faults of the robustness profile.

use super::change::Change;
use super::{Planted, planted};
use ottla_protocol::messages::{ApiKey, Response};

type Join = ottla_protocol::messages::join_group::JoinGroupResponse;
type Produce = ottla_protocol::messages::produce::ProduceResponse;

fn taken(answer: &mut Produce) {
    let all = answer.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses);
    all.for_each(|one| one.error_code = 0);
}

/// What is not refused, or not as it came.
pub(crate) fn bytes() -> Vec<Planted> {
    vec![
        planted!("malformed/batches@v7", "K-MALFORMED-018", Produce, Some(7), taken),
        planted!("malformed/overlong-varlongs@v9", "K-MALFORMED-006", Produce, Some(9), taken),
        planted!("malformed/other-protocols", "K-MALFORMED-012", ApiVersions, None, open),
        planted!("malformed/array-lengths@v7", "K-MALFORMED-003", Metadata, None, open),
        planted!("malformed/tagged-fields@v9", "K-MALFORMED-009", Metadata, None, open),
        planted!(
            "malformed/group-bytes@v3",
            "K-MALFORMED-023",
            JoinGroup,
            Some(3),
            |a: &mut Join| {
                a.members.iter_mut().for_each(|one| one.metadata = Default::default());
            }
        ),
    ]
}
