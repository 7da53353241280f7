//! Somebody who moves leaders and replicas while everything runs.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use ottla_protocol::Encoder;
use ottla_protocol::header::encode_request_header;
use ottla_protocol::messages::alter_partition_reassignments::{
    ReassignablePartition, ReassignableTopic,
};
use ottla_protocol::messages::{AlterPartitionReassignmentsRequest, ElectLeadersRequest, Request};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::TcpStream;

use super::node::Node;
use super::{Client, NODES, Phase};
use crate::trace;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Partitions have no fewer replicas, or two in sync were not possible.
const REPLICAS_MIN: usize = 2;

/// Works until faults are over.
pub(super) async fn run(client: Client, nodes: Vec<Rc<Node>>) {
    let mut random = StdRng::seed_from_u64(client.seed);
    while *client.phase.borrow() == Phase::Faults {
        tokio::time::sleep(Duration::from_millis(random.gen_range(500..8000))).await;
        let request = match random.gen_bool(0.5) {
            true => elect(),
            false => reassign(&mut random, &nodes),
        };
        let node = random.gen_range(1..=NODES);
        let asked = tokio::time::timeout(PATIENCE, ask(node, &request)).await;
        trace::note(&format!("{:?} of node-{node}: {asked:?}", request.api_key()));
    }
}

/// Every partition's preferred leader.
fn elect() -> Request {
    ElectLeadersRequest { election_type: 0, topic_partitions: None, ..Default::default() }.into()
}

/// Other replicas for one of the partitions, in any order.
fn reassign(random: &mut StdRng, nodes: &[Rc<Node>]) -> Request {
    let images = nodes.iter().filter_map(|node| node.broker()).map(|broker| broker.image());
    let topics: BTreeMap<String, usize> = images
        .flat_map(|image| {
            let topics = image.topics.values();
            topics.map(|topic| (topic.name.clone(), topic.partitions.len())).collect::<Vec<_>>()
        })
        .collect();
    let topics: Vec<(String, usize)> = topics.into_iter().collect();
    let mut request = AlterPartitionReassignmentsRequest::default();
    if let Some((name, partitions)) = topics.choose(random) {
        let mut replicas: Vec<i32> = (1..=3).collect();
        replicas.shuffle(random);
        replicas.truncate(random.gen_range(REPLICAS_MIN..=NODES));
        let index = random.gen_range(0..*partitions);
        let partition = ReassignablePartition {
            partition_index: i32::try_from(index).expect("partitions are few"),
            replicas: Some(replicas),
            ..Default::default()
        };
        let partitions = vec![partition];
        let topic = ReassignableTopic { name: name.clone(), partitions, ..Default::default() };
        request.topics.push(topic);
    }
    request.into()
}

/// One request on a connection of its own; the answer's length.
async fn ask(node: usize, request: &Request) -> io::Result<usize> {
    const VERSION: i16 = 0;
    let mut out = Encoder::framed();
    encode_request_header(&mut out, request.api_key(), VERSION, 1, Some("operator"))
        .and_then(|()| request.encode(&mut out, VERSION))
        .map_err(io::Error::other)?;
    let mut stream = TcpStream::connect((format!("node-{node}"), 9092)).await?;
    stream.write_all(&out.into_bytes()).await?;
    let len = usize::try_from(stream.read_i32().await?).map_err(io::Error::other)?;
    let mut answer = BytesMut::zeroed(len);
    stream.read_exact(&mut answer).await
}
