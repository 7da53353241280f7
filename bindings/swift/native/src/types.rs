//! Plain values of consumer and admin, as Swift sees them.

use std::collections::HashMap;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Record)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: String,
    /// The partition's number, from 0.
    pub partition: i32,
}

/// An offset of a partition, with what goes with it in a commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Record)]
pub struct CommittedOffset {
    /// The next offset to consume.
    pub offset: i64,
    /// The epoch of the leader that the last consumed record came from, where it is known.
    #[uniffi(default = None)]
    pub leader_epoch: Option<i32>,
    /// A note of the committer's.
    #[uniffi(default = None)]
    pub metadata: Option<String>,
}

/// The place and time of a record that was looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Record)]
pub struct OffsetAndTimestamp {
    /// The record's offset.
    pub offset: i64,
    /// The record's timestamp in milliseconds since 1970.
    pub timestamp: i64,
    /// The leader epoch of the offset, where the broker tells.
    pub leader_epoch: Option<i32>,
}

/// A change of what a consumer has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Enum)]
pub enum RebalanceEvent {
    /// These partitions were added.
    Assigned {
        /// Which.
        partitions: Vec<TopicPartition>,
    },
    /// These partitions were given up, after what was finished had been committed (if
    /// `enable.auto.commit` is on).
    Revoked {
        /// Which.
        partitions: Vec<TopicPartition>,
    },
    /// These partitions were taken away without a chance to commit.
    Lost {
        /// Which.
        partitions: Vec<TopicPartition>,
    },
    /// Records that were consumed are not in the log any more: an unclean election.
    Truncated {
        /// Which.
        partition: TopicPartition,
        /// Where the consumer stood.
        position: i64,
        /// Where the log diverges, if the leader knows.
        end_offset: Option<i64>,
    },
}

/// An offset that `list_offsets` found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Record)]
pub struct ListedOffset {
    /// The offset; -1 where no record is that late.
    pub offset: i64,
    /// The record's timestamp in milliseconds since 1970, where a record was asked for.
    pub timestamp: Option<i64>,
    /// The leader epoch of the offset, where the broker tells.
    pub leader_epoch: Option<i32>,
}

/// Which offset of a partition is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Enum)]
pub enum OffsetSpec {
    /// The first that is there.
    Earliest,
    /// The one that the next record gets.
    Latest,
    /// That of the record with the largest timestamp.
    MaxTimestamp,
    /// That of the first record with this timestamp or a later one.
    Timestamp {
        /// Milliseconds since 1970.
        milliseconds: i64,
    },
}

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; -1: the broker's `num.partitions`.
    #[uniffi(default = -1)]
    pub partitions: i32,
    /// Replicas of each; -1: the broker's `default.replication.factor`.
    #[uniffi(default = -1)]
    pub replication_factor: i16,
    /// Topic configuration, such as `retention.ms`.
    #[uniffi(default)]
    pub configs: HashMap<String, String>,
    /// Which brokers the replicas of each partition stand on, the preferred leader first. Where it
    /// is given, it says how many partitions and replicas there are.
    #[uniffi(default = [])]
    pub assignments: Vec<Vec<i32>>,
}

/// A topic that was created.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Record)]
pub struct CreatedTopic {
    /// Its id; `nil` from brokers before 2.8.
    pub id: Option<String>,
    /// Its partitions, where the broker tells.
    pub partitions: Option<i32>,
    /// Replicas of each, where the broker tells.
    pub replication_factor: Option<i16>,
}

/// A topic in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Record)]
pub struct TopicListing {
    /// Its name.
    pub name: String,
    /// Its id; `nil` from brokers before 2.8.
    pub id: Option<String>,
    /// Whether it is one of the cluster's own, such as `__consumer_offsets`.
    pub is_internal: bool,
}

/// A topic with its partitions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Record)]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// Its id; zeros where the broker is too old to say.
    pub id: String,
    /// Whether it is one of the cluster's own.
    pub is_internal: bool,
    /// By number.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition, its leader and replicas.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Record)]
pub struct PartitionDescription {
    /// Its number.
    pub partition: i32,
    /// The leader's node id; `nil` while there is none.
    pub leader: Option<i32>,
    /// The leader's epoch; -1 where the broker is too old to say.
    pub leader_epoch: i32,
    /// Every replica's node id; the preferred leader first.
    pub replicas: Vec<i32>,
    /// The in-sync replicas.
    pub in_sync_replicas: Vec<i32>,
    /// Replicas that are down.
    pub offline_replicas: Vec<i32>,
}

/// A broker's address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Record)]
pub struct BrokerAddress {
    /// Its node id.
    pub node_id: i32,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Its rack, if it has one.
    pub rack: Option<String>,
}

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Record)]
pub struct ClusterDescription {
    /// The cluster's id.
    pub cluster_id: String,
    /// The node that stands for the controller; `nil` while there is none.
    pub controller_id: Option<i32>,
    /// The brokers that are alive, by node id.
    pub brokers: Vec<BrokerAddress>,
}

/// What a configuration belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Enum)]
pub enum ConfigResource {
    /// A topic.
    Topic {
        /// Its name.
        name: String,
    },
    /// A broker.
    Broker {
        /// Its node id.
        node_id: i32,
    },
}

/// Where a configuration value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Enum)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Set on the broker at run time.
    DynamicBroker,
    /// Set for all brokers at run time.
    DynamicDefaultBroker,
    /// From the broker's file.
    StaticBroker,
    /// Nobody set it.
    Default,
    /// Another one.
    Other {
        /// Its number in the protocol.
        number: i8,
    },
}

/// A configuration value of a topic or broker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Record)]
pub struct ConfigEntry {
    /// Its name, for example `retention.ms`.
    pub name: String,
    /// Its value; `nil` where it is sensitive or unset.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it cannot be changed at run time.
    pub is_read_only: bool,
    /// Whether the broker keeps the value to itself.
    pub is_sensitive: bool,
}

/// A change of a configuration value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Enum)]
pub enum ConfigChange {
    /// Sets it.
    Set {
        /// Which.
        name: String,
        /// To what.
        value: String,
    },
    /// Removes what was set: the default is in force again.
    Delete {
        /// Which.
        name: String,
    },
    /// Adds to a list.
    Append {
        /// Which.
        name: String,
        /// What.
        value: String,
    },
    /// Takes from a list.
    Subtract {
        /// Which.
        name: String,
        /// What.
        value: String,
    },
}

/// A group in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Record)]
pub struct GroupListing {
    /// The group's id.
    pub group_id: String,
    /// `consumer` for consumers; empty for a group that has offsets only.
    pub protocol_type: String,
    /// `Stable`, `Empty`, …; empty from brokers before 2.6.
    pub state: String,
    /// `Classic`, `Consumer`, …; empty from brokers before 3.8.
    pub group_type: String,
}

/// A group with its members.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Record)]
pub struct GroupDescription {
    /// The group's id.
    pub group_id: String,
    /// `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty` or `Dead` (there is none).
    pub state: String,
    /// `consumer` for consumers.
    pub protocol_type: String,
    /// The assignor that was voted for.
    pub assignor: String,
    /// The members.
    pub members: Vec<MemberDescription>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Record)]
pub struct MemberDescription {
    /// The id that the coordinator gave it.
    pub member_id: String,
    /// `group.instance.id`, for a static member.
    pub group_instance_id: Option<String>,
    /// `client.id`.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
    /// Its partitions.
    pub assignment: Vec<TopicPartition>,
}
