//! The consumer against a broker in this process: delivery, positions, commits.

mod consumer_support;

use consumer_support::{Cluster, PATIENCE, Seen, read};
use ottla::{Admin, Compression, Consumer, ErrorKind, NewTopic, TopicPartition};
use std::collections::BTreeSet;
use std::time::Duration;

fn partitions(topic: &str, count: i32) -> Vec<TopicPartition> {
    (0..count).map(|partition| TopicPartition::new(topic, partition)).collect()
}

#[tokio::test]
async fn every_codec_is_read_in_order_without_a_group() {
    for codec in Compression::ALL {
        let cluster = Cluster::with_topic("t", 3).await;
        cluster.produce_with("t", 3, 0..300, codec).await;
        let consumer = cluster.consumer().assign(partitions("t", 3)).build().await.expect("up");
        let (mut seen, mut next) = (Seen::default(), [0_i64; 3]);
        while seen.0.len() < 300 {
            let batch = tokio::time::timeout(PATIENCE, consumer.next_batch()).await;
            let batch = batch.expect("in time").expect("no error").expect("not closed");
            assert!(!batch.is_empty() && batch.topic() == "t");
            for record in &batch {
                let expected = &mut next[batch.partition() as usize];
                assert_eq!(record.offset, *expected, "offsets are in order");
                *expected += 1;
                assert_eq!(record.key, Some(&b"k"[..]));
                assert_eq!(record.headers.iter().next(), Some(("h", Some(&b"1"[..]))));
                seen.add(record.value);
            }
        }
        seen.assert_each_once(300);
        assert_eq!(consumer.position(("t", 0)), Some(100));
        assert_eq!(consumer.lag(("t", 0)), Some(0));
        consumer.close().await.expect("closed");
        assert!(consumer.next_batch().await.expect("no error").is_none());
    }
}

#[tokio::test]
async fn a_dropped_wish_for_a_batch_loses_nothing() {
    let cluster = Cluster::with_topic("t", 2).await;
    let consumer = cluster.consumer().assign(partitions("t", 2)).build().await.expect("up");
    let mut seen = Seen::default();
    let writing = async {
        for part in 0..20 {
            cluster.produce("t", 2, part * 10..(part + 1) * 10).await;
        }
    };
    let reading = async {
        while seen.0.len() < 200 {
            // Most of these are dropped while they wait.
            let wish = tokio::time::timeout(Duration::from_micros(300), consumer.next_batch());
            if let Ok(batch) = wish.await {
                let batch = batch.expect("no error").expect("not closed");
                batch.iter().for_each(|record| seen.add(record.value));
            }
        }
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(writing, reading) })
        .await
        .expect("in time");
    seen.assert_each_once(200);
}

#[tokio::test]
async fn seek_pause_and_questions_about_offsets() {
    let cluster = Cluster::with_topic("t", 2).await;
    cluster.produce("t", 2, 0..100).await;
    let consumer = cluster.consumer().assign(partitions("t", 2)).build().await.expect("up");
    read(&consumer, 100, &mut Seen::default()).await;

    consumer.pause(("t", 1)).expect("assigned");
    consumer.seek(("t", 0), 40).expect("assigned");
    consumer.seek(("t", 1), 10).expect("assigned");
    let mut seen = Seen::default();
    read(&consumer, 10, &mut seen).await;
    let expected: Vec<u32> = (40..50).map(|offset| offset * 2).collect();
    assert_eq!(seen.0.keys().copied().collect::<Vec<_>>(), expected, "only partition 0, from 40");
    assert!(consumer.is_paused(("t", 1)));
    consumer.resume(("t", 1)).expect("assigned");
    read(&consumer, 40, &mut Seen::default()).await;

    consumer.seek_to_beginning(("t", 0)).expect("assigned");
    read(&consumer, 50, &mut Seen::default()).await;
    // Number n has the timestamp 1000 + n.
    consumer.seek_to_timestamp(("t", 1), 1_091).expect("assigned");
    let mut seen = Seen::default();
    read(&consumer, 5, &mut seen).await;
    assert_eq!(seen.0.keys().copied().collect::<Vec<_>>(), [91, 93, 95, 97, 99]);

    let times = [(("t", 0), 1_010), (("t", 1), 9_999)];
    let found = consumer.offsets_for_times(times).await.expect("answered");
    assert_eq!(
        found[&TopicPartition::new("t", 0)].map(|at| (at.offset, at.timestamp_ms)),
        Some((5, 1_010))
    );
    assert_eq!(found[&TopicPartition::new("t", 1)], None);
    let ends = consumer.end_offsets([("t", 0)]).await.expect("answered");
    let beginnings = consumer.beginning_offsets([("t", 0)]).await.expect("answered");
    assert_eq!((ends.values().next(), beginnings.values().next()), (Some(&50), Some(&0)));
    let error = consumer.seek(("u", 0), 1).expect_err("not assigned");
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

/// Trap 12: under `LogAppendTime` every record has the broker's time, which is the batch's.
#[tokio::test]
async fn append_time_is_the_time_of_every_record() {
    let cluster = Cluster::start().await;
    let admin = Admin::builder().bootstrap_servers(&cluster.address).build().await.expect("up");
    let topic = NewTopic::new("t", 1, 1).config("message.timestamp.type", "LogAppendTime");
    admin.create_topic(topic).await.expect("a new topic");
    let now_ms = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        i64::try_from(now.expect("after 1970").as_millis()).expect("before the year 292 million")
    };
    let before = now_ms();
    // The producer says 1000 + n.
    cluster.produce("t", 1, 0..10).await;
    let consumer = cluster.consumer().assign(partitions("t", 1)).build().await.expect("up");
    let mut count = 0;
    while count < 10 {
        let batch = tokio::time::timeout(PATIENCE, consumer.next_batch()).await.expect("in time");
        let batch = batch.expect("no error").expect("not closed");
        let times: BTreeSet<i64> = batch.iter().map(|record| record.timestamp).collect();
        assert_eq!(times.len(), 1, "one time per batch: {times:?}");
        assert!(times.iter().all(|time| (before..=now_ms()).contains(time)), "{times:?}");
        count += batch.len();
    }
}

