//! DeleteGroups.

use ottla_protocol::ErrorCode;

use super::super::group::State;
use super::super::offsets::keys_of;
use super::super::record::{OffsetKey, Update};
use super::super::time::Now;
use super::super::types::{Reply, RequestId};
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
}
