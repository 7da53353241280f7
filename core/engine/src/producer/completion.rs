//! What became of a batch, and the futures of its records.
//!
//! One completion per batch is shared by its records: a [`Delivery`] is the batch and an index, and
//! is resolved when somebody looks. A batch that is split keeps its completion; its parts report
//! their ranges.

use crate::error::{Error, ErrorKind};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Where a record was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordMetadata {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset; -1 where the broker did not say (acks=0).
    pub offset: i64,
    /// Milliseconds since 1970: the record's own time, or the broker's where the topic says
    /// `LogAppendTime`.
    pub timestamp: i64,
}

/// How a range of a batch's records ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Written, the first at this offset.
    Written {
        /// The offset of the range's first record; `None` where the broker did not say (acks=0).
        base_offset: Option<i64>,
        /// The broker's time in milliseconds, if the topic has `LogAppendTime`.
        append_time: Option<i64>,
    },
    /// Not acknowledged. Some records may have an error of their own, by index in the batch.
    Failed {
        /// What every other record is told.
        error: Error,
        /// Index and error, by index (`record_errors`, KIP-467).
        by_record: Vec<(u32, Error)>,
    },
}

impl Outcome {
    /// The same failure for every record.
    pub fn failed(error: Error) -> Self {
        Self::Failed { error, by_record: Vec::new() }
    }
}

/// What became of a batch; shared by its records.
pub struct BatchCompletion {
    topic: Arc<str>,
    partition: i32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// First index, count, and how they ended; together they cover the batch in the end.
    ranges: Vec<(u32, u32, Outcome)>,
    /// How many records the batch has, once it is sealed.
    record_count: Option<u32>,
    completed: u32,
    wakers: Vec<Waker>,
}

impl State {
    fn is_done(&self) -> bool {
        self.record_count == Some(self.completed)
    }
}

impl BatchCompletion {
    /// Of an open batch.
    pub(super) fn new(topic: Arc<str>, partition: i32) -> Self {
        Self { topic, partition, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The batch is sealed: it has this many records.
    pub(super) fn seal(&self, record_count: u32) {
        self.lock().record_count = Some(record_count);
    }

    /// Ends a range of records, once; wakes who waits. Answers whether the whole batch is done.
    pub(super) fn complete(&self, first: u32, count: u32, outcome: Outcome) -> bool {
        let mut state = self.lock();
        debug_assert!(
            !state.ranges.iter().any(|(at, len, _)| *at < first + count && first < at + len),
            "a record is completed once"
        );
        state.ranges.push((first, count, outcome));
        state.completed += count;
        let is_done = state.is_done();
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        for waker in wakers {
            waker.wake();
        }
        is_done
    }

    /// Whether every record has ended.
    pub fn is_done(&self) -> bool {
        self.lock().is_done()
    }

    /// Ready when every record has ended.
    pub fn poll_done(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.is_done() {
            return Poll::Ready(());
        }
        state.wakers.push(context.waker().clone());
        Poll::Pending
    }
}

impl fmt::Debug for BatchCompletion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        write!(f, "{}-{}: {}/", self.topic, self.partition, state.completed)?;
        match state.record_count {
            Some(count) => write!(f, "{count}"),
            None => f.write_str("open"),
        }
    }
}

/// The future of one record: where it was written, or why not.
///
/// Dropping it abandons the answer, not the record, which is on its way.
#[must_use = "a delivery tells whether the record was written"]
pub struct Delivery {
    batch: Arc<BatchCompletion>,
    index: u32,
    timestamp: i64,
}

impl Delivery {
    pub(super) fn new(batch: Arc<BatchCompletion>, index: u32, timestamp: i64) -> Self {
        Self { batch, index, timestamp }
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.batch.topic
    }

    /// The partition that was chosen.
    pub fn partition(&self) -> i32 {
        self.batch.partition
    }

    /// The answer, if it is there.
    pub fn try_result(&self) -> Option<Result<RecordMetadata, Error>> {
        self.result_in(&self.batch.lock())
    }

