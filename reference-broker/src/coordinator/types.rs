//! What goes into and comes out of a [`Shard`](super::shard::Shard): requests and replies
//! without any version of the wire format in them. The handlers translate.

use bytes::Bytes;
use ottla_protocol::{ErrorCode, Uuid};

use super::record::{CommittedOffset, Record};

/// Names a request whose reply comes later; given by the caller, unique per shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names an append that the shard has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendId(pub u64);

/// What a shard asks of its driver.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Answer this request.
    Reply {
        /// The request.
        id: RequestId,
        /// Its answer.
        reply: Reply,
    },
    /// Append these records as one batch, in the order in which appends are asked for, and report
    /// with `handle_append_done` when they are at or below the high watermark, or cannot be.
    Append {
        /// How to name it in the report.
        id: AppendId,
        /// The leader epoch under which it is asked for: another one must refuse it (M16).
        leader_epoch: i32,
        /// The records; never empty.
        records: Vec<Record>,
    },
}

/// An answer, by the request that it answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To JoinGroup.
    Join(JoinReply),
    /// To SyncGroup.
    Sync(SyncReply),
    /// To Heartbeat.
    Heartbeat(ErrorCode),
    /// To LeaveGroup: per member in request order, or one error for all.
    Leave(Result<Vec<LeaveResult>, ErrorCode>),
    /// To OffsetCommit and OffsetDelete: per topic and partition in request order, or one error for
    /// all.
    Commit(Result<Vec<CommitResult>, ErrorCode>),
    /// To DeleteGroups: per group in request order.
    Delete(Vec<(String, ErrorCode)>),
}

/// A protocol that a member offers, with its subscription or the like.
pub type Protocol = (String, Bytes);

/// A JoinGroup request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JoinRequest {
    /// The group.
    pub group_id: String,
    /// The member id, empty for a member that has none yet.
    pub member_id: String,
    /// `group.instance.id` of a static member (KIP-345).
    pub instance_id: Option<String>,
    /// The client's id from the request header.
    pub client_id: String,
    /// The client's address, as Kafka writes it: `/127.0.0.1`.
    pub client_host: String,
    /// `consumer` for consumers, `connect` for Connect workers.
    pub protocol_type: String,
    /// What the member can do, best first.
    pub protocols: Vec<Protocol>,
    /// Milliseconds without a heartbeat after which the member is dead.
    pub session_timeout_ms: i32,
    /// Milliseconds that the group waits for this member in a rebalance.
    pub rebalance_timeout_ms: i32,
    /// Why the member joins (KIP-800), for the log.
    pub reason: Option<String>,
    /// What makes a new member id unique, from a source of randomness outside.
    pub new_id_suffix: String,
    /// True from version 4: a new member first gets its id and joins again with it (KIP-394).
    pub requires_known_member_id: bool,
    /// True from version 9: a static leader that returns may be told to skip (KIP-814).
    pub supports_skipping_assignment: bool,
}

/// The answer to a JoinGroup request.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinReply {
    /// What went wrong.
    pub error: ErrorCode,
    /// The generation that the member is in, -1 after an error.
    pub generation: i32,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The protocol that won the vote.
    pub protocol_name: Option<String>,
    /// The leader's member id.
    pub leader: String,
    /// Whether the leader must leave the assignment as it is (KIP-814).
    pub skip_assignment: bool,
    /// The member's id.
    pub member_id: String,
    /// All members, for the leader alone (CG-06).
    pub members: Vec<JoinMember>,
}

impl JoinReply {
    /// The answer that carries nothing but an error.
    #[must_use]
    pub fn error(member_id: &str, error: ErrorCode) -> Self {
        Self {
            error,
            generation: -1,
            protocol_type: None,
            protocol_name: None,
            leader: String::new(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: Vec::new(),
        }
    }
}

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinMember {
    /// Its id.
    pub member_id: String,
    /// Its `group.instance.id`.
    pub instance_id: Option<String>,
    /// What it said about itself under the chosen protocol.
    pub metadata: Bytes,
}

/// A SyncGroup request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SyncRequest {
    /// The group.
    pub group_id: String,
    /// Who syncs.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<String>,
    /// The generation that the member was told.
    pub generation: i32,
    /// The protocol type as the member knows it (KIP-559).
    pub protocol_type: Option<String>,
    /// The protocol as the member knows it (KIP-559).
    pub protocol_name: Option<String>,
    /// The assignment by member id; only the leader's counts.
    pub assignments: Vec<(String, Bytes)>,
}

