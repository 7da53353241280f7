//! Appends: what waits for one, what it does when it is committed, and what when it is not.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_protocol::ErrorCode;

use super::super::group::{Group, State};
use super::super::record::{Record, Update};
use super::super::time::Now;
use super::super::timer::Timer;
use super::super::types::{AppendId, CommitResult, Output, Reply, RequestId};
use super::static_member::StaticRejoin;
use super::{Cx, Shard};

/// An append under way.
#[derive(Debug)]
pub(super) struct PendingAppend {
    pub(super) updates: Vec<Update>,
    pub(super) purpose: Purpose,
}

/// What an append is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// An OffsetCommit; the request is gone once it was answered with an error.
    Commit { request: Option<RequestId>, results: Vec<CommitResult> },
    /// The leader's assignment for a generation.
    Assignment { group: String, assignment: BTreeMap<String, Bytes> },
    /// A static member came back under a new id (KIP-345).
    StaticRejoin(Box<StaticRejoin>),
    /// A group is new or has become empty; nobody waits.
    EmptyGroup { group: String },
    /// A DeleteGroups, of those groups that could be deleted.
    Delete { request: Option<RequestId>, groups: Vec<String>, results: Vec<(String, ErrorCode)> },
    /// Expired offsets, and groups that have none left.
    Cleanup { groups: Vec<String> },
}

impl PendingAppend {
    /// Tells the requester that the append came to nothing, or that nobody knows.
    pub(super) fn answer_error(mut self, cx: &mut Cx, error: ErrorCode) {
        self.purpose.answer_error(cx, error);
    }
}

impl Purpose {
    /// Answers a request that waits here and not in a group; at most once.
    fn answer_error(&mut self, cx: &mut Cx, error: ErrorCode) {
        match self {
            Self::Commit { request, .. } => {
                if let Some(id) = request.take() {
                    cx.reply(id, Reply::Commit(Err(error)));
                }
            }
            Self::Delete { request, results, .. } => {
                if let Some(id) = request.take() {
                    let failed = results.iter().map(|(group, own)| match own {
                        ErrorCode::None => (group.clone(), error),
                        own => (group.clone(), *own),
                    });
                    let failed = failed.collect();
                    cx.reply(id, Reply::Delete(failed));
                }
            }
            Self::Assignment { .. }
            | Self::StaticRejoin(_)
            | Self::EmptyGroup { .. }
            | Self::Cleanup { .. } => {}
        }
    }
}

impl Cx {
    /// Asks for an append of what `updates` say.
    pub(super) fn append(&mut self, now: Now, updates: Vec<Update>, purpose: Purpose) -> AppendId {
        let id = AppendId(self.next_append);
        self.next_append += 1;
        let records: Vec<Record> = updates.iter().map(Update::to_record).collect();
        debug_assert!(!records.is_empty(), "an append of nothing");
        self.outputs.push_back(Output::Append { id, leader_epoch: self.leader_epoch, records });
        self.appends.insert(id, PendingAppend { updates, purpose });
        let deadline = now.instant.after_ms(self.config.offset_commit_timeout_ms);
        self.timers.set(Timer::Append { append: id }, deadline);
        id
    }
}

/// How a failed append is told to a client: retry here, find the coordinator again, or give up
/// (Kafka's `CoordinatorOperationExceptionHelper`, M16).
fn translate(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower
        | ErrorCode::FencedLeaderEpoch
        | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge
        | ErrorCode::RecordListTooLarge
        | ErrorCode::InvalidFetchSize => ErrorCode::UnknownServerError,
        other => other,
    }
}

impl Shard {
    /// An append is committed, and where its first record lies; or it failed, and its records
    /// will never be in the log. An append whose fate is unknown is not reported.
    pub fn handle_append_done(&mut self, now: Now, id: AppendId, result: Result<i64, ErrorCode>) {
        if !self.cx.appends.contains_key(&id) {
            // Asked for before a resignation.
            return;
        }
        self.cx.reports.insert(id, result);
        while let Some(entry) = self.cx.appends.first_entry() {
            let id = *entry.key();
            let Some(result) = self.cx.reports.remove(&id) else { break };
            let pending = entry.remove();
            self.cx.timers.cancel(&Timer::Append { append: id });
            match result {
                Ok(_) => self.on_appended(now, id, pending),
                Err(error) => self.on_append_failed(now, id, pending, translate(error)),
            }
        }
    }