#[tokio::test]
async fn record_by_record_commits_up_to_the_last_one_given() {
    let cluster = Cluster::with_topic("t", 1).await;
    cluster.produce("t", 1, 0..50).await;
    let build = || cluster.consumer().group_id("g").topics(["t"]).build();
    let consumer = build().await.expect("up");
    let mut seen = Seen::default();
    for number in 0..20 {
        let record = consumer.next().await.expect("no error").expect("not closed");
        assert_eq!((record.offset(), record.timestamp()), (number, 1_000 + number));
        assert_eq!(record.headers().collect::<Vec<_>>(), [("h", Some(&b"1"[..]))]);
        seen.add(record.value());
    }
    assert_eq!(consumer.position(("t", 0)), Some(20));
    consumer.commit().await.expect("committed");
    let committed = consumer.committed([("t", 0)]).await.expect("answered");
    assert_eq!(committed[&TopicPartition::new("t", 0)].offset, 20);
    consumer.close().await.expect("closed");

    let consumer = build().await.expect("up");
    for number in 20..25 {
        let record = consumer.next().await.expect("no error").expect("not closed");
        assert_eq!(record.offset(), number);
        seen.add(record.value());
    }
    // The rest of the batch that record-wise consumption has begun.
    read(&consumer, 25, &mut seen).await;
    seen.assert_each_once(50);
}

#[tokio::test]
async fn a_view_on_a_batch_commits_what_it_says_is_finished() {
    let cluster = Cluster::with_topic("t", 1).await;
    cluster.produce("t", 1, 0..50).await;
    let consumer = cluster.consumer().group_id("g").topics(["t"]).build().await.expect("up");
    let batch = consumer.next_batch().await.expect("no error").expect("not closed");
    assert!(batch.len() > 20);
    assert!(consumer.finish_up_to(20), "no rebalance waits");
    consumer.commit().await.expect("committed");
    let committed = consumer.committed([("t", 0)]).await.expect("answered");
    assert_eq!(committed[&TopicPartition::new("t", 0)].offset, 20);
    // The next wish finishes the whole batch, whatever the view said.
    let ask = tokio::time::timeout(Duration::from_millis(1), consumer.next_batch()).await;
    assert!(ask.is_err() || batch.len() < 50);
    consumer.commit().await.expect("committed");
    let committed = consumer.committed([("t", 0)]).await.expect("answered");
    assert!(committed[&TopicPartition::new("t", 0)].offset > batch.last_offset());
}

