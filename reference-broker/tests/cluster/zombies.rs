//! Leaders that stood still while others went on, and followers that stand still.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{ApiKey, FetchRequest, ProduceRequest, Response};
use rustix::process::{Signal, kill_process};

use crate::broker::{Client, batch, eventually, fetch_request, folder, produce_request, sequenced};
use crate::support::{Dev, brokers, create_topic, metadata};

/// Index of the leader of t-0, its epoch and the size of its ISR.
fn state(client: &mut Client) -> (Option<usize>, i32, usize) {
    let metadata = metadata(client);
    let topic = metadata.topics.iter().find(|topic| topic.name.as_deref() == Some("t"));
    topic.map_or((None, -1, 0), |topic| {
        let part = &topic.partitions[0];
        let led_by = usize::try_from(part.leader_id - 1).ok();
        (led_by, part.leader_epoch, part.isr_nodes.len())
    })
}

/// Three nodes with t-0 on all of them, and a record in it; the leader's index and epoch.
fn start(data: &std::path::Path) -> (Dev, usize, i32) {
    let dev = Dev::start(3, data);
    let mut client = dev.connect(0);
    eventually("every broker is known", || brokers(&mut client) == [1, 2, 3]);
    assert_eq!(create_topic(&mut client, "t", 1, 3), 0);
    let (led_by, epoch, _) = state(&mut client);
    let led_by = led_by.expect("it was created with a leader");
    let mut led = dev.connect(led_by);
    eventually("the leader knows it", || {
        led.produce("t", 0, -1, batch(&[b"first"])).error_code == 0
    });
    (dev, led_by, epoch)
}

fn produce_within(timeout_ms: i32, batch: bytes::Bytes) -> ProduceRequest {
    ProduceRequest { timeout_ms, ..produce_request("t", 0, -1, batch) }
}

fn produced(response: Response) -> (i16, i64) {
    let Response::Produce(response) = response else { panic!() };
    let part = &response.responses[0].partition_responses[0];
    (part.error_code, part.base_offset)
}

fn fetch_under(client: &mut Client, epoch: i32) -> i16 {
    let mut request: FetchRequest = fetch_request("t", 0, 0, 0, 1000);
    request.topics[0].partitions[0].current_leader_epoch = epoch;
    let Response::Fetch(answer) = client.call(11, request) else { panic!() };
    answer.responses[0].partitions[0].error_code
}

/// M5, M6, M8, KIP-101, KIP-320.
#[test]
fn a_leader_that_stood_still_acknowledges_nothing_and_its_tail_is_cut() {
    let (_folder, data) = folder();
    let (dev, zombie, former) = start(&data);
    let mut at_zombie = dev.connect(zombie);
    assert!(at_zombie.is_alive());
    kill_process(dev.pids[zombie], Signal::STOP).unwrap();
    let mut other = dev.connect((zombie + 1) % 3);
    eventually("another one leads", || state(&mut other).0.is_some_and(|led_by| led_by != zombie));
    let (led_by, epoch, _) = state(&mut other);
    assert!(epoch > former);
    let mut led = dev.connect(led_by.expect("one leads"));
    eventually("it serves", || led.produce("t", 0, -1, batch(&[b"second"])).error_code == 0);
    // Both wait for the zombie in its socket: the one for the followers to have it.
    let mut at_once = dev.connect(zombie);
    at_once.send(9, &produce_request("t", 0, 1, batch(&[b"tail"])).into());
    let id = at_zombie.send(9, &produce_within(2000, batch(&[b"zombie"])).into());
    kill_process(dev.pids[zombie], Signal::CONT).unwrap();
    let (code, _) = produced(at_zombie.receive(ApiKey::Produce, 9, id));
    let codes = [ErrorCode::NotLeaderOrFollower, ErrorCode::RequestTimedOut];
    assert!(codes.iter().any(|expected| expected.code() == code), "{code}");
    eventually("it is in sync again", || state(&mut other).2 == 3);
    assert_eq!(fetch_under(&mut led, former), ErrorCode::FencedLeaderEpoch.code());
    assert_eq!(fetch_under(&mut led, epoch + 9), ErrorCode::UnknownLeaderEpoch.code());
    let stored = led.read_all("t", 0);
    let values: Vec<&[u8]> = stored.iter().map(|(_, value)| value.as_slice()).collect();
    assert_eq!(values.first(), Some(&b"first".as_slice()));
    assert!(values.contains(&b"second".as_slice()));
    assert!(!values.contains(&b"zombie".as_slice()) && !values.contains(&b"tail".as_slice()));
    for replica in 0..3 {
        let mut client = dev.connect(replica);
        eventually("every replica has the same", || client.read_all("t", 0) == stored);
    }
    dev.stop();
}

/// M9: with two of three voters that stand still nobody is taken out of the ISR.
#[test]
fn a_duplicate_waits_for_the_followers_like_its_original() {
    let (_folder, data) = folder();
    let (dev, led_by, _) = start(&data);
    let mut led = dev.connect(led_by);
    let base = led.fetch("t", 0, 0).high_watermark;
    let still: Vec<usize> = (0..3).filter(|node| *node != led_by).collect();
    for node in &still {
        kill_process(dev.pids[*node], Signal::STOP).unwrap();
    }
    let once = sequenced(&[b"once"], 4711, 0, 0);
    for attempt in ["the original", "the duplicate"] {
        let (code, _) = produced(led.call(9, produce_within(200, once.clone())));
        assert_eq!(code, ErrorCode::RequestTimedOut.code(), "{attempt}");
    }
    for node in &still {
        kill_process(dev.pids[*node], Signal::CONT).unwrap();
    }
    let mut client = dev.connect(still[0]);
    eventually("it is acknowledged where it stands", || {
        let Some(led_by) = state(&mut client).0 else { return false };
        let mut led = dev.connect(led_by);
        let (code, offset) = produced(led.call(9, produce_within(2000, once.clone())));
        code == 0 && offset == base
    });
    let led_by = state(&mut client).0.expect("one leads");
    let stored = dev.connect(led_by).read_all("t", 0);
    assert_eq!(stored.iter().filter(|(_, value)| value == b"once").count(), 1);
    dev.stop();
}
