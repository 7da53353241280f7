//! Readers of every replica, during the faults and after them: what one was given at an offset,
//! nobody is ever given another value for; and in the end each replica has all that was
//! acknowledged.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic};
use ottla_protocol::messages::{FetchRequest, Request, Response};
use ottla_protocol::records::{BatchIter, Decompressor};

use crate::trace;
use crate::wire::Wire;

/// Consumers may read from followers, and topics still go by their names.
const FETCH_VERSION: i16 = 12;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);
const BYTES_MAX: i32 = 1 << 20;

/// What was seen at an offset of a partition, by any reader.
#[derive(Debug, Default)]
pub struct Readings {
    values: BTreeMap<(i32, i64), (String, String)>,
    /// Where two readers saw different values.
    pub violations: Vec<String>,
}

impl Readings {
    /// Notes what `who` has read.
    pub fn note(&mut self, who: &str, at: (i32, i64), value: &str) {
        let first = self.values.entry(at).or_insert_with(|| (value.to_owned(), who.to_owned()));
        if first.0 != value {
            let (other, by) = &*first;
            let text = format!("{at:?}: {by} has read {other}, and {who} {value}");
            self.violations.push(text);
        }
    }

    /// What was read there.
    pub fn value(&self, at: (i32, i64)) -> Option<&String> {
        self.values.get(&at).map(|(value, _)| value)
    }

    /// All that was read.
    pub fn values(&self) -> impl Iterator<Item = ((i32, i64), &str)> {
        self.values.iter().map(|(at, (value, _))| (*at, value.as_str()))
    }

    /// How many offsets were read.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// Reads all partitions of a topic from one node.
pub struct Reader {
    /// Its name, for messages.
    pub name: String,
    /// The node's host.
    pub host: String,
    /// What is read.
    pub topic: String,
    /// The next offset of each partition.
    pub positions: Vec<i64>,
    /// Shared by all readers.
    pub readings: Rc<RefCell<Readings>>,
}

impl Reader {
    /// Reads on until `done` says so of the positions.
    pub async fn run(&mut self, done: impl Fn(&[i64]) -> bool) {
        let mut wire = None;
        while !done(&self.positions) {
            if let Err(error) = self.look(&mut wire).await {
                trace::note(&format!("{} cannot read: {error}", self.name));
                wire = None;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn look(&mut self, wire: &mut Option<Wire>) -> io::Result<()> {
        let wire = match wire {
            Some(wire) => wire,
            None => wire.insert(Wire::connect(&self.name, &self.host).await?),
        };
        let partitions = (0..).zip(&self.positions).map(|(partition, position)| FetchPartition {
            partition,
            fetch_offset: *position,
            current_leader_epoch: -1,
            partition_max_bytes: BYTES_MAX,
            ..Default::default()
        });
        let topic = FetchTopic {
            topic: self.topic.clone(),
            partitions: partitions.collect(),
            ..Default::default()
        };
        let request = FetchRequest {
            max_wait_ms: 100,
            min_bytes: 1,
            max_bytes: BYTES_MAX,
            session_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        let Response::Fetch(answer) = wire.call(FETCH_VERSION, &Request::from(request)).await?
        else {
            return Err(io::Error::other("the answer is to another request"));
        };
        for partition in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
            if partition.error_code != 0 {
                // Not here, or behind what was read elsewhere: that may be for a while.
                let (index, code) = (partition.partition_index, partition.error_code);
                trace::note(&format!("{} partition {index}: {code}", self.name));
                continue;
            }
            for batch in BatchIter::new(partition.records.unwrap_or_default()) {
                let batch = batch.map_err(io::Error::other)?;
                batch.verify_crc().map_err(io::Error::other)?;
                let records = batch.records(&mut Decompressor::default());
                for record in &records.map_err(io::Error::other)? {
                    let record = record.map_err(io::Error::other)?;
                    self.take(partition.partition_index, record.offset, record.value);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, partition: i32, offset: i64, value: Option<&[u8]>) {
        let position = usize::try_from(partition).ok().and_then(|at| self.positions.get_mut(at));
        let Some(position) = position.filter(|position| offset >= **position) else { return };
        *position = offset + 1;
        let value = String::from_utf8_lossy(value.unwrap_or_default());
        trace::note(&format!("{} reads {partition} {offset} {value}", self.name));
        self.readings.borrow_mut().note(&self.name, (partition, offset), &value);
    }
}
