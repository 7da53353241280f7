//! Elections that overlap, over a log that counts its loads and can hold them up.

use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;

use tokio::sync::watch;

use super::super::log::{BoxFuture, LogChunk, MemoryLog};
use super::super::record::Record;
use super::*;

const GROUP: &str = "g";

/// One partition in memory.
#[derive(Debug)]
struct Watched {
    log: MemoryLog,
    /// How often it was read from its start.
    loads: AtomicUsize,
    /// Readers wait until it is true.
    open: watch::Sender<bool>,
}

impl Watched {
    fn new(open: bool) -> Arc<Self> {
        let (loads, open) = (AtomicUsize::new(0), watch::Sender::new(open));
        Arc::new(Self { log: MemoryLog::new(1), loads, open })
    }

    fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }
}

impl OffsetsLog for Watched {
    fn partition_count(&self) -> i32 {
        1
    }

    fn append(
        &self,
        partition: i32,
        leader_epoch: i32,
        timestamp_ms: i64,
        records: Vec<Record>,
    ) -> BoxFuture<Result<i64, ErrorCode>> {
        self.log.append(partition, leader_epoch, timestamp_ms, records)
    }

    fn read(
        &self,
        partition: i32,
        leader_epoch: i32,
        offset: i64,
    ) -> BoxFuture<Result<LogChunk, ErrorCode>> {
        self.loads.fetch_add(usize::from(offset == 0), Ordering::SeqCst);
        let chunk = self.log.read(partition, leader_epoch, offset);
        let mut open = self.open.subscribe();
        Box::pin(async move {
            drop(open.wait_for(|open| *open).await);
            chunk.await
        })
    }
}

fn commit(offset: i64) -> CommitRequest {
    use super::super::types::{CommitPartition, CommitTopic};
    let partition = CommitPartition { index: 0, offset, leader_epoch: -1, metadata: String::new() };
    CommitRequest {
        group_id: GROUP.into(),
        member_id: String::new(),
        instance_id: None,
        generation: -1,
        missing_group_error: ErrorCode::GroupIdNotFound,
        retention_ms: None,
        topics: vec![CommitTopic {
            name: "t".into(),
            topic_id: Uuid::ZERO,
            partitions: vec![partition],
        }],
    }
}

fn committed(coordinator: &GroupCoordinator) -> Option<i64> {
    let found = coordinator.committed(GROUP, "t", Uuid::ZERO, 0).expect("it is active");
    found.map(|found| found.offset)
}

#[tokio::test]
async fn an_election_that_is_told_again_while_it_loads_loads_once() {
    let log = Watched::new(true);
    let coordinator = GroupCoordinator::start(&GroupConfig::default(), Arc::clone(&log) as _);
    coordinator.elect(0, 1).await.expect("it can be read");
    assert!(coordinator.commit(commit(1)).await.is_ok());
    log.open.send_replace(false);
    let coordinator = Arc::new(coordinator);
    let elect = |epoch: i32| {
        let coordinator = Arc::clone(&coordinator);
        tokio::spawn(async move { coordinator.elect(0, epoch).await })
    };
    let first = elect(2);
    while log.loads() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(elect(2).await.expect("no panic"), Ok(()), "the first one goes on");
    assert_eq!(coordinator.commit(commit(9)).await, Err(ErrorCode::CoordinatorLoadInProgress));
    log.open.send_replace(true);
    assert_eq!(first.await.expect("no panic"), Ok(()));
    assert_eq!((log.loads(), committed(&coordinator)), (2, Some(1)));
    assert!(coordinator.commit(commit(2)).await.is_ok());
    assert_eq!(elect(2).await.expect("no panic"), Ok(()));
    assert_eq!((log.loads(), committed(&coordinator)), (2, Some(2)));
}

/// Two threads are told of each of many elections at the same moment.
#[tokio::test]
async fn elections_that_begin_together_load_once() {
    const ELECTIONS: i32 = 3_000;
    let log = Watched::new(true);
    let coordinator = GroupCoordinator::start(&GroupConfig::default(), Arc::clone(&log) as _);
    let start = Barrier::new(2);
    let runtime = tokio::runtime::Handle::current();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let _entered = runtime.enter();
                for epoch in 0..ELECTIONS {
                    start.wait();
                    coordinator.resign(0, epoch - 1);
                    start.wait();
                    let mut election = std::pin::pin!(coordinator.elect(0, epoch));
                    let waker = std::task::Waker::noop();
                    let polled = election.as_mut().poll(&mut std::task::Context::from_waker(waker));
                    assert!(polled.is_ready(), "the log is in memory");
                }
            });
        }
    });
    assert_eq!(log.loads(), usize::try_from(ELECTIONS).expect("positive"));
}
