//! Several data folders: partitions are spread over them, DescribeLogDirs tells of each, and one
//! that does not work takes its own partitions with it and no others.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_log_dirs::{DescribableLogDirTopic, DescribeLogDirsResult};
use ottla_protocol::messages::{DescribeLogDirsRequest, Response};
use ottla_protocol::records::{BatchBuilder, BatchFields, Compressor};
use support::{Client, Process, batch, eventually, folder};

fn describe(
    client: &mut Client,
    version: i16,
    topics: Option<Vec<DescribableLogDirTopic>>,
) -> Vec<DescribeLogDirsResult> {
    let request = DescribeLogDirsRequest { topics, ..Default::default() };
    let Response::DescribeLogDirs(answer) = client.call(version, request) else { panic!() };
    assert_eq!(answer.error_code, 0);
    answer.results
}

/// The bytes of each partition of "t" in a folder.
fn sizes(result: &DescribeLogDirsResult) -> BTreeMap<i32, i64> {
    let topic = result.topics.iter().find(|topic| topic.name == "t");
    let partitions = topic.map_or(&[][..], |topic| &topic.partitions);
    assert!(partitions.iter().all(|each| each.offset_lag == 0 && !each.is_future_key));
    partitions.iter().map(|each| (each.partition_index, each.partition_size)).collect()
}

/// The bytes of the segments in a partition's folder.
fn on_disk(dir: &Path, partition: i32) -> i64 {
    let files = std::fs::read_dir(dir.join(format!("t-{partition}"))).unwrap();
    let segments = files
        .map(|file| file.unwrap())
        .filter(|file| file.path().extension().is_some_and(|kind| kind == "log"));
    segments.map(|file| file.metadata().unwrap().len() as i64).sum()
}

/// A batch of one record with a key.
fn keyed(key: &[u8], value: &[u8]) -> Bytes {
    let mut builder = BatchBuilder::new(1024);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    builder.append(now.as_millis() as i64, Some(key), Some(value), &[]).unwrap();
    builder.finish(&BatchFields::default(), &mut Compressor::new()).unwrap()
}

#[test]
fn partitions_are_spread_and_a_folder_that_is_gone_takes_its_own_offline() {
    let (holder, data) = folder();
    let second = holder.path().join("second");
    let both = format!("log.dirs={},{}", data.display(), second.display());
    let broker = Process::start(&data, &[&both]);
    let mut client = broker.connect();
    client.create_topic("t", 4, &[("segment.bytes", "4096")]);
    for partition in 0..4 {
        for _ in 0..=partition * 5 {
            let answer = client.produce("t", partition, -1, batch(&[&[b'x'; 500]]));
            assert_eq!(answer.error_code, 0);
        }
    }
    for version in 1..=5 {
        let results = describe(&mut client, version, None);
        let dirs: Vec<&str> = results.iter().map(|result| result.log_dir.as_str()).collect();
        assert_eq!(dirs, [data.to_str().unwrap(), second.to_str().unwrap()]);
        for (result, dir) in results.iter().zip([&data, &second]) {
            let sizes = sizes(result);
            assert_eq!((result.error_code, sizes.len()), (0, 2));
            assert!(sizes.iter().all(|(index, size)| *size == on_disk(dir, *index)), "{sizes:?}");
            match version {
                4.. => assert!(0 < result.usable_bytes && result.usable_bytes < result.total_bytes),
                _ => assert_eq!((result.usable_bytes, result.total_bytes), (-1, -1)),
            }
        }
    }
    let here = sizes(&describe(&mut client, 5, None)[0]);
    let present = *here.keys().next().unwrap();
    let elsewhere = (0..4).find(|index| !here.contains_key(index)).unwrap();
    let one = DescribableLogDirTopic {
        topic: "t".to_owned(),
        partitions: vec![present, 99],
        ..Default::default()
    };
    let described = describe(&mut client, 5, Some(vec![one]));
    assert_eq!(sizes(&described[0]), BTreeMap::from([(present, here[&present])]));
    assert!(described[1].topics.is_empty());
    assert_eq!(broker.terminate(), Some(0));

    // The second folder is gone: a file is in its place.
    let aside = holder.path().join("aside");
    std::fs::rename(&second, &aside).unwrap();
    std::fs::write(&second, b"no folder").unwrap();
    let broker = Process::start(&data, &[&both]);
    let mut client = broker.connect();
    let storage = ErrorCode::KafkaStorageError.code();
    let results = describe(&mut client, 5, None);
    assert_eq!((results[0].error_code, results[1].error_code), (0, storage));
    assert_eq!(results[1].log_dir, second.to_str().unwrap());
    for partition in 0..4 {
        let code = client.produce("t", partition, -1, batch(&[b"y"])).error_code;
        assert_eq!(code, if here.contains_key(&partition) { 0 } else { storage }, "{partition}");
    }
    assert_eq!(client.fetch("t", elsewhere, 0).error_code, storage);
    assert_eq!(broker.terminate(), Some(0));

    std::fs::remove_file(&second).unwrap();
    std::fs::rename(&aside, &second).unwrap();
    let broker = Process::start(&data, &[&both]);
    let mut client = broker.connect();
    assert!(!client.read_all("t", elsewhere).is_empty());
}

#[test]
fn a_compacted_topic_keeps_the_last_record_of_each_key() {
    let (_folder, data) = folder();
    let settings = ["log.cleaner.backoff.ms=20"];
    let broker = Process::start(&data, &settings);
    let mut client = broker.connect();
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "4096"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    client.create_topic("t", 1, &configs);
    for round in 0..60u8 {
        let answer = client.produce("t", 0, -1, keyed(b"k", &[round; 300]));
        assert_eq!(answer.error_code, 0);
    }
    eventually("the cleaner has run", || client.read_all("t", 0).len() < 20);
    assert_eq!(client.read_all("t", 0).last().unwrap().1, [59; 300]);
    assert_eq!(broker.terminate(), Some(0));
    let broker = Process::start(&data, &settings);
    let mut client = broker.connect();
    assert_eq!(client.produce("t", 0, -1, keyed(b"k", b"z")).base_offset, 60);
}
