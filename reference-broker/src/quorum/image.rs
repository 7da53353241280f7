//! The state that the commands make: brokers, topics, settings, producer ids.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::Uuid;
use serde::{Deserialize, Serialize};

use super::command::PartitionId;

/// The cluster's metadata after some command. A clone is cheap: topics are shared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Index of the last applied command; the first command has index 1.
    pub applied: u64,
    /// The cluster's id; empty before the first broker has told it.
    #[serde(default)]
    pub cluster_id: String,
    /// The active controller, as the metadata knows it.
    #[serde(default)]
    pub controller: Option<ControllerImage>,
    /// Finalised features and their levels, which are above 0.
    #[serde(default)]
    pub features: BTreeMap<String, i16>,
    /// Topics by name.
    pub topics: BTreeMap<String, Arc<TopicImage>>,
    /// Names by topic id; made from `topics`.
    #[serde(skip)]
    names: BTreeMap<[u8; 16], String>,
    /// The present incarnation of each broker.
    pub brokers: BTreeMap<i32, BrokerImage>,
    /// Settings that all brokers were given at run time.
    pub default_broker_configs: BTreeMap<String, String>,
    /// Settings that one broker was given at run time.
    pub broker_configs: BTreeMap<i32, BTreeMap<String, String>>,
    /// The first producer id that no block has taken.
    pub next_producer_id: i64,
}

/// An active controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerImage {
    /// Its node.
    pub node_id: i32,
    /// Index of its `ControllerElected`: a term of the quorum may have two leaders, one after the
    /// other.
    pub epoch: u64,
}

/// One incarnation of a broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerImage {
    /// Log index of its registration (M2).
    pub epoch: i64,
    /// Made anew at each start.
    #[serde(with = "uuid_text")]
    pub incarnation: Uuid,
    /// Where clients reach it.
    pub host: String,
    /// Where clients reach it.
    pub port: u16,
    /// Its rack.
    pub rack: Option<String>,
    /// Where other nodes reach it.
    #[serde(default)]
    pub internal_host: String,
    /// Where other nodes reach it.
    #[serde(default)]
    pub internal_port: u16,
    /// Its data folder's id (M15).
    #[serde(default, with = "uuid_text")]
    pub directory: Uuid,
    /// Ids of its log directories that have not failed.
    #[serde(default, with = "uuid_list")]
    pub log_dirs: Vec<Uuid>,
    /// It is in no ISR and leads nothing, until the controller has heard that it has caught up
    /// (M13).
    #[serde(default)]
    pub fenced: bool,
    /// It has begun a controlled shutdown.
    #[serde(default)]
    pub shutting_down: bool,
    /// `min.insync.replicas` of its file; 0 is not known.
    #[serde(default)]
    pub min_in_sync: usize,
}

impl BrokerImage {
    /// It may lead partitions and be in sync.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.shutting_down
    }
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicImage {
    /// Its name.
    pub name: String,
    /// Its id; a topic re-created under the same name has another.
    #[serde(with = "uuid_text")]
    pub id: Uuid,
    /// By partition index.
    pub partitions: Vec<PartitionImage>,
    /// The topic's own settings.
    pub configs: BTreeMap<String, String>,
}

/// A partition. Its ISR holds active brokers only, and is empty exactly when there is no leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionImage {
    /// Brokers that hold it, the preferred leader first; while it is reassigned, the target ones
    /// and behind them those that will go.
    pub replicas: Vec<i32>,
    /// Brokers that are in sync.
    pub isr: Vec<i32>,
    /// The leader; -1 is none.
    pub leader: i32,
    /// +1 on each election, of the same leader as well, on each loss of the leader, and when a
    /// replica goes (M5).
    pub leader_epoch: i32,
    /// +1 on each change.
    pub partition_epoch: i32,
    /// Replicas that a reassignment adds; a part of `replicas`.
    #[serde(default)]
    pub adding: Vec<i32>,
    /// Replicas that a reassignment removes; a part of `replicas`.
    #[serde(default)]
    pub removing: Vec<i32>,
    /// Eligible leader replicas: they left the ISR when it was below `min.insync.replicas`, so
    /// nothing was committed without them (KIP-966).
    #[serde(default)]
    pub elr: Vec<i32>,
    /// The last leader, once neither ISR nor ELR have a member (KIP-966).
    #[serde(default)]
    pub last_known_elr: Vec<i32>,
    /// The leader was elected although it may lack acknowledged records; until it changes its ISR.
    #[serde(default)]
    pub recovering: bool,
    /// Replicas that their brokers cannot serve (M19).
    #[serde(default)]
    pub offline: Vec<i32>,
}

impl Image {
    /// The topic of this id.
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<TopicImage>> {
        self.names.get(&id.0).and_then(|name| self.topics.get(name))
    }

    /// A topic whose name differs from `name` only in `.` and `_`, which collide in metric names
    /// (AD-01).
    pub fn colliding_topic(&self, name: &str) -> Option<&str> {
        let wanted = collision_name(name);
        self.topics.keys().find(|other| collision_name(other) == wanted).map(String::as_str)
    }

    /// A partition by its topic's id.
    pub fn partition(&self, of: PartitionId) -> Option<&PartitionImage> {
        self.topic_by_id(of.topic_id)?.partitions.get(usize::try_from(of.index).ok()?)
    }

    /// Whether a broker is registered, not fenced and not shutting down.
    pub fn is_active(&self, node_id: i32) -> bool {
        self.brokers.get(&node_id).is_some_and(BrokerImage::is_active)
    }

    pub(super) fn insert_topic(&mut self, topic: TopicImage) {
        self.names.insert(topic.id.0, topic.name.clone());
        self.topics.insert(topic.name.clone(), Arc::new(topic));
    }

    pub(super) fn remove_topic(&mut self, id: Uuid) -> Option<Arc<TopicImage>> {
        let name = self.names.remove(&id.0)?;
        self.topics.remove(&name)
    }

    /// Restores what is not serialised.
    pub(super) fn reindex(&mut self) {
        self.names = self.topics.values().map(|topic| (topic.id.0, topic.name.clone())).collect();
    }
}

/// The form in which names that differ only in `.` and `_` are equal.
pub fn collision_name(name: &str) -> String {
    name.replace('.', "_")
}

/// Ids as text, as Kafka prints them.
pub(super) mod uuid_text {
    use ottla_protocol::Uuid;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::quorum) fn serialize<S: Serializer>(
        id: &Uuid,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(in crate::quorum) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Uuid, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| Error::custom(format!("'{text}' is not an id")))
    }
}

/// Several of them.
pub(super) mod uuid_list {
    use ottla_protocol::Uuid;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::quorum) fn serialize<S: Serializer>(
        ids: &[Uuid],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ids.iter().map(ToString::to_string))
    }

    pub(in crate::quorum) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Uuid>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let parse = |text: String| {
            text.parse().map_err(|_| Error::custom(format!("'{text}' is not an id")))
        };
        texts.into_iter().map(parse).collect()
    }
}
