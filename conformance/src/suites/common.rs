//! Requests and questions that several suites need.

use super::told::Told;
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::verdict::Stop;
use crate::wire::Wire;
use ottla_protocol::messages::api_versions::ApiVersionsRequest;
use ottla_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopic,
};
use ottla_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use ottla_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use ottla_protocol::messages::{ApiKey, FetchResponse, MetadataResponse, ProduceResponse, Request};
use ottla_protocol::records::{BatchIter, RecordBatch};
use ottla_protocol::{Bytes, Uuid};

/// ApiVersions as version 0 has it, without a body.
pub(crate) fn api_versions() -> Request {
    Request::ApiVersions(Box::<ApiVersionsRequest>::default())
}

/// Metadata of these topics, none of which is to be created. In version 0 no names means all.
pub(crate) fn metadata_of(version: i16, names: &[&str]) -> Request {
    let topic =
        |name: &&str| MetadataRequestTopic { name: Some((*name).to_owned()), ..Default::default() };
    Request::Metadata(Box::new(MetadataRequest {
        topics: Some(names.iter().map(topic).collect()),
        // Before version 4 the field is not there, and true.
        allow_auto_topic_creation: version < 4,
        ..Default::default()
    }))
}

/// The target still answers on a new connection.
pub(crate) fn is_alive(context: &mut Context<'_>, statement: &'static str) -> Step {
    let mut wire = context.connect_after(statement)?;
    let answer = wire.call(0, &api_versions());
    context.answered(statement, answer).map(drop)
}

/// A partition of a topic in the hands of a test: its name, its id, and a connection to its leader.
pub(crate) struct Partition {
    pub(crate) topic: String,
    pub(crate) id: Uuid,
    pub(crate) index: i32,
    pub(crate) wire: Wire,
}

impl Partition {
    /// Partition 0 of a new topic of one partition.
    ///
    /// # Errors
    ///
    /// BLOCKED.
    pub(crate) fn new(context: &mut Context<'_>) -> Step<Self> {
        Self::with(context, 1, &[])
    }

    /// Partition 0 of a new topic with these settings, all of whose partitions have one leader.
    ///
    /// # Errors
    ///
    /// BLOCKED.
    pub(crate) fn with(
        context: &mut Context<'_>,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Step<Self> {
        let (topic, mut wire) = context.topic_of_one_leader(partitions, configs)?;
        let until = context.deadline();
        loop {
            let answer: MetadataResponse =
                context.prepare(&mut wire, &metadata_of(12, &[&topic]))?;
            // The leader may hear of the topic later than the broker that said who leads it.
            let known = answer.topics.first().filter(|topic| topic.error_code == 0);
            if let Some(id) = known.map(|topic| topic.topic_id) {
                return Ok(Self { topic, id, index: 0, wire });
            }
            if std::time::Instant::now() >= until {
                return Err(Stop::blocked(format!("the leader does not know of topic {topic}")));
            }
        }
    }

    /// A Produce request with these batches for the partition, topic by name and id.
    pub(crate) fn produce_request(&self, acks: i16, records: impl Into<Bytes>) -> Request {
        let data = PartitionProduceData {
            index: self.index,
            records: Some(records.into()),
            ..Default::default()
        };
        let topic = TopicProduceData {
            name: self.topic.clone(),
            topic_id: self.id,
            partition_data: vec![data],
            ..Default::default()
        };
        Request::Produce(Box::new(ProduceRequest {
            acks,
            timeout_ms: 10_000,
            topic_data: vec![topic],
            ..Default::default()
        }))
    }

    /// Produces with acks=-1 in the version under test (or the best), and gives the partition's
    /// part of the answer. Retriable errors are tried again until the deadline.
    ///
    /// # Errors
    ///
    /// FAIL of the statement where no answer comes, or only retriable errors until the deadline.
    pub(crate) fn produce(
        &mut self,
        context: &mut Context<'_>,
        statement: &'static str,
        records: impl Into<Bytes>,
    ) -> Step<PartitionProduceResponse> {
        let version = context.version_of(ApiKey::Produce)?;
        let request = shaped(self.produce_request(-1, records), version);
        let until = context.deadline();
        loop {
            let answer = self.wire.call(version, &request);
            let answer: ProduceResponse = context.answer(statement, answer)?;
            let entry = answer.responses.into_iter().next();
            let entry = entry.and_then(|topic| topic.partition_responses.into_iter().next());
            let Some(entry) = entry else {
                context.must(statement, false, || {
                    "Produce was answered without an entry for the partition".to_owned()
                })?;
                return Err(Stop::harness("unreachable"));
            };
            if !is_passing(entry.error_code) {
                return Ok(entry);
            }
            context.must_before(statement, until, || {
                format!("Produce: only {} until the deadline", error_name(entry.error_code))
            })?;
        }
    }

    /// Produces what must be taken, and gives its base offset.
    ///
    /// # Errors
    ///
    /// BLOCKED where it is refused.
    pub(crate) fn append(
        &mut self,
        context: &mut Context<'_>,
        records: impl Into<Bytes>,
    ) -> Step<i64> {
        let version = context.best(ApiKey::Produce)?;
        let request = shaped(self.produce_request(-1, records), version);
        let until = context.deadline();
        loop {
            let answer: ProduceResponse = context.prepare(&mut self.wire, &request)?;
            let entry =
                answer.responses.first().and_then(|topic| topic.partition_responses.first());
            match entry.map(|entry| (entry.error_code, entry.base_offset)) {
                Some((0, base_offset)) => return Ok(base_offset),
                Some((code, _)) if is_passing(code) && std::time::Instant::now() < until => {}
                Some((code, _)) => {
                    return Err(Stop::blocked(format!("Produce: {}", error_name(code))));
                }
                None => return Err(Stop::blocked("Produce was answered without an entry")),
            }
        }
    }

