//! OffsetCommit, and the expiry of offsets.

use ottla_protocol::ErrorCode;

use super::super::group::{Group, State};
use super::super::offsets::keys_of;
use super::super::record::{CommittedOffset, OffsetKey, Update};
use super::super::time::Now;
use super::super::types::{CommitRequest, CommitResult, Reply, RequestId};
use super::Shard;
use super::append::Purpose;

impl Shard {
    /// An OffsetCommit request; [`Reply::Commit`] follows when the offsets are in the log.
    pub fn handle_commit(&mut self, now: Now, id: RequestId, request: &CommitRequest) {
        if let Err(error) = self.admit_commit(now, request) {
            self.cx.reply(id, Reply::Commit(Err(error)));
            return;
        }
        let mut updates = Vec::new();
        let mut results = Vec::new();
        for (topic_index, topic) in request.topics.iter().enumerate() {
            for partition in &topic.partitions {
                // Counted as Java counts a string's length (OC-02).
                let length = partition.metadata.encode_utf16().count();
                let too_large = length > self.cx.config.offset_metadata_max_bytes;
                let error =
                    if too_large { ErrorCode::OffsetMetadataTooLarge } else { ErrorCode::None };
                results.push(CommitResult {
                    topic: topic_index,
                    partition: partition.index,
                    error,
                });
                if too_large {
                    continue;
                }
                let key = OffsetKey {
                    group: request.group_id.clone(),
                    topic: topic.name.clone(),
                    partition: partition.index,
                };
                let value = CommittedOffset {
                    offset: partition.offset,
                    leader_epoch: partition.leader_epoch,
                    metadata: partition.metadata.clone(),
                    commit_timestamp_ms: now.wall_ms,
                    expire_timestamp_ms: request
                        .retention_ms
                        .map(|retention_ms| now.wall_ms.saturating_add(retention_ms)),
                    topic_id: topic.topic_id,
                };
                updates.push(Update::Offset(key, Some(value)));
            }
        }
        if updates.is_empty() {
            self.cx.reply(id, Reply::Commit(Ok(results)));
            return;
        }
        self.cx.append(now, updates, Purpose::Commit { request: Some(id), results });
    }

    fn admit_commit(&mut self, now: Now, request: &CommitRequest) -> Result<(), ErrorCode> {
        self.check_active()?;
        if !self.groups.contains_key(&request.group_id) {
            if request.generation >= 0 {
                return Err(request.missing_group_error);
            }
            // OC-03: a consumer that assigns its partitions itself, or an operator's tool.
            let group = Group::new(&request.group_id, now.wall_ms);
            self.groups.insert(request.group_id.clone(), group);
        }
        let group = self.groups.get(&request.group_id).expect("invariant: inserted above");
        group.validate_commit(request)?;
        if matches!(group.state, State::Stable | State::PreparingRebalance) {
            // A commit is as good as a heartbeat.
            group.renew_session(&mut self.cx, now, &request.member_id);
        }
        Ok(())
    }

    /// Deletes the offsets of partitions that are no more.
    pub fn handle_partitions_deleted(&mut self, now: Now, partitions: &[(String, i32)]) {
        if self.check_active().is_err() {
            return;
        }
        let gone = |key: &OffsetKey| {
            partitions.iter().any(|(topic, index)| *topic == key.topic && *index == key.partition)
        };
        let stored = self.offsets.groups().flat_map(|(group, offsets)| keys_of(group, offsets));
        let mut keys: Vec<OffsetKey> = stored.filter(gone).collect();
        for id in self.groups.keys() {
            keys.extend(self.pending_offset_keys(id).into_iter().filter(gone));
        }
        keys.sort();
        keys.dedup();
        if !keys.is_empty() {
            let updates = keys.into_iter().map(|key| Update::Offset(key, None)).collect();
            self.cx.append(now, updates, Purpose::Cleanup { groups: Vec::new() });
        }
    }

    /// Deletes offsets that have outlived their retention, and empty groups that have none left.
    pub(super) fn on_retention_check(&mut self, now: Now) {
        self.cx.schedule_retention_check(now);
        let mut updates = Vec::new();
        let mut emptied = Vec::new();
        let ids: Vec<String> = self.groups.keys().cloned().collect();
        for id in ids {
            let (expired, all) = self.expired_offsets(now, &id);
            updates.extend(expired.into_iter().map(|key| Update::Offset(key, None)));
            let Some(group) = self.groups.get_mut(&id) else { continue };
            if all && group.state == State::Empty && group.pending_join.is_empty() {
                group.state = State::Dead;
                updates.push(Update::Group(id.clone(), None));
                emptied.push(id);
            }
        }
        if !updates.is_empty() {
            self.cx.append(now, updates, Purpose::Cleanup { groups: emptied });
        }
    }

    /// The expired offsets of a group, and whether those are all.
    fn expired_offsets(&self, now: Now, id: &str) -> (Vec<OffsetKey>, bool) {
        let pending = self.pending_offset_keys(id);
        let Some(group) = self.groups.get(id) else { return (Vec::new(), false) };
        let Some(offsets) = self.offsets.group(id) else {
            return (Vec::new(), pending.is_empty());
        };
        let mut all = pending.is_empty();
        let mut expired = Vec::new();
        for (topic, partitions) in offsets {
            let in_use = group.subscribes_to(topic);
            for (partition, value) in partitions {
                let key =
                    OffsetKey { group: id.to_owned(), topic: topic.clone(), partition: *partition };
                let retention_ms = self.cx.config.offsets_retention_ms;
                if !in_use
                    && group.has_expired(value, now.wall_ms, retention_ms)
                    && !pending.contains(&key)
                {
                    expired.push(key);
                } else {
                    all = false;
                }
            }
        }
        (expired, all)
    }
}

impl Group {
    /// OC-03 to OC-06.
    fn validate_commit(&self, request: &CommitRequest) -> Result<(), ErrorCode> {
        if self.state == State::Dead {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        if request.generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if request.generation >= 0 || !request.member_id.is_empty() || request.instance_id.is_some()
        {
            self.validate_member(&request.member_id, request.instance_id.as_deref())?;
            if request.generation != self.generation {
                return Err(ErrorCode::IllegalGeneration);
            }
        } else if self.state != State::Empty {
            // Somebody outside of the group would overwrite what its members commit.
            return Err(ErrorCode::UnknownMemberId);
        }
        if self.state == State::CompletingRebalance {
            // The partitions may be another's already.
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// KIP-211: the retention of a group's offsets starts when the group becomes empty; of those
    /// that nobody subscribes to, or of a group that only commits, with the commit.
    fn has_expired(&self, value: &CommittedOffset, wall_ms: i64, retention_ms: i64) -> bool {
        if let Some(expire_ms) = value.expire_timestamp_ms {
            return self.may_expire() && wall_ms >= expire_ms;
        }
        let since_ms = if self.protocol_type.is_some()
            && self.state == State::Empty
            && self.state_timestamp_ms >= 0
        {
            self.state_timestamp_ms
        } else {
            value.commit_timestamp_ms
        };
        self.may_expire() && wall_ms.saturating_sub(since_ms) >= retention_ms
    }

    fn may_expire(&self) -> bool {
        match self.protocol_type.as_deref() {
            None => self.state != State::Dead,
            Some("consumer") => matches!(self.state, State::Empty | State::Stable),
            Some(_) => self.state == State::Empty,
        }
    }
}
