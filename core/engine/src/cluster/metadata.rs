//! The metadata snapshot: brokers, topics by name and by id, partitions with their leaders.

use ottla_protocol::messages::MetadataResponse;
use ottla_protocol::messages::metadata::{MetadataResponsePartition, MetadataResponseTopic};
use ottla_protocol::{ErrorCode, Uuid};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerAddress {
    /// Its id.
    pub node_id: i32,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Its rack (`broker.rack`).
    pub rack: Option<String>,
}

/// A partition and its leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// Its number in the topic.
    pub index: i32,
    /// The leader's node id; `None` while there is no leader.
    pub leader: Option<i32>,
    /// The leader's epoch; -1 where the broker is too old to say (Metadata < 7).
    pub leader_epoch: i32,
    /// Every replica's node id; the preferred leader first.
    pub replicas: Vec<i32>,
    /// The in-sync replicas.
    pub isr: Vec<i32>,
    /// Replicas that are down.
    pub offline_replicas: Vec<i32>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Its name.
    pub name: String,
    /// Its id; zero where the broker is too old to say (Metadata < 10).
    pub id: Uuid,
    /// Whether it is one of the cluster's own (`__consumer_offsets`).
    pub is_internal: bool,
    /// What the broker answered for the topic as a whole. The partitions of an earlier answer are
    /// kept beside an error: a topic that is unknown for a moment is not forgotten.
    pub error: Option<ErrorCode>,
    /// By number.
    pub partitions: Vec<PartitionMetadata>,
}

/// What is known of the cluster at one moment. Immutable: an update makes the next one.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    version: u64,
    cluster_id: Option<String>,
    controller_id: Option<i32>,
    brokers: BTreeMap<i32, BrokerAddress>,
    topics: BTreeMap<String, Arc<TopicMetadata>>,
    names_by_id: BTreeMap<Uuid, String>,
}

impl Metadata {
    /// Grows with every update; 0 before the first answer.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The cluster's id.
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// The controller's node id, as far as clients are told.
    pub fn controller_id(&self) -> Option<i32> {
        self.controller_id
    }

