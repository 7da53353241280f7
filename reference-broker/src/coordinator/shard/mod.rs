//! The group coordinator of one partition of `__consumer_offsets`, as a state machine.
//!
//! Everything goes in by `handle_*` and comes out of [`Shard::poll_output`]; between inputs the
//! driver waits no longer than [`Shard::poll_timeout`]. In here there is no clock, no socket, no
//! task and no randomness, so that a test, a simulation and the broker run the same code.
//!
//! What a reply promises is in the log before the reply is given: the shard asks for an append
//! and answers when it is told that the append is at or below the high watermark. Appends take
//! effect in the order in which they were asked for, whatever the order of the reports.
//!
//! A shard leads for one leader epoch of its partition at a time (M16): [`Shard::begin_load`],
//! [`Shard::load_record`] for each record, [`Shard::finish_load`], and later [`Shard::resign`].

mod append;
mod commit;
mod delete;
mod heartbeat;
mod join;
mod leave;
mod query;
mod rebalance;
mod static_member;
mod sync;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use ottla_protocol::ErrorCode;

use self::append::PendingAppend;
use super::config::GroupConfig;
use super::group::{Group, Member, State};
use super::offsets::OffsetCache;
use super::record::{OffsetKey, RecordError, Update};
use super::time::{Instant, Now};
use super::timer::{Timer, TimerTable};
use super::types::{AppendId, JoinReply, Output, Reply, RequestId, SyncReply};

/// What a shard may do at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Another broker leads the partition: requests get 16.
    Resigned,
    /// The log is being read: requests get 14, heartbeats 0.
    Loading,
    /// Requests are served.
    Active,
}

/// The coordinator of the groups of one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct Shard {
    phase: Phase,
    groups: BTreeMap<String, Group>,
    offsets: OffsetCache,
    cx: Cx,
}

/// What a group's transitions need besides the group itself.
#[derive(Debug)]
struct Cx {
    config: GroupConfig,
    leader_epoch: i32,
    timers: TimerTable,
    outputs: VecDeque<Output>,
    /// Appends that are asked for and not yet dealt with, in order.
    appends: BTreeMap<AppendId, PendingAppend>,
    /// Reports that came before those of earlier appends.
    reports: BTreeMap<AppendId, Result<i64, ErrorCode>>,
    next_append: u64,
}

impl Shard {
    /// A shard that leads nothing yet.
    #[must_use]
    pub fn new(config: GroupConfig) -> Self {
        Self {
            phase: Phase::Resigned,
            groups: BTreeMap::new(),
            offsets: OffsetCache::default(),
            cx: Cx {
                config,
                leader_epoch: -1,
                timers: TimerTable::default(),
                outputs: VecDeque::new(),
                appends: BTreeMap::new(),
                reports: BTreeMap::new(),
                next_append: 0,
            },
        }
    }

    /// Takes the next thing for the driver to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.cx.outputs.pop_front()
    }

    /// When [`Shard::handle_timeout`] is to be called at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.cx.timers.next()
    }

    /// Does what has fallen due.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(timer) = self.cx.timers.pop_due(now.instant) {
            match timer {
                Timer::Session { group, member } => self.on_session_end(now, &group, &member),
                Timer::Join { group } => self.on_join_end(now, &group),
                Timer::Sync { group } => self.on_sync_end(now, &group),
                Timer::Append { append } => self.on_append_timeout(now, append),
                Timer::Retention => self.on_retention_check(now),
            }
        }
    }

    /// The partition is led by this broker from `leader_epoch` on; its records follow.
    pub fn begin_load(&mut self, now: Now, leader_epoch: i32) {
        self.resign(now);
        self.phase = Phase::Loading;
        self.cx.leader_epoch = leader_epoch;
    }

    /// A record of the log, in offset order.
    ///
    /// # Errors
    ///
    /// When it cannot be read; the shard is unchanged, and loading may go on without it.
    pub fn load_record(&mut self, key: &Bytes, value: Option<&Bytes>) -> Result<(), RecordError> {
        match Update::from_record(key, value)? {
            None => {}
            Some(Update::Offset(key, Some(value))) => {
                // The group may have no record of its own: it only commits.
                let wall_ms = value.commit_timestamp_ms;
                let group = key.group.clone();
                self.groups.entry(group).or_insert_with_key(|id| Group::new(id, wall_ms));
                self.offsets.put(key, value);
            }
            Some(Update::Offset(key, None)) => self.offsets.remove(&key),
            Some(Update::Group(id, Some(value))) => {
                let group = Group::from_record(&id, value);
                self.groups.insert(id, group);
            }
            Some(Update::Group(id, None)) => {
                self.groups.remove(&id);
            }
        }
        Ok(())
    }

    /// The log has been read to its end, and that is committed: serve. Every member has a whole
    /// session from here (M16).
    pub fn finish_load(&mut self, now: Now, leader_epoch: i32) {
        if self.phase != Phase::Loading || self.cx.leader_epoch != leader_epoch {
            // Elected again meanwhile: the later load is the one that counts.
            return;
        }
        self.phase = Phase::Active;
        let max_size = self.cx.config.max_size;
        for group in self.groups.values_mut() {
            for (id, member) in &group.members {
                let delay_ms = i64::from(member.session_timeout_ms);
                self.cx.set_session(now, &group.id, id, delay_ms);
            }
            if group.members.len() > max_size {
                // The limit was lowered: a rebalance lets the members commit before some go.
                group.prepare_rebalance(&mut self.cx, now);
            }
        }
        self.cx.schedule_retention_check(now);
    }

    /// The partition is led elsewhere: whoever waits is told so, and everything is forgotten.
    pub fn resign(&mut self, now: Now) {
        self.phase = Phase::Resigned;
        let error = ErrorCode::NotCoordinator;
        for group in self.groups.values_mut() {
            let ids: Vec<String> = group.members.keys().cloned().collect();
            for id in ids {
                group.answer_join(&mut self.cx, &id, JoinReply::error(&id, error));
                group.answer_sync(&mut self.cx, now, &id, SyncReply::error(error));
            }
        }
        for pending in std::mem::take(&mut self.cx.appends).into_values() {
            pending.answer_error(&mut self.cx, error);
        }
        self.cx.reports.clear();
        self.cx.timers.clear();
        // Appends that were not taken yet must not be made under a later epoch.
        self.cx.outputs.retain(|output| matches!(output, Output::Reply { .. }));
        self.groups.clear();
        self.offsets.clear();
    }

    /// Another broker leads the partition, or none.
    pub(crate) fn is_resigned(&self) -> bool {
        self.phase == Phase::Resigned
    }

    /// 14 while loading, 16 without leadership (M16).
    fn check_active(&self) -> Result<(), ErrorCode> {
        match self.phase {
            Phase::Active => Ok(()),
            Phase::Loading => Err(ErrorCode::CoordinatorLoadInProgress),
            Phase::Resigned => Err(ErrorCode::NotCoordinator),
        }
    }

    /// The keys of `group` whose commit is still on its way into the log.
    fn pending_offset_keys(&self, group: &str) -> Vec<OffsetKey> {
        let mut keys: Vec<OffsetKey> = Vec::new();
        for update in self.cx.appends.values().flat_map(|pending| &pending.updates) {
            if let Update::Offset(key, Some(_)) = update
                && key.group == group
            {
                keys.push(key.clone());
            }
        }
        keys.sort();
        keys.dedup();
        keys
    }
}

