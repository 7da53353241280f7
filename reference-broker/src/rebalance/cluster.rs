//! What is asked of the cluster, with Kafka's own APIs in versions that Apache Kafka has since 2.4.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_broker::internal::Peer;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::alter_partition_reassignments::{
    ReassignablePartition, ReassignableTopic,
};
use ottla_protocol::messages::elect_leaders::TopicPartitions;
use ottla_protocol::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::messages::list_partition_reassignments::{
    ListPartitionReassignmentsTopics, OngoingPartitionReassignment, OngoingTopicReassignment,
};
use ottla_protocol::messages::{
    AlterPartitionReassignmentsRequest, ElectLeadersRequest, IncrementalAlterConfigsRequest,
    ListPartitionReassignmentsRequest, MetadataRequest, Request, Response,
};

use super::plan::{Assignment, Key, Layout};

/// For one answer of one broker.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long the cluster may be without an answer, as when it elects a controller.
const PATIENCE: Duration = Duration::from_secs(60);
const RETRY_AFTER: Duration = Duration::from_millis(200);
const TIMEOUT_MS: i32 = 10_000;
/// Kinds of a resource with settings.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// The name of what holds for every broker. A broker's own settings only that one changes.
const ALL_BROKERS: &str = "";
/// What is done to a setting.
const SET: i8 = 0;
const DELETE: i8 = 1;

/// A cluster, reached by any of some brokers.
pub(crate) struct Cluster {
    peers: Vec<Peer>,
}

/// A partition that is being moved.
pub(crate) struct Moving(OngoingPartitionReassignment);

impl Moving {
    /// The replicas that it will have.
    pub(crate) fn target(&self) -> Vec<i32> {
        let stays = |id: &&i32| !self.0.removing_replicas.contains(id);
        self.0.replicas.iter().filter(stays).copied().collect()
    }
}

/// Why an answer is no answer yet.
enum Refused {
    /// Another try may be answered.
    ForNow(String),
    ForGood(String),
}