    /// Deletes the records before an offset.
    ///
    /// # Errors
    ///
    /// UNSUPPORTED, BLOCKED.
    pub(crate) fn delete_before(&mut self, context: &mut Context<'_>, offset: i64) -> Step {
        let partition =
            DeleteRecordsPartition { partition_index: self.index, offset, ..Default::default() };
        let (name, partitions) = (self.topic.clone(), vec![partition]);
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic { name, partitions, ..Default::default() }],
            timeout_ms: 10_000,
            ..Default::default()
        };
        let request = Request::DeleteRecords(Box::new(request));
        let until = context.deadline();
        loop {
            let answer: DeleteRecordsResponse = context.prepare(&mut self.wire, &request)?;
            let entry = answer.topics.first().and_then(|topic| topic.partitions.first());
            match entry.map(|entry| entry.error_code) {
                Some(0) => return Ok(()),
                Some(code) if is_passing(code) && std::time::Instant::now() < until => {}
                other => {
                    let text = format!("DeleteRecords: error {}", other.told());
                    return Err(Stop::blocked(text));
                }
            }
        }
    }

    /// A Fetch request for the partition from this offset on, without a session.
    pub(crate) fn fetch_request(&self, offset: i64) -> FetchRequest {
        let partition = FetchPartition {
            partition: self.index,
            fetch_offset: offset,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        };
        let topic = FetchTopic {
            topic: self.topic.clone(),
            topic_id: self.id,
            partitions: vec![partition],
            ..Default::default()
        };
        FetchRequest {
            replica_id: -1,
            max_wait_ms: 500,
            min_bytes: 1,
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: vec![topic],
            ..FetchRequest::default()
        }
    }

    /// Fetches in the version under test (or the best); the partition's part of the answer. Errors
    /// that pass are tried again until the deadline.
    ///
    /// # Errors
    ///
    /// FAIL of the statement where no answer comes, or only such errors until the deadline.
    pub(crate) fn fetch(
        &mut self,
        context: &mut Context<'_>,
        statement: &'static str,
        request: FetchRequest,
    ) -> Step<PartitionData> {
        let version = context.version_of(ApiKey::Fetch)?;
        let request = shaped(Request::Fetch(Box::new(request)), version);
        let until = context.deadline();
        loop {
            let answer = self.wire.call(version, &request);
            let answer: FetchResponse = context.answer(statement, answer)?;
            let code = answer.error_code;
            context
                .must(statement, code == 0, || format!("Fetch as a whole: {}", error_name(code)))?;
            let entry = answer.responses.into_iter().next();
            let entry = entry.and_then(|topic| topic.partitions.into_iter().next());
            context.must(statement, entry.is_some(), || {
                "Fetch was answered without an entry for the partition".to_owned()
            })?;
            let entry = entry.expect("it was just looked at");
            if !is_passing(entry.error_code) {
                return Ok(entry);
            }
            context.must_before(statement, until, || {
                format!("Fetch: only {} until the deadline", error_name(entry.error_code))
            })?;
        }
    }

    /// Every batch from this offset to the high watermark, whole.
    ///
    /// # Errors
    ///
    /// FAIL of the statement where an answer does not come or cannot be read.
    pub(crate) fn read(
        &mut self,
        context: &mut Context<'_>,
        statement: &'static str,
        mut offset: i64,
    ) -> Step<Vec<RecordBatch>> {
        let mut all = Vec::new();
        loop {
            let mut request = self.fetch_request(offset);
            if !all.is_empty() {
                // What there is has been read, most likely: nothing is worth waiting for.
                request.max_wait_ms = 0;
            }
            let data = self.fetch(context, statement, request)?;
            context.must(statement, data.error_code == 0, || {
                format!("Fetch at {offset}: {}", error_name(data.error_code))
            })?;
            if offset >= data.high_watermark {
                return Ok(all);
            }
            let field = data.records.unwrap_or_default();
            let before = offset;
            for batch in BatchIter::new(field) {
                let batch = match batch {
                    Ok(batch) => batch,
                    Err(why) => {
                        context.must(statement, false, || format!("Fetch at {before}: {why}"))?;
                        break;
                    }
                };
                offset = batch.header().next_offset();
                all.push(batch);
            }
            context.must(statement, offset > before, || {
                format!("Fetch at {before} below the high watermark gave no batch")
            })?;
        }
    }
}

/// Errors that pass by themselves while leaders and coordinators find themselves.
pub(crate) fn is_passing(code: i16) -> bool {
    matches!(code, 3 | 5 | 6 | 7 | 9 | 14 | 15 | 16 | 19 | 100)
}

/// A topic by name or by id, as the version has it.
pub(crate) fn shaped(mut request: Request, version: i16) -> Request {
    match &mut request {
        Request::Produce(request) => {
            for topic in &mut request.topic_data {
                name_or_id(&mut topic.name, &mut topic.topic_id, version >= 13);
            }
        }
        Request::Fetch(request) => {
            for topic in &mut request.topics {
                name_or_id(&mut topic.topic, &mut topic.topic_id, version >= 13);
            }
            for topic in &mut request.forgotten_topics_data {
                name_or_id(&mut topic.topic, &mut topic.topic_id, version >= 13);
            }
        }
        _ => {}
    }
    request
}

fn name_or_id(name: &mut String, id: &mut Uuid, by_id: bool) {
    if by_id {
        name.clear();
    } else {
        *id = Uuid::ZERO;
    }
}
