//! What the leader of a partition knows of its replicas, and where that puts the high watermark.
//! Sans-IO.
//!
//! The set of replicas has one member for now: the leader itself. Its share of the high watermark
//! is its log's end, or with flush-before-ack its durable end (M12); and the high watermark stands
//! still while fewer than `min.insync.replicas` are in sync, for every kind of acks (P1).

/// The leader's view of one partition, from one election to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leadership {
    epoch: i32,
    high_watermark: i64,
    log_end: i64,
    durable_end: i64,
    in_sync: usize,
    min_in_sync: usize,
    flush_before_ack: bool,
}

/// The settings that the high watermark depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitRule {
    /// `min.insync.replicas`.
    pub min_in_sync: usize,
    /// `flush.messages` is 1: only what is on disk is acknowledged.
    pub flush_before_ack: bool,
}

impl Leadership {
    /// A leader of `epoch` whose log ends at `log_end`; `high_watermark` is what was last known to
    /// be committed.
    pub fn new(
        epoch: i32,
        high_watermark: i64,
        log_end: i64,
        durable_end: i64,
        rule: CommitRule,
    ) -> Self {
        let mut leadership = Self {
            epoch,
            high_watermark: high_watermark.min(log_end),
            log_end,
            durable_end: durable_end.min(log_end),
            in_sync: 1,
            min_in_sync: rule.min_in_sync,
            flush_before_ack: rule.flush_before_ack,
        };
        leadership.advance();
        leadership
    }

    /// The leader epoch (M5).
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// Everything below is committed.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// Whether acks=all can be served: otherwise it is refused before the append (19).
    pub fn has_enough_in_sync(&self) -> bool {
        self.in_sync >= self.min_in_sync
    }

    /// The log has grown; true if the high watermark has, too.
    pub fn on_append(&mut self, log_end: i64) -> bool {
        debug_assert!(log_end >= self.log_end, "a leader's log only grows");
        self.log_end = log_end;
        self.advance()
    }

    /// The log is on disk up to here; true if the high watermark has advanced.
    pub fn on_flush(&mut self, durable_end: i64) -> bool {
        self.durable_end = self.durable_end.max(durable_end.min(self.log_end));
        self.advance()
    }

    /// The topic's settings have changed; true if the high watermark has advanced. It never goes
    /// back.
    pub fn on_rule(&mut self, rule: CommitRule) -> bool {
        self.min_in_sync = rule.min_in_sync;
        self.flush_before_ack = rule.flush_before_ack;
        self.advance()
    }

    fn advance(&mut self) -> bool {
        let own = if self.flush_before_ack { self.durable_end } else { self.log_end };
        // P1: below min.insync.replicas the high watermark stands still, for acks=1 as well.
        if !self.has_enough_in_sync() || own <= self.high_watermark {
            return false;
        }
        self.high_watermark = own;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: CommitRule = CommitRule { min_in_sync: 1, flush_before_ack: false };

    #[test]
    fn a_replica_set_of_one_commits_what_it_appends() {
        let mut leadership = Leadership::new(3, 0, 10, 4, PLAIN);
        assert_eq!(leadership.high_watermark(), 10);
        assert!(leadership.on_append(12));
        assert_eq!(leadership.high_watermark(), 12);
    }

    #[test]
    fn with_flush_before_ack_only_the_durable_end_counts() {
        let rule = CommitRule { flush_before_ack: true, ..PLAIN };
        let mut leadership = Leadership::new(0, 0, 0, 0, rule);
        assert!(!leadership.on_append(5));
        assert!(leadership.on_flush(3));
        assert_eq!(leadership.high_watermark(), 3);
        assert!(leadership.on_rule(PLAIN));
        assert_eq!(leadership.high_watermark(), 5);
        assert!(!leadership.on_rule(rule), "it never goes back");
        assert_eq!(leadership.high_watermark(), 5);
    }

    #[test]
    fn below_min_isr_nothing_is_committed() {
        let rule = CommitRule { min_in_sync: 2, ..PLAIN };
        let mut leadership = Leadership::new(0, 2, 4, 4, rule);
        assert!(!leadership.has_enough_in_sync());
        assert!(!leadership.on_append(9));
        assert_eq!(leadership.high_watermark(), 2);
        assert!(leadership.on_rule(PLAIN));
        assert_eq!(leadership.high_watermark(), 9);
    }
}
