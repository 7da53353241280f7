//! What can be asked of the metadata state machine, and its answers.

use std::collections::BTreeMap;

use ottla_protocol::{ErrorCode, Uuid};
use serde::{Deserialize, Serialize};

use super::image::{uuid_list, uuid_text};

/// A change of the cluster's metadata. Each is idempotent, or carries what its proposer believed
/// and is refused when that is no longer so (M1).
///
/// The variants and their fields are a file format: fields may be added with `#[serde(default)]`,
/// never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A broker has started. Every start is a new incarnation (M2): it gets a broker epoch of its
    /// own, is fenced, is out of every ISR, and what it led gets another leader (M5). The same
    /// incarnation registered again keeps its epoch.
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
        /// The cluster that its data folder belongs to; empty if it does not know.
        #[serde(default)]
        cluster_id: String,
        /// Where other nodes reach it.
        #[serde(default)]
        internal_host: String,
        /// Where other nodes reach it.
        #[serde(default)]
        internal_port: u16,
        /// Its data folder's id: with another one it has lost what it had (M15).
        #[serde(default, with = "uuid_text")]
        directory: Uuid,
        /// Ids of its log directories.
        #[serde(default, with = "uuid_list")]
        log_dirs: Vec<Uuid>,
        /// Its logs hold all that it ever acknowledged: it was shut down cleanly, or the kernel
        /// has not been started since (M11).
        #[serde(default)]
        tail_intact: bool,
        /// Not all of its log dirs are those that it had: one does not work, or is new and empty.
        #[serde(default)]
        log_dir_lost: bool,
        /// `log.flush.interval.messages` is 1 in its file: what it acknowledged was on disk (M12),
        /// in topics that do not say otherwise.
        #[serde(default)]
        flushes_before_ack: bool,
        /// `min.insync.replicas` of its file; 0 if it does not say.
        #[serde(default)]
        min_in_sync: usize,
    },
    /// A broker was not heard of for its session: it leaves every ISR and leads nothing (M4).
    FenceBroker {
        /// Its id.
        node_id: i32,
        /// The incarnation that was not heard of.
        broker_epoch: i64,
    },
    /// A broker has caught up with the metadata and may lead (M13).
    UnfenceBroker {
        /// Its id.
        node_id: i32,
        /// The incarnation that has caught up.
        broker_epoch: i64,
    },
    /// A broker wants to end: it leaves every ISR and its leaderships go to others.
    BeginControlledShutdown {
        /// Its id.
        node_id: i32,
        /// The incarnation that ends.
        broker_epoch: i64,
    },
    /// Log directories of a broker have failed; without any it is fenced. The broker itself
    /// resigns from the partitions that were in them.
    FailLogDirs {
        /// Its id.
        node_id: i32,
        /// The incarnation that says so.
        broker_epoch: i64,
        /// The ids of the directories.
        #[serde(with = "uuid_list")]
        log_dirs: Vec<Uuid>,
    },
    /// A broker will not come back. Partitions that name it as a replica go on naming it.
    UnregisterBroker {
        /// Its id.
        node_id: i32,
    },
    /// A node has become the active controller. Its controller epoch is the index of this command.
    ControllerElected {
        /// Its id.
        node_id: i32,
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
    /// A leader changes the ISR of its partition (M3).
    AlterPartition {
        /// The topic's id.
        #[serde(with = "uuid_text")]
        topic_id: Uuid,
        /// The partition.
        index: i32,
        /// The broker that asks.
        leader: i32,
        /// The epoch under which it leads.
        leader_epoch: i32,
        /// The partition epoch that it saw.
        partition_epoch: i32,
        /// Its own epoch.
        broker_epoch: i64,
        /// The new members, each with the broker epoch under which it has caught up (KIP-903).
        isr: Vec<(i32, i64)>,
    },
    /// The same for several partitions that one broker leads, as when a follower comes back to
    /// thousands of them. Answered with [`Outcome::Partitions`].
    AlterPartitions {
        /// The broker that asks.
        leader: i32,
        /// Its own epoch.
        broker_epoch: i64,
        /// What it asks for.
        changes: Vec<IsrChange>,
    },
    /// Other leaders for some partitions, answered with [`Outcome::Partitions`].
    ElectLeaders {
        /// How they are chosen.
        election: Election,
        /// The partitions.
        partitions: Vec<PartitionId>,
    },
    /// A broker cannot serve its replica, whose log is damaged or on a failed disk (M19): it
    /// leaves the ISR, leads no more, and is not elected before it has caught up or is started
    /// again.
    ResignLeadership {
        /// The topic's id.
        #[serde(with = "uuid_text")]
        topic_id: Uuid,
        /// The partition.
        index: i32,
        /// The broker that resigns.
        node_id: i32,
        /// Its epoch.
        broker_epoch: i64,
    },
    /// Other replicas for some partitions, or the former ones again (M21). Answered with
    /// [`Outcome::Partitions`].
    AlterPartitionReassignments {
        /// Whether the number of replicas may change (KIP-860).
        allow_replication_factor_change: bool,
        /// What to change.
        reassignments: Vec<Reassignment>,
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
    /// The finalised features; a level of 0 takes one away.
    UpdateFeatures {
        /// The levels that the proposer saw.
        expected: BTreeMap<String, i16>,
        /// The levels afterwards.
        features: BTreeMap<String, i16>,
    },
    /// A block of [`super::PRODUCER_ID_BLOCK_LEN`] producer ids for a broker (M10).
    AllocateProducerIds {
        /// The broker that asks.
        node_id: i32,
        /// Its epoch; a former incarnation gets nothing.
        broker_epoch: i64,
    },
}

/// A partition by its topic's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartitionId {
    /// The topic's id.
    #[serde(with = "uuid_text")]
    pub topic_id: Uuid,
    /// The partition.
    pub index: i32,
}

