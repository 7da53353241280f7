use std::io::Read;

use super::*;
use crate::config::Config;

const VECTORS: &[u8] = include_bytes!("../../../../../protocol/vectors/partitions.tsv.gz");

fn vectors() -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(VECTORS).read_to_string(&mut text).unwrap();
    text
}

fn partitioning(settings: &[(&str, &str)]) -> Partitioning {
    let config = Config::new().set("bootstrap.servers", "127.0.0.1:9092").unwrap();
    let config = settings.iter().fold(config, |c, (name, value)| c.set(name, value).unwrap());
    Partitioning::of(&config.producer().unwrap())
}

fn all(ids: &[u32]) -> Partitions<'_> {
    Partitions { count: ids.len() as u32, available: ids }
}

fn keyed(key: Option<&[u8]>) -> Unplaced<'_> {
    Unplaced { topic: "t", key, value: None }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// Every row and column of the vectors: the hashes, and the partitions that the released Java
/// client and librdkafka's rule give for each number of partitions.
#[test]
fn keys_go_where_java_and_librdkafka_put_them() {
    let text = vectors();
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().unwrap().trim_start_matches('#').split('\t').collect();
    let java = partitioning(&[]).topic(0);
    let librdkafka = partitioning(&[("partitioner", "crc32")]).topic(0);
    let ids: Vec<u32> = (0..100).collect();
    let mut rows = 0;
    for line in lines {
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!(cells.len(), columns.len());
        let key = unhex(cells[0]);
        for (column, cell) in columns.iter().zip(&cells).skip(1) {
            let place = |topic: &TopicPartitioner, count: &str| {
                let count: usize = count.parse().unwrap();
                let placement = topic.place(keyed(Some(&key)), all(&ids[..count]));
                assert!(!placement.sticky);
                placement.partition.to_string()
            };
            let found = match column.split_once("_p") {
                Some(("murmur2", count)) => place(&java, count),
                Some(("crc32", count)) if key.is_empty() => {
                    by_crc32(&key, count.parse().unwrap()).to_string()
                }
                Some(("crc32", count)) => place(&librdkafka, count),
                _ => match *column {
                    "murmur2" => murmur2(&key).to_string(),
                    "crc32" => crc32fast::hash(&key).to_string(),
                    "crc32c" => {
                        let algorithm = crc_fast::CrcAlgorithm::Crc32Iscsi;
                        crc_fast::checksum(algorithm, &key).to_string()
                    }
                    other => panic!("what is column {other}?"),
                },
            };
            assert_eq!(&found, cell, "{column} of key {}", cells[0]);
        }
        rows += 1;
    }
    assert_eq!(rows, 244);
}

#[test]
fn empty_key_is_a_key_for_java_and_none_for_librdkafka() {
    let ids: Vec<u32> = (0..6).collect();
    let java = partitioning(&[]).topic(1).place(keyed(Some(b"")), all(&ids));
    assert_eq!(java, Placement { partition: 3, sticky: false });
    let librdkafka = partitioning(&[("partitioner", "crc32")]).topic(1);
    assert!(librdkafka.place(keyed(Some(b"")), all(&ids)).sticky);
    assert!(librdkafka.place(keyed(None), all(&ids)).sticky);
}

#[test]
fn keys_are_ignored_when_told_so() {
    let ids = [0, 1, 2];
    for settings in [&[("partitioner.ignore.keys", "true")], &[("partitioner", "sticky")]] {
        assert!(partitioning(settings).topic(1).place(keyed(Some(b"k")), all(&ids)).sticky);
    }
}

#[test]
fn round_robin_takes_partitions_with_a_leader_in_turn() {
    let topic = partitioning(&[("partitioner", "round-robin")]).topic(1);
    let some = Partitions { count: 4, available: &[0, 2, 3] };
    let taken: Vec<u32> = (0..6).map(|_| topic.place(keyed(None), some).partition).collect();
    assert_eq!(taken, [0, 2, 3, 0, 2, 3]);
    let none = Partitions { count: 2, available: &[] };
    let taken: Vec<u32> = (0..2).map(|_| topic.place(keyed(None), none).partition).collect();
    assert_eq!(taken, [0, 1]);
}

#[test]
fn custom_partitioner_decides() {
    let by_length = |record: Unplaced<'_>, partitions: Partitions<'_>| {
        record.key.map_or(0, |key| key.len() as u32) % partitions.count
    };
    let topic = partitioning(&[]).custom(Arc::new(by_length)).topic(1);
    let placement = topic.place(keyed(Some(b"four")), all(&[0, 1, 2]));
    assert_eq!(placement, Placement { partition: 1, sticky: false });
}

#[test]
fn sticky_stays_for_a_batch_and_spreads_over_all() {
    let topic = partitioning(&[("batch.size", "1000")]).topic(42);
    let ids: Vec<u32> = (0..6).collect();
    let mut records_per_partition = [0_u32; 6];
    let mut stays = Vec::new();
    let mut last = None;
    for _ in 0..60_000 {
        let placement = topic.place(keyed(None), all(&ids));
        records_per_partition[placement.partition as usize] += 1;
        if last == Some(placement.partition) {
            *stays.last_mut().unwrap() += 1;
        } else {
            stays.push(1);
            last = Some(placement.partition);
        }
        topic.on_appended(placement, 100, true, all(&ids));
    }
    stays.pop();
    assert!(stays.iter().all(|stay| stay % 10 == 0), "a batch's worth is ten records");
    for records in records_per_partition {
        assert!((8_000..12_000).contains(&records), "{records_per_partition:?}");
    }
}