    /// Every broker, by node id.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = &BrokerAddress> {
        self.brokers.values()
    }

    /// One broker.
    pub fn broker(&self, node_id: i32) -> Option<&BrokerAddress> {
        self.brokers.get(&node_id)
    }

    /// Every known topic, by name.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<TopicMetadata>> {
        self.topics.values()
    }

    /// One topic by name.
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicMetadata>> {
        self.topics.get(name)
    }

    /// A topic's id; `None` where it is unknown or the broker too old to say.
    pub fn topic_id(&self, name: &str) -> Option<Uuid> {
        self.topics.get(name).map(|topic| topic.id).filter(|id| !id.is_zero())
    }

    /// The name of the topic with this id.
    pub fn topic_name(&self, id: Uuid) -> Option<&str> {
        self.names_by_id.get(&id).map(String::as_str)
    }

    /// One partition.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&PartitionMetadata> {
        let index = usize::try_from(partition).ok()?;
        self.topics.get(topic)?.partitions.get(index)
    }

    /// How many partitions a topic has; `None` while it is unknown.
    pub fn partition_count(&self, topic: &str) -> Option<usize> {
        self.topics.get(topic).map(|topic| topic.partitions.len()).filter(|&count| count > 0)
    }

    /// The snapshot after this answer. `is_complete` says that all topics were asked for, so that
    /// those which are absent are gone.
    #[must_use]
    pub fn updated(&self, response: &MetadataResponse, is_complete: bool) -> Self {
        let mut next = Self {
            version: self.version + 1,
            cluster_id: response.cluster_id.clone().or_else(|| self.cluster_id.clone()),
            controller_id: Some(response.controller_id).filter(|&id| id >= 0),
            ..Self::default()
        };
        for broker in &response.brokers {
            let Ok(port) = u16::try_from(broker.port) else { continue };
            let (node_id, host, rack) = (broker.node_id, broker.host.clone(), broker.rack.clone());
            next.brokers.insert(node_id, BrokerAddress { node_id, host, port, rack });
        }
        if !is_complete {
            next.topics = self.topics.clone();
        }
        for topic in &response.topics {
            let Some(name) = self.name_of(topic) else { continue };
            let merged = merge_topic(self.topics.get(&name), topic, &name);
            next.topics.insert(name, Arc::new(merged));
        }
        let named = next.topics.values().filter(|topic| !topic.id.is_zero());
        next.names_by_id = named.map(|topic| (topic.id, topic.name.clone())).collect();
        next
    }

    /// The snapshot after a produce or fetch answer named a newer leader (KIP-951); `None` when it
    /// says nothing new.
    #[must_use]
    pub fn with_leader(
        &self,
        topic: &str,
        partition: i32,
        leader: i32,
        leader_epoch: i32,
    ) -> Option<Self> {
        let known = self.partition(topic, partition)?;
        if leader_epoch <= known.leader_epoch || !self.brokers.contains_key(&leader) {
            return None;
        }
        let mut next = self.clone();
        let entry = next.topics.get_mut(topic)?;
        let index = usize::try_from(partition).ok()?;
        let slot = &mut Arc::make_mut(entry).partitions[index];
        (slot.leader, slot.leader_epoch) = (Some(leader), leader_epoch);
        next.version += 1;
        Some(next)
    }

    /// The snapshot without these topics, as if they had never been asked for.
    #[must_use]
    pub fn without(&self, topics: &[String]) -> Self {
        let mut next = Self { version: self.version + 1, ..self.clone() };
        next.topics.retain(|name, _| !topics.contains(name));
        next.names_by_id.retain(|_, name| !topics.contains(name));
        next
    }

    fn name_of(&self, topic: &MetadataResponseTopic) -> Option<String> {
        match &topic.name {
            Some(name) => Some(name.clone()),
            None => self.topic_name(topic.topic_id).map(str::to_owned),
        }
    }
}

fn merge_topic(
    known: Option<&Arc<TopicMetadata>>,
    answer: &MetadataResponseTopic,
    name: &str,
) -> TopicMetadata {
    let error = match answer.error_code {
        0 => None,
        code => Some(ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)),
    };
    if let (Some(known), true) = (known, error.is_some() && answer.partitions.is_empty()) {
        return TopicMetadata { error, ..TopicMetadata::clone(known) };
    }
    // A topic that was deleted and created anew has another id; its epochs start again (trap 8).
    let same_topic = known.filter(|known| known.id == answer.topic_id);
    let mut partitions: Vec<_> = answer.partitions.iter().map(partition_of).collect();
    partitions.sort_by_key(|partition| partition.index);
    for partition in &mut partitions {
        let index = usize::try_from(partition.index).unwrap_or(usize::MAX);
        let before = same_topic.and_then(|known| known.partitions.get(index));
        if let Some(before) = before.filter(|before| partition.leader_epoch < before.leader_epoch)
            && partition.leader_epoch >= 0
        {
            // A broker that lags behind: what is known is newer.
            *partition = before.clone();
        }
    }
    TopicMetadata {
        name: name.to_owned(),
        id: answer.topic_id,
        is_internal: answer.is_internal,
        error,
        partitions,
    }
}