    /// As polling the future, for those who share the delivery. The waker is woken once for a whole
    /// batch, however many of its deliveries it was given to.
    pub fn poll_result(&self, context: &Context<'_>) -> Poll<Result<RecordMetadata, Error>> {
        let mut state = self.batch.lock();
        if let Some(result) = self.result_in(&state) {
            return Poll::Ready(result);
        }
        // Many deliveries of a batch that one task waits for need one waker; neither do a few tasks
        // that look again and again make the list grow.
        let is_known = |known: &Waker| known.will_wake(context.waker());
        if !state.wakers.iter().rev().take(8).any(is_known) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// The same for all records of one batch, which are told together, and for no other while this
    /// delivery lives.
    pub fn batch_key(&self) -> usize {
        Arc::as_ptr(&self.batch) as usize
    }

    fn result_in(&self, state: &State) -> Option<Result<RecordMetadata, Error>> {
        let index = self.index;
        let covers =
            |(first, count, _): &&(u32, u32, Outcome)| index >= *first && index - first < *count;
        let (first, _, outcome) = state.ranges.iter().find(covers)?;
        Some(match outcome {
            Outcome::Written { base_offset, append_time } => Ok(RecordMetadata {
                topic: self.batch.topic.clone(),
                partition: self.batch.partition,
                offset: base_offset.map_or(-1, |base| base + i64::from(index - first)),
                timestamp: append_time.unwrap_or(self.timestamp),
            }),
            Outcome::Failed { error, by_record } => {
                let own = by_record.iter().find(|(at, _)| *at == index);
                Err(own.map_or(error, |(_, error)| error).clone())
            }
        })
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_result(context)
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Delivery({:?}, record {})", self.batch, self.index)
    }
}

/// What is told when the producer went away with records on their way.
pub(super) fn closed_error() -> Error {
    Error::new(ErrorKind::Closed, "the producer is closed: make a new one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn delivery(batch: &Arc<BatchCompletion>, index: u32) -> Delivery {
        Delivery::new(batch.clone(), index, 7)
    }

    fn written(base_offset: i64) -> Outcome {
        Outcome::Written { base_offset: Some(base_offset), append_time: None }
    }

    #[test]
    fn every_task_that_waits_is_woken_by_each_part_until_its_own_has_ended() {
        let batch = Arc::new(BatchCompletion::new("t".into(), 3));
        let (mut first, mut second) = (delivery(&batch, 0), delivery(&batch, 1));
        let tasks = [Arc::new(Count::default()), Arc::new(Count::default())];
        let wakers = tasks.clone().map(Waker::from);
        let woken = || tasks.each_ref().map(|task| task.0.load(Ordering::SeqCst));
        for _ in 0..100 {
            let [one, two] = wakers.each_ref().map(Context::from_waker);
            let (mut one, mut two) = (one, two);
            assert!(Pin::new(&mut first).poll(&mut one).is_pending());
            assert!(Pin::new(&mut second).poll(&mut two).is_pending());
        }
        assert_eq!(batch.lock().wakers.len(), 2, "looking again registers nothing");
        assert_eq!(first.batch_key(), second.batch_key());
        let other = Arc::new(BatchCompletion::new("t".into(), 3));
        assert_ne!(first.batch_key(), delivery(&other, 0).batch_key());
        batch.seal(2);
        assert!(!batch.complete(0, 1, written(40)));
        assert_eq!(woken(), [1, 1]);
        let mut context = Context::from_waker(&wakers[0]);
        let Poll::Ready(Ok(done)) = Pin::new(&mut first).poll(&mut context) else {
            panic!("the first part has ended")
        };
        assert_eq!((done.partition, done.offset, done.timestamp), (3, 40, 7));
        let mut context = Context::from_waker(&wakers[1]);
        assert!(Pin::new(&mut second).poll(&mut context).is_pending());
        assert!(batch.complete(1, 1, written(90)));
        assert_eq!(woken(), [1, 2]);
        assert_eq!(second.try_result().expect("ended").expect("written").offset, 90);
    }

    #[test]
    fn a_record_is_told_its_own_error_where_it_has_one() {
        let batch = Arc::new(BatchCompletion::new("t".into(), 0));
        batch.seal(2);
        let error = |text: &str| Error::new(ErrorKind::Invalid, text);
        let by_record = vec![(1, error("own"))];
        batch.complete(0, 2, Outcome::Failed { error: error("shared"), by_record });
        let text = |index| delivery(&batch, index).try_result().expect("ended").unwrap_err();
        assert_eq!((text(0).message(), text(1).message()), ("shared", "own"));
    }
}
