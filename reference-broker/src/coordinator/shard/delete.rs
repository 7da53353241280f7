//! DeleteGroups and OffsetDelete.

use ottla_protocol::ErrorCode;

use super::super::group::State;
use super::super::offsets::keys_of;
use super::super::record::{OffsetKey, Update};
use super::super::time::Now;
use super::super::types::{CommitResult, Reply, RequestId};
use super::Shard;
use super::append::Purpose;

impl Shard {
    /// A DeleteGroups request; [`Reply::Delete`] follows when the tombstones are in the log.
    pub fn handle_delete(&mut self, now: Now, id: RequestId, group_ids: &[String]) {
        let mut updates = Vec::new();
        let mut deleted = Vec::new();
        let mut results = Vec::with_capacity(group_ids.len());
        for group_id in group_ids {
            match self.admit_delete(group_id) {
                Ok(keys) => {
                    updates.extend(keys.into_iter().map(|key| Update::Offset(key, None)));
                    updates.push(Update::Group(group_id.clone(), None));
                    deleted.push(group_id.clone());
                    results.push((group_id.clone(), ErrorCode::None));
                }
                Err(error) => results.push((group_id.clone(), error)),
            }
        }
        if updates.is_empty() {
            self.cx.reply(id, Reply::Delete(results));
            return;
        }
        let purpose = Purpose::Delete { request: Some(id), groups: deleted, results };
        self.cx.append(now, updates, purpose);
    }

    /// CG-22: 68 with members, 69 if there is no such group. A group that can be deleted is Dead
    /// from here on, so that nothing comes between its tombstones and their commit.
    fn admit_delete(&mut self, group_id: &str) -> Result<Vec<OffsetKey>, ErrorCode> {
        self.check_active()?;
        let group = self.groups.get_mut(group_id).ok_or(ErrorCode::GroupIdNotFound)?;
        match group.state {
            State::Dead => return Err(ErrorCode::GroupIdNotFound),
            State::Empty => group.state = State::Dead,
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                return Err(ErrorCode::NonEmptyGroup);
            }
        }
        let pending: Vec<String> = group.pending_join.iter().cloned().collect();
        for member in pending {
            group.remove(&member);
            self.cx.cancel_session(group_id, &member);
        }
        let mut keys = self.pending_offset_keys(group_id);
        if let Some(offsets) = self.offsets.group(group_id) {
            keys.extend(keys_of(group_id, offsets));
        }
        keys.sort();
        keys.dedup();
        Ok(keys)
    }

    /// An OffsetDelete request, for partitions that exist by topic; [`Reply::Commit`] follows when
    /// the tombstones are in the log.
    pub fn handle_delete_offsets(
        &mut self,
        now: Now,
        id: RequestId,
        group_id: &str,
        topics: &[(String, Vec<i32>)],
    ) {
        if let Err(error) = self.admit_delete_offsets(group_id) {
            self.cx.reply(id, Reply::Commit(Err(error)));
            return;
        }
        let stored = self.offsets.group(group_id);
        let mut keys = self.pending_offset_keys(group_id);
        keys.extend(stored.map(|offsets| keys_of(group_id, offsets)).unwrap_or_default());
        let group = self.groups.get(group_id);
        let mut updates = Vec::new();
        let mut results = Vec::new();
        for (at, (topic, partitions)) in topics.iter().enumerate() {
            let in_use = group.is_some_and(|group| group.subscribes_to(topic));
            for index in partitions {
                let error =
                    if in_use { ErrorCode::GroupSubscribedToTopic } else { ErrorCode::None };
                results.push(CommitResult { topic: at, partition: *index, error });
                let (group, topic) = (group_id.to_owned(), topic.clone());
                let key = OffsetKey { group, topic, partition: *index };
                if !in_use && keys.contains(&key) {
                    updates.push(Update::Offset(key, None));
                }
            }
        }
        if updates.is_empty() {
            self.cx.reply(id, Reply::Commit(Ok(results)));
            return;
        }
        self.cx.append(now, updates, Purpose::Commit { request: Some(id), results });
    }

    /// 69 if there is no such group, 68 where its members are no consumers, so that nobody knows
    /// what they subscribe to.
    fn admit_delete_offsets(&self, group_id: &str) -> Result<(), ErrorCode> {
        self.check_active()?;
        let group = self.groups.get(group_id).ok_or(ErrorCode::GroupIdNotFound)?;
        match group.state {
            State::Dead => Err(ErrorCode::GroupIdNotFound),
            State::Empty => Ok(()),
            _ if group.protocol_type.as_deref() == Some("consumer") => Ok(()),
            _ => Err(ErrorCode::NonEmptyGroup),
        }
    }
}
