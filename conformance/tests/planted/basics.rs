//! Faults of the core profile.

use super::change::Change;
use super::{Planted, planted};
use ottla_protocol::messages::{ApiKey, Request, Response};

type Api = ottla_protocol::messages::api_versions::ApiVersionsResponse;
type Metadata = ottla_protocol::messages::metadata::MetadataResponse;
type Produce = ottla_protocol::messages::produce::ProduceResponse;
type Fetch = ottla_protocol::messages::fetch::FetchResponse;
type ListOffsets = ottla_protocol::messages::list_offsets::ListOffsetsResponse;
type ProducerId = ottla_protocol::messages::init_producer_id::InitProducerIdResponse;
type Epochs = ottla_protocol::messages::offset_for_leader_epoch::OffsetForLeaderEpochResponse;

fn each_fetched(
    answer: &mut Fetch,
    change: impl Fn(&mut ottla_protocol::messages::fetch::PartitionData),
) {
    answer.responses.iter_mut().flat_map(|topic| &mut topic.partitions).for_each(change);
}

fn each_produced(
    answer: &mut Produce,
    change: impl Fn(&mut ottla_protocol::messages::produce::PartitionProduceResponse),
) {
    answer.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses).for_each(change);
}

fn each_listed(
    answer: &mut ListOffsets,
    change: impl Fn(&mut ottla_protocol::messages::list_offsets::ListOffsetsPartitionResponse),
) {
    answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions).for_each(change);
}

/// Frames and negotiation.
pub(crate) fn connections() -> Vec<Planted> {
    vec![
        planted!(
            "framing/correlation-ids",
            "K-FRAMING-009",
            ApiVersions,
            None,
            raw | frame | {
                frame[3] ^= 1;
            }
        ),
        planted!("framing/many-in-one-segment", "K-FRAMING-007", ApiVersions, None, swap),
        planted!(
            "framing/response-header@v9",
            "K-FRAMING-018",
            Metadata,
            Some(9),
            raw | frame | {
                frame.remove(4);
            }
        ),
        planted!(
            "framing/response-header@v8",
            "K-FRAMING-019",
            Metadata,
            Some(8),
            raw | frame | {
                frame.insert(4, 0);
            }
        ),
        planted!(
            "api-versions/first-and-later@v3",
            "K-API-VERSIONS-004",
            ApiVersions,
            Some(3),
            raw | frame | frame.insert(4, 0)
        ),
        planted!(
            "api-versions/ranges@v1",
            "K-API-VERSIONS-015",
            ApiVersions,
            Some(1),
            |a: &mut Api| {
                let twice = a.api_keys[0].clone();
                a.api_keys.push(twice);
            }
        ),
        planted!(
            "api-versions/ranges@v2",
            "K-API-VERSIONS-014",
            ApiVersions,
            Some(2),
            |a: &mut Api| {
                a.api_keys[1].min_version = a.api_keys[1].max_version + 1;
            }
        ),
    ]
}

/// More of frames: what is closed.
pub(crate) fn closed() -> Vec<Planted> {
    vec![
        planted!("framing/negative-length", "K-FRAMING-001", ApiVersions, None, open),
        planted!("framing/unknown-key", "K-FRAMING-024", ApiVersions, None, open),
        planted!(
            "framing/byte-by-byte",
            "K-FRAMING-005",
            ApiVersions,
            None,
            raw | frame | {
                frame.pop();
            }
        ),
    ]
}

/// What the cluster says of itself.
pub(crate) fn cluster() -> Vec<Planted> {
    vec![
        planted!(
            "metadata/holds-together@v7",
            "K-METADATA-018",
            Metadata,
            Some(7),
            |a: &mut Metadata| {
                a.topics[0].partitions[1].leader_id = 99;
            }
        ),
        planted!("metadata/cluster@v5", "K-METADATA-023", Metadata, Some(5), |a: &mut Metadata| {
            a.cluster_id = None;
        }),
        planted!("metadata/cluster@v6", "K-METADATA-025", Metadata, Some(6), |a: &mut Metadata| {
            a.controller_id = 77;
        }),
    ]
}

/// A record that should not be answered is.
fn for_acks_0(request: &Request) -> Option<Response> {
    match request {
        Request::Produce(produce) if produce.acks == 0 => Some(Response::Produce(Box::default())),
        _ => None,
    }
}

