//! The coordinator as the broker uses it: a lock, a timer and request futures around each
//! [`Shard`].
//!
//! One path leads into a shard: `Inner::drive` takes the lock, lets the shard handle something,
//! and carries out what it asks for before the lock is given back, so that appends reach the log
//! in the order in which they were decided.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ottla_protocol::{ErrorCode, Uuid};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use super::config::GroupConfig;
use super::log::OffsetsLog;
use super::partition_for;
use super::record::CommittedOffset;
use super::shard::Shard;
use super::time::{Instant, Now};
use super::types::{
    CommitRequest, CommitResult, CommittedOffsets, Description, HeartbeatRequest, JoinReply,
    JoinRequest, LeaveRequest, LeaveResult, Listed, Output, Reply, RequestId, SyncReply,
    SyncRequest,
};

/// The group coordinator of a broker.
#[derive(Debug)]
pub struct GroupCoordinator {
    inner: Arc<Inner>,
    timers: Vec<AbortHandle>,
}

struct Inner {
    log: Arc<dyn OffsetsLog>,
    slots: Vec<Slot>,
    started: tokio::time::Instant,
    next_request: AtomicU64,
}

/// A shard and what belongs to it.
struct Slot {
    partition: i32,
    state: Mutex<SlotState>,
    /// Rung when the shard has something due before `sleeping_until`.
    earlier: Notify,
}

struct SlotState {
    shard: Shard,
    leader_epoch: i32,
    waiting: HashMap<RequestId, oneshot::Sender<Reply>>,
    /// Until when the timer task sleeps; none: until it is rung.
    sleeping_until: Option<Instant>,
}

impl GroupCoordinator {
    /// A coordinator over `log`; it leads nothing until [`GroupCoordinator::elect`]. Must be called
    /// inside a tokio runtime.
    #[must_use]
    pub fn start(config: &GroupConfig, log: Arc<dyn OffsetsLog>) -> Self {
        let slot = |partition| Slot {
            partition,
            state: Mutex::new(SlotState {
                shard: Shard::new(config.clone()),
                leader_epoch: -1,
                waiting: HashMap::new(),
                sleeping_until: None,
            }),
            earlier: Notify::new(),
        };
        let inner = Arc::new(Inner {
            slots: (0..log.partition_count()).map(slot).collect(),
            log,
            started: tokio::time::Instant::now(),
            next_request: AtomicU64::new(0),
        });
        let timer = |index| tokio::spawn(run_timers(Arc::clone(&inner), index)).abort_handle();
        let timers = (0..inner.slots.len()).map(timer).collect();
        Self { inner, timers }
    }

    /// This broker leads `partition` from `leader_epoch` on: its groups are loaded, and served
    /// when the future ends. Until then requests get 14. Told twice of one epoch, it loads once: a
    /// second load would put old offsets over what was committed since.
    ///
    /// # Errors
    ///
    /// When the log cannot be read; the partition's groups then get 16.
    pub async fn elect(&self, partition: i32, leader_epoch: i32) -> Result<(), ErrorCode> {
        let slot = self.inner.slot(partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        {
            let mut state = slot.lock();
            if state.leader_epoch == leader_epoch && !state.shard.is_resigned() {
                return Ok(());
            }
            state.leader_epoch = leader_epoch;
            // Under the same lock: who is told at the same time must find it loading.
            self.inner.act(slot, &mut state, |shard, now| shard.begin_load(now, leader_epoch));
        }
        let loaded = self.inner.load(slot, leader_epoch).await;
        if let Err(error) = loaded {
            let error_name = error.name();
            if matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch) {
                // Its next election loads them again, here or elsewhere.
                tracing::info!(partition, leader_epoch, "no longer leads groups that it loads");
            } else {
                tracing::error!(partition, leader_epoch, error_name, "cannot load groups");
            }
            self.resign(partition, leader_epoch);
        }
        loaded
    }

    /// This broker no longer leads `partition` under `leader_epoch`; a later epoch is left alone.
    pub fn resign(&self, partition: i32, leader_epoch: i32) {
        let Some(slot) = self.inner.slot(partition) else { return };
        let mut state = slot.lock();
        if state.leader_epoch <= leader_epoch {
            self.inner.act(slot, &mut state, |shard, now| shard.resign(now));
        }
    }

    /// JoinGroup; ends when the join phase does.
    pub async fn join(&self, request: JoinRequest) -> JoinReply {
        let member_id = request.member_id.clone();
        let slot = self.inner.slot_for(&request.group_id);
        let reply =
            self.inner.submit(slot, |shard, now, id| shard.handle_join(now, id, request)).await;
        match reply {
            Some(Reply::Join(reply)) => reply,
            _ => JoinReply::error(&member_id, ErrorCode::CoordinatorNotAvailable),
        }
    }

