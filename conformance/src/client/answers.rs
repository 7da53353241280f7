//! The plain answers of a scripted broker.

use super::cluster::Seen;
use super::group;
use super::state::{Asked, State, Wanted};
use ottla_protocol::Uuid;
use ottla_protocol::messages::create_topics::{CreatableTopic, CreatableTopicResult};
use ottla_protocol::messages::delete_topics::DeletableTopicResult;
use ottla_protocol::messages::describe_cluster::DescribeClusterBroker;
use ottla_protocol::messages::fetch::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use ottla_protocol::messages::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use ottla_protocol::messages::produce::{PartitionProduceResponse, TopicProduceResponse};
use ottla_protocol::messages::{
    ApiVersionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, DescribeClusterResponse, FetchRequest, FetchResponse,
    InitProducerIdRequest, InitProducerIdResponse, ListOffsetsRequest, ListOffsetsResponse,
    MetadataRequest, MetadataResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    ProduceRequest, ProduceResponse, Request, Response,
};

const UNKNOWN_TOPIC: i16 = 3;
const NOT_LEADER: i16 = 6;

/// The answer; none to Produce with acks 0.
pub(crate) fn answer(state: &mut State, seen: &Seen, request: &Request) -> Option<Response> {
    Some(match request {
        Request::ApiVersions(_) => Response::ApiVersions(Box::new(ApiVersionsResponse {
            api_keys: state.listed(),
            ..Default::default()
        })),
        Request::Metadata(ask) => Response::Metadata(Box::new(metadata(state, ask))),
        Request::Produce(ask) => {
            let answer = produce(state, seen, ask, None);
            if ask.acks == 0 {
                return None;
            }
            Response::Produce(Box::new(answer))
        }
        Request::Fetch(ask) => {
            let wanted = state.sessions.wanted(seen.version, ask);
            fetch(state, seen, ask, &wanted).0
        }
        Request::ListOffsets(ask) => {
            Response::ListOffsets(Box::new(list_offsets(state, seen, ask)))
        }
        Request::InitProducerId(ask) => {
            Response::InitProducerId(Box::new(init_producer_id(state, ask)))
        }
        Request::OffsetForLeaderEpoch(ask) => {
            Response::OffsetForLeaderEpoch(Box::new(offset_for_leader_epoch(state, ask)))
        }
        Request::CreateTopics(ask) => Response::CreateTopics(Box::new(create_topics(state, ask))),
        Request::DeleteTopics(ask) => Response::DeleteTopics(Box::new(delete_topics(state, ask))),
        Request::DescribeCluster(_) => Response::DescribeCluster(Box::new(cluster(state))),
        other => return group::answer(state, seen, other),
    })
}

/// An answer with this error in every item. Nothing is stored.
pub(crate) fn refused(state: &mut State, seen: &Seen, request: &Request, code: i16) -> Response {
    if let Request::Produce(ask) = request {
        return Response::Produce(Box::new(produce(state, seen, ask, Some(code))));
    }
    if let Request::CreateTopics(ask) = request {
        let refused = |topic: &CreatableTopic| CreatableTopicResult {
            name: topic.name.clone(),
            error_code: code,
            ..Default::default()
        };
        let topics = ask.topics.iter().map(refused).collect();
        let answer = CreateTopicsResponse { topics, ..Default::default() };
        return Response::CreateTopics(Box::new(answer));
    }
    if let Some(answer) = group::refused(seen, request, code) {
        return answer;
    }
    let plain = answer(state, seen, request);
    let mut plain = plain.unwrap_or_else(|| Response::default_of(request.api_key()));
    set_error(&mut plain, code);
    plain
}