/// A fetch is answered at once, with nothing.
fn without_waiting(request: &Request) -> Option<Response> {
    use ottla_protocol::messages::fetch::{FetchableTopicResponse, PartitionData};
    let Request::Fetch(fetch) = request else { return None };
    let topic = |topic: &ottla_protocol::messages::fetch::FetchTopic| FetchableTopicResponse {
        topic: topic.topic.clone(),
        topic_id: topic.topic_id,
        partitions: vec![PartitionData { records: Some(Default::default()), ..Default::default() }],
        ..Default::default()
    };
    let responses = fetch.topics.iter().map(topic).collect();
    let answer = Fetch { responses, ..Default::default() };
    (fetch.min_bytes > 0 && fetch.max_wait_ms > 0).then(|| Response::Fetch(Box::new(answer)))
}

/// Records: in, out, where.
pub(crate) fn records() -> Vec<Planted> {
    vec![
        planted!("produce/acks-0@v7", "K-PRODUCE-002", Produce, Some(7), answer for_acks_0),
        planted!("fetch/held-back@v6", "K-FETCH-001", Fetch, Some(6), answer without_waiting),
        planted!("records/stamps@v9", "K-RECORDS-013", Fetch, Some(9), |a: &mut Fetch| {
            each_fetched(a, |one| {
                // The base offset is not part of what the CRC covers.
                one.records = one.records.as_ref().map(|records| {
                    let mut bytes = records.to_vec();
                    bytes.iter_mut().skip(7).take(1).for_each(|byte| *byte += 1);
                    bytes.into()
                });
            });
        }),
        planted!("produce/create-time@v7", "K-PRODUCE-017", Produce, Some(7), |a: &mut Produce| {
            each_produced(a, |one| one.base_offset += 1);
        }),
        planted!(
            "produce-validation/crc@v8",
            "K-PRODUCE-VALIDATION-003",
            Produce,
            Some(8),
            |a: &mut Produce| each_produced(a, |one| one.error_code = 87)
        ),
        planted!("fetch/marks@v11", "K-FETCH-019", Fetch, Some(11), |a: &mut Fetch| {
            each_fetched(a, |one| one.high_watermark += 1);
        }),
        planted!("fetch/marks@v10", "K-FETCH-033", Fetch, Some(10), |a: &mut Fetch| {
            each_fetched(a, |one| one.records = None);
        }),
        planted!("fetch/every-offset@v9", "K-FETCH-037", Fetch, Some(9), |a: &mut Fetch| {
            each_fetched(a, |one| {
                // The first batch says that it is shorter than any can be.
                one.records = one.records.as_ref().map(|records| {
                    let mut bytes = records.to_vec();
                    bytes[8..12].copy_from_slice(&[0, 0, 0, 5]);
                    bytes.into()
                });
            });
        }),
        planted!("produce/append-time@v9", "K-PRODUCE-015", Fetch, None, |a: &mut Fetch| {
            each_fetched(a, |one| {
                let flipped = one.records.as_ref().map(|records| {
                    let mut bytes = records.to_vec();
                    if let Some(last) = bytes.last_mut() {
                        *last ^= 1;
                    }
                    bytes.into()
                });
                one.records = flipped;
            });
        }),
    ]
}

/// Offsets, epochs and producer ids.
pub(crate) fn positions() -> Vec<Planted> {
    vec![
        planted!(
            "fetch-sessions/unknown-session@v11",
            "K-FETCH-SESSIONS-004",
            Fetch,
            Some(11),
            |a: &mut Fetch| a.error_code = 71
        ),
        planted!(
            "list-offsets/ends@v5",
            "K-LIST-OFFSETS-001",
            ListOffsets,
            Some(5),
            |a: &mut ListOffsets| {
                each_listed(a, |one| one.offset += 1);
            }
        ),
        planted!(
            "leader-epochs/known-and-unknown@v3",
            "K-LEADER-EPOCHS-003",
            OffsetForLeaderEpoch,
            Some(3),
            |a: &mut Epochs| {
                let all = a.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
                all.filter(|one| one.end_offset >= 0).for_each(|one| one.end_offset += 1);
            }
        ),
        planted!(
            "leader-epochs/known-and-unknown@v4",
            "K-LEADER-EPOCHS-003",
            OffsetForLeaderEpoch,
            Some(4),
            |a: &mut Epochs| {
                let all = a.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
                all.filter(|one| one.end_offset >= 0).for_each(|one| one.leader_epoch += 1);
            }
        ),
        planted!(
            "list-offsets/leader-epoch-ahead@v4",
            "K-LIST-OFFSETS-029",
            ListOffsets,
            Some(4),
            |a: &mut ListOffsets| each_listed(a, |one| one.error_code = 0)
        ),
        planted!(
            "idempotence/producer-ids@v2",
            "K-IDEMPOTENCE-023",
            InitProducerId,
            Some(2),
            |a: &mut ProducerId| a.producer_id = 5
        ),
    ]
}
