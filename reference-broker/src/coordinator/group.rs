//! A classic group: its members, its generation, its state. No timers and no log in here; what
//! happens to a group over time is in [`shard`](super::shard).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ottla_protocol::messages::consumer_offsets::GroupMetadataValue;
use ottla_protocol::messages::consumer_protocol::ConsumerProtocolSubscription;
use ottla_protocol::{ErrorCode, Message};

use super::record::StoredMember;
use super::types::{AppendId, JoinMember, JoinReply, Protocol, RequestId};

/// The states of a classic group. The arrows: a first member takes Empty to `PreparingRebalance`;
/// when all have joined, or the time is up, to `CompletingRebalance`, or to Empty if nobody is
/// left; the leader's assignment, once committed, to Stable; a member that comes, goes or changes
/// takes the last two back to `PreparingRebalance`. An Empty group that is being deleted is Dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    Dead,
}

impl State {
    /// The name as Kafka writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// A member of a group.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout_ms: i32,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) assignment: Bytes,
    /// The JoinGroup that waits for the join phase to end.
    pub(crate) awaiting_join: Option<RequestId>,
    /// The SyncGroup that waits for the leader's assignment.
    pub(crate) awaiting_sync: Option<RequestId>,
    /// True until the member's first join phase ends: its wait is then bounded by a timer of its
    /// own, since its client may have given up without a member id to leave with.
    pub(crate) is_new: bool,
    /// The order of arrival, by which a leader is found.
    pub(crate) arrival: u64,
}

impl Member {
    /// What the member said about itself under `protocol`.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    /// While the member's own request is held here it cannot be asked for heartbeats as well.
    pub(crate) fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }
}

/// A classic group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) state: State,
    pub(crate) previous_state: State,
    /// When the state was entered, in milliseconds since the Unix epoch; -1 if unknown.
    pub(crate) state_timestamp_ms: i64,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol_name: Option<String>,
    pub(crate) leader: Option<String>,
    pub(crate) members: BTreeMap<String, Member>,
    /// Member id by `group.instance.id`.
    pub(crate) static_members: BTreeMap<String, String>,
    /// Ids that were given out (KIP-394) and have not joined yet.
    pub(crate) pending_join: BTreeSet<String>,
    /// Members of this generation that have not synced yet.
    pub(crate) pending_sync: BTreeSet<String>,
    /// Whether a member came during the initial delay, which then is extended.
    pub(crate) new_member_added: bool,
    /// What is left of the initial delay's longest extension: (of this round, after it), in ms.
    pub(crate) initial_delay_ms: Option<(i64, i64)>,
    /// The append of this generation's assignment, while it is under way.
    pub(crate) assignment_append: Option<AppendId>,
    arrivals: u64,
}

impl Group {
    pub(crate) fn new(id: &str, wall_ms: i64) -> Self {
        Self {
            id: id.to_owned(),
            state: State::Empty,
            previous_state: State::Dead,
            state_timestamp_ms: wall_ms,
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_join: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            new_member_added: false,
            initial_delay_ms: None,
            assignment_append: None,
            arrivals: 0,
        }
    }

    /// The group as a record of the log tells it: Stable, or Empty without members.
    pub(crate) fn from_record(id: &str, value: GroupMetadataValue) -> Self {
        let mut group = Self::new(id, value.current_state_timestamp);
        let protocol = value.protocol.clone().unwrap_or_default();
        group.generation = value.generation;
        group.protocol_type = Some(value.protocol_type).filter(|kind| !kind.is_empty());
        group.protocol_name = value.protocol;
        group.leader = value.leader;
        for stored in value.members {
            let rebalance_timeout_ms = match stored.rebalance_timeout {
                -1 => stored.session_timeout,
                timeout => timeout,
            };
            let member = Member {
                instance_id: stored.group_instance_id,
                client_id: stored.client_id,
                client_host: stored.client_host,
                session_timeout_ms: stored.session_timeout,
                rebalance_timeout_ms,
                protocols: vec![(protocol.clone(), stored.subscription)],
                assignment: stored.assignment,
                awaiting_join: None,
                awaiting_sync: None,
                is_new: false,
                arrival: 0,
            };
            group.insert(stored.member_id, member);
        }
        if !group.members.is_empty() {
            group.state = State::Stable;
        }
        group
    }

    /// What is stored for this generation, with `assignment` as the members' shares.
    pub(crate) fn to_record(&self, assignment: &BTreeMap<String, Bytes>) -> GroupMetadataValue {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let stored = |(id, member): (&String, &Member)| StoredMember {
            member_id: id.clone(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: member.session_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: assignment.get(id).cloned().unwrap_or_default(),
            ..StoredMember::default()
        };
        GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol_name.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.state_timestamp_ms,
            members: self.members.iter().map(stored).collect(),
            ..GroupMetadataValue::default()
        }
    }

    /// The members' shares as they are.
    pub(crate) fn assignment(&self) -> BTreeMap<String, Bytes> {
        self.members.iter().map(|(id, member)| (id.clone(), member.assignment.clone())).collect()
    }

    pub(crate) fn enter(&mut self, state: State, wall_ms: i64) {
        self.previous_state = self.state;
        self.state = state;
        self.state_timestamp_ms = wall_ms;
    }