    fn on_appended(&mut self, now: Now, id: AppendId, pending: PendingAppend) {
        for update in pending.updates {
            self.apply(now, update);
        }
        match pending.purpose {
            Purpose::Commit { request, results } => {
                if let Some(request) = request {
                    self.cx.reply(request, Reply::Commit(Ok(results)));
                }
            }
            Purpose::Assignment { group, assignment } => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.on_assignment_stored(&mut self.cx, now, id, &assignment);
                }
            }
            Purpose::StaticRejoin(rejoin) => self.on_static_rejoin_stored(&rejoin),
            Purpose::Delete { request, results, .. } => {
                if let Some(request) = request {
                    self.cx.reply(request, Reply::Delete(results));
                }
            }
            Purpose::EmptyGroup { .. } | Purpose::Cleanup { .. } => {}
        }
    }

    /// Brings what is in the log into the cache. Of a group's metadata only the tombstone counts:
    /// the rest came from here.
    fn apply(&mut self, now: Now, update: Update) {
        match update {
            Update::Offset(key, Some(value)) => {
                let id = key.group.clone();
                self.groups.entry(id).or_insert_with_key(|id| Group::new(id, now.wall_ms));
                self.offsets.put(key, value);
            }
            Update::Offset(key, None) => self.offsets.remove(&key),
            Update::Group(id, None) => {
                if self.groups.get(&id).is_some_and(|group| group.state == State::Dead) {
                    self.groups.remove(&id);
                }
            }
            Update::Group(_, Some(_)) => {}
        }
    }

    fn on_append_failed(
        &mut self,
        now: Now,
        id: AppendId,
        mut pending: PendingAppend,
        error: ErrorCode,
    ) {
        pending.purpose.answer_error(&mut self.cx, error);
        match pending.purpose {
            Purpose::Commit { .. } => {
                for update in &pending.updates {
                    if let Update::Offset(key, _) = update {
                        self.forget_unused_group(&key.group);
                    }
                }
            }
            Purpose::Assignment { group, .. } => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.on_assignment_lost(&mut self.cx, now, id, error);
                }
            }
            Purpose::StaticRejoin(rejoin) => self.on_static_rejoin_lost(now, *rejoin, error),
            Purpose::EmptyGroup { group } => self.forget_unused_group(&group),
            Purpose::Delete { groups, .. } | Purpose::Cleanup { groups } => {
                for id in groups {
                    if let Some(group) = self.groups.get_mut(&id) {
                        // Not deleted after all; the state that it was deleted from.
                        group.state = State::Empty;
                    }
                }
            }
        }
    }

    /// The requester is told that nobody knows (15). The append may commit yet: it stays in its
    /// place, so that the cache will be what the log is.
    pub(super) fn on_append_timeout(&mut self, now: Now, id: AppendId) {
        let Some(pending) = self.cx.appends.get_mut(&id) else { return };
        let mut purpose = std::mem::replace(
            &mut pending.purpose,
            Purpose::Commit { request: None, results: Vec::new() },
        );
        let error = translate(ErrorCode::RequestTimedOut);
        purpose.answer_error(&mut self.cx, error);
        match purpose {
            Purpose::Assignment { group, .. } => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.on_assignment_lost(&mut self.cx, now, id, error);
                }
            }
            Purpose::StaticRejoin(rejoin) => self.on_static_rejoin_lost(now, *rejoin, error),
            // A delete goes on without its requester.
            other => {
                if let Some(pending) = self.cx.appends.get_mut(&id) {
                    pending.purpose = other;
                }
            }
        }
    }

    /// A group that was made for an append that failed holds nothing: drop it.
    fn forget_unused_group(&mut self, id: &str) {
        let unused = self.groups.get(id).is_some_and(|group| {
            group.state == State::Empty
                && group.generation == 0
                && group.protocol_type.is_none()
                && group.pending_join.is_empty()
        });
        if unused && self.offsets.group(id).is_none() && self.pending_offset_keys(id).is_empty() {
            self.groups.remove(id);
        }
    }
}
