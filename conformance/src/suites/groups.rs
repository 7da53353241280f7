//! Members of classic groups, for tests: each on a connection of its own to the coordinator.

use super::common::is_passing;
use crate::context::{Context, Step, error_name, resolve};
use crate::findings::Asserts;
use crate::verdict::Stop;
use crate::wire::{self, Answer, Wire};
use ottla_protocol::Bytes;
use ottla_protocol::messages::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::messages::heartbeat::HeartbeatRequest;
use ottla_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use ottla_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use ottla_protocol::messages::sync_group::{
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};
use ottla_protocol::messages::{
    ApiKey, FindCoordinatorResponse, HeartbeatResponse, LeaveGroupResponse, Request,
};
use std::net::SocketAddr;
use std::time::Duration;

/// Session timeout of members: Apache Kafka's default limits are 6 s and 30 min.
pub(crate) const SESSION_MS: i32 = 10_000;
/// Rebalance timeout of members.
pub(crate) const REBALANCE_MS: i32 = 10_000;

pub(crate) const UNKNOWN_MEMBER_ID: i16 = 25;
pub(crate) const ILLEGAL_GENERATION: i16 = 22;
pub(crate) const REBALANCE_IN_PROGRESS: i16 = 27;
pub(crate) const MEMBER_ID_REQUIRED: i16 = 79;
pub(crate) const FENCED_INSTANCE_ID: i16 = 82;
pub(crate) const INCONSISTENT_GROUP_PROTOCOL: i16 = 23;

/// A group and where its coordinator listens.
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) coordinator: SocketAddr,
}

impl Group {
    /// A group that nobody knows yet.
    ///
    /// # Errors
    ///
    /// BLOCKED where its coordinator is not found.
    pub(crate) fn new(context: &mut Context<'_>) -> Step<Self> {
        let id = context.name();
        let mut wire = context.connect()?;
        let until = context.deadline();
        let version = context.best(ApiKey::FindCoordinator)?;
        loop {
            let answer: FindCoordinatorResponse =
                context.prepare(&mut wire, &find(version, &id, 0))?;
            let (code, host, port) = match answer.coordinators.first() {
                Some(one) => (one.error_code, &one.host, one.port),
                None => (answer.error_code, &answer.host, answer.port),
            };
            if code == 0 {
                let coordinator = resolve(host, port)?;
                return Ok(Self { id, coordinator });
            }
            if !is_passing(code) || std::time::Instant::now() >= until {
                return Err(Stop::blocked(format!("FindCoordinator: {}", error_name(code))));
            }
        }
    }

    /// Another group that nobody knows yet, of the same coordinator.
    ///
    /// # Errors
    ///
    /// BLOCKED where none is found.
    pub(crate) fn beside(&self, context: &mut Context<'_>) -> Step<Self> {
        // Groups go to brokers by a hash of their names.
        for _ in 0..100 {
            let other = Self::new(context)?;
            if other.coordinator == self.coordinator {
                return Ok(other);
            }
        }
        Err(Stop::blocked("of a hundred groups, none has the same coordinator"))
    }

    /// A connection to the coordinator.
    ///
    /// # Errors
    ///
    /// BLOCKED.
    pub(crate) fn connect(&self, context: &mut Context<'_>) -> Step<Wire> {
        context.connect_to(self.coordinator)
    }

    /// Somebody who may join.
    ///
    /// # Errors
    ///
    /// BLOCKED.
    pub(crate) fn member(&self, context: &mut Context<'_>) -> Step<Member> {
        Ok(Member {
            group: self.id.clone(),
            id: String::new(),
            instance: None,
            generation: -1,
            protocols: vec![("range".to_owned(), Bytes::from_static(b"metadata"))],
            // Not "consumer": Apache Kafka 4.3.1 reads the metadata of that type, and where it
            // cannot, never answers the join.
            protocol_type: "conformance".to_owned(),
            session_ms: SESSION_MS,
            rebalance_ms: REBALANCE_MS,
            wire: self.connect(context)?,
        })
    }

    /// A group of one member, stable in its first generation.
    ///
    /// # Errors
    ///
    /// BLOCKED.
    pub(crate) fn of_one(context: &mut Context<'_>) -> Step<(Self, Member)> {
        let group = Self::new(context)?;
        let mut member = group.member(context)?;
        member.settle(context)?;
        Ok((group, member))
    }
}

/// FindCoordinator for one key, in the shape of its version.
pub(crate) fn find(version: i16, key: &str, key_type: i8) -> Request {
    let mut request = FindCoordinatorRequest { key_type, ..Default::default() };
    if version >= 4 {
        request.coordinator_keys = vec![key.to_owned()];
    } else {
        request.key = key.to_owned();
    }
    Request::FindCoordinator(Box::new(request))
}

