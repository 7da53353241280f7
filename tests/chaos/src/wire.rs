//! Requests that the client has no method for, each on a connection of its own.

use crate::Failure;
use ottla_protocol::messages::alter_partition_reassignments::{
    ReassignablePartition, ReassignableTopic,
};
use ottla_protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_protocol::messages::describe_quorum::{
    DescribeQuorumRequestPartitionData, DescribeQuorumRequestTopicData,
};
use ottla_protocol::messages::elect_leaders::TopicPartitions;
use ottla_protocol::messages::{
    AlterPartitionReassignmentsRequest, DeleteRecordsRequest, DescribeQuorumRequest,
    ElectLeadersRequest, FindCoordinatorRequest, Request, Response,
};
use ottla_protocol::{Bytes, Encoder, header};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A node that says nothing for so long is asked no further.
const PATIENCE: Duration = Duration::from_secs(5);

/// One request and its answer.
pub(crate) async fn ask(
    address: &str,
    version: i16,
    request: impl Into<Request>,
) -> Result<Response, Failure> {
    let request = request.into();
    let api = request.api_key();
    let mut out = Encoder::framed();
    header::encode_request_header(&mut out, api, version, 1, Some("chaos"))?;
    request.encode(&mut out, version)?;
    let talk = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&out.into_bytes()).await?;
        let len = stream.read_u32().await?;
        let mut frame = vec![0; len as usize];
        stream.read_exact(&mut frame).await?;
        Ok::<_, std::io::Error>(Bytes::from(frame))
    };
    let frame = timeout(PATIENCE, talk).await.map_err(|_| format!("{address} is silent"))??;
    let (_, body_at) = header::decode_response_header(&frame, api, version)?;
    Ok(Response::decode(api, version, &frame, body_at)?)
}

/// The active controller, if this node knows one.
pub(crate) async fn controller(address: &str) -> Result<Option<i32>, Failure> {
    let topic = DescribeQuorumRequestTopicData {
        topic_name: "__cluster_metadata".into(),
        partitions: vec![DescribeQuorumRequestPartitionData::default()],
        ..Default::default()
    };
    let request = DescribeQuorumRequest { topics: vec![topic], ..Default::default() };
    let Response::DescribeQuorum(answer) = ask(address, 2, request).await? else {
        return Err("another API's answer".into());
    };
    let quorum = answer.topics.iter().flat_map(|topic| &topic.partitions).next();
    Ok(quorum.map(|quorum| quorum.leader_id).filter(|leader| *leader > 0))
}

/// The coordinator of a group, if there is one.
pub(crate) async fn coordinator(address: &str, group: &str) -> Result<Option<i32>, Failure> {
    let coordinator_keys = vec![group.to_owned()];
    let request = FindCoordinatorRequest { coordinator_keys, ..Default::default() };
    let Response::FindCoordinator(answer) = ask(address, 4, request).await? else {
        return Err("another API's answer".into());
    };
    Ok(answer.coordinators.first().filter(|found| found.error_code == 0).map(|f| f.node_id))
}

/// Deletes records below an offset; the code of the answer.
pub(crate) async fn delete_records(
    address: &str,
    topic: &str,
    partition_index: i32,
    offset: i64,
) -> Result<i16, Failure> {
    let partition = DeleteRecordsPartition { partition_index, offset, ..Default::default() };
    let topic = DeleteRecordsTopic {
        name: topic.to_owned(),
        partitions: vec![partition],
        ..Default::default()
    };
    let topics = vec![topic];
    let request = DeleteRecordsRequest { topics, timeout_ms: 4000, ..Default::default() };
    match ask(address, 2, request).await? {
        Response::DeleteRecords(answer) => Ok(answer.topics[0].partitions[0].error_code),
        _ => Err("another API's answer".into()),
    }
}

/// Wants these replicas for all partitions of a topic; the code of the answer, or the first one of
/// a partition.
pub(crate) async fn reassign(
    address: &str,
    topic: &str,
    replicas: &[Vec<i32>],
) -> Result<i16, Failure> {
    let partitions = (0..).zip(replicas).map(|(partition_index, replicas)| ReassignablePartition {
        partition_index,
        replicas: Some(replicas.clone()),
        ..Default::default()
    });
    let topic = ReassignableTopic {
        name: topic.to_owned(),
        partitions: partitions.collect(),
        ..Default::default()
    };
    let request = AlterPartitionReassignmentsRequest { topics: vec![topic], ..Default::default() };
    match ask(address, 0, request).await? {
        Response::AlterPartitionReassignments(answer) => {
            let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
            let codes = partitions.map(|partition| partition.error_code);
            Ok(std::iter::once(answer.error_code).chain(codes).find(|c| *c != 0).unwrap_or(0))
        }
        _ => Err("another API's answer".into()),
    }
}

/// Elects leaders: the preferred ones, or any that is alive.
pub(crate) async fn elect(
    address: &str,
    topic: &str,
    partitions: &[i32],
    unclean: bool,
) -> Result<(), Failure> {
    let topic = TopicPartitions {
        topic: topic.to_owned(),
        partitions: partitions.to_vec(),
        ..Default::default()
    };
    let request = ElectLeadersRequest {
        election_type: i8::from(unclean),
        topic_partitions: Some(vec![topic]),
        timeout_ms: 4000,
        ..Default::default()
    };
    match ask(address, 2, request).await? {
        Response::ElectLeaders(_) => Ok(()),
        _ => Err("another API's answer".into()),
    }
}
