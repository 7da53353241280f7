//! What can be asked of the metadata state machine, and its answers.

use std::collections::BTreeMap;

use ottla_protocol::{ErrorCode, Uuid};
use serde::{Deserialize, Serialize};

use super::image::uuid_text;

/// A change of the cluster's metadata.
///
/// The variants and their fields are a file format: fields may be added with `#[serde(default)]`,
/// never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A broker has started. Every start is a new incarnation (M2): it gets a broker epoch of its
    /// own, and the partitions that it leads a new leader epoch (M5).
    RegisterBroker {
        /// Its id.
        node_id: i32,
        /// Made anew at each start.
        #[serde(with = "uuid_text")]
        incarnation: Uuid,
        /// Where clients reach it.
        host: String,
        /// Where clients reach it.
        port: u16,
        /// Its rack.
        rack: Option<String>,
    },
    /// A new topic with replicas for each of its partitions.
    CreateTopic {
        /// The name, already checked against the name rules.
        name: String,
        /// Chosen by the proposer.
        #[serde(with = "uuid_text")]
        id: Uuid,
        /// For each partition its replicas, the preferred leader first.
        replicas: Vec<Vec<i32>>,
        /// The topic's own settings.
        configs: BTreeMap<String, String>,
    },
    /// The topic of this id goes; one that was re-created under the same name stays.
    DeleteTopic {
        /// The topic's id.
        #[serde(with = "uuid_text")]
        id: Uuid,
    },
    /// More partitions for a topic.
    CreatePartitions {
        /// The topic's id.
        #[serde(with = "uuid_text")]
        id: Uuid,
        /// How many partitions the proposer saw.
        expected_count: usize,
        /// Replicas of the new partitions.
        replicas: Vec<Vec<i32>>,
    },
    /// Settings of a topic or of brokers; none removes a setting.
    AlterConfigs {
        /// Whose settings.
        resource: ConfigResource,
        /// The settings that the proposer saw, so that an APPEND is not made on a stale base.
        expected: BTreeMap<String, String>,
        /// The settings afterwards.
        configs: BTreeMap<String, String>,
    },
    /// A block of [`super::PRODUCER_ID_BLOCK_LEN`] producer ids for a broker (M10).
    AllocateProducerIds {
        /// The broker that asks.
        node_id: i32,
        /// Its epoch; a former incarnation gets nothing.
        broker_epoch: i64,
    },
}

/// Whose configuration is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConfigResource {
    /// A topic by name.
    Topic(String),
    /// One broker.
    Broker(i32),
    /// All brokers (the empty resource name).
    DefaultBroker,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Applied.
    Done,
    /// Applied; the incarnation's broker epoch.
    BrokerEpoch(i64),
    /// Applied; the first id of the block.
    ProducerIds(i64),
    /// Not applied, the state is unchanged.
    Rejected(Rejection),
}

/// Why a command was not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The code for the client.
    pub code: ErrorCode,
    /// The text for the client.
    pub message: String,
}

impl Outcome {
    /// A refusal.
    pub(super) fn rejected(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Rejected(Rejection { code, message: message.into() })
    }
}
