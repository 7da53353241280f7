use ottla_protocol::messages::fetch::FetchPartition;

use super::*;
use crate::broker::fetch_sessions::{FetchSessions, Turn};

#[test]
fn a_fetch_ends_when_a_replica_that_was_left_alone_is_due() {
    let (now, ms) = (Instant::now(), Duration::from_millis);
    let mut waiting = Waiting::new();
    let hold = |waiting: &mut Waiting, index, wait| {
        waiting.insert(([0; 16], index), Held { until: now + wait, wait });
    };
    assert_eq!(wait_until_first(&waiting, now, ms(500)), ms(500));
    hold(&mut waiting, 0, ms(900));
    assert_eq!(wait_until_first(&waiting, now, ms(500)), ms(500));
    hold(&mut waiting, 1, ms(50));
    assert_eq!(wait_until_first(&waiting, now, ms(500)), ms(50));
    // Who is due is asked for now, and holds nobody up.
    assert_eq!(wait_until_first(&waiting, now + ms(500), ms(500)), ms(400));
}

#[test]
fn a_replica_whose_leader_does_not_know_it_yet_is_asked_for_again_soon() {
    let (mut now, ms) = (Instant::now(), Duration::from_millis);
    let mut waits = Vec::new();
    let mut held = None;
    for _ in 0..8 {
        let next = Held::again(held.as_ref(), now, ms(1000));
        waits.push(next.wait.as_millis());
        now = next.until;
        assert!(next.is_known(now, ms(1000)), "forgotten before it failed again");
        held = Some(next);
    }
    assert_eq!(waits, [20, 40, 80, 160, 320, 640, 1000, 1000]);
    let long_after = now + ms(1000);
    assert!(!held.is_some_and(|held| held.is_known(long_after, ms(1000))));
    assert_eq!(Held::again(None, now, ms(5)).wait, ms(5), "no more than the setting");
}

/// What a follower asks of a partition, by topic and index: offset and leader epoch.
type Asks = BTreeMap<([u8; 16], i32), (i64, i32)>;

fn partitions(asks: &Asks) -> Vec<(Uuid, FetchPartition)> {
    let partition = |(&(topic, partition), &(fetch_offset, current_leader_epoch))| {
        let asked = FetchPartition {
            partition,
            fetch_offset,
            current_leader_epoch,
            ..FetchPartition::default()
        };
        (Uuid(topic), asked)
    };
    asks.iter().map(partition).collect()
}

/// A follower asks, its leader takes it as this; both know afterwards.
fn ask(session: &mut Session, sessions: &FetchSessions, asks: &Asks) -> (usize, Asks) {
    let asks = partitions(asks);
    let mut request = session.request(asks.iter().map(|(topic, asked)| (*topic, asked)));
    let named = |request: &FetchRequest| {
        request.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>()
    };
    let on_the_wire = named(&request);
    let turn = sessions.begin(&mut request, true).expect("both have the same session");
    let answers = vec![PartitionData::default(); named(&request)];
    let session_id = match turn {
        Turn::Alone => 0,
        Turn::Opens => sessions.open(&request.topics, &answers, true),
        Turn::Continues { id, epoch } => {
            sessions.news(id, epoch, &answers).expect("nobody else has asked");
            id
        }
    };
    session.on_answer(&FetchResponse { session_id, ..FetchResponse::default() });
    let taken = request.topics.iter().flat_map(|topic| {
        let of = |asked: &FetchPartition| {
            let key = (topic.topic_id.0, asked.partition);
            (key, (asked.fetch_offset, asked.current_leader_epoch))
        };
        topic.partitions.iter().map(of)
    });
    (on_the_wire, taken.collect())
}

#[test]
fn a_leader_is_told_only_what_is_other_and_knows_all() {
    let (sessions, mut session) = (FetchSessions::new(1), Session::default());
    let mut asks: Asks = (0..10_000).map(|at| (([(at % 7) as u8; 16], at), (0, 1))).collect();
    let first = asks.keys().next().copied().expect("there are some");
    assert_eq!(ask(&mut session, &sessions, &asks), (10_000, asks.clone()));
    assert_eq!(ask(&mut session, &sessions, &asks), (0, asks.clone()), "idle");
    asks.insert(first, (5, 1));
    assert_eq!(ask(&mut session, &sessions, &asks), (1, asks.clone()), "one has grown");
    asks.insert(first, (5, 2));
    assert_eq!(ask(&mut session, &sessions, &asks), (1, asks.clone()), "under another leader");
    asks.remove(&first);
    assert_eq!(ask(&mut session, &sessions, &asks), (0, asks.clone()), "one is left alone");
    asks.insert(first, (5, 2));
    assert_eq!(ask(&mut session, &sessions, &asks), (1, asks.clone()), "it is back");
    session.begin_again();
    assert_eq!(ask(&mut session, &sessions, &asks), (10_000, asks.clone()), "an answer was lost");
    assert_eq!(ask(&mut session, &sessions, &asks), (0, asks.clone()), "the slot was given back");
    asks.clear();
    assert_eq!(ask(&mut session, &sessions, &asks), (0, asks.clone()));
    asks.insert(first, (5, 2));
    assert_eq!(
        ask(&mut session, &sessions, &asks),
        (1, asks.clone()),
        "a session without any ends"
    );
}

#[test]
fn without_room_for_a_session_everything_is_asked_each_time() {
    let (sessions, mut session) = (FetchSessions::new(0), Session::default());
    let asks: Asks = (0..3).map(|at| (([1; 16], at), (0, 1))).collect();
    for _ in 0..2 {
        assert_eq!(ask(&mut session, &sessions, &asks), (3, asks.clone()));
        assert!(!session.is_incremental());
    }
}
