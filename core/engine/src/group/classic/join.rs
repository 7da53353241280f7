//! The requests of a round: JoinGroup, and SyncGroup with the assignment if this member leads.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_protocol::EncodeError;
use ottla_protocol::messages::Request;
use ottla_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use ottla_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::{JOIN_GROUP_TIMEOUT_LAPSE, Member, MemberOutput, MemberTimer, State};
use crate::error::{Error, ErrorKind};
use crate::group::assignor::{
    Assignor, PartitionCounts, Subscriber, cooperative_user_data, sticky_user_data,
};
use crate::group::consumer_protocol::{
    PROTOCOL_TYPE, decode_subscription, encode_assignment, encode_subscription,
};
use crate::time::Instant;

impl Member {
    pub(super) fn send_join(&mut self, now: Instant) {
        // The JoinGroup is itself a sign of life; a heartbeat behind it would only wait.
        self.timers.stop(MemberTimer::Heartbeat);
        self.timers.stop(MemberTimer::Session);
        self.timers.stop(MemberTimer::Rejoin);
        self.heartbeat = None;
        self.rejoin_after = None;
        let protocols = match self.protocols() {
            Ok(protocols) => protocols,
            Err(error) => return self.fail(Error::new(ErrorKind::Invalid, error.to_string())),
        };
        let request = Request::JoinGroup(Box::new(JoinGroupRequest {
            group_id: self.config.group_id.clone(),
            session_timeout_ms: millis(self.config.session_timeout),
            rebalance_timeout_ms: millis(self.config.max_poll_interval),
            member_id: self.member_id.clone(),
            group_instance_id: self.config.instance_id.clone(),
            protocol_type: PROTOCOL_TYPE.to_string(),
            protocols,
            reason: Some(self.join_reason.clone()),
            ..Default::default()
        }));
        let id = self.call(request, self.config.max_poll_interval + JOIN_GROUP_TIMEOUT_LAPSE);
        self.state = State::Joining(id);
        let _ = now;
    }

    fn protocols(&self) -> Result<Vec<JoinGroupRequestProtocol>, EncodeError> {
        let protocol = |assignor: &Assignor| {
            let subscriber = Subscriber {
                topics: self.topics.clone(),
                owned: self.owned.clone(),
                generation: self.generation,
                user_data: match assignor {
                    Assignor::Sticky if self.last.1 >= 0 => {
                        Some(sticky_user_data(&self.last.0, self.last.1))
                    }
                    Assignor::CooperativeSticky => Some(cooperative_user_data(self.generation)),
                    _ => None,
                },
                ..Subscriber::default()
            };
            Ok(JoinGroupRequestProtocol {
                name: assignor.name().to_string(),
                metadata: encode_subscription(&subscriber)?,
                ..Default::default()
            })
        };
        self.config.assignors.iter().map(protocol).collect()
    }

    /// The coordinator has closed the round: go on to SyncGroup, by way of the assignment if this
    /// member leads.
    pub(super) fn on_joined(&mut self, now: Instant, response: JoinGroupResponse) {
        self.generation = response.generation_id;
        self.member_id = response.member_id;
        self.failures = 0;
        self.led_counts = None;
        // From here on the coordinator expects heartbeats again.
        self.timers.set(MemberTimer::Session, now + self.config.session_timeout);
        self.timers.set(MemberTimer::Heartbeat, now + self.config.heartbeat_interval);
        let name = response.protocol_name.unwrap_or_default();
        let Some(assignor) = self.config.assignors.iter().find(|a| a.name() == name).copied()
        else {
            return self.fail(Error::new(
                ErrorKind::Protocol,
                format!(
                    "the coordinator of group {} chose the assignor '{name}', which this member \
                     did not offer",
                    self.config.group_id
                ),
            ));
        };
        self.assignor = assignor;
        if response.leader != self.member_id || response.skip_assignment {
            return self.send_sync(Vec::new());
        }
        let mut members = Vec::with_capacity(response.members.len());
        for member in response.members {
            let id = member.member_id;
            match decode_subscription(id.clone(), member.group_instance_id, &member.metadata) {
                Ok(subscriber) => members.push(subscriber),
                Err(error) => {
                    // One member that cannot be read must not stop the others: it gets nothing.
                    let unreadable = Subscriber { member_id: id, ..Subscriber::default() };
                    members.push(unreadable);
                    let _ = error;
                }
            }
        }
        let topics: BTreeSet<Arc<str>> =
            members.iter().flat_map(|m| m.topics.iter().cloned()).collect();
        self.state = State::Assigning { assignor, members };
        self.outputs.push_back(MemberOutput::WantTopics(topics.into_iter().collect()));
    }

    /// The partition counts of the topics that the group subscribes to, as the metadata has them.
    ///
    /// A leader that waits for them assigns; one that finds others than it assigned by rejoins,
    /// so that new partitions and topics get an owner. Topics that do not exist are left out.
    pub fn handle_topics(&mut self, now: Instant, counts: &PartitionCounts) {
        match &mut self.state {
            State::Assigning { assignor, members } => {
                let (assignor, members) = (*assignor, std::mem::take(members));
                self.assign(assignor, &members, counts);
            }
            State::Stable if self.led_counts.as_ref().is_some_and(|led| led != counts) => {
                self.rejoin(now, "topics or partitions were added or removed");
            }
            _ => {}
        }
    }

    /// Whether this member leads and waits for [`Member::handle_topics`].
    pub fn is_assigning(&self) -> bool {
        matches!(self.state, State::Assigning { .. })
    }

    /// Whether this member leads the present generation, and so has to watch the topics.
    pub fn leads(&self) -> bool {
        self.led_counts.is_some()
    }

    fn assign(&mut self, assignor: Assignor, members: &[Subscriber], counts: &PartitionCounts) {
        self.led_counts = Some(counts.clone());
        let mut assignments = Vec::with_capacity(members.len());
        for (member_id, partitions) in assignor.assign(members, counts) {
            match encode_assignment(&partitions) {
                Ok(assignment) => assignments.push(SyncGroupRequestAssignment {
                    member_id,
                    assignment,
                    ..Default::default()
                }),
                Err(error) => {
                    return self.fail(Error::new(ErrorKind::Invalid, error.to_string()));
                }
            }
        }
        self.send_sync(assignments);
    }

    fn send_sync(&mut self, assignments: Vec<SyncGroupRequestAssignment>) {
        let request = Request::SyncGroup(Box::new(SyncGroupRequest {
            group_id: self.config.group_id.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.config.instance_id.clone(),
            protocol_type: Some(PROTOCOL_TYPE.to_string()),
            protocol_name: Some(self.assignor.name().to_string()),
            assignments,
            ..Default::default()
        }));
        // Answered when the leader has sent its own, within the rebalance timeout.
        let id = self.call(request, self.config.max_poll_interval + JOIN_GROUP_TIMEOUT_LAPSE);
        self.state = State::Syncing(id);
    }
}

fn millis(duration: std::time::Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
