//! Leader and followers over a log in memory.

use std::collections::BTreeMap;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::fetch::{EpochEndOffset, FetchPartition, PartitionData};

use super::*;

mod random;

const RULE: CommitRule = CommitRule { min_in_sync: 1, flush_before_ack: false, lag_max_ms: 100 };

/// A log of records that are known by a number, one to a batch.
#[derive(Debug, Clone, Default)]
struct Toy {
    /// Epoch and number of each.
    records: Vec<(i32, u64)>,
    /// Epochs and where they start.
    epochs: Vec<(i32, i64)>,
}

impl Toy {
    fn of(epochs: &[i32]) -> Self {
        let mut log = Self::default();
        for (number, epoch) in epochs.iter().enumerate() {
            log.append(*epoch, number as u64);
        }
        log
    }

    fn begin_epoch(&mut self, epoch: i32) {
        if self.epochs.last().is_none_or(|(last, _)| *last < epoch) {
            let end = self.end();
            self.epochs.retain(|(_, start)| *start < end);
            self.epochs.push((epoch, end));
        }
    }

    fn append(&mut self, epoch: i32, number: u64) {
        self.begin_epoch(epoch);
        self.records.push((epoch, number));
    }

    fn truncate_to(&mut self, offset: i64) {
        self.records.truncate(usize::try_from(offset).unwrap());
        let end = self.end();
        self.epochs.retain(|(_, start)| *start < end);
    }

    /// What a leader with this log answers to a follower.
    fn answer(&self, asked: &FetchPartition, high_watermark: i64) -> PartitionData {
        let mut answer = PartitionData { high_watermark, ..PartitionData::default() };
        if asked.last_fetched_epoch >= 0 {
            let (epoch, end_offset) = self.end_of_epoch(asked.last_fetched_epoch).unwrap();
            if epoch < asked.last_fetched_epoch || end_offset < asked.fetch_offset {
                answer.diverging_epoch =
                    EpochEndOffset { epoch, end_offset, ..EpochEndOffset::default() };
            }
        }
        answer
    }
}

impl FollowerLog for Toy {
    fn start(&self) -> i64 {
        0
    }

    fn end(&self) -> i64 {
        i64::try_from(self.records.len()).unwrap()
    }

    fn last_epoch(&self) -> i32 {
        self.epochs.last().map_or(-1, |(epoch, _)| *epoch)
    }

    fn end_of_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        if self.last_epoch() == epoch {
            return Some((epoch, self.end()));
        }
        let above = self.epochs.partition_point(|(known, _)| *known <= epoch);
        let (_, next) = self.epochs.get(above)?;
        Some((above.checked_sub(1).map_or(epoch, |floor| self.epochs[floor].0), *next))
    }
}

/// Fetches once; true if there was something to do.
fn fetch(following: &mut Following, log: &mut Toy, leader: &Toy, leader_hw: i64) -> bool {
    let asked = following.request(0, log, 1);
    match following.on_answer(&asked, &leader.answer(&asked, leader_hw), log) {
        Step::TruncateTo(offset) => {
            log.truncate_to(offset);
            following.on_truncated(log.end());
            true
        }
        Step::Append { high_watermark, .. } => {
            let next = leader.records.get(log.records.len());
            if let Some((epoch, number)) = next {
                log.append(*epoch, *number);
            }
            following.on_appended(high_watermark, log.end());
            next.is_some()
        }
        other => panic!("{other:?}"),
    }
}

fn follow(follower: &[i32], leader: &[i32]) -> (Toy, u32) {
    let (mut log, leader) = (Toy::of(follower), Toy::of(leader));
    let mut following = Following::new(leader.last_epoch(), 0, log.end());
    let mut rounds = 0;
    while fetch(&mut following, &mut log, &leader, 0) {
        rounds += 1;
        assert!(rounds < 100, "{log:?} never becomes {leader:?}");
    }
    let epochs = |log: &Toy| log.records.iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>();
    assert_eq!(epochs(&log), epochs(&leader));
    (log, rounds)
}

