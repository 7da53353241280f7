//! Readers of every replica, during the faults and after them: consumers may read from followers as
//! well, and in the end each replica has all that was acknowledged. Leaders are asked for their
//! latest offsets as well.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use ottla_oracle::{Latest, Log};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic};
use ottla_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::{FetchRequest, ListOffsetsRequest, Request, Response};
use ottla_protocol::records::{BatchIter, Decompressor};

use crate::wire::Wire;
use crate::{system, trace};

/// Consumers may read from followers, and topics still go by their names.
const FETCH_VERSION: i16 = 12;
/// A leader that does not know its high watermark yet says so (KIP-207).
const LIST_OFFSETS_VERSION: i16 = 7;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);
const BYTES_MAX: i32 = 1 << 20;
/// `ListOffsets` for the offset behind the last record that consumers may have.
const LATEST: i64 = -1;

/// Reads all partitions of a topic from one node.
pub struct Reader {
    /// Its name, for messages.
    pub name: String,
    /// The node's host.
    pub host: String,
    /// What is read.
    pub topic: String,
    /// 0: all records, 1: those of committed transactions.
    pub isolation_level: i8,
    /// The next offset of each partition.
    pub positions: Vec<i64>,
    /// What is read is what the replica holds in the end.
    pub is_last: bool,
    /// Who is told.
    pub log: Rc<RefCell<Log>>,
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
        self.ask_latest(wire).await?;
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
            isolation_level: self.isolation_level,
            session_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        let Response::Fetch(answer) = wire.call(FETCH_VERSION, &Request::from(request)).await?
        else {
            return Err(another());
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
                let epoch = batch.header().partition_leader_epoch;
                let records = batch.records(&mut Decompressor::default());
                for record in &records.map_err(io::Error::other)? {
                    let record = record.map_err(io::Error::other)?;
                    let place = (partition.partition_index, record.offset);
                    self.take(place, epoch, record.value);
                }
            }
        }
        Ok(())
    }

    async fn ask_latest(&self, wire: &mut Wire) -> io::Result<()> {
        let partitions = (0..).zip(&self.positions).map(|(partition_index, _)| {
            let (current_leader_epoch, timestamp) = (-1, LATEST);
            let rest = ListOffsetsPartition::default();
            ListOffsetsPartition { partition_index, current_leader_epoch, timestamp, ..rest }
        });
        let (name, partitions) = (self.topic.clone(), partitions.collect());
        let topics = vec![ListOffsetsTopic { name, partitions, ..Default::default() }];
        let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
        let asked = now();
        let answer = wire.call(LIST_OFFSETS_VERSION, &Request::from(request)).await?;
        let Response::ListOffsets(answer) = answer else { return Err(another()) };
        for partition in answer.topics.into_iter().flat_map(|topic| topic.partitions) {
            if partition.error_code != ErrorCode::None.code() {
                continue;
            }
            let (epoch, offset) = (partition.leader_epoch, partition.offset);
            let (at, broker) = (now(), self.host.clone());
            let latest = Latest { asked, at, broker, epoch, offset };
            self.log.borrow_mut().latest(partition.partition_index, latest);
        }
        Ok(())
    }

    fn take(&mut self, place: (i32, i64), epoch: i32, value: Option<&[u8]>) {
        let (partition, offset) = place;
        let position = usize::try_from(partition).ok().and_then(|at| self.positions.get_mut(at));
        let Some(position) = position.filter(|position| offset >= **position) else { return };
        *position = offset + 1;
        let value = String::from_utf8_lossy(value.unwrap_or_default());
        trace::note(&format!("{} reads {partition} {offset} {epoch} {value}", self.name));
        let (mut log, epoch) = (self.log.borrow_mut(), Some(epoch));
        match self.is_last {
            true => log.held(now(), &self.host, place, epoch, &value),
            false => log.read(now(), &self.name, place, epoch, &value),
        }
    }
}

/// When it is, by the clock that all clients share.
pub fn now() -> Duration {
    system::elapsed().unwrap_or_default()
}

fn another() -> io::Error {
    io::Error::other("the answer is to another request")
}
