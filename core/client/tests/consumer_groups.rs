//! Groups against a broker in this process: rebalances without loss or repetition, heartbeats,
//! leaving.

mod consumer_support;

use consumer_support::{Cluster, PATIENCE, Seen, read};
use ottla::{Consumer, ErrorKind, RebalanceEvent};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const STRATEGIES: [&str; 4] = ["range", "roundrobin", "sticky", "cooperative-sticky"];

async fn member(cluster: &Cluster, strategy: &str) -> Consumer {
    cluster
        .consumer()
        .group_id("g")
        .topics(["t"])
        .partition_assignment_strategy(strategy)
        .set("heartbeat.interval.ms", 50)
        .expect("a setting")
        .session_timeout(Duration::from_secs(6))
        .build()
        .await
        .expect("up")
}

/// Waits until the consumer has this many partitions, going on with reading.
async fn read_until_owner_of(consumer: &Consumer, count: usize, seen: &mut Seen) {
    let reading = async {
        while consumer.assignment().len() != count {
            let wish = tokio::time::timeout(Duration::from_millis(20), consumer.next_batch());
            if let Ok(batch) = wish.await {
                let batch = batch.expect("no error").expect("not closed");
                batch.iter().for_each(|record| seen.add(record.value));
            }
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, reading).await;
    assert!(in_time.is_ok(), "still {:?} instead of {count}", consumer.assignment());
}

#[tokio::test]
async fn a_member_joins_and_one_leaves_without_loss_or_repetition() {
    for strategy in STRATEGIES {
        let cluster = Cluster::with_topic("t", 6).await;
        cluster.produce("t", 6, 0..600).await;
        let mut seen = Seen::default();
        let first = member(&cluster, strategy).await;
        read(&first, 100, &mut seen).await;

        let second = member(&cluster, strategy).await;
        let mut seen_by_second = Seen::default();
        tokio::join!(
            read_until_owner_of(&first, 3, &mut seen),
            read_until_owner_of(&second, 3, &mut seen_by_second),
        );
        cluster.produce("t", 6, 600..1200).await;
        // The first leaves in the middle; what it was given is finished and committed.
        let batch = first.next_batch().await.expect("no error").expect("not closed");
        batch.iter().for_each(|record| seen.add(record.value));
        first.commit().await.expect("committed");
        let started = std::time::Instant::now();
        first.close().await.expect("closed");
        assert!(started.elapsed() < Duration::from_secs(5), "{strategy}: {:?}", started.elapsed());

        let all = |seen: &Seen, other: &Seen| seen.0.len() + other.0.len() >= 1200;
        let reading = async {
            while !all(&seen, &seen_by_second) {
                let batch = second.next_batch().await.expect("no error").expect("not closed");
                batch.iter().for_each(|record| seen_by_second.add(record.value));
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, reading).await;
        let came = seen.0.len() + seen_by_second.0.len();
        assert!(in_time.is_ok(), "{strategy}: {came} records came");
        for (number, times) in seen_by_second.0 {
            *seen.0.entry(number).or_default() += times;
        }
        seen.assert_each_once(1200);
    }
}

#[tokio::test]
async fn heartbeats_go_on_while_the_user_works_for_longer_than_a_session() {
    let cluster = Cluster::with_topic("t", 1).await;
    cluster.produce("t", 1, 0..10).await;
    let (events, mut happened) = tokio::sync::mpsc::unbounded_channel();
    let consumer = cluster
        .consumer()
        .group_id("g")
        .topics(["t"])
        .session_timeout(Duration::from_millis(600))
        .set("heartbeat.interval.ms", 100)
        .expect("a setting")
        .on_rebalance(move |event| drop(events.send(event.clone())))
        .build()
        .await
        .expect("up");
    let _batch = consumer.next_batch().await.expect("no error").expect("not closed");
    let first = happened.recv().await.expect("the listener lives");
    assert!(matches!(first, RebalanceEvent::Assigned(_)), "{first:?}");
    // Two sessions pass while the user has the batch, and nothing happens.
    let next = tokio::time::timeout(Duration::from_millis(1_300), happened.recv()).await;
    assert!(next.is_err(), "{next:?}");
    consumer.commit().await.expect("still a member of the same generation");
}

#[tokio::test]
async fn a_stuck_user_leaves_the_group_and_joins_again_when_they_come_back() {
    let cluster = Cluster::with_topic("t", 1).await;
    cluster.produce("t", 1, 0..10).await;
    let events = Arc::new(Mutex::new(Vec::new()));
    let listener = events.clone();
    let lost = Arc::new(tokio::sync::Notify::new());
    let tell = lost.clone();
    let stuck = cluster
        .consumer()
        .group_id("g")
        .topics(["t"])
        .max_poll_interval(Duration::from_millis(300))
        .session_timeout(Duration::from_millis(300))
        .set("heartbeat.interval.ms", 50)
        .expect("a setting")
        .on_rebalance(move |event| {
            listener.lock().expect("not poisoned").push(event.clone());
            if matches!(event, RebalanceEvent::Lost(_)) {
                tell.notify_one();
            }
        })
        .build()
        .await
        .expect("up");
    let batch = stuck.next_batch().await.expect("no error").expect("not closed");
    assert_eq!(batch.len(), 10);
    tokio::time::timeout(PATIENCE, lost.notified()).await.expect("the partitions are lost");
    // Another member gets the records at once, since the stuck one has left.
    let other = member(&cluster, "range").await;
    let mut seen = Seen::default();
    read(&other, 10, &mut seen).await;
    other.close().await.expect("closed");
    // Back again: nothing of the old generation was committed, so the records come again.
    let again = tokio::time::timeout(PATIENCE, stuck.next_batch()).await.expect("in time");
    let again = again.expect("no error").expect("not closed");
    assert_eq!(again.base_offset(), 0);
    let events = events.lock().expect("not poisoned").clone();
    let kinds: Vec<_> = events.iter().map(std::mem::discriminant).collect();
    assert_eq!(kinds.len(), 3, "assigned, lost, assigned: {events:?}");
}

#[tokio::test]
async fn a_second_process_with_the_same_instance_id_fences_the_first() {
    let cluster = Cluster::with_topic("t", 1).await;
    let build = || {
        cluster
            .consumer()
            .group_id("g")
            .group_instance_id("i")
            .topics(["t"])
            .set("heartbeat.interval.ms", 50)
            .expect("a setting")
            .build()
    };
    let first = build().await.expect("up");
    read_until_owner_of(&first, 1, &mut Seen::default()).await;
    let second = build().await.expect("up");
    read_until_owner_of(&second, 1, &mut Seen::default()).await;
    let error = async {
        loop {
            if let Err(error) = first.next_batch().await {
                return error;
            }
        }
    };
    let error = tokio::time::timeout(PATIENCE, error).await.expect("in time");
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert!(error.is_fatal());
}

#[tokio::test]
async fn closing_takes_less_than_five_seconds_when_the_broker_is_gone() {
    let cluster = Cluster::with_topic("t", 1).await;
    cluster.produce("t", 1, 0..10).await;
    let consumer = member(&cluster, "range").await;
    read(&consumer, 10, &mut Seen::default()).await;
    cluster.broker.kill().await;
    let started = std::time::Instant::now();
    let _ = consumer.close().await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

/// Four members come and go while records are written; who leaves commits first. Clean rounds
/// neither lose nor repeat anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go_and_every_record_is_delivered_once() {
    const COUNT: u32 = 3_000;
    for strategy in ["range", "cooperative-sticky"] {
        let cluster = Arc::new(Cluster::with_topic("t", 5).await);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let is_done = |seen: &Mutex<Seen>| seen.lock().expect("whole").0.len() == COUNT as usize;
        let run = |number: usize| {
            let (cluster, seen) = (cluster.clone(), seen.clone());
            async move {
                for life in 0.. {
                    let consumer = member(&cluster, strategy).await;
                    // The first life is short, later ones longer; each member differs.
                    let mut left = 3 + number * 2 + life * 7;
                    while left > 0 && !is_done(&seen) {
                        let wish = Duration::from_millis(100);
                        let next = tokio::time::timeout(wish, consumer.next_batch()).await;
                        if let Ok(batch) = next {
                            let batch = batch.expect("no error").expect("not closed");
                            let mut seen = seen.lock().expect("whole");
                            batch.iter().for_each(|record| seen.add(record.value));
                            left -= 1;
                        }
                    }
                    consumer.commit().await.expect("a member until it leaves");
                    consumer.close().await.expect("closed");
                    if is_done(&seen) {
                        return;
                    }
                }
            }
        };
        let members = async { tokio::join!(run(0), run(1), run(2), run(3)) };
        let writing = async {
            for part in 0..COUNT / 50 {
                cluster.produce("t", 5, part * 50..(part + 1) * 50).await;
            }
        };
        let both = async { tokio::join!(members, writing) };
        let in_time = tokio::time::timeout(2 * PATIENCE, both).await;
        let seen = seen.lock().expect("whole");
        assert!(in_time.is_ok(), "{strategy}: {} of {COUNT} came", seen.0.len());
        seen.assert_each_once(COUNT);
    }
}
