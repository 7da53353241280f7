//! Somebody who moves leaders and replicas while everything runs.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ottla_broker::Broker;
use ottla_protocol::messages::alter_partition_reassignments::{
    ReassignablePartition, ReassignableTopic,
};
use ottla_protocol::messages::{AlterPartitionReassignmentsRequest, ElectLeadersRequest, Request};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::node::Node;
use super::{Client, NODES, Phase};
use crate::trace;
use crate::wire::Wire;

/// Partitions have no fewer replicas, or two in sync were not possible.
const REPLICAS_MIN: usize = 2;

/// Works until faults are over; then gives all partitions all their replicas again.
pub(super) async fn run(client: Client, nodes: Vec<Rc<Node>>) {
    let mut random = StdRng::seed_from_u64(client.seed);
    while *client.phase.borrow() == Phase::Faults {
        tokio::time::sleep(Duration::from_millis(random.gen_range(500..8000))).await;
        let request = match random.gen_bool(0.5) {
            true => elect(),
            false => reassign(&mut random, &nodes),
        };
        ask(&client, random.gen_range(1..=NODES), request).await;
    }
    loop {
        let brokers: Vec<_> = nodes.iter().filter_map(|node| node.broker()).collect();
        let mut found = brokers.iter().map(|broker| incomplete(broker));
        let topics = found.find(|topics| !topics.is_empty()).unwrap_or_default();
        if topics.is_empty() && brokers.len() == NODES {
            return;
        }
        let request = AlterPartitionReassignmentsRequest { topics, ..Default::default() };
        ask(&client, random.gen_range(1..=NODES), request.into()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn ask(client: &Client, node: usize, request: Request) {
    let name = format!("node-{node}");
    let answer = async { Wire::connect(&client.name, &name).await?.call(0, &request).await }.await;
    trace::note(&format!("operator asks {name}: {answer:?}"));
}

/// Partitions that have no replica on each node, or will have none when their reassignment is
/// over; with what they shall have.
fn incomplete(broker: &Broker) -> Vec<ReassignableTopic> {
    let image = broker.image();
    let topics = image.topics.values().map(|topic| {
        let partitions = (0..).zip(&topic.partitions);
        let partitions = partitions.filter(|(_, partition)| {
            partition.replicas.len() < NODES || !partition.removing.is_empty()
        });
        let partitions = partitions.map(|(partition_index, _)| ReassignablePartition {
            partition_index,
            replicas: Some(vec![1, 2, 3]),
            ..Default::default()
        });
        let (name, partitions) = (topic.name.clone(), partitions.collect());
        ReassignableTopic { name, partitions, ..Default::default() }
    });
    topics.filter(|topic| !topic.partitions.is_empty()).collect()
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
