//! The producer against a broker in the same process, over real sockets and on real disk.

mod common;

use common::{LIMIT, TestBroker};
use ottla::{Acks, Compression, Delivery, ErrorKind, NewTopic, Producer, Record};
use std::time::Duration;

fn numbers(values: impl IntoIterator<Item = Vec<u8>>) -> Vec<u32> {
    let number = |value: Vec<u8>| String::from_utf8(value).unwrap().parse().unwrap();
    values.into_iter().map(number).collect()
}

#[tokio::test]
async fn records_are_delivered_with_their_offsets_and_come_back_as_they_were() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1).await;
    let producer = broker.producer().build().await.expect("a producer");
    let record = Record::to("t")
        .key("key")
        .value(b"value")
        .header("h", b"1")
        .header("h", b"2")
        .timestamp(1_600_000_000_000);
    let first = producer.send(record).await.expect("appended").await.expect("written");
    assert_eq!((first.partition, first.offset, &*first.topic), (0, 0, "t"));
    assert_eq!(first.timestamp, 1_600_000_000_000);
    let tombstone = producer.send(Record::to("t").key(b"")).await.expect("appended");
    assert_eq!(tombstone.await.expect("written").offset, 1);
    producer.close().await.expect("closed");

    let records = broker.read("t", 1, 2).await;
    assert_eq!(records.len(), 2);
    assert_eq!((records[0].key(), records[0].value()), (Some(&b"key"[..]), Some(&b"value"[..])));
    let headers: Vec<_> = records[0].headers().collect();
    assert_eq!(headers, [("h", Some(&b"1"[..])), ("h", Some(&b"2"[..]))]);
    assert_eq!((records[1].key(), records[1].value()), (Some(&b""[..]), None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_codec_keeps_every_record_once_and_in_order() {
    let broker = TestBroker::start().await;
    for codec in Compression::ALL {
        let topic = format!("t.{codec}");
        broker.create_topic(&topic, 3).await;
        let producer = broker.producer().compression(codec).batch_size(4096).build().await;
        let producer = producer.expect("a producer");
        let mut deliveries = Vec::new();
        for number in 0..3000u32 {
            let (key, value) = ((number % 7).to_string(), number.to_string());
            let record = Record::to(&topic).key(&key).value(&value);
            deliveries.push(producer.send(record).await.expect("appended"));
        }
        producer.flush().await.expect("flushed");
        for delivery in deliveries {
            delivery.try_result().expect("a flush waits for every record").expect("written");
        }
        let records = broker.read(&topic, 3, 3000).await;
        assert_eq!(records.len(), 3000, "{codec}");
        for key in 0..7 {
            let key = key.to_string();
            let of_key = records.iter().filter(|record| record.key() == Some(key.as_bytes()));
            let values = numbers(of_key.map(|record| record.value().unwrap().to_vec()));
            assert!(values.is_sorted(), "{codec}: records of one key are in order");
        }
        producer.close().await.expect("closed");
    }
}

/// The broker dies and comes back while records are sent: each is there once, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_costs_no_record_and_duplicates_none() {
    let mut broker = TestBroker::start().await;
    broker.create_topic("t", 2).await;
    let producer = broker.producer().batch_size(500).build().await.expect("a producer");
    let mut deliveries: Vec<Delivery> = Vec::new();
    for number in 0..4000u32 {
        if number % 1000 == 500 {
            // Some of what was sent is on its way, some written, some neither.
            deliveries.pop().expect("some were sent").await.expect("written");
            broker.kill().await;
            broker.restart().await;
        }
        let (partition, value) = ((number % 2) as i32, number.to_string());
        let record = Record::to("t").partition(partition).value(&value);
        deliveries.push(producer.send(record).await.expect("appended"));
    }
    tokio::time::timeout(LIMIT, producer.flush()).await.expect("in time").expect("flushed");
    for delivery in deliveries {
        delivery.await.expect("written");
    }
    let records = broker.read("t", 2, 4000).await;
    assert_eq!(records.len(), 4000);
    for partition in 0..2 {
        let own = records.iter().filter(|record| record.partition() == partition as i32);
        let values = numbers(own.map(|record| record.value().unwrap().to_vec()));
        let expected: Vec<u32> = (0..4000).filter(|number| number % 2 == partition).collect();
        assert_eq!(values, expected);
    }
}

/// The batch is larger than the topic takes: its halves are sent, and each record is told its own
/// offset.
#[tokio::test]
async fn a_batch_too_large_for_the_topic_is_split_and_a_record_too_large_fails_alone() {
    let broker = TestBroker::start().await;
    broker.create(NewTopic::new("t", 1, 1).config("max.message.bytes", "1000")).await;
    let producer = broker.producer().linger(Duration::from_millis(50)).build().await;
    let producer = producer.expect("a producer");
    let mut deliveries = Vec::new();
    for _ in 0..20 {
        deliveries.push(producer.send(Record::to("t").value(&[7; 150])).await.expect("appended"));
    }
    for (index, delivery) in deliveries.into_iter().enumerate() {
        assert_eq!(delivery.await.expect("written").offset, index as i64);
    }
    let large = producer.send(Record::to("t").value(&[7; 2000])).await.expect("appended").await;
    let error = large.expect_err("larger than the topic takes");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(!error.possibly_written());
    let after = producer.send(Record::to("t").value("after")).await.expect("appended").await;
    assert_eq!(after.expect("the producer goes on").offset, 20);
}

#[tokio::test]
async fn a_record_that_no_request_can_carry_is_refused_at_once() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1).await;
    let producer = broker.producer().build().await.expect("a producer");
    let large = vec![0; 2 << 20];
    let error = producer.send(Record::to("t").value(&large)).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("max.request.size (1048576 bytes)"), "{error}");
    let nowhere = producer.send(Record::to("t").partition(5).value("v")).await;
    let error = nowhere.expect_err("no such partition");
    assert!(error.message().contains("has no partition 5: its 1 partitions"), "{error}");
}