#[test]
fn sticky_waits_for_the_open_batch_but_not_beyond_twice_its_size() {
    let topic = partitioning(&[("batch.size", "1000")]).topic(7);
    let ids: Vec<u32> = (0..100).collect();
    let first = topic.place(keyed(None), all(&ids));
    for _ in 0..19 {
        topic.on_appended(first, 100, false, all(&ids));
        assert_eq!(topic.place(keyed(None), all(&ids)), first);
    }
    topic.on_appended(first, 100, false, all(&ids));
    assert_ne!(topic.place(keyed(None), all(&ids)), first);
}

#[test]
fn bytes_of_a_partition_that_was_left_do_not_count() {
    let topic = partitioning(&[("batch.size", "1000")]).topic(7);
    let ids: Vec<u32> = (0..100).collect();
    let first = topic.place(keyed(None), all(&ids));
    topic.on_appended(first, 1000, true, all(&ids));
    let second = topic.place(keyed(None), all(&ids));
    assert_ne!(first, second);
    topic.on_appended(first, 5000, true, all(&ids));
    assert_eq!(topic.place(keyed(None), all(&ids)), second);
}

#[test]
fn partition_that_is_gone_is_left_at_once() {
    let topic = partitioning(&[]).topic(3);
    let ids: Vec<u32> = (0..50).collect();
    while topic.place(keyed(None), all(&ids)).partition == 0 {
        let placement = topic.place(keyed(None), all(&ids));
        topic.on_appended(placement, usize::MAX, true, all(&ids));
    }
    assert_eq!(topic.place(keyed(None), all(&[0])).partition, 0);
}

#[test]
fn partition_without_a_leader_is_not_taken() {
    let topic = partitioning(&[("batch.size", "1")]).topic(9);
    let some = Partitions { count: 4, available: &[1, 3] };
    for _ in 0..100 {
        let placement = topic.place(keyed(None), some);
        assert!(some.available.contains(&placement.partition));
        topic.on_appended(placement, 1, true, some);
    }
}

/// The weights of KIP-794: queues of 0, 3 and 1 batches are taken 4, 1 and 3 times in 8.
#[test]
fn slow_partition_is_taken_less_often() {
    let shares = |settings: &[(&str, &str)]| {
        let topic = partitioning(settings).topic(5);
        topic.update_load(&[(0, 0), (1, 3), (2, 1)], 3);
        let mut taken = [0_u32; 3];
        for _ in 0..8_000 {
            let placement = topic.place(keyed(None), all(&[0, 1, 2]));
            taken[placement.partition as usize] += 1;
            topic.on_appended(placement, 1, true, all(&[0, 1, 2]));
        }
        taken.map(|times| (f64::from(times) / 1_000.0).round() as u32)
    };
    assert_eq!(shares(&[("batch.size", "1")]), [4, 1, 3]);
    let adaptive = "partitioner.adaptive.partitioning.enable";
    assert_eq!(shares(&[("batch.size", "1"), (adaptive, "false")]), [3, 3, 3]);
}

/// KIP-794: partitions whose broker takes nothing are left out, also where one is left; where none
/// is left, all are taken again.
#[test]
fn partition_that_is_left_out_is_not_taken() {
    let taken = |queues: &[(u32, u32)]| {
        let topic = partitioning(&[("batch.size", "1")]).topic(5);
        topic.update_load(queues, 3);
        let mut taken = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let placement = topic.place(keyed(None), all(&[0, 1, 2]));
            taken.insert(placement.partition);
            topic.on_appended(placement, 1, true, all(&[0, 1, 2]));
        }
        Vec::from_iter(taken)
    };
    assert_eq!(taken(&[(0, 4), (2, 4)]), [0, 2]);
    assert_eq!(taken(&[(1, 9)]), [1]);
    assert_eq!(taken(&[]), [0, 1, 2]);
    assert_eq!(taken(&[(0, 4), (1, 4), (2, 4)]), [0, 1, 2]);
}

#[test]
fn queues_older_than_the_metadata_do_no_harm() {
    let topic = partitioning(&[("batch.size", "1")]).topic(5);
    topic.update_load(&[(0, 1), (1, 1), (2, 0)], 3);
    for _ in 0..100 {
        let placement = topic.place(keyed(None), all(&[0, 1]));
        assert!(placement.partition < 2);
        topic.on_appended(placement, 1, true, all(&[0, 1]));
    }
}

#[test]
fn same_seed_gives_the_same_partitions() {
    let run = |seed| {
        let topic = partitioning(&[("batch.size", "1")]).topic(seed);
        let ids: Vec<u32> = (0..12).collect();
        let next = |_| {
            let placement = topic.place(keyed(None), all(&ids));
            topic.on_appended(placement, 1, true, all(&ids));
            placement.partition
        };
        (0..100).map(next).collect::<Vec<u32>>()
    };
    assert_eq!(run(11), run(11));
    assert_ne!(run(11), run(12));
}

#[test]
fn many_threads_agree_on_the_partition() {
    let topic = partitioning(&[("batch.size", "1000")]).topic(1);
    let ids: Vec<u32> = (0..4).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let placement = topic.place(keyed(None), all(&ids));
                    assert!(placement.partition < 4);
                    topic.on_appended(placement, 50, true, all(&ids));
                }
            });
        }
    });
}
