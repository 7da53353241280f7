//! The state that the commands make: topics, brokers, settings, producer ids.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::Uuid;
use serde::{Deserialize, Serialize};

/// The cluster's metadata after some command. A clone is cheap: topics are shared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Index of the last applied command; the first command has index 1.
    pub applied: u64,
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

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionImage {
    /// Brokers that hold it, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Brokers that are in sync.
    pub isr: Vec<i32>,
    /// The leader.
    pub leader: i32,
    /// +1 on each change of leader and on each restart of the leader (M5).
    pub leader_epoch: i32,
    /// +1 on each change.
    pub partition_epoch: i32,
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

/// Topic ids as text, as Kafka prints them.
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
        text.parse().map_err(|_| Error::custom(format!("'{text}' is not a topic id")))
    }
}