impl Cluster {
    pub(crate) fn new(bootstrap: &str) -> Result<Self, String> {
        let address = |server: &str| match server.trim().rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Peer::for_clients(server.trim().to_owned()))
            }
            _ => Err(format!("--bootstrap-server {server}: write it as host:port")),
        };
        Ok(Self { peers: bootstrap.split(',').map(address).collect::<Result<_, _>>()? })
    }

    /// Asks one broker after the other until one has an answer that `read` takes.
    async fn ask<T>(
        &self,
        version: i16,
        request: impl Into<Request>,
        read: impl Fn(Response) -> Result<T, Refused>,
    ) -> Result<T, String> {
        let request = request.into();
        let asked = async {
            for peer in self.peers.iter().cycle() {
                let reason = match peer.send(version, &request, ANSWER_MAX).await {
                    Ok(response) => match read(response) {
                        Ok(read) => return Ok(read),
                        Err(Refused::ForGood(reason)) => return Err(reason),
                        Err(Refused::ForNow(reason)) => reason,
                    },
                    Err(error) => error.to_string(),
                };
                tracing::warn!("{}: {reason}", request.api_key().name());
                tokio::time::sleep(RETRY_AFTER).await;
            }
            Err("there is no broker to ask".to_owned())
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| {
            let (api, seconds) = (request.api_key().name(), PATIENCE.as_secs());
            Err(format!("no answer to {api} within {seconds} s: see that the cluster runs"))
        })
    }

    /// The brokers that are up, and where replicas are. While a partition is moved that is where it
    /// comes from and where it goes.
    pub(crate) async fn layout(&self) -> Result<Layout, String> {
        let request = MetadataRequest { topics: None, ..Default::default() };
        self.ask(9, request, |response| {
            let Response::Metadata(metadata) = response else { return Err(other(&response)) };
            let brokers = metadata.brokers.into_iter().map(|broker| (broker.node_id, broker.rack));
            let mut layout = Layout { brokers: brokers.collect(), ..Layout::default() };
            for topic in metadata.topics {
                let name = topic.name.unwrap_or_default();
                refused(topic.error_code, None, &name)?;
                for partition in topic.partitions {
                    let key = (name.clone(), partition.partition_index);
                    layout.assignment.insert(key, partition.replica_nodes);
                }
            }
            Ok(layout)
        })
        .await
    }

    /// What is being moved, of these partitions or of all.
    pub(crate) async fn moving(
        &self,
        of: Option<&Assignment>,
    ) -> Result<BTreeMap<Key, Moving>, String> {
        let topics = of.map(|of| {
            let topic = |(name, partition_indexes)| ListPartitionReassignmentsTopics {
                name,
                partition_indexes,
                ..Default::default()
            };
            by_topic(of.keys()).into_iter().map(topic).collect()
        });
        let request = ListPartitionReassignmentsRequest {
            topics,
            timeout_ms: TIMEOUT_MS,
            ..Default::default()
        };
        self.ask(0, request, |response| {
            let Response::ListPartitionReassignments(list) = response else {
                return Err(other(&response));
            };
            refused(list.error_code, list.error_message, "the list of moves")?;
            let of_topic = |topic: OngoingTopicReassignment| {
                let name = topic.name;
                topic.partitions.into_iter().map(move |partition| {
                    ((name.clone(), partition.partition_index), Moving(partition))
                })
            };
            Ok(list.topics.into_iter().flat_map(of_topic).collect())
        })
        .await
    }

    /// Begins moves, or ends those that have none.
    pub(crate) async fn reassign(
        &self,
        moves: BTreeMap<Key, Option<Vec<i32>>>,
    ) -> Result<(), String> {
        let mut topics: BTreeMap<String, Vec<ReassignablePartition>> = BTreeMap::new();
        for ((topic, partition_index), replicas) in moves {
            let partition =
                ReassignablePartition { partition_index, replicas, ..Default::default() };
            topics.entry(topic).or_default().push(partition);
        }
        let topic =
            |(name, partitions)| ReassignableTopic { name, partitions, ..Default::default() };
        let request = AlterPartitionReassignmentsRequest {
            timeout_ms: TIMEOUT_MS,
            topics: topics.into_iter().map(topic).collect(),
            ..Default::default()
        };
        self.ask(0, request, |response| {
            let Response::AlterPartitionReassignments(answer) = response else {
                return Err(other(&response));
            };
            refused(answer.error_code, answer.error_message, "the moves")?;
            for topic in answer.responses {
                for partition in topic.partitions {
                    // A move that was to be ended has ended by itself.
                    if partition.error_code != ErrorCode::NoReassignmentInProgress.code() {
                        let name = format!("{}-{}", topic.name, partition.partition_index);
                        refused(partition.error_code, partition.error_message, &name)?;
                    }
                }
            }
            Ok(())
        })
        .await
    }

    /// Lets the first replicas lead where they are in sync.
    /// Answers those of which another replica goes on leading, with the reason.
    pub(crate) async fn elect_preferred(&self, of: &Assignment) -> Result<Vec<String>, String> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let topic =
            |(topic, partitions)| TopicPartitions { topic, partitions, ..Default::default() };
        let request = ElectLeadersRequest {
            election_type: 0,
            topic_partitions: Some(by_topic(of.keys()).into_iter().map(topic).collect()),
            timeout_ms: TIMEOUT_MS,
            ..Default::default()
        };
        self.ask(2, request, |response| {
            let Response::ElectLeaders(answer) = response else { return Err(other(&response)) };
            refused(answer.error_code, None, "the election of leaders")?;
            let mut failed = Vec::new();
            for topic in answer.replica_election_results {
                for result in topic.partition_result {
                    let code = ErrorCode::from_code(result.error_code);
                    if !matches!(code, Some(ErrorCode::None | ErrorCode::ElectionNotNeeded)) {
                        let name = code.map_or("an unknown error", ErrorCode::name);
                        failed.push(format!("{}-{}: {name}", topic.topic, result.partition_id));
                    }
                }
            }
            Ok(failed)
        })
        .await
    }

    /// Limits what replicas of the plan copy, as `kafka-reassign-partitions --throttle` does
    /// (KIP-73): existing replicas send no faster, and new ones fetch no faster.
    pub(crate) async fn throttle(
        &self,
        wanted: &Assignment,
        layout: &Layout,
        moving: &BTreeMap<Key, Moving>,
        rate: u64,
    ) -> Result<(), String> {
        let mut limits: BTreeMap<&String, [Vec<String>; 2]> = BTreeMap::new();
        for (key, after) in wanted {
            let under_way = |id: &i32| {
                moving.get(key).is_some_and(|moving| moving.0.adding_replicas.contains(id))
            };
            let held = &layout.assignment[key];
            let (index, lists) = (key.1, limits.entry(&key.0).or_default());
            let is_there = |id: &&i32| held.contains(id) && !under_way(id);
            lists[0].extend(held.iter().filter(is_there).map(|id| format!("{index}:{id}")));
            let comes = after.iter().filter(|id| !is_there(id));
            lists[1].extend(comes.map(|id| format!("{index}:{id}")));
        }
        let mut resources: Vec<AlterConfigsResource> = limits
            .into_iter()
            .map(|(topic, [leaders, followers])| {
                let set = |name: &str, list: Vec<String>| setting(name, Some(list.join(",")));
                resource(
                    TOPIC,
                    topic.clone(),
                    vec![
                        set("leader.replication.throttled.replicas", leaders),
                        set("follower.replication.throttled.replicas", followers),
                    ],
                )
            })
            .collect();
        let set = |name: &str| setting(name, Some(rate.to_string()));
        let rates = vec![
            set("leader.replication.throttled.rate"),
            set("follower.replication.throttled.rate"),
        ];
        resources.push(resource(BROKER, ALL_BROKERS.to_owned(), rates));
        self.alter_configs(resources, &[]).await
    }

    /// Takes the limits away; that there are none is no error.
    pub(crate) async fn unthrottle(&self, wanted: &Assignment) -> Result<(), String> {
        let topics: BTreeSet<&String> = wanted.keys().map(|(topic, _)| topic).collect();
        let none = |of: &str| {
            ["leader", "follower"]
                .map(|who| setting(&format!("{who}.replication.throttled.{of}"), None))
        };
        let topics =
            topics.into_iter().map(|topic| resource(TOPIC, topic.clone(), none("replicas").into()));
        let brokers = [resource(BROKER, ALL_BROKERS.to_owned(), none("rate").into())];
        let fine = [
            ErrorCode::InvalidConfig,
            ErrorCode::InvalidRequest,
            ErrorCode::UnknownTopicOrPartition,
        ];
        self.alter_configs(topics.chain(brokers).collect(), &fine).await
    }

    async fn alter_configs(
        &self,
        resources: Vec<AlterConfigsResource>,
        fine: &[ErrorCode],
    ) -> Result<(), String> {
        let request = IncrementalAlterConfigsRequest { resources, ..Default::default() };
        self.ask(1, request, |response| {
            let Response::IncrementalAlterConfigs(answer) = response else {
                return Err(other(&response));
            };
            let answers = answer.responses.into_iter();
            for answer in answers.filter(|of| !fine.iter().any(|code| code.code() == of.error_code))
            {
                let name = format!("the throttle of {}", answer.resource_name);
                refused(answer.error_code, answer.error_message, &name)?;
            }
            Ok(())
        })
        .await
    }
}