#[tokio::test]
async fn a_topic_that_does_not_exist_is_named() {
    let broker = TestBroker::with(&[("auto.create.topics.enable", "false")]).await;
    let producer = broker.producer().max_block(Duration::from_millis(200)).build().await;
    let producer = producer.expect("a producer");
    let error = producer.send(Record::to("nowhere").value("v")).await.expect_err("no topic");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("topic \"nowhere\" does not exist"), "{error}");
    // It may come into being later.
    broker.create_topic("nowhere", 1).await;
    let delivery = producer.send(Record::to("nowhere").value("v")).await.expect("appended");
    delivery.await.expect("written");
}

#[tokio::test]
async fn a_wrong_address_is_named_with_what_to_do() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("a bound socket").port()
    };
    let address = format!("127.0.0.1:{port}");
    let error = Producer::builder().bootstrap_servers(&address).build().await;
    let error = error.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.message().contains(&address), "{error}");
    assert!(error.message().contains("check that bootstrap.servers"), "{error}");
    let missing = Producer::builder().build().await.expect_err("no address");
    assert_eq!(missing.kind(), ErrorKind::Config);
}

/// `send` waits for memory, and gets it as batches are acknowledged.
#[tokio::test]
async fn a_small_buffer_slows_the_sender_down_and_loses_nothing() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 4).await;
    let producer = broker.producer().batch_size(4096).buffer_memory(20_000).build().await;
    let producer = producer.expect("a producer");
    let sending = async {
        for number in 0..5000u32 {
            let value = format!("{number:0100}");
            drop(producer.send(Record::to("t").value(&value)).await.expect("appended"));
            assert!(producer.memory_used() <= 20_000 + 16_384);
        }
    };
    tokio::time::timeout(LIMIT, sending).await.expect("memory comes back");
    producer.close().await.expect("closed");
    assert_eq!(producer.memory_used(), 0);
    assert_eq!(broker.read("t", 4, 5000).await.len(), 5000);
}

