use super::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn found(log: &Log) -> Vec<Invariant> {
    log.violations().iter().map(|violation| violation.invariant).collect()
}

/// An idempotent producer has sent "p/0", "p/1" … to partition 0, and got so many acknowledged.
fn produced(sent: usize, acknowledged: usize) -> Log {
    let mut log = Log::default();
    log.producer("p", Promise::Once);
    for number in 0..sent {
        log.sent(at(1), "p", 0, &format!("p/{number}"));
    }
    for number in 0..acknowledged {
        log.acknowledged(at(2), &format!("p/{number}"), i64::try_from(number).ok());
    }
    log
}

/// Replica "r" holds these values from offset 0 on.
fn hold(log: &mut Log, replica: &str, values: &[&str]) {
    log.replica(replica);
    for (offset, value) in (0..).zip(values) {
        log.held(at(9), replica, (0, offset), Some(1), value);
    }
}

fn judged(mut log: Log, values: &[&str]) -> Vec<Invariant> {
    hold(&mut log, "r", values);
    log.check();
    found(&log)
}

#[test]
fn what_was_acknowledged_and_read_is_kept() {
    let mut log = produced(3, 2);
    log.read(at(3), "reader", (0, 1), Some(1), "p/1");
    hold(&mut log, "q", &["p/0", "p/1"]);
    assert!(log.is_covered(&[2]) && !log.is_covered(&[1]));
    // The third was not answered: it may be there.
    assert_eq!(judged(log, &["p/0", "p/1", "p/2"]), []);
}

#[test]
fn a_last_look_covers_what_was_read() {
    let mut log = produced(3, 2);
    log.read(at(3), "reader", (0, 2), Some(1), "p/2");
    assert!(log.is_covered(&[3]) && !log.is_covered(&[2]));
}

#[test]
fn an_acknowledged_record_that_a_replica_lacks_is_caught() {
    let mut log = produced(3, 3);
    hold(&mut log, "q", &["p/0", "p/1", "p/2"]);
    hold(&mut log, "r", &["p/0", "p/1"]);
    log.check();
    assert_eq!(found(&log), [Invariant::AcknowledgedKept]);
    let text = log.violations()[0].to_string();
    let wanted = "acknowledged-kept: partition 0, offset 2: p/2 1.000 s p: sent, 2.000 s p: told \
                  offset 2; in the end r has nothing";
    assert_eq!(text, wanted);
}

#[test]
fn a_replica_with_nothing_is_judged() {
    let mut log = produced(1, 1);
    log.replica("r");
    log.check();
    assert_eq!(found(&log), [Invariant::AcknowledgedKept]);
}

#[test]
fn what_was_deleted_on_demand_may_be_gone() {
    let mut log = produced(3, 3);
    log.deleted(0, 2);
    log.replica("r");
    log.held(at(9), "r", (0, 2), None, "p/2");
    log.check();
    assert_eq!(found(&log), []);
    let mut log = produced(3, 3);
    log.deleted(0, 2);
    log.replica("r");
    log.check();
    assert_eq!(found(&log), [Invariant::AcknowledgedKept]);
}

#[test]
fn an_acknowledgement_without_an_offset_is_found_anywhere() {
    let log = || {
        let mut log = produced(2, 1);
        log.acknowledged(at(2), "p/1", None);
        log
    };
    assert_eq!(judged(log(), &["p/0", "p/1"]), []);
    assert_eq!(judged(log(), &["p/0"]), [Invariant::AcknowledgedKept]);
}

#[test]
fn what_was_read_and_is_gone_is_caught() {
    let mut log = produced(2, 1);
    log.read(at(3), "reader", (0, 1), Some(1), "p/1");
    assert_eq!(judged(log, &["p/0"]), [Invariant::ReadKept]);
}