#[test]
fn a_follower_cuts_what_its_leader_never_had() {
    // KIP-101: by epoch, not to the high watermark.
    follow(&[0, 0, 0], &[0, 0, 1]);
    follow(&[0, 0, 0, 0], &[0, 0]);
    follow(&[], &[0, 3]);
    // KIP-279: the leader's epoch is not known here, and the other way round.
    follow(&[0, 0, 1, 1], &[0, 0, 2, 2, 2]);
    follow(&[0, 1, 1, 3, 3], &[0, 0, 0, 2, 2, 4]);
    follow(&[1, 1, 1], &[0, 2]);
}

#[test]
fn an_epoch_without_records_does_not_stop_a_follower() {
    // KAFKA-10706: it had begun to lead, wrote nothing, and follows again.
    let mut log = Toy::of(&[0, 0]);
    log.begin_epoch(3);
    let leader = Toy::of(&[0, 0, 4]);
    let mut following = Following::new(4, 2, 2);
    let rounds = (0..10).take_while(|_| fetch(&mut following, &mut log, &leader, 2)).count();
    assert!(rounds < 10);
    assert_eq!(log.records.len(), 3);
    assert_eq!(following.high_watermark(), 2, "an end at the log's end cuts nothing");
}

#[test]
fn divergence_takes_no_high_watermark() {
    // KAFKA-14704
    let (mut log, leader) = (Toy::of(&[0, 0, 0, 0]), Toy::of(&[0, 1, 1, 1]));
    let mut following = Following::new(1, 1, 4);
    assert!(fetch(&mut following, &mut log, &leader, 4));
    assert_eq!((log.end(), following.high_watermark()), (1, 1));
}

#[test]
fn a_new_leaders_high_watermark_takes_nothing_back() {
    let mut following = Following::new(2, 5, 8);
    assert!(!following.on_appended(3, 8));
    assert_eq!(following.high_watermark(), 5);
    assert!(following.on_appended(20, 9));
    assert_eq!(following.high_watermark(), 9, "never beyond the own end");
}

#[test]
fn answers_to_former_questions_are_dropped() {
    let mut log = Toy::of(&[0, 0]);
    let following = Following::new(0, 0, 2);
    let asked = following.request(0, &log, 1);
    let answer = PartitionData::default();
    let newer = Following::new(1, 0, 2);
    assert_eq!(newer.on_answer(&asked, &answer, &log), Step::Drop);
    log.append(0, 9);
    assert_eq!(following.on_answer(&asked, &answer, &log), Step::Drop);
}

#[test]
fn a_log_that_ends_below_the_leaders_start_goes_on_there() {
    let following = Following::new(0, 0, 2);
    let step = |log: &Toy, start| {
        let answer = PartitionData {
            error_code: ErrorCode::OffsetOutOfRange.code(),
            log_start_offset: start,
            ..PartitionData::default()
        };
        following.on_answer(&following.request(0, log, 1), &answer, log)
    };
    assert_eq!(step(&Toy::of(&[0, 0]), 7), Step::StartAt(7));
    assert_eq!(step(&Toy::default(), 7), Step::StartAt(7));
    let wait = Step::Wait(ErrorCode::OffsetOutOfRange);
    assert_eq!(step(&Toy::of(&[0, 0]), 1), wait, "what is there is not thrown away");
    assert_eq!(step(&Toy::of(&[0, 0]), -1), wait, "the leader did not say");
}

fn assignment(partition_epoch: i32, isr: &[i32]) -> Assignment {
    Assignment {
        leader_epoch: 4,
        partition_epoch,
        replicas: vec![1, 2, 3],
        isr: isr.to_vec(),
        active: BTreeMap::from([(1, 11), (2, 12), (3, 13)]),
    }
}

fn leader(isr: &[i32], rule: CommitRule) -> Leadership {
    let ends = LogEnds { high_watermark: 5, log_end: 10, durable_end: 8 };
    Leadership::new(1, assignment(0, isr), ends, rule, 0)
}