    /// SyncGroup; ends when the assignment is in the log.
    pub async fn sync(&self, request: SyncRequest) -> SyncReply {
        let slot = self.inner.slot_for(&request.group_id);
        let reply =
            self.inner.submit(slot, |shard, now, id| shard.handle_sync(now, id, request)).await;
        match reply {
            Some(Reply::Sync(reply)) => reply,
            _ => SyncReply::error(ErrorCode::CoordinatorNotAvailable),
        }
    }

    /// Heartbeat.
    pub async fn heartbeat(&self, request: HeartbeatRequest) -> ErrorCode {
        let slot = self.inner.slot_for(&request.group_id);
        let handle = |shard: &mut Shard, now, id| shard.handle_heartbeat(now, id, &request);
        match self.inner.submit(slot, handle).await {
            Some(Reply::Heartbeat(error)) => error,
            _ => ErrorCode::CoordinatorNotAvailable,
        }
    }

    /// LeaveGroup.
    ///
    /// # Errors
    ///
    /// An error for the whole request.
    pub async fn leave(&self, request: LeaveRequest) -> Result<Vec<LeaveResult>, ErrorCode> {
        let slot = self.inner.slot_for(&request.group_id);
        let handle = |shard: &mut Shard, now, id| shard.handle_leave(now, id, &request);
        match self.inner.submit(slot, handle).await {
            Some(Reply::Leave(result)) => result,
            _ => Err(ErrorCode::CoordinatorNotAvailable),
        }
    }

    /// OffsetCommit; ends when the offsets are in the log.
    ///
    /// # Errors
    ///
    /// An error for the whole request.
    pub async fn commit(&self, request: CommitRequest) -> Result<Vec<CommitResult>, ErrorCode> {
        let slot = self.inner.slot_for(&request.group_id);
        let handle = |shard: &mut Shard, now, id| shard.handle_commit(now, id, &request);
        match self.inner.submit(slot, handle).await {
            Some(Reply::Commit(result)) => result,
            _ => Err(ErrorCode::CoordinatorNotAvailable),
        }
    }

    /// OffsetDelete, of partitions that exist, by topic; ends when that is in the log.
    ///
    /// # Errors
    ///
    /// An error for the whole request.
    pub async fn delete_offsets(
        &self,
        group_id: &str,
        topics: &[(String, Vec<i32>)],
    ) -> Result<Vec<CommitResult>, ErrorCode> {
        let slot = self.inner.slot_for(group_id);
        let handle = |shard: &mut Shard, now, id| {
            shard.handle_delete_offsets(now, id, group_id, topics);
        };
        match self.inner.submit(slot, handle).await {
            Some(Reply::Commit(result)) => result,
            _ => Err(ErrorCode::CoordinatorNotAvailable),
        }
    }

    /// DeleteGroups, of groups of any partition; results in request order.
    pub async fn delete(&self, group_ids: &[String]) -> Vec<(String, ErrorCode)> {
        let mut results: Vec<Option<ErrorCode>> = vec![None; group_ids.len()];
        for slot in &self.inner.slots {
            let own = |id: &&String| self.inner.slot_for(id).partition == slot.partition;
            let ids: Vec<String> = group_ids.iter().filter(own).cloned().collect();
            if ids.is_empty() {
                continue;
            }
            let handle = |shard: &mut Shard, now, id| shard.handle_delete(now, id, &ids);
            let reply = match self.inner.submit(slot, handle).await {
                Some(Reply::Delete(results)) => results,
                _ => Vec::new(),
            };
            for (at, id) in group_ids.iter().enumerate() {
                if let Some((_, error)) = reply.iter().find(|(group, _)| group == id) {
                    results[at] = Some(*error);
                }
            }
        }
        let error = |error: Option<ErrorCode>| error.unwrap_or(ErrorCode::CoordinatorNotAvailable);
        group_ids.iter().cloned().zip(results.into_iter().map(error)).collect()
    }

    /// Forgets the offsets of deleted partitions in all groups.
    pub fn partitions_deleted(&self, partitions: &[(String, i32)]) {
        for slot in &self.inner.slots {
            self.inner.drive(slot, |shard, now| shard.handle_partitions_deleted(now, partitions));
        }
    }

    /// The committed offset of one partition.
    ///
    /// # Errors
    ///
    /// 14 or 16 (M16).
    pub fn committed(
        &self,
        group_id: &str,
        topic: &str,
        topic_id: Uuid,
        partition: i32,
    ) -> Result<Option<CommittedOffset>, ErrorCode> {
        let state = self.inner.slot_for(group_id).lock();
        Ok(state.shard.committed(group_id, topic, topic_id, partition)?.cloned())
    }

    /// All committed offsets of a group, by topic and partition.
    ///
    /// # Errors
    ///
    /// 14 or 16 (M16).
    pub fn all_committed(&self, group_id: &str) -> Result<Vec<CommittedOffsets>, ErrorCode> {
        self.inner.slot_for(group_id).lock().shard.all_committed(group_id)
    }

    /// A group's state and members.
    ///
    /// # Errors
    ///
    /// 69 for a group that does not exist; 14 or 16 (M16).
    pub fn describe(&self, group_id: &str) -> Result<Description, ErrorCode> {
        self.inner.slot_for(group_id).lock().shard.describe(group_id)
    }