#[tokio::test]
async fn without_memory_a_send_fails_in_time_and_was_not_sent() {
    let mut broker = TestBroker::start().await;
    broker.create_topic("t", 1).await;
    let builder = broker.producer().batch_size(16_384).buffer_memory(16_384);
    let producer = builder.max_block(Duration::from_millis(100)).build().await;
    let producer = producer.expect("a producer");
    producer.send(Record::to("t").value("v")).await.expect("appended").await.expect("written");
    broker.kill().await;
    let mut appended = Vec::new();
    let error = loop {
        match producer.send(Record::to("t").value(&[0; 1000])).await {
            Ok(delivery) => appended.push(delivery),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("buffer.memory"), "{error}");
    assert!(!error.possibly_written());
    assert_eq!(
        producer.try_send(Record::to("t").value(&[0; 1000])).unwrap_err().kind(),
        ErrorKind::Full
    );
    broker.restart().await;
    for delivery in appended {
        tokio::time::timeout(LIMIT, delivery).await.expect("in time").expect("written");
    }
}

/// What a delivery tells is not what sends the record.
#[tokio::test]
async fn a_dropped_delivery_abandons_the_answer_and_not_the_record() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1).await;
    let producer = broker.producer().linger(Duration::from_millis(20)).build().await;
    let producer = producer.expect("a producer");
    for number in 0..10u32 {
        let value = number.to_string();
        drop(producer.send(Record::to("t").value(&value)).await.expect("appended"));
    }
    producer.close().await.expect("closed");
    assert_eq!(broker.read("t", 1, 10).await.len(), 10);
}

/// Dropping the producer does not wait, and what was appended is sent all the same.
#[tokio::test]
async fn a_dropped_producer_still_sends_what_was_appended() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1).await;
    let producer = broker.producer().linger(Duration::from_millis(20)).build().await;
    let producer = producer.expect("a producer");
    for number in 0..10u32 {
        let value = number.to_string();
        drop(producer.send(Record::to("t").value(&value)).await.expect("appended"));
    }
    drop(producer);
    assert_eq!(broker.read("t", 1, 10).await.len(), 10);
}

#[tokio::test]
async fn a_closed_producer_takes_no_record() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1).await;
    let producer = broker.producer().build().await.expect("a producer");
    producer.send(Record::to("t").value("v")).await.expect("appended").await.expect("written");
    producer.close().await.expect("closed");
    let error = producer.send(Record::to("t").value("v")).await.expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Closed);
    producer.close().await.expect("closing twice is closing once");
}

#[tokio::test]
async fn fewer_acknowledgements_can_be_asked_for() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1).await;
    for (acks, offset) in [(Acks::Leader, 0), (Acks::None, -1)] {
        let producer = broker.producer().acks(acks).build().await.expect("a producer");
        let delivery = producer.send(Record::to("t").value("v")).await.expect("appended");
        assert_eq!(delivery.await.expect("written").offset, offset, "{acks:?}");
        producer.close().await.expect("closed");
    }
    assert_eq!(broker.read("t", 1, 2).await.len(), 2);
}

#[tokio::test]
async fn a_partitioner_of_ones_own_decides() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 4).await;
    let by_length = |record: ottla::Unplaced<'_>, partitions: ottla::Partitions<'_>| {
        record.value.map_or(0, |value| value.len() as u32) % partitions.count
    };
    let producer = broker.producer().partitioner(by_length).build().await.expect("a producer");
    for (value, partition) in [("", 0), ("a", 1), ("abcde", 1), ("abc", 3)] {
        let delivery = producer.send(Record::to("t").value(value)).await.expect("appended");
        assert_eq!(delivery.await.expect("written").partition, partition);
    }
}

#[tokio::test]
async fn a_topic_that_grows_is_used_in_full() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1).await;
    let builder = broker.producer().set("partitioner", "round-robin").expect("a known name");
    let builder = builder.set("metadata.max.age.ms", 50).expect("a known name");
    let producer = builder.build().await.expect("a producer");
    let admin = ottla::Admin::builder().bootstrap_servers(broker.address()).build().await;
    let send = async || {
        let delivery = producer.send(Record::to("t").value("v")).await.expect("appended");
        delivery.await.expect("written").partition
    };
    assert_eq!(send().await, 0);
    let grown = admin.expect("an admin").create_partitions([("t", 3)]).await;
    grown.expect("the topic grows");
    let spread = async { while send().await != 2 {} };
    tokio::time::timeout(LIMIT, spread).await.expect("the new partitions are used");
}
