//! The Produce request that `protocol/schemas/BY_HAND.md` builds byte by byte, sent as it stands to
//! Apache Kafka and to our broker: both answer with the bytes of the document, and the records
//! come back.

#[path = "../../../protocol/tests/by_hand/blocks.rs"]
mod blocks;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use ottla::{Admin, Consumer, NewTopic};
use ottla_interop::{Apache, DEADLINE, ottla_broker};

/// The topic that the document names.
const TOPIC: &str = "orders";

/// Sends the frame of the document and gives back the frame that comes.
fn send(bootstrap: &str, frame: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(bootstrap).expect("the broker listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a time limit");
    stream.write_all(frame).expect("the broker takes it");
    let mut answer = vec![0; 4];
    stream.read_exact(&mut answer).expect("the broker answers");
    let len = u32::from_be_bytes([answer[0], answer[1], answer[2], answer[3]]) as usize;
    assert!(len < 10_000, "an answer of {len} bytes");
    answer.resize(4 + len, 0);
    stream.read_exact(&mut answer[4..]).expect("the broker answers");
    answer
}

async fn create_topic(bootstrap: &str) {
    let admin = Admin::builder().bootstrap_servers(bootstrap).build().await.unwrap();
    // The timestamps are of 2023, and records of that age need not be kept.
    admin.create_topic(NewTopic::new(TOPIC, 1, 1).config("retention.ms", -1)).await.unwrap();
    let described = async || admin.describe_topics([TOPIC]).await.unwrap().remove(TOPIC);
    while described().await.is_none_or(|topic| topic.is_err()) {}
    admin.close().await;
}

async fn read_back(bootstrap: &str) {
    let consumer = Consumer::builder()
        .bootstrap_servers(bootstrap)
        .auto_offset_reset("earliest")
        .assign([(TOPIC, 0)])
        .build()
        .await
        .unwrap();
    let first = consumer.next().await.unwrap().expect("the consumer is open");
    assert_eq!((first.offset(), first.timestamp()), (0, 1_700_000_000_000));
    assert_eq!((first.key(), first.value()), (Some(&b"k1"[..]), Some(&b"hello"[..])));
    let headers: Vec<_> = first.headers().collect();
    assert_eq!(headers, [("from", Some(&b"book"[..]))]);
    let second = consumer.next().await.unwrap().expect("the consumer is open");
    assert_eq!((second.offset(), second.timestamp()), (1, 1_700_000_001_000));
    assert_eq!((second.key(), second.value()), (Some(&b"k2"[..]), None));
    assert_eq!(second.headers().count(), 0);
    consumer.close().await.unwrap();
}

fn accepts_what_was_written_by_hand(bootstrap: &str) {
    let protocol = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol");
    let document = blocks::read(&protocol);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let test = async {
        create_topic(bootstrap).await;
        let answer = send(bootstrap, &document.bytes("frame"));
        assert_eq!(answer, document.bytes("answer"), "the answer is that of the document");
        read_back(bootstrap).await;
    };
    let in_time = runtime.block_on(async { tokio::time::timeout(DEADLINE * 2, test).await });
    in_time.expect("the test ends in time");
}

#[test]
fn apache_kafka_accepts_what_was_written_by_hand() {
    if let Some(apache) = Apache::start("4.3.1") {
        accepts_what_was_written_by_hand(&apache.bootstrap);
    }
}

#[test]
fn ottla_accepts_what_was_written_by_hand() {
    if let Some(bootstrap) = ottla_broker() {
        accepts_what_was_written_by_hand(bootstrap);
    }
}