/// Puts an error into every item of an answer.
pub(crate) fn set_error(answer: &mut Response, code: i16) {
    match answer {
        Response::Fetch(answer) => {
            let partitions = answer.responses.iter_mut().flat_map(|topic| &mut topic.partitions);
            partitions.for_each(|partition| {
                partition.error_code = code;
                partition.high_watermark = -1;
                partition.records = Some(ottla_protocol::Bytes::new());
            });
        }
        Response::ListOffsets(answer) => {
            let partitions = answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            partitions.for_each(|partition| {
                (partition.error_code, partition.offset, partition.timestamp) = (code, -1, -1);
            });
        }
        Response::Metadata(answer) => answer.topics.iter_mut().for_each(|topic| {
            topic.error_code = code;
            topic.partitions.clear();
        }),
        Response::InitProducerId(answer) => answer.error_code = code,
        Response::OffsetForLeaderEpoch(answer) => {
            let partitions = answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            partitions.for_each(|partition| partition.error_code = code);
        }
        Response::DeleteTopics(answer) => {
            answer.responses.iter_mut().for_each(|topic| topic.error_code = code);
        }
        Response::OffsetFetch(_) => group::set_error(answer, code),
        Response::DescribeCluster(answer) => answer.error_code = code,
        _ => {}
    }
}

fn metadata(state: &State, ask: &MetadataRequest) -> MetadataResponse {
    let brokers = state.nodes.iter().map(|node| MetadataResponseBroker {
        node_id: *node,
        host: "127.0.0.1".to_owned(),
        port: i32::from(state.ports[node]),
        ..Default::default()
    });
    let described = |name: &str| {
        let Some(topic) = state.topics.get(name) else {
            return MetadataResponseTopic {
                error_code: UNKNOWN_TOPIC,
                name: Some(name.to_owned()),
                ..Default::default()
            };
        };
        let partition =
            |(index, partition): (usize, &super::state::Partition)| MetadataResponsePartition {
                error_code: partition.error,
                partition_index: index as i32,
                leader_id: partition.leader,
                leader_epoch: partition.epoch,
                replica_nodes: partition.replicas.clone(),
                isr_nodes: partition.replicas.clone(),
                ..Default::default()
            };
        MetadataResponseTopic {
            error_code: topic.error,
            name: Some(name.to_owned()),
            topic_id: topic.id,
            partitions: topic.partitions.iter().enumerate().map(partition).collect(),
            ..Default::default()
        }
    };
    let topics = match &ask.topics {
        None => state.topics.keys().map(|name| described(name)).collect(),
        Some(asked) => asked
            .iter()
            .map(|asked| match &asked.name {
                Some(name) => described(name),
                None => match state.name_of("", asked.topic_id) {
                    Some(name) => described(&name),
                    None => MetadataResponseTopic {
                        error_code: 100,
                        name: Some(String::new()),
                        topic_id: asked.topic_id,
                        ..Default::default()
                    },
                },
            })
            .collect(),
    };
    MetadataResponse {
        brokers: brokers.collect(),
        cluster_id: Some("scripted".to_owned()),
        controller_id: state.controller,
        topics,
        ..Default::default()
    }
}

fn produce(
    state: &mut State,
    seen: &Seen,
    ask: &ProduceRequest,
    refuse: Option<i16>,
) -> ProduceResponse {
    let mut responses = Vec::new();
    for topic in &ask.topic_data {
        let name = state.name_of(&topic.name, topic.topic_id);
        let unknown = if topic.name.is_empty() { 100 } else { UNKNOWN_TOPIC };
        let mut partitions = Vec::new();
        for partition in &topic.partition_data {
            let found = name.as_ref().and_then(|name| {
                let topic = state.topics.get_mut(name)?;
                topic.partitions.get_mut(usize::try_from(partition.index).ok()?)
            });
            let appended = match (refuse, found) {
                (Some(code), _) => Err(code),
                (None, None) => Err(unknown),
                (None, Some(log)) if log.leader != seen.node => Err(NOT_LEADER),
                (None, Some(log)) => {
                    log.append(partition.records.as_ref().unwrap_or(&Default::default()))
                }
            };
            partitions.push(PartitionProduceResponse {
                index: partition.index,
                error_code: appended.err().unwrap_or(0),
                base_offset: appended.unwrap_or(-1),
                ..Default::default()
            });
        }
        responses.push(TopicProduceResponse {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partition_responses: partitions,
            ..Default::default()
        });
    }
    ProduceResponse { responses, ..Default::default() }
}