fn partition_of(answer: &MetadataResponsePartition) -> PartitionMetadata {
    PartitionMetadata {
        index: answer.partition_index,
        leader: Some(answer.leader_id).filter(|&leader| leader >= 0),
        leader_epoch: answer.leader_epoch,
        replicas: answer.replica_nodes.clone(),
        isr: answer.isr_nodes.clone(),
        offline_replicas: answer.offline_replicas.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::messages::metadata::MetadataResponseBroker;

    fn answer(id: u8, leader: i32, epoch: i32) -> MetadataResponse {
        let partition = MetadataResponsePartition {
            leader_id: leader,
            leader_epoch: epoch,
            replica_nodes: vec![1, 2],
            isr_nodes: vec![1, 2],
            ..Default::default()
        };
        let topic = MetadataResponseTopic {
            name: Some("t".into()),
            topic_id: Uuid([id; 16]),
            partitions: vec![partition],
            ..Default::default()
        };
        let broker = |node_id| MetadataResponseBroker {
            node_id,
            host: "h".into(),
            port: 9092,
            ..Default::default()
        };
        MetadataResponse {
            brokers: vec![broker(1), broker(2)],
            topics: vec![topic],
            ..Default::default()
        }
    }

    fn leader(metadata: &Metadata) -> (Option<i32>, i32) {
        let partition = metadata.partition("t", 0).expect("partition 0 is known");
        (partition.leader, partition.leader_epoch)
    }

    #[test]
    fn a_leader_epoch_never_goes_back_for_the_same_topic_id() {
        let first = Metadata::default().updated(&answer(1, 2, 5), false);
        let stale = first.updated(&answer(1, 1, 4), false);
        assert_eq!(leader(&stale), (Some(2), 5), "an older epoch is not taken");
        let newer = stale.updated(&answer(1, 1, 6), false);
        assert_eq!(leader(&newer), (Some(1), 6));
        assert_eq!(newer.version(), 3);
    }

    #[test]
    fn a_topic_created_anew_starts_its_epochs_again() {
        let first = Metadata::default().updated(&answer(1, 2, 5), false);
        let anew = first.updated(&answer(9, 1, 0), false);
        assert_eq!(leader(&anew), (Some(1), 0));
        assert_eq!(anew.topic_name(Uuid([1; 16])), None);
        assert_eq!(anew.topic_name(Uuid([9; 16])), Some("t"));
    }

    #[test]
    fn a_topic_unknown_for_a_moment_keeps_its_partitions() {
        let first = Metadata::default().updated(&answer(1, 2, 5), false);
        let mut unknown = answer(1, 2, 5);
        unknown.topics[0].error_code = ErrorCode::UnknownTopicOrPartition.code();
        unknown.topics[0].partitions.clear();
        unknown.topics[0].topic_id = Uuid::ZERO;
        let next = first.updated(&unknown, false);
        assert_eq!(leader(&next), (Some(2), 5));
        let topic = next.topic("t").expect("the topic is kept");
        assert_eq!(topic.error, Some(ErrorCode::UnknownTopicOrPartition));
        assert_eq!(topic.id, Uuid([1; 16]));
    }

    #[test]
    fn a_complete_answer_forgets_what_is_absent() {
        let first = Metadata::default().updated(&answer(1, 2, 5), false);
        let mut empty = answer(1, 2, 5);
        empty.topics.clear();
        assert!(first.updated(&empty, false).topic("t").is_some());
        assert!(first.updated(&empty, true).topic("t").is_none());
    }

    #[test]
    fn a_topic_that_is_taken_out_is_unknown() {
        let first = Metadata::default().updated(&answer(1, 2, 5), false);
        let next = first.without(&["t".to_owned()]);
        assert!(next.topic("t").is_none());
        assert_eq!(next.topic_name(Uuid([1; 16])), None);
        assert_eq!((next.version(), next.brokers().len()), (2, 2));
    }

    #[test]
    fn a_leader_named_by_an_answer_is_taken_only_with_a_newer_epoch() {
        let first = Metadata::default().updated(&answer(1, 2, 5), false);
        assert!(first.with_leader("t", 0, 1, 5).is_none());
        assert!(first.with_leader("t", 0, 77, 6).is_none(), "the node is unknown");
        let next = first.with_leader("t", 0, 1, 6).expect("epoch 6 is newer");
        assert_eq!(leader(&next), (Some(1), 6));
    }
}