#[test]
fn the_high_watermark_is_what_all_in_sync_have() {
    let mut leader = leader(&[1, 2, 3], RULE);
    assert_eq!(leader.high_watermark(), 5, "nobody has fetched yet");
    assert!(!leader.on_fetch(2, 12, 10, 1));
    assert!(leader.on_fetch(3, 13, 7, 2));
    assert_eq!(leader.high_watermark(), 7);
    assert!(!leader.on_append(12, 3));
    assert!(leader.on_fetch(3, 13, 12, 4));
    assert_eq!(leader.high_watermark(), 10);
    assert!(!leader.on_fetch(3, 13, 6, 5), "it never goes back");
    assert_eq!(leader.high_watermark(), 10);
    assert!(!leader.on_fetch(9, 1, 12, 5), "no replica");
    assert!(!leader.on_fetch(2, 12, 99, 5), "beyond the end");
    assert!(!leader.on_fetch(2, 11, 12, 5), "a former incarnation");
    assert_eq!(leader.high_watermark(), 10);
}

#[test]
fn the_low_watermark_is_where_the_last_replica_that_is_alive_starts() {
    let mut leader = leader(&[1, 2, 3], RULE);
    assert_eq!(leader.low_watermark(4), -1, "nobody has fetched yet");
    assert!(leader.on_log_start(2, 4, 4) && leader.on_log_start(3, 2, 4));
    assert!(!leader.on_log_start(3, 2, 4), "no news");
    assert!(!leader.on_log_start(9, 2, 4), "no replica");
    assert_eq!(leader.low_watermark(4), 2);
    assert_eq!(leader.low_watermark(1), 1);
    let mut without = assignment(1, &[1, 2]);
    without.active.remove(&3);
    leader.on_assignment(without, 1);
    assert_eq!(leader.low_watermark(4), 4, "a broker that is not alive is not waited for");
}

#[test]
fn a_new_leader_lags_until_its_followers_have_what_it_found() {
    let mut leader = leader(&[1, 2, 3], RULE);
    leader.on_append(12, 1);
    leader.on_fetch(2, 12, 12, 2);
    leader.on_fetch(3, 13, 9, 2);
    assert!(leader.high_watermark() < leader.epoch_start(), "KIP-207");
    leader.on_fetch(3, 13, 10, 3);
    assert!(leader.high_watermark() >= leader.epoch_start());
}

#[test]
fn a_replica_set_of_one_commits_what_is_durable_where_that_is_asked() {
    let rule = CommitRule { flush_before_ack: true, ..RULE };
    let mut leader = leader(&[1], rule);
    assert_eq!(leader.high_watermark(), 8);
    assert!(!leader.on_append(12, 0));
    assert!(leader.on_flush(11, 0));
    assert_eq!(leader.high_watermark(), 11);
    assert!(leader.on_rule(RULE, 0));
    assert!(!leader.on_rule(rule, 0), "it never goes back");
    assert_eq!(leader.high_watermark(), 12);
}

#[test]
fn below_min_isr_nothing_is_committed() {
    let mut leader = leader(&[1], CommitRule { min_in_sync: 2, ..RULE });
    assert!(!leader.has_enough_in_sync());
    assert!(!leader.on_append(20, 0));
    assert_eq!(leader.high_watermark(), 5);
    // M3: that it is proposed is not enough.
    assert!(!leader.on_fetch(2, 12, 20, 1));
    let proposal = leader.poll(1).unwrap();
    assert_eq!(proposal, IsrProposal { partition_epoch: 0, isr: vec![(1, 11), (2, 12)] });
    assert!(!leader.on_proposal(&proposal, ProposalResult::Applied, 1));
    assert_eq!(leader.high_watermark(), 5);
    assert!(leader.on_assignment(assignment(1, &[1, 2]), 2));
    assert_eq!(leader.high_watermark(), 20);
}

#[test]
fn who_may_be_in_the_isr_counts_until_the_metadata_says_otherwise() {
    let mut leader = leader(&[1], RULE);
    assert_eq!(leader.high_watermark(), 10);
    leader.on_fetch(2, 12, 10, 1);
    let proposal = leader.poll(1).unwrap();
    assert_eq!(leader.poll(1), None, "one at a time");
    leader.on_append(15, 2);
    // Long after it was last in time, its ISR membership is still undecided.
    assert!(!leader.on_append(16, 500));
    assert_eq!(leader.high_watermark(), 10);
    leader.on_proposal(&proposal, ProposalResult::Unknown, 500);
    assert_eq!(leader.poll(500), None, "not at once");
    assert_eq!(leader.poll(550).as_ref(), Some(&proposal), "as it was");
    let stale = ProposalResult::Refused(ErrorCode::InvalidUpdateVersion);
    leader.on_proposal(&proposal, stale, 560);
    assert_eq!((leader.poll(700), leader.high_watermark()), (None, 10));
    assert!(!leader.on_assignment(assignment(0, &[1]), 700), "nothing new");
    assert!(leader.on_assignment(assignment(1, &[1]), 700));
    assert_eq!(leader.high_watermark(), 16);
}