/// The answer to a fetch, and whether it has nothing to tell.
pub(crate) fn fetch(
    state: &State,
    seen: &Seen,
    ask: &FetchRequest,
    asked: &Asked,
) -> (Response, bool) {
    let (session, goes_on, wanted) = match asked {
        Ok((session, goes_on, wanted)) => (*session, *goes_on, wanted),
        Err(code) => {
            let answer = FetchResponse { error_code: *code, ..Default::default() };
            return (Response::Fetch(Box::new(answer)), false);
        }
    };
    let mut responses: Vec<FetchableTopicResponse> = Vec::new();
    let mut is_empty = true;
    for wanted in wanted {
        let data = partition_data(state, seen, ask, wanted);
        let has_news = data.error_code != 0 || data.records.as_ref().is_some_and(|r| !r.is_empty());
        is_empty &= !has_news;
        if goes_on && !has_news {
            continue;
        }
        let same = |topic: &&mut FetchableTopicResponse| {
            (&topic.topic, topic.topic_id) == (&wanted.topic, wanted.id)
        };
        if let Some(topic) = responses.iter_mut().find(same) {
            topic.partitions.push(data);
            continue;
        }
        responses.push(FetchableTopicResponse {
            topic: wanted.topic.clone(),
            topic_id: wanted.id,
            partitions: vec![data],
            ..Default::default()
        });
    }
    let answer = FetchResponse { session_id: session, responses, ..Default::default() };
    (Response::Fetch(Box::new(answer)), is_empty)
}

fn partition_data(
    state: &State,
    seen: &Seen,
    ask: &FetchRequest,
    wanted: &Wanted,
) -> PartitionData {
    let failed = |code: i16| PartitionData {
        partition_index: wanted.partition,
        error_code: code,
        high_watermark: -1,
        records: Some(Default::default()),
        aborted_transactions: Some(Vec::new()),
        ..Default::default()
    };
    let unknown = if wanted.topic.is_empty() { 100 } else { UNKNOWN_TOPIC };
    let Some(name) = state.name_of(&wanted.topic, wanted.id) else { return failed(unknown) };
    let index = usize::try_from(wanted.partition).unwrap_or(usize::MAX);
    let Some(log) = state.topics[&name].partitions.get(index) else { return failed(unknown) };
    if log.leader != seen.node {
        return failed(NOT_LEADER);
    }
    match wanted.epoch {
        epoch if epoch >= 0 && epoch < log.epoch => return failed(74),
        epoch if epoch > log.epoch => return failed(75),
        _ => {}
    }
    if wanted.offset < log.start || wanted.offset > log.end {
        return failed(1);
    }
    let bytes_max = usize::try_from(wanted.bytes_max).unwrap_or(0);
    let aborted = |list: &Vec<(i64, i64)>| {
        let entry = |(producer_id, first_offset): &(i64, i64)| AbortedTransaction {
            producer_id: *producer_id,
            first_offset: *first_offset,
            ..Default::default()
        };
        list.iter().map(entry).collect()
    };
    let aborted = match &log.aborted {
        Some(list) if ask.isolation_level == 1 => Some(aborted(list)),
        Some(_) => Some(Vec::new()),
        None => None,
    };
    PartitionData {
        partition_index: wanted.partition,
        high_watermark: log.end,
        last_stable_offset: log.end,
        log_start_offset: log.start,
        aborted_transactions: aborted,
        records: Some(log.read(wanted.offset, bytes_max).into()),
        ..Default::default()
    }
}