    /// All groups that this broker coordinates.
    ///
    /// # Errors
    ///
    /// 14 while any of its partitions is being loaded.
    pub fn list(&self) -> Result<Vec<Listed>, ErrorCode> {
        let mut groups = Vec::new();
        for slot in &self.inner.slots {
            match slot.lock().shard.list() {
                Ok(listed) => groups.extend(listed),
                Err(ErrorCode::NotCoordinator) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(groups)
    }

    /// The partition of `__consumer_offsets` that `group_id` belongs to.
    #[must_use]
    pub fn partition_for(&self, group_id: &str) -> i32 {
        self.inner.slot_for(group_id).partition
    }
}

impl Drop for GroupCoordinator {
    fn drop(&mut self) {
        for timer in &self.timers {
            timer.abort();
        }
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn slot(&self, partition: i32) -> Option<&Slot> {
        usize::try_from(partition).ok().and_then(|index| self.slots.get(index))
    }

    fn slot_for(&self, group_id: &str) -> &Slot {
        let count = i32::try_from(self.slots.len()).expect("invariant: made from an i32");
        self.slot(partition_for(group_id, count)).expect("invariant: at least one partition")
    }

    fn now(&self) -> Now {
        let millis = self.started.elapsed().as_millis();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            instant: Instant::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)),
            wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// Lets `handle` act on the shard, and does what the shard then asks for.
    fn drive(self: &Arc<Self>, slot: &Slot, handle: impl FnOnce(&mut Shard, Now)) {
        self.act(slot, &mut slot.lock(), handle);
    }

    fn act(
        self: &Arc<Self>,
        slot: &Slot,
        state: &mut SlotState,
        handle: impl FnOnce(&mut Shard, Now),
    ) {
        let now = self.now();
        handle(&mut state.shard, now);
        self.carry_out(slot.partition, state, now);
        let next = state.shard.poll_timeout();
        if next.is_some_and(|next| state.sleeping_until.is_none_or(|until| next < until)) {
            slot.earlier.notify_one();
        }
    }

    fn carry_out(self: &Arc<Self>, partition: i32, state: &mut SlotState, now: Now) {
        while let Some(output) = state.shard.poll_output() {
            match output {
                Output::Reply { id, reply } => {
                    if let Some(waiting) = state.waiting.remove(&id) {
                        // A client that has gone away needs no answer.
                        let _ = waiting.send(reply);
                    }
                }
                Output::Append { id, leader_epoch, records } => {
                    let done = self.log.append(partition, leader_epoch, now.wall_ms, records);
                    let inner = Arc::clone(self);
                    tokio::spawn(async move {
                        let result = done.await;
                        if let Some(slot) = inner.slot(partition) {
                            inner.drive(slot, |shard, now| {
                                shard.handle_append_done(now, id, result);
                            });
                        }
                    });
                }
            }
        }
    }

    /// Hands a request to a shard and waits for its reply; none when the coordinator has gone.
    async fn submit(
        self: &Arc<Self>,
        slot: &Slot,
        handle: impl FnOnce(&mut Shard, Now, RequestId),
    ) -> Option<Reply> {
        let id = RequestId(self.next_request.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = oneshot::channel();
        slot.lock().waiting.insert(id, sender);
        self.drive(slot, |shard, now| handle(shard, now, id));
        receiver.await.ok()
    }

    async fn load(self: &Arc<Self>, slot: &Slot, leader_epoch: i32) -> Result<(), ErrorCode> {
        let mut offset = 0;
        loop {
            let chunk = self.log.read(slot.partition, leader_epoch, offset).await?;
            let mut state = slot.lock();
            if state.leader_epoch != leader_epoch {
                // Elected again, or no longer leader; another load has taken over.
                return Ok(());
            }
            for (offset, key, value) in &chunk.records {
                if let Err(error) = state.shard.load_record(key, value.as_ref()) {
                    let partition = slot.partition;
                    tracing::warn!(partition, offset, %error, "skipped a record");
                }
            }
            drop(state);
            match chunk.next_offset {
                Some(next) => offset = next,
                None => break,
            }
        }
        self.drive(slot, |shard, now| shard.finish_load(now, leader_epoch));
        Ok(())
    }
}

/// Sleeps until a shard has something due, for ever.
async fn run_timers(inner: Arc<Inner>, index: usize) {
    let slot = &inner.slots[index];
    loop {
        let next = {
            let mut state = slot.lock();
            state.sleeping_until = state.shard.poll_timeout();
            state.sleeping_until
        };
        match next {
            None => slot.earlier.notified().await,
            Some(next) => {
                let deadline = inner.started + Duration::from_millis(next.as_millis());
                tokio::select! {
                    () = tokio::time::sleep_until(deadline) => {}
                    () = slot.earlier.notified() => {}
                }
            }
        }
        inner.drive(slot, Shard::handle_timeout);
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("partitions", &self.slots.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