/// The answer to a SyncGroup request.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncReply {
    /// What went wrong.
    pub error: ErrorCode,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The group's protocol.
    pub protocol_name: Option<String>,
    /// The member's share.
    pub assignment: Bytes,
}

impl SyncReply {
    /// The answer that carries nothing but an error.
    #[must_use]
    pub fn error(error: ErrorCode) -> Self {
        Self { error, protocol_type: None, protocol_name: None, assignment: Bytes::new() }
    }
}

/// A Heartbeat request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeartbeatRequest {
    /// The group.
    pub group_id: String,
    /// Who is alive.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<String>,
    /// The generation that the member believes in.
    pub generation: i32,
}

/// A LeaveGroup request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeaveRequest {
    /// The group.
    pub group_id: String,
    /// Who leaves (one before version 3).
    pub members: Vec<LeavingMember>,
}

/// One of those who leave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeavingMember {
    /// Its id, or empty to put out a static member by `instance_id`.
    pub member_id: String,
    /// Its `group.instance.id`.
    pub instance_id: Option<String>,
}

/// How one member's leaving ended.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaveResult {
    /// As in the request.
    pub member_id: String,
    /// As in the request.
    pub instance_id: Option<String>,
    /// 0, 25 or 82.
    pub error: ErrorCode,
}

/// An OffsetCommit request, its topics known to exist.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitRequest {
    /// The group.
    pub group_id: String,
    /// Who commits, empty outside of group management.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<String>,
    /// The member's generation, negative outside of group management.
    pub generation: i32,
    /// What to say where a generation is given for a group that does not exist: 22 up to version
    /// 8, 69 from version 9 (OC-04).
    pub missing_group_error: ErrorCode,
    /// Milliseconds for which this commit is kept, where the request says so (versions 2 to 4).
    pub retention_ms: Option<i64>,
    /// What is committed.
    pub topics: Vec<CommitTopic>,
}

/// A topic of an OffsetCommit request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommitTopic {
    /// Its name.
    pub name: String,
    /// Its id, zero where the request has none.
    pub topic_id: Uuid,
    /// Its partitions.
    pub partitions: Vec<CommitPartition>,
}

/// A partition of an OffsetCommit request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommitPartition {
    /// Its number.
    pub index: i32,
    /// The offset from which the group goes on.
    pub offset: i64,
    /// The leader epoch of the last record before that, -1 if unknown.
    pub leader_epoch: i32,
    /// The client's own note.
    pub metadata: String,
}

/// How the commit of one partition ended.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitResult {
    /// Index into the request's topics.
    pub topic: usize,
    /// The partition.
    pub partition: i32,
    /// 0 or 12; 86 from OffsetDelete.
    pub error: ErrorCode,
}

/// What a group has committed for a topic: its name, and the offsets by partition.
pub type CommittedOffsets = (String, Vec<(i32, CommittedOffset)>);

/// A member in a description.
#[derive(Clone, Debug, PartialEq)]
pub struct DescribedMember {
    /// Its id.
    pub member_id: String,
    /// Its `group.instance.id`.
    pub instance_id: Option<String>,
    /// The client's id.
    pub client_id: String,
    /// The client's address.
    pub client_host: String,
    /// Its metadata under the group's protocol; empty unless the group is stable.
    pub metadata: Bytes,
    /// Its share: the last that it was given, until the next assignment is made.
    pub assignment: Bytes,
}

/// A group in a description.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The state's name as Kafka writes it.
    pub state: &'static str,
    /// The protocol type, empty if the group has none.
    pub protocol_type: String,
    /// The protocol, empty unless the group is stable.
    pub protocol_name: String,
    /// The members.
    pub members: Vec<DescribedMember>,
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The group.
    pub group_id: String,
    /// The protocol type, empty for a group that only commits.
    pub protocol_type: String,
    /// The state's name as Kafka writes it.
    pub state: &'static str,
}