fn list_offsets(state: &State, seen: &Seen, ask: &ListOffsetsRequest) -> ListOffsetsResponse {
    let topics = ask.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let index = usize::try_from(asked.partition_index).unwrap_or(usize::MAX);
            let found = state.topics.get(&topic.name).and_then(|topic| topic.partitions.get(index));
            let (error_code, offset, leader_epoch) = match found {
                None => (UNKNOWN_TOPIC, -1, -1),
                Some(log) if log.leader != seen.node => (NOT_LEADER, -1, -1),
                Some(log) if asked.timestamp == -2 => (0, log.start, log.epoch),
                Some(log) => (0, log.end, log.epoch),
            };
            ListOffsetsPartitionResponse {
                partition_index: asked.partition_index,
                error_code,
                timestamp: -1,
                offset,
                leader_epoch: if seen.version >= 4 { leader_epoch } else { -1 },
                ..Default::default()
            }
        });
        ListOffsetsTopicResponse {
            name: topic.name.clone(),
            partitions: partitions.collect(),
            ..Default::default()
        }
    });
    ListOffsetsResponse { topics: topics.collect(), ..Default::default() }
}

fn init_producer_id(state: &mut State, ask: &InitProducerIdRequest) -> InitProducerIdResponse {
    let (producer_id, producer_epoch) = if ask.producer_id >= 0 {
        (ask.producer_id, ask.producer_epoch + 1)
    } else {
        state.producers += 1;
        (state.producers, 0)
    };
    InitProducerIdResponse { producer_id, producer_epoch, ..Default::default() }
}

fn offset_for_leader_epoch(
    state: &State,
    ask: &OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = ask.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let index = usize::try_from(asked.partition).unwrap_or(usize::MAX);
            let found =
                state.topics.get(&topic.topic).and_then(|topic| topic.partitions.get(index));
            EpochEndOffset {
                error_code: if found.is_some() { 0 } else { UNKNOWN_TOPIC },
                partition: asked.partition,
                leader_epoch: asked.leader_epoch,
                end_offset: found.map_or(-1, |log| log.end),
                ..Default::default()
            }
        });
        OffsetForLeaderTopicResult {
            topic: topic.topic.clone(),
            partitions: partitions.collect(),
            ..Default::default()
        }
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() }
}

fn create_topics(state: &mut State, ask: &CreateTopicsRequest) -> CreateTopicsResponse {
    let mut topics = Vec::new();
    for asked in &ask.topics {
        let is_new = !state.topics.contains_key(&asked.name);
        let partitions = usize::try_from(asked.num_partitions).unwrap_or(1);
        let id = state.topic(&asked.name, partitions).id;
        topics.push(CreatableTopicResult {
            name: asked.name.clone(),
            topic_id: id,
            error_code: if is_new { 0 } else { 36 },
            num_partitions: partitions as i32,
            replication_factor: 1,
            ..Default::default()
        });
    }
    CreateTopicsResponse { topics, ..Default::default() }
}

fn delete_topics(state: &mut State, ask: &DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_state = ask.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id));
    let by_name = ask.topic_names.iter().map(|name| (Some(name.clone()), Uuid::ZERO));
    let asked: Vec<_> = by_state.chain(by_name).collect();
    let delete = |(name, topic_id): (Option<String>, Uuid)| {
        let found = state.name_of(name.as_deref().unwrap_or_default(), topic_id);
        let was_there = found.is_some_and(|name| state.topics.remove(&name).is_some());
        let error_code = if was_there { 0 } else { UNKNOWN_TOPIC };
        DeletableTopicResult { name, topic_id, error_code, ..Default::default() }
    };
    let responses = asked.into_iter().map(delete).collect();
    DeleteTopicsResponse { responses, ..Default::default() }
}

fn cluster(state: &State) -> DescribeClusterResponse {
    let brokers = state.nodes.iter().map(|node| DescribeClusterBroker {
        broker_id: *node,
        host: "127.0.0.1".to_owned(),
        port: i32::from(state.ports[node]),
        ..Default::default()
    });
    DescribeClusterResponse {
        cluster_id: "scripted".to_owned(),
        controller_id: state.controller,
        brokers: brokers.collect(),
        ..Default::default()
    }
}