#[test]
fn two_values_or_epochs_of_an_offset_are_caught() {
    let mut log = produced(2, 0);
    log.read(at(3), "one", (0, 0), Some(1), "p/0");
    log.read(at(4), "two", (0, 0), None, "p/0");
    assert_eq!(found(&log), []);
    log.read(at(5), "two", (0, 0), Some(2), "p/0");
    log.read(at(6), "two", (0, 0), Some(1), "p/1");
    assert_eq!(found(&log), [Invariant::OneValue; 2]);
    let mut log = produced(2, 1);
    log.acknowledged(at(7), "p/1", Some(0));
    assert_eq!(found(&log), [Invariant::OneValue], "two were told the same offset");
}

#[test]
fn a_duplicate_of_an_idempotent_producer_is_caught() {
    assert_eq!(judged(produced(1, 1), &["p/0", "p/0"]), [Invariant::NoDuplicate]);
    let mut plain = Log::default();
    plain.producer("p", Promise::AtLeastOnce);
    plain.sent(at(1), "p", 0, "p/0");
    plain.acknowledged(at(2), "p/0", Some(1));
    assert_eq!(judged(plain, &["p/0", "p/0"]), [], "a plain one tries again as if it were new");
}

#[test]
fn disorder_and_gaps_of_an_idempotent_producer_are_caught() {
    assert_eq!(judged(produced(2, 0), &["p/1", "p/0"]), [Invariant::InOrder]);
    assert_eq!(judged(produced(3, 0), &["p/0", "p/2"]), [Invariant::NoGap]);
    let mut log = produced(3, 0);
    log.unknown(at(5), "p/1");
    assert_eq!(judged(log, &["p/0", "p/2"]), [], "it was given up");
}

#[test]
fn what_was_refused_or_never_sent_is_not_there() {
    let mut log = produced(1, 0);
    log.refused(at(2), "p/0");
    assert_eq!(judged(log, &["p/0"]), [Invariant::RefusedAbsent]);
    assert_eq!(judged(produced(1, 0), &["p/7"]), [Invariant::OnlySent]);
    let mut log = produced(1, 0);
    log.replica("r");
    log.held(at(9), "r", (1, 0), None, "p/0");
    log.check();
    assert_eq!(found(&log), [Invariant::OnlySent], "it was for another partition");
}

#[test]
fn a_hole_between_offsets_is_caught() {
    let mut log = produced(2, 0);
    log.held(at(9), "r", (0, 0), None, "p/0");
    log.held(at(9), "r", (0, 2), None, "p/1");
    log.check();
    assert_eq!(found(&log), [Invariant::Dense]);
}

fn latest(asked: u64, epoch: i32, offset: i64) -> Latest {
    let broker = format!("of epoch {epoch}");
    Latest { asked: at(asked), at: at(asked + 2), broker, epoch, offset }
}

#[test]
fn the_latest_offset_goes_forward_from_epoch_to_epoch() {
    let mut log = Log::default();
    log.latest(0, latest(1, 4, 10));
    log.latest(0, latest(2, 4, 9));
    log.latest(0, latest(3, 5, 12));
    // The leader of epoch 4 does not know that it is none any more.
    log.latest(0, latest(9, 4, 10));
    log.latest(1, latest(9, 4, 1));
    assert_eq!(found(&log), [], "the second was asked for before the first was answered");
    log.latest(0, latest(9, 4, 9));
    log.latest(0, latest(9, 6, 11));
    assert_eq!(found(&log), [Invariant::LatestForward; 2]);
}

#[test]
fn what_a_group_never_had_is_caught() {
    let mut log = produced(2, 1);
    log.group("g");
    assert!(!log.is_delivered("g"));
    log.delivered("g", (0, 0));
    log.delivered("g", (0, 1));
    log.acknowledged(at(3), "p/1", Some(1));
    assert!(log.is_delivered("g"));
    log.check();
    assert_eq!(found(&log), []);
    let mut log = produced(2, 1);
    log.group("g");
    log.acknowledged(at(3), "p/1", Some(1));
    log.delivered("g", (0, 1));
    assert!(!log.is_delivered("g"));
    log.check();
    assert_eq!(found(&log), [Invariant::Delivered]);
}
