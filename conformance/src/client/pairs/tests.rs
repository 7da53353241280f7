use super::*;
use crate::client::log::{batch, compressed};
use crate::client::pairs::records::{Given, Read, base};
use ottla_protocol::Bytes;
use ottla_protocol::records::Compression;

fn read_of(record: &Given, offset: i64) -> Read {
    Read {
        topic: "t".to_owned(),
        partition: record.partition,
        offset,
        timestamp: record.timestamp.unwrap_or(1_800_000_000_000),
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record.headers.clone(),
    }
}

fn case() -> (Shim, Written, BTreeMap<String, ReadTopic>) {
    let records: BTreeMap<i64, Given> = (0..).zip(base()).collect();
    let read = records.iter().map(|(offset, record)| read_of(record, *offset)).collect();
    let topic = ReadTopic { records: read, ..ReadTopic::default() };
    let written = Written { topic: "t".to_owned(), records: Ok(records) };
    let shim = Shim::parse("b=true").expect("a name and a command");
    (shim, written, BTreeMap::from([("t".to_owned(), topic)]))
}

fn judged(change: impl FnOnce(&mut ReadTopic)) -> (Verdict, String) {
    let (shim, written, mut read) = case();
    change(read.get_mut("t").expect("it is there"));
    judge(&shim, &written, &read)
}

#[test]
fn what_was_written_passes() {
    assert_eq!(judged(|_| {}), (Verdict::Pass, String::new()));
}

/// What a judge says of a change, and the change.
type Change = (&'static str, fn(&mut ReadTopic));

#[test]
fn every_difference_is_found() {
    let changes: [Change; 9] = [
        ("the partition is 1", |read| read.records[0].partition = 1),
        ("the key is null", |read| read.records[2].key = None),
        ("the value is \"\"", |read| read.records[3].value = Some(String::new())),
        ("the timestamp is 5", |read| read.records[0].timestamp = 5),
        ("written was \"the time of writing\"", |read| read.records[13].timestamp = -1),
        ("the list of headers", |read| read.records[8].headers.swap(0, 1)),
        ("was not read", |read| drop(read.records.remove(4))),
        ("more than once", |read| read.records.push(read.records[1].clone())),
        ("that nobody wrote", |read| {
            let more = Read { offset: 99, ..read.records[0].clone() };
            read.records.push(more);
        }),
    ];
    for (expected, change) in changes {
        let (verdict, message) = judged(change);
        assert_eq!(verdict, Verdict::Fail, "{expected}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn what_is_no_difference_has_its_own_verdict() {
    let (shim, written, read) = case();
    let told = judged(|read| {
        read.records.clear();
        read.trouble = Some("it is tired".to_owned());
    });
    assert!(told.1.ends_with("; it told: it is tired"), "{}", told.1);
    let lacks = judged(|read| read.unimplemented = Some("no groups".to_owned()));
    assert_eq!(lacks, (Verdict::Unsupported, "no groups".to_owned()));
    let (verdict, _) = judge(&shim, &written, &BTreeMap::new());
    assert_eq!(verdict, Verdict::HarnessError);
    let why = (Verdict::Unsupported, "no zstd".to_owned());
    let unwritten = Written { records: Err(why.clone()), ..written };
    assert_eq!(judge(&shim, &unwritten, &read), why);
}

#[test]
fn names_of_headers_in_another_order_are_a_lapse() {
    let (verdict, message) = judged(|read| read.records[7].headers.swap(0, 1));
    assert_eq!(verdict, Verdict::NonStrict);
    assert!(message.contains("another order"), "{message}");
}

#[test]
fn records_are_found_by_their_acknowledgement() {
    let line =
        |record: u64, offset: i64| json!({"record": record, "partition": 0, "offset": offset});
    let given: Vec<Given> = base().into_iter().take(2).collect();
    let records = acknowledged(&[line(1, 7), line(0, 9)], given.clone()).expect("all are there");
    assert_eq!(records[&7], given[1]);
    let same = acknowledged(&[line(0, 7), line(1, 7)], given.clone()).expect_err("one offset");
    assert!(same.contains("offset 7"), "{same}");
    let lost = acknowledged(&[line(0, 7)], given.clone()).expect_err("one is missing");
    assert!(lost.contains("record 1 was not answered"), "{lost}");
    let nowhere = acknowledged(&[line(0, 7), line(1, -1)], given.clone()).expect_err("no offset");
    assert!(nowhere.contains("record 1 was answered without an offset"), "{nowhere}");
    let error = json!({"record": 1, "error": {"code": 3}});
    let failed = acknowledged(&[line(0, 7), error], given).expect_err("one failed");
    assert!(failed.contains("record 1 was not written"), "{failed}");
}

/// A shim of `sh`, whose script gets the operation as `$0`.
fn shell(script: &str) -> Shim {
    Shim::parse(&format!("s=sh -c '{script}'")).expect("a name and a command")
}

#[test]
fn a_shim_ends_in_three_ways() {
    let run = |script: &str| {
        shell(script).run("version", &[json!({"a": 1})], Duration::from_secs(5), |_| true)
    };
    let said = run(r#"cat; echo "{\"done\": true}""#).expect("it ends as asked");
    assert_eq!(said, [json!({"a": 1}), json!({"done": true})]);
    let why = run(r#"echo "{\"unimplemented\": \"no\"}"; exit 89"#).expect_err("89");
    assert_eq!(why, Trouble::Unimplemented("no".to_owned()));
    let why = run("echo broken >&2; exit 3").expect_err("it broke").to_string();
    assert!(why.contains("status: 3") && why.contains("broken"), "{why}");
    let why = run(r#"echo "{\"done\": true}"; exit 3"#).expect_err("late").to_string();
    assert!(why.contains("status: 3"), "{why}");
}

#[test]
fn codecs_are_found_batch_by_batch() {
    let mut log = batch(0, 2);
    log.extend(compressed(2, 2, Compression::Lz4));
    assert_eq!(topics::codecs(log.clone().into()), Ok(vec!["none", "lz4"]));
    assert_eq!(topics::codecs(Bytes::new()), Ok(Vec::new()));
    log[22] |= 7;
    let why = topics::codecs(log.into()).expect_err("there is no such codec");
    assert!(why.contains("codec 7"), "{why}");
}

#[test]
fn a_pair_of_the_table_tells_its_codecs() {
    let cell = |codec: &str, verdict: Verdict| Cell {
        producer: "a".to_owned(),
        consumer: "a".to_owned(),
        codec: codec.to_owned(),
        verdict,
        message: if verdict == Verdict::Pass { String::new() } else { "why".to_owned() },
    };
    let shim = ShimOfReport {
        name: "a".to_owned(),
        client: "c".to_owned(),
        version: "1".to_owned(),
        cannot: BTreeMap::new(),
    };
    let with = |verdict: Verdict| PairsReport {
        shims: vec![shim.clone()],
        cells: CODECS
            .iter()
            .map(|codec| cell(codec, if *codec == "lz4" { verdict } else { Verdict::Pass }))
            .collect(),
    };
    assert!(with(Verdict::Pass).to_text().contains("pass"));
    assert!(!with(Verdict::Pass).has_failed());
    let failed = with(Verdict::Fail);
    assert!(failed.has_failed());
    assert!(failed.to_text().contains("FAIL lz4"), "{}", failed.to_text());
    assert!(failed.to_markdown("x").contains("| FAIL | a to a (lz4) | why |"));
}
