//! Groups: sharing, handing over, resuming; with every assignor and beside another client.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla::{Consumer, Producer};
use ottla_interop::{Client, Member, topic};

use crate::Target;
use crate::records::make_topic;

async fn write(bootstrap: &str, topic: &str, partitions: i32, values: std::ops::Range<u32>) {
    let producer = Producer::builder().bootstrap_servers(bootstrap).build().await.unwrap();
    let mut deliveries = Vec::new();
    for value in values {
        let text = value.to_string();
        let partition = (value % partitions.cast_unsigned()).cast_signed();
        let record = ottla::Record::to(topic).partition(partition).value(&text);
        deliveries.push(producer.send(record).await.unwrap());
    }
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    producer.close().await.unwrap();
}

async fn join(bootstrap: &str, group: &str, assignor: &str) -> Consumer {
    Consumer::builder()
        .bootstrap_servers(bootstrap)
        .group_id(group)
        .topics([group])
        .auto_offset_reset("earliest")
        .enable_auto_commit(false)
        .partition_assignment_strategy(assignor)
        .set("heartbeat.interval.ms", 200)
        .unwrap()
        .build()
        .await
        .unwrap()
}

/// Reads and commits what comes within a moment; adds the values.
async fn read_some(consumer: &Consumer, values: &mut Vec<u32>) {
    let Ok(batch) = tokio::time::timeout(Duration::from_millis(100), consumer.next_batch()).await
    else {
        return;
    };
    let batch = batch.unwrap().expect("the consumer is open");
    for record in batch.iter() {
        let text = std::str::from_utf8(record.value.unwrap()).unwrap();
        values.push(text.parse().unwrap());
    }
    match consumer.commit().await {
        Ok(()) => {}
        // The group is being shared anew: what is not committed is read again.
        Err(error) if error.kind() == ottla::ErrorKind::Rebalance => values.clear(),
        Err(error) => panic!("commit: {error}"),
    }
}

/// Lets members read until they are as wanted.
async fn until(
    consumers: &[&Consumer],
    values: &mut [Vec<u32>],
    wanted: impl Fn(&[&Consumer], &[Vec<u32>]) -> bool,
) {
    while !wanted(consumers, values) {
        for (consumer, values) in consumers.iter().zip(values.iter_mut()) {
            read_some(consumer, values).await;
        }
    }
}

fn shares(consumers: &[&Consumer]) -> Vec<usize> {
    consumers.iter().map(|consumer| consumer.assignment().len()).collect()
}

/// Every partition has one of the members.
fn are_apart(consumers: &[&Consumer], partitions: usize) -> bool {
    let all: Vec<_> = consumers.iter().flat_map(|consumer| consumer.assignment()).collect();
    all.len() == partitions && all.iter().collect::<BTreeSet<_>>().len() == partitions
}

fn sum(values: &[Vec<u32>]) -> usize {
    values.iter().map(Vec::len).sum()
}

async fn shares_hands_over_and_resumes(bootstrap: &str, assignor: &str) {
    let group = topic(&format!("ottla-group.{assignor}"));
    make_topic(bootstrap, &group, 4).await;
    write(bootstrap, &group, 4, 0..40).await;
    let first = join(bootstrap, &group, assignor).await;
    let mut values = vec![Vec::new()];
    until(&[&first], &mut values, |_, values| sum(values) == 40).await;

    let second = join(bootstrap, &group, assignor).await;
    let both = [&first, &second];
    values.push(Vec::new());
    until(&both, &mut values, |both, _| shares(both) == [2, 2] && are_apart(both, 4)).await;
    write(bootstrap, &group, 4, 40..80).await;
    until(&both, &mut values, |_, values| sum(values) == 80).await;
    assert_eq!(values[1].len(), 20, "the second read its half");

    first.close().await.unwrap();
    let mut rest = vec![values.remove(1)];
    until(&[&second], &mut rest, |one, _| shares(one) == [4]).await;
    write(bootstrap, &group, 4, 80..120).await;
    until(&[&second], &mut rest, |_, values| sum(values) == 60).await;
    second.close().await.unwrap();
    values.append(&mut rest);
    let mut all = values.concat();
    all.sort_unstable();
    assert_eq!(all, (0..120).collect::<Vec<u32>>(), "each record once");

    write(bootstrap, &group, 4, 120..128).await;
    let third = join(bootstrap, &group, assignor).await;
    let mut values = vec![Vec::new()];
    until(&[&third], &mut values, |_, values| sum(values) >= 8).await;
    values[0].sort_unstable();
    assert_eq!(values[0], (120..128).collect::<Vec<u32>>(), "it began where the others ended");
    third.close().await.unwrap();
}

pub(crate) async fn group_shares_hands_over_and_resumes(bootstrap: &'static str) {
    shares_hands_over_and_resumes(bootstrap, "range").await;
}

pub(crate) async fn group_is_shared_by_every_assignor(bootstrap: &'static str) {
    for assignor in ["roundrobin", "sticky", "cooperative-sticky"] {
        shares_hands_over_and_resumes(bootstrap, assignor).await;
    }
}

pub(crate) fn group_is_shared_with_confluent_kafka(target: Target) {
    if !Client::ConfluentKafka.is_here() {
        return;
    }
    crate::on(target, async |bootstrap| {
        let group = topic("ottla-group.mixed");
        make_topic(bootstrap, &group, 4).await;
        let ours = join(bootstrap, &group, "range").await;
        let mut values = vec![Vec::new()];
        until(&[&ours], &mut values, |one, _| shares(one) == [4]).await;
        let mut theirs = Member::join(Client::ConfluentKafka, bootstrap, &group, &group);
        until(&[&ours], &mut values, |one, _| shares(one) == [2]).await;
        theirs.wait("it had its share", |member| member.assigned().len() == 2);
        write(bootstrap, &group, 4, 0..40).await;
        until(&[&ours], &mut values, |_, values| sum(values) == 20).await;
        theirs.wait("it read its half", |m| m.read().len() == 20 && m.has_committed_all());
        ours.close().await.unwrap();
        theirs.wait("it had all", |member| member.assigned().len() == 4);
        write(bootstrap, &group, 4, 40..80).await;
        theirs.wait("it read the rest", |m| m.read().len() == 60 && m.has_committed_all());
        assert_eq!(theirs.leave().len(), 60);
    });
}