    pub(crate) fn insert(&mut self, id: String, mut member: Member) {
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), id.clone());
        }
        member.arrival = self.arrivals;
        self.arrivals += 1;
        self.leader.get_or_insert_with(|| id.clone());
        self.pending_join.remove(&id);
        self.members.insert(id, member);
    }

    /// Takes a member, or a promised id, out; the longest-standing of the rest leads if it led.
    pub(crate) fn remove(&mut self, id: &str) -> Option<Member> {
        let removed = self.members.remove(id);
        if let Some(instance_id) = removed.as_ref().and_then(|member| member.instance_id.as_ref()) {
            self.static_members.remove(instance_id);
        }
        if self.leader.as_deref() == Some(id) {
            let next = self.members.iter().min_by_key(|(_, member)| member.arrival);
            self.leader = next.map(|(id, _)| id.clone());
        }
        self.pending_join.remove(id);
        self.pending_sync.remove(id);
        removed
    }

    pub(crate) fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    /// Who may speak as `member_id`: 25 for strangers, 82 for a static member that was replaced.
    pub(crate) fn validate_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(current) if current != member_id => {
                    return Err(ErrorCode::FencedInstanceId);
                }
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// Whether a member with these protocols has one in common with all others (CG-04).
    pub(crate) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|(name, _)| self.all_support(name))
    }

    fn all_support(&self, name: &str) -> bool {
        self.members.values().all(|member| member.protocols.iter().any(|(own, _)| own == name))
    }

    /// Each member votes for the first of its protocols that all have; the most votes win, and of
    /// equals the one that the longest-standing member likes best (CG-05).
    pub(crate) fn select_protocol(&self) -> Option<String> {
        let first = self.members.values().min_by_key(|member| member.arrival)?;
        let names = first.protocols.iter().map(|(name, _)| name.as_str());
        let candidates: Vec<&str> = names.filter(|name| self.all_support(name)).collect();
        let mut votes = vec![0usize; candidates.len()];
        for member in self.members.values() {
            let mut preferred = member.protocols.iter();
            if let Some(choice) = preferred
                .find_map(|(name, _)| candidates.iter().position(|candidate| candidate == name))
            {
                votes[choice] += 1;
            }
        }
        let most = votes.iter().max()?;
        let winner = votes.iter().position(|count| count == most)?;
        Some(candidates[winner].to_owned())
    }

    pub(crate) fn awaiting_join_count(&self) -> usize {
        self.members.values().filter(|member| member.awaiting_join.is_some()).count()
    }

    pub(crate) fn all_joined(&self) -> bool {
        self.pending_join.is_empty()
            && self.members.values().all(|member| member.awaiting_join.is_some())
    }

    /// The longest time that any member grants to a rebalance.
    pub(crate) fn rebalance_timeout_ms(&self) -> i64 {
        let timeouts = self.members.values().map(|member| i64::from(member.rebalance_timeout_ms));
        timeouts.max().unwrap_or(0).max(0)
    }

    /// A leader that has not joined loses its place to the longest-standing of those who have.
    /// False if nobody has.
    pub(crate) fn elect_joined_leader(&mut self) -> bool {
        let joined = |member: &Member| member.awaiting_join.is_some();
        let Some(leader) = &self.leader else { return false };
        if self.members.get(leader).is_some_and(joined) {
            return true;
        }
        let candidates = self.members.iter().filter(|(_, member)| joined(member));
        match candidates.min_by_key(|(_, member)| member.arrival) {
            Some((id, _)) => {
                self.leader = Some(id.clone());
                true
            }
            None => false,
        }
    }

    /// Starts the next generation with the members that are there.
    pub(crate) fn init_next_generation(&mut self, wall_ms: i64) {
        self.generation = self.generation.checked_add(1).unwrap_or(0);
        self.assignment_append = None;
        self.pending_sync.clear();
        self.protocol_name = self.select_protocol();
        let next = if self.members.is_empty() { State::Empty } else { State::CompletingRebalance };
        self.enter(next, wall_ms);
    }

    /// The members under the group's protocol, as its leader sees them.
    pub(crate) fn join_members(&self) -> Vec<JoinMember> {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let member = |(id, member): (&String, &Member)| JoinMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        };
        self.members.iter().map(member).collect()
    }

    /// What a member of this generation is told; only the leader gets the member list (CG-06).
    pub(crate) fn join_reply(&self, member_id: &str) -> JoinReply {
        let lead = self.is_leader(member_id);
        JoinReply {
            error: ErrorCode::None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: if lead { self.join_members() } else { Vec::new() },
        }
    }

    /// Whether offsets of `topic` are in use, so that they do not expire: known for consumers only.
    pub(crate) fn subscribes_to(&self, topic: &str) -> bool {
        if self.protocol_type.as_deref() != Some("consumer") {
            return false;
        }
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        self.members.values().any(|member| {
            // What cannot be read may name the topic.
            subscribed_topics(&member.metadata(protocol))
                .is_none_or(|topics| topics.iter().any(|name| name == topic))
        })
    }
}

/// The topics of a consumer's metadata; none if it is not readable.
fn subscribed_topics(metadata: &Bytes) -> Option<Vec<String>> {
    let version = i16::from_be_bytes(*metadata.first_chunk::<2>()?).clamp(0, 3);
    let (subscription, _) =
        ConsumerProtocolSubscription::decode_prefix(metadata, 2, version).ok()?;
    Some(subscription.topics)
}