fn resource(kind: i8, name: String, configs: Vec<AlterableConfig>) -> AlterConfigsResource {
    AlterConfigsResource { resource_type: kind, resource_name: name, configs, ..Default::default() }
}

/// A setting to set, or to delete.
fn setting(name: &str, value: Option<String>) -> AlterableConfig {
    AlterableConfig {
        name: name.to_owned(),
        config_operation: if value.is_some() { SET } else { DELETE },
        value,
        ..Default::default()
    }
}

fn by_topic<'a>(keys: impl Iterator<Item = &'a Key>) -> BTreeMap<String, Vec<i32>> {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (topic, index) in keys {
        topics.entry(topic.clone()).or_default().push(*index);
    }
    topics
}

fn other(response: &Response) -> Refused {
    Refused::ForGood(format!("an answer to another question: {response:?}"))
}

/// An error code as a sentence; some pass by themselves.
fn refused(code: i16, message: Option<String>, of: &str) -> Result<(), Refused> {
    let Some(code) = ErrorCode::from_code(code) else {
        return Err(Refused::ForGood(format!("{of}: error {code}")));
    };
    let text =
        message.map_or_else(|| code.name().to_owned(), |text| format!("{}: {text}", code.name()));
    let text = format!("{of}: {text}");
    match code {
        ErrorCode::None => Ok(()),
        ErrorCode::NotController | ErrorCode::RequestTimedOut | ErrorCode::LeaderNotAvailable => {
            Err(Refused::ForNow(text))
        }
        _ => Err(Refused::ForGood(text)),
    }
}