#[tokio::test]
async fn a_closed_consumer_answers_questions_at_once() {
    let cluster = Cluster::with_topic("t", 1).await;
    let consumer = cluster.consumer().group_id("g").topics(["t"]).build().await.expect("up");
    consumer.end_offsets([("t", 0)]).await.expect("answered");
    consumer.close().await.expect("closed");
    let asked = consumer.end_offsets([("t", 0)]).await.expect_err("closed");
    assert_eq!(asked.kind(), ErrorKind::Closed);
    let asked = consumer.committed([("t", 0)]).await.expect_err("closed");
    assert_eq!(asked.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn closing_commits_what_a_view_said_is_finished() {
    let cluster = Cluster::with_topic("t", 1).await;
    cluster.produce("t", 1, 0..50).await;
    let build = || cluster.consumer().group_id("g").topics(["t"]).build();
    let consumer = build().await.expect("up");
    let batch = consumer.next_batch().await.expect("no error").expect("not closed");
    assert!(batch.len() > 7);
    assert!(consumer.finish_up_to(7), "no rebalance waits");
    consumer.close().await.expect("closed");
    let consumer = build().await.expect("up");
    let rest = consumer.next_batch().await.expect("no error").expect("not closed");
    assert_eq!(rest.base_offset(), 7);
}

#[tokio::test]
async fn committing_after_closing_fails_at_once() {
    let cluster = Cluster::with_topic("t", 1).await;
    let consumer = cluster.consumer().group_id("g").topics(["t"]).build().await.expect("up");
    consumer.close().await.expect("closed");
    let limit = Duration::from_secs(20);
    let committed = tokio::time::timeout(limit, consumer.commit()).await.expect("it ends");
    assert_eq!(committed.expect_err("closed").kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn what_is_not_finished_is_not_committed_by_itself() {
    let cluster = Cluster::with_topic("t", 1).await;
    cluster.produce("t", 1, 0..10).await;
    cluster.produce("t", 1, 10..20).await;
    let build = || {
        let interval = Duration::from_millis(20);
        cluster.consumer().group_id("g").topics(["t"]).auto_commit_interval(interval).build()
    };
    let consumer = build().await.expect("up");
    let first = consumer.next_batch().await.expect("no error").expect("not closed");
    let second = consumer.next_batch().await.expect("no error").expect("not closed");
    assert_eq!((first.base_offset(), second.base_offset()), (0, 10));
    // The first is finished: it gets committed although the user is busy with the second.
    let committed = async {
        loop {
            let committed = consumer.committed([("t", 0)]).await.expect("answered");
            if let Some(found) = committed.values().next() {
                return found.offset;
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, committed).await.expect("in time"), 10);
    // The program dies in the middle of the second.
    drop((second, consumer));
    let consumer = build().await.expect("up");
    let again = consumer.next_batch().await.expect("no error").expect("not closed");
    assert_eq!(again.base_offset(), 10, "the second batch is delivered again");
}

#[tokio::test]
async fn commits_of_chosen_offsets_and_their_notes_come_back() {
    let cluster = Cluster::with_topic("t", 1).await;
    cluster.produce("t", 1, 0..10).await;
    let consumer = cluster
        .consumer()
        .group_id("g")
        .assign(partitions("t", 1))
        .enable_auto_commit(false)
        .build()
        .await
        .expect("up");
    let noted = ottla::OffsetAndMetadata {
        offset: 7,
        leader_epoch: Some(0),
        metadata: Some("note".to_string()),
    };
    consumer.commit_offsets([(("t", 0), noted.clone())]).await.expect("committed");
    let committed = consumer.committed([("t", 0), ("t", 1)]).await.expect("answered");
    assert_eq!(committed.into_values().collect::<Vec<_>>(), [noted]);
    let lone = cluster.consumer().assign(partitions("t", 1)).build().await.expect("up");
    assert_eq!(lone.commit().await.expect_err("no group").kind(), ErrorKind::Config);
}

#[tokio::test]
async fn mistakes_are_named_with_their_remedy() {
    let cluster = Cluster::with_topic("t", 1).await;
    let consumer = cluster.consumer().group_id("g").topics(["tpyo"]).build().await.expect("up");
    let next = tokio::time::timeout(PATIENCE, consumer.next_batch()).await.expect("in time");
    let error = next.expect_err("the topic does not exist");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("'tpyo' does not exist: create it"), "{error}");

    let lone = cluster
        .consumer()
        .auto_offset_reset("none")
        .assign(partitions("t", 1))
        .build()
        .await
        .expect("up");
    let error = lone.next_batch().await.expect_err("no position");
    assert!(error.to_string().contains("t-0 has no position"), "{error}");
    lone.seek(("t", 0), 0).expect("assigned");

    let no_group = Consumer::builder().bootstrap_servers(&cluster.address).topics(["t"]).build();
    let error = no_group.await.expect_err("no group");
    assert!(error.to_string().contains("group.id"), "{error}");
    let port = {
        // Bound and released: nobody listens there.
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        free.local_addr().expect("bound").port()
    };
    let nobody = Consumer::builder().bootstrap_servers(format!("127.0.0.1:{port}"));
    let error = nobody.assign(partitions("t", 1)).build().await.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains(&port.to_string()), "{error}");
}