/// A partition's ISR to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsrChange {
    /// The partition.
    pub partition: PartitionId,
    /// The epoch under which its leader leads.
    pub leader_epoch: i32,
    /// The partition epoch that its leader saw.
    pub partition_epoch: i32,
    /// The new members, each with the broker epoch under which it has caught up (KIP-903).
    pub isr: Vec<(i32, i64)>,
}

/// How a leader is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Election {
    /// The first replica, if it is in sync.
    Preferred,
    /// Any live replica if none is in sync: acknowledged records may be lost.
    Unclean,
}

/// A partition's replicas to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reassignment {
    /// The partition.
    pub partition: PartitionId,
    /// The target, the preferred leader first; none cancels what is under way.
    pub replicas: Option<Vec<i32>>,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Applied.
    Done,
    /// Applied; the incarnation's broker epoch.
    BrokerEpoch(i64),
    /// Applied; the first id of the block.
    ProducerIds(i64),
    /// For each partition, in the order of the command: applied, or why not.
    Partitions(Vec<Option<Rejection>>),
    /// Not applied, the state is unchanged.
    Rejected(Rejection),
}

/// Why a command was not applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The code for the client.
    #[serde(with = "code_number")]
    pub code: ErrorCode,
    /// The text for the client.
    pub message: String,
}

impl Rejection {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<Result<(), Rejection>> for Outcome {
    fn from(result: Result<(), Rejection>) -> Self {
        result.map_or_else(Self::Rejected, |()| Self::Done)
    }
}

/// Error codes as their numbers.
mod code_number {
    use ottla_protocol::ErrorCode;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        code: &ErrorCode,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_i16(code.code())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ErrorCode, D::Error> {
        let code = i16::deserialize(deserializer)?;
        ErrorCode::from_code(code)
            .ok_or_else(|| Error::custom(format!("{code} is not an error code")))
    }
}