/// A member, or somebody who wants to be one.
pub(crate) struct Member {
    pub(crate) group: String,
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) generation: i32,
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) protocol_type: String,
    pub(crate) session_ms: i32,
    pub(crate) rebalance_ms: i32,
    pub(crate) wire: Wire,
}

/// Between the heartbeats of a member that waits.
pub(crate) const BEAT: Duration = Duration::from_millis(20);

/// An answer that was asked for and has not been read.
pub(crate) struct Pending {
    api: ApiKey,
    version: i16,
    id: i32,
}

impl Member {
    pub(crate) fn join_request(&self, version: i16) -> Request {
        let protocol = |(name, metadata): &(String, Bytes)| JoinGroupRequestProtocol {
            name: name.clone(),
            metadata: metadata.clone(),
            ..Default::default()
        };
        Request::JoinGroup(Box::new(JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: self.session_ms,
            rebalance_timeout_ms: if version >= 1 { self.rebalance_ms } else { -1 },
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone().filter(|_| version >= 5),
            protocol_type: self.protocol_type.clone(),
            protocols: self.protocols.iter().map(protocol).collect(),
            ..Default::default()
        }))
    }

    pub(crate) fn sync_request(&self, version: i16, assignments: &[(&str, &[u8])]) -> Request {
        let assignment = |(member, bytes): &(&str, &[u8])| SyncGroupRequestAssignment {
            member_id: (*member).to_owned(),
            assignment: Bytes::copy_from_slice(bytes),
            ..Default::default()
        };
        let protocol = self.protocols.first().map(|(name, _)| name.clone());
        Request::SyncGroup(Box::new(SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone().filter(|_| version >= 3),
            protocol_type: (version >= 5).then(|| self.protocol_type.clone()),
            protocol_name: protocol.filter(|_| version >= 5),
            assignments: assignments.iter().map(assignment).collect(),
            ..Default::default()
        }))
    }

    /// Sends a request, for an answer that may be held back.
    ///
    /// # Errors
    ///
    /// BLOCKED where it cannot be sent.
    pub(crate) fn send(&mut self, version: i16, request: &Request) -> Step<Pending> {
        let sent = self.wire.send(version, request);
        let id = sent.map_err(|why| Stop::blocked(why.to_string()))?;
        Ok(Pending { api: request.api_key(), version, id })
    }

    /// The answer to what was sent, within some patience.
    ///
    /// # Errors
    ///
    /// FAIL of the statement.
    pub(crate) fn receive<A: Answer>(
        &mut self,
        context: &mut Context<'_>,
        statement: &'static str,
        pending: &Pending,
    ) -> Step<A> {
        let limit = context.patience() + Duration::from_millis(REBALANCE_MS as u64);
        let frame = self.wire.receive_within(limit);
        let answer = frame
            .and_then(|frame| wire::response(pending.api, pending.version, pending.id, &frame));
        context.answer(statement, answer)
    }

    /// Waits, and nothing must come meanwhile.
    ///
    /// # Errors
    ///
    /// BLOCKED where something comes, or the connection ends.
    pub(crate) fn pause(&mut self, limit: Duration) -> Step {
        match self.wire.receive_within(limit) {
            Err(wire::NoAnswer::Silence(_)) => Ok(()),
            Err(why) => Err(Stop::blocked(why.to_string())),
            Ok(_) => Err(Stop::blocked("an answer came to nothing that was asked")),
        }
    }

    /// Whether an answer to what was sent is held back for at least this long.
    pub(crate) fn is_held(&mut self, for_ms: u64) -> bool {
        let limit = Duration::from_millis(for_ms);
        matches!(self.wire.receive_within(limit), Err(wire::NoAnswer::Silence(_)))
    }

    /// One JoinGroup in the version under test (or the best), and its answer.
    ///
    /// # Errors
    ///
    /// FAIL of the statement where none comes.
    pub(crate) fn join_once(
        &mut self,
        context: &mut Context<'_>,
        statement: &'static str,
    ) -> Step<JoinGroupResponse> {
        let version = context.version_of(ApiKey::JoinGroup)?;
        let until = context.deadline();
        loop {
            let pending = self.send(version, &self.join_request(version))?;
            let answer: JoinGroupResponse = self.receive(context, statement, &pending)?;
            if !is_passing(answer.error_code) {
                return Ok(answer);
            }
            context.must_before(statement, until, || {
                format!("only {} until the deadline", error_name(answer.error_code))
            })?;
        }
    }

    /// Joins: with the member id that is asked for from version 4 on.
    ///
    /// # Errors
    ///
    /// FAIL of the statement where the group does not take the member.
    pub(crate) fn join(
        &mut self,
        context: &mut Context<'_>,
        statement: &'static str,
    ) -> Step<JoinGroupResponse> {
        let mut answer = self.join_once(context, statement)?;
        if answer.error_code == MEMBER_ID_REQUIRED && self.id.is_empty() {
            self.id.clone_from(&answer.member_id);
            answer = self.join_once(context, statement)?;
        }
        let code = answer.error_code;
        context.must(statement, code == 0, || format!("JoinGroup: {}", error_name(code)))?;
        self.take(&answer);
        Ok(answer)
    }

    /// Remembers who it is by an answer.
    pub(crate) fn take(&mut self, answer: &JoinGroupResponse) {
        self.id.clone_from(&answer.member_id);
        self.generation = answer.generation_id;
    }

    /// SyncGroup with these assignments in the version under test (or the best).
    ///
    /// # Errors
    ///
    /// FAIL of the statement where no answer comes.
    pub(crate) fn sync(
        &mut self,
        context: &mut Context<'_>,
        statement: &'static str,
        assignments: &[(&str, &[u8])],
    ) -> Step<SyncGroupResponse> {
        let version = context.version_of(ApiKey::SyncGroup)?;
        let pending = self.send(version, &self.sync_request(version, assignments))?;
        self.receive(context, statement, &pending)
    }

    /// Joins as the only member and assigns to itself.
    ///
    /// # Errors
    ///
    /// BLOCKED: this is on the way of tests, not what they test.
    pub(crate) fn settle(&mut self, context: &mut Context<'_>) -> Step {
        let on_the_way = |stop: Stop| Stop::blocked(stop.message);
        self.join(context, "K-JOIN-GROUP-002").map_err(on_the_way)?;
        let own = self.id.clone();
        let synced =
            self.sync(context, "K-SYNC-GROUP-003", &[(&own, b"all")]).map_err(on_the_way)?;
        match synced.error_code {
            0 => Ok(()),
            code => Err(Stop::blocked(format!("SyncGroup: {}", error_name(code)))),
        }
    }

    /// The error that a heartbeat is answered with.
    ///
    /// # Errors
    ///
    /// FAIL of the statement where no answer comes.
    pub(crate) fn heartbeat(
        &mut self,
        context: &mut Context<'_>,
        statement: &'static str,
    ) -> Step<i16> {
        let version = context.version_of(ApiKey::Heartbeat)?;
        let request = Request::Heartbeat(Box::new(HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone().filter(|_| version >= 3),
            ..Default::default()
        }));
        let answer = self.wire.call(version, &request);
        let answer: HeartbeatResponse = context.answer(statement, answer)?;
        Ok(answer.error_code)
    }

    /// Gets an id, where the version asks for that, and sends the JoinGroup that counts.
    pub(crate) fn begin_to_join(
        &mut self,
        context: &mut Context<'_>,
        statement: &'static str,
    ) -> Step<Pending> {
        let version = context.version_of(ApiKey::JoinGroup)?;
        if version >= 4 && self.id.is_empty() {
            self.id = self.join_once(context, statement)?.member_id;
        }
        self.send(version, &self.join_request(version))
    }

    /// Beats until it is told of a rebalance.
    pub(crate) fn until_rebalance(
        &mut self,
        context: &mut Context<'_>,
        statement: &'static str,
    ) -> Step {
        let until = context.deadline();
        while self.heartbeat(context, statement)? != REBALANCE_IN_PROGRESS {
            context.must_before(statement, until, || "no rebalance began".to_owned())?;
            self.pause(BEAT)?;
        }
        Ok(())
    }

    /// Leaves by its member id: the error at the top, and those of the entries.
    ///
    /// # Errors
    ///
    /// FAIL of the statement where no answer comes.
    pub(crate) fn leave(
        &mut self,
        context: &mut Context<'_>,
        statement: &'static str,
        members: &[(&str, Option<&str>)],
    ) -> Step<(i16, Vec<i16>)> {
        let version = context.version_of(ApiKey::LeaveGroup)?;
        let mut request = LeaveGroupRequest { group_id: self.group.clone(), ..Default::default() };
        if version >= 3 {
            let identity = |(id, instance): &(&str, Option<&str>)| MemberIdentity {
                member_id: (*id).to_owned(),
                group_instance_id: instance.map(str::to_owned),
                ..Default::default()
            };
            request.members = members.iter().map(identity).collect();
        } else {
            request.member_id = members.first().map_or("", |(id, _)| id).to_owned();
        }
        let answer = self.wire.call(version, &Request::LeaveGroup(Box::new(request)));
        let answer: LeaveGroupResponse = context.answer(statement, answer)?;
        let codes = answer.members.iter().map(|member| member.error_code).collect();
        Ok((answer.error_code, codes))
    }
}