impl Cx {
    fn reply(&mut self, id: RequestId, reply: Reply) {
        self.outputs.push_back(Output::Reply { id, reply });
    }

    fn set_session(&mut self, now: Now, group: &str, member: &str, delay_ms: i64) {
        let timer = Timer::Session { group: group.to_owned(), member: member.to_owned() };
        self.timers.set(timer, now.instant.after_ms(delay_ms));
    }

    fn cancel_session(&mut self, group: &str, member: &str) {
        self.timers.cancel(&Timer::Session { group: group.to_owned(), member: member.to_owned() });
    }

    fn set_join(&mut self, now: Now, group: &str, delay_ms: i64) {
        self.timers.set(Timer::Join { group: group.to_owned() }, now.instant.after_ms(delay_ms));
    }

    fn schedule_retention_check(&mut self, now: Now) {
        let deadline = now.instant.after_ms(self.config.offsets_retention_check_interval_ms);
        self.timers.set(Timer::Retention, deadline);
    }
}

impl Group {
    /// Answers the JoinGroup that `member` waits with, if there is one.
    fn answer_join(&mut self, cx: &mut Cx, member: &str, reply: JoinReply) {
        if let Some(id) = self.members.get_mut(member).and_then(|m| m.awaiting_join.take()) {
            cx.reply(id, Reply::Join(reply));
        }
    }

    /// Answers the SyncGroup that `member` waits with, if there is one, and starts its session
    /// anew: the timer may have fired, without effect, during the wait.
    fn answer_sync(&mut self, cx: &mut Cx, now: Now, member: &str, reply: SyncReply) {
        let Some(waiting) = self.members.get_mut(member) else { return };
        if let Some(id) = waiting.awaiting_sync.take() {
            let session_ms = i64::from(waiting.session_timeout_ms);
            cx.reply(id, Reply::Sync(reply));
            cx.set_session(now, &self.id, member, session_ms);
        }
    }

    /// Makes `request` the one that `member` joins with. One that waited before belongs to a
    /// connection that was given up; it is told to join again.
    fn await_join(&mut self, cx: &mut Cx, member: &str, request: RequestId) {
        let again = JoinReply::error(member, ErrorCode::RebalanceInProgress);
        self.answer_join(cx, member, again);
        if let Some(member) = self.members.get_mut(member) {
            member.awaiting_join = Some(request);
        }
    }

    /// As [`Group::await_join`], for SyncGroup.
    fn await_sync(&mut self, cx: &mut Cx, now: Now, member: &str, request: RequestId) {
        self.answer_sync(cx, now, member, SyncReply::error(ErrorCode::RebalanceInProgress));
        if let Some(member) = self.members.get_mut(member) {
            member.awaiting_sync = Some(request);
        }
    }

    /// Starts the session of a member anew.
    fn renew_session(&self, cx: &mut Cx, now: Now, member_id: &str) {
        if let Some(Member { session_timeout_ms, .. }) = self.members.get(member_id) {
            cx.set_session(now, &self.id, member_id, i64::from(*session_timeout_ms));
        }
    }

    /// Whether a change of membership or metadata starts a rebalance from here.
    fn can_rebalance(&self) -> bool {
        matches!(self.state, State::Empty | State::CompletingRebalance | State::Stable)
    }
}
