//! The machine that is replicated: request ids and snapshots.

use super::*;

fn allocate(machine: &mut Machine, index: u64, request: u8) -> Outcome {
    let command = Command::AllocateProducerIds { node_id: 1, broker_epoch: 1 };
    let entry = encode(&Entry { request: Uuid([request; 16]), command });
    let answer = machine.apply(index, &entry);
    machine.applied(index);
    serde_json::from_slice(&answer).unwrap()
}

/// A machine in which broker 1 is registered with epoch 1.
fn machine() -> Machine {
    let mut machine = Machine::default();
    let command = Command::RegisterBroker {
        node_id: 1,
        incarnation: Uuid([1; 16]),
        host: "127.0.0.1".into(),
        port: 1,
        rack: None,
        cluster_id: "c".into(),
        internal_host: "127.0.0.1".into(),
        internal_port: 2,
        directory: Uuid([1; 16]),
        log_dirs: vec![Uuid([1; 16])],
        tail_intact: true,
        log_dir_lost: false,
        flushes_before_ack: false,
        min_in_sync: 0,
    };
    machine.apply(1, &encode(&Entry { request: Uuid([255; 16]), command }));
    machine.applied(1);
    machine
}

#[test]
fn a_request_that_comes_again_is_answered_and_not_done_again() {
    let mut machine = machine();
    let published = machine.published();
    assert_eq!(allocate(&mut machine, 2, 7), Outcome::ProducerIds(0));
    assert_eq!(allocate(&mut machine, 3, 7), Outcome::ProducerIds(0));
    assert_eq!(allocate(&mut machine, 4, 8), Outcome::ProducerIds(1000));
    assert_eq!(published.0.image.load().applied, 4, "a repetition moves the index as well");
    assert_eq!(*published.0.applied.borrow(), 4);
}

#[test]
fn a_restored_machine_knows_the_requests_and_goes_on_like_the_one_that_was_saved() {
    let mut first = machine();
    allocate(&mut first, 2, 7);
    let mut second = Machine::default();
    second.restore(2, &first.snapshot()).unwrap();
    second.applied(2);
    assert_eq!(second.image, first.image);
    for (index, request) in [(3, 7), (4, 9), (5, 9)] {
        assert_eq!(
            allocate(&mut second, index, request),
            allocate(&mut first, index, request),
            "request {request}"
        );
    }
    assert_eq!(second.snapshot(), first.snapshot());
    assert!(second.restore(9, b"{}").unwrap_err().contains("unreadable"));
}

#[test]
fn old_requests_are_forgotten_by_their_index() {
    let mut machine = machine();
    allocate(&mut machine, 2, 7);
    assert_eq!(allocate(&mut machine, 1 + REQUESTS_KNOWN, 8), Outcome::ProducerIds(1000));
    assert_eq!(allocate(&mut machine, 2 + REQUESTS_KNOWN, 9), Outcome::ProducerIds(2000));
    assert_eq!(machine.requests.by_index.len(), 2);
    assert_eq!(machine.requests.indexes.len(), 2);
    assert_eq!(allocate(&mut machine, 3 + REQUESTS_KNOWN, 7), Outcome::ProducerIds(3000));
}
