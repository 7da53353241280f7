//! Where a partition's consumption stands.

use std::collections::VecDeque;

use crate::call::CallId;
use crate::config::OffsetReset;
use crate::error::Error;
use crate::time::Instant;

use super::fetched::Ready;

/// An offset, and the leader epoch of the batch before it, as far as it is known (KIP-320).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The next offset.
    pub offset: i64,
    /// The epoch of the last batch below it; `None` after a seek or reset.
    pub leader_epoch: Option<i32>,
}

impl Position {
    /// A position without an epoch, which is not validated.
    pub const fn at(offset: i64) -> Self {
        Self { offset, leader_epoch: None }
    }
}

/// What a partition needs before records can be fetched.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    /// The group's committed offset.
    NeedsCommitted,
    /// An offset by the reset policy, or by the user's wish to go to the beginning or the end.
    NeedsReset(OffsetReset),
    /// Proof that the log of a new leader holds what was consumed (KIP-320).
    NeedsValidation,
    /// Nothing: it is fetched.
    Fetching,
    /// The user's decision, who has been told; a seek goes on.
    Failed,
    /// A seek: there is neither a group nor a reset policy. The user is told when they wait.
    NeedsSeek,
}

/// A partition that is assigned. `position`, `finished` and `fetch_position` are meaningful from
/// [`Phase::NeedsValidation`] on.
#[derive(Debug)]
pub(super) struct Partition {
    /// Another number after every assignment, seek or reset: answers for an earlier one are
    /// stale (trap 7).
    pub(super) incarnation: u64,
    pub(super) phase: Phase,
    /// The call that this partition waits for: of its phase, or a fetch.
    pub(super) busy: Option<CallId>,
    pub(super) retry_at: Option<Instant>,
    pub(super) failures: u32,
    pub(super) paused: bool,
    /// Belongs to another member soon: nothing more is fetched or handed out.
    pub(super) revoking: bool,
    pub(super) has_position: bool,
    /// After what was handed to the user.
    pub(super) position: Position,
    /// After what the user has finished: what may be committed (trap 10).
    pub(super) finished: Position,
    /// After what is buffered: where the next fetch goes on.
    pub(super) fetch_position: Position,
    /// The offset that the coordinator has.
    pub(super) committed: Option<i64>,
    /// The leader and its epoch under which `fetch_position` is valid.
    pub(super) leader: Option<(i32, i32)>,
    /// The replica that the leader has named to read from, and until when (KIP-392).
    pub(super) preferred: Option<(i32, Instant)>,
    pub(super) ready: VecDeque<Ready>,
    pub(super) ready_bytes: usize,
    /// The leader has nothing at `fetch_position`: hand out what is buffered, then ask again.
    pub(super) drain_first: bool,
    /// Whether the partition stands in the queue of those with something ready.
    pub(super) is_listed: bool,
    pub(super) high_watermark: Option<i64>,
    pub(super) last_stable_offset: Option<i64>,
    pub(super) log_start_offset: Option<i64>,
    /// A problem that was told to the user and has not changed, not to be told again.
    pub(super) reported: Option<Error>,
}

impl Partition {
    pub(super) fn new(incarnation: u64, phase: Phase) -> Self {
        let unknown = Position::at(-1);
        Self {
            incarnation,
            phase,
            busy: None,
            retry_at: None,
            failures: 0,
            paused: false,
            revoking: false,
            has_position: false,
            position: unknown,
            finished: unknown,
            fetch_position: unknown,
            committed: None,
            leader: None,
            preferred: None,
            ready: VecDeque::new(),
            ready_bytes: 0,
            drain_first: false,
            is_listed: false,
            high_watermark: None,
            last_stable_offset: None,
            log_start_offset: None,
            reported: None,
        }
    }

    /// Goes to `position`; everything that was fetched or is on the way is forgotten.
    pub(super) fn move_to(&mut self, incarnation: u64, position: Position) {
        self.restart(incarnation, Phase::Fetching);
        self.has_position = true;
        self.position = position;
        self.finished = position;
        self.fetch_position = position;
        // The epoch of a position is held against the present leader's log before it is used.
        self.leader = None;
    }

    /// Starts over in `phase`; positions stay as they are until a new one is known.
    pub(super) fn restart(&mut self, incarnation: u64, phase: Phase) {
        self.incarnation = incarnation;
        self.phase = phase;
        self.busy = None;
        self.retry_at = None;
        self.failures = 0;
        self.reported = None;
        self.drop_ready();
    }

    pub(super) fn drop_ready(&mut self) {
        self.ready.clear();
        self.ready_bytes = 0;
        self.drain_first = false;
        self.fetch_position = self.position;
    }

    /// Where the partition stands, unless a broker has still to tell where it goes on.
    pub(super) fn known_position(&self) -> Option<Position> {
        let is_asked = matches!(self.phase, Phase::NeedsCommitted | Phase::NeedsReset(_));
        (self.has_position && !is_asked).then_some(self.position)
    }

    pub(super) fn can_act(&self, now: Instant) -> bool {
        self.busy.is_none() && self.retry_at.is_none_or(|at| at <= now)
    }

    /// How many records are behind the position that a reader of this isolation level can see.
    pub(super) fn lag(&self, read_committed: bool) -> Option<i64> {
        let end = if read_committed { self.last_stable_offset } else { self.high_watermark };
        let position = self.known_position()?;
        end.map(|end| (end - position.offset).max(0))
    }
}