#[test]
fn a_refused_member_is_let_go() {
    let mut leader = leader(&[1], RULE);
    leader.on_fetch(2, 12, 10, 1);
    let proposal = leader.poll(1).unwrap();
    leader.on_append(15, 2);
    let refused = ProposalResult::Refused(ErrorCode::IneligibleReplica);
    assert!(leader.on_proposal(&proposal, refused, 500));
    assert_eq!(leader.high_watermark(), 15);
}

#[test]
fn a_shrink_counts_when_it_is_committed() {
    let mut leader = leader(&[1, 2], RULE);
    leader.on_fetch(2, 12, 7, 1);
    assert_eq!(leader.poll(100), None, "it has the lag time to show up");
    let proposal = leader.poll(101).unwrap();
    assert_eq!(proposal.isr, vec![(1, 11)]);
    assert!(!leader.on_append(20, 102));
    assert!(!leader.on_proposal(&proposal, ProposalResult::Applied, 103));
    assert_eq!(leader.high_watermark(), 7);
    assert!(leader.on_assignment(assignment(1, &[1]), 104));
    assert_eq!(leader.high_watermark(), 20);
}

#[test]
fn who_joins_has_what_this_epoch_found_and_is_alive() {
    let mut leader = leader(&[1, 3], RULE);
    leader.on_fetch(2, 12, 9, 1);
    assert_eq!(leader.poll(1), None, "below the epoch's start, above the high watermark");
    leader.on_fetch(2, 10, 10, 1);
    assert_eq!(leader.poll(1), None, "a former incarnation");
    leader.on_log_start(2, 3, 4);
    leader.on_fetch(2, 12, 10, 1);
    assert_eq!(leader.poll(1), None, "it has what was deleted");
    leader.on_log_start(2, 4, 4);
    let fenced =
        Assignment { active: BTreeMap::from([(1, 11), (3, 13)]), ..assignment(0, &[1, 3]) };
    leader.on_assignment(fenced, 1);
    leader.on_fetch(2, 12, 10, 1);
    assert_eq!(leader.poll(1), None, "fenced");
    leader.on_assignment(assignment(0, &[1, 3]), 1);
    assert_eq!(leader.poll(1).unwrap().isr, vec![(1, 11), (3, 13), (2, 12)]);
}

#[test]
fn a_steady_follower_that_is_never_quite_at_the_end_is_in_sync() {
    let mut leader = leader(&[1, 2], RULE);
    let mut now = 0;
    for end in 11..40 {
        leader.on_fetch(2, 12, end - 1, now);
        leader.on_append(end, now);
        now += 60;
        // It has, now, what the leader had at its last fetch.
        leader.on_append(end + 1, now);
        leader.on_fetch(2, 12, end, now);
        assert_eq!(leader.poll(now), None, "at {now}");
    }
}

/// M19: its log dir has failed, or its log was cut, since it fetched last.
#[test]
fn who_was_taken_out_joins_and_counts_only_by_a_new_fetch() {
    let mut leader = leader(&[1, 2, 3], RULE);
    leader.on_fetch(2, 12, 10, 1);
    leader.on_fetch(3, 13, 10, 1);
    assert!(!leader.on_append(20, 2));
    leader.on_fetch(3, 13, 20, 2);
    assert_eq!(leader.high_watermark(), 10);
    assert!(leader.on_assignment(assignment(1, &[1, 3]), 3));
    assert_eq!(leader.high_watermark(), 20, "it does not hold the others back");
    assert_eq!(leader.poll(3), None, "it does not join by what it had");
    leader.on_fetch(2, 12, 20, 4);
    assert_eq!(leader.poll(4).unwrap().isr, vec![(1, 11), (3, 13), (2, 12)]);
}
