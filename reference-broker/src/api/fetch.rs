//! Fetch (key 1), versions 4 to 18.
//!
//! Requests of a session go on from what the session holds ([`crate::broker::fetch_sessions`],
//! KIP-227). A long poll is woken by the high watermark, ends with its partition (M8), at
//! `max_wait_ms`, or with the broker. A fetch with a
//! replica id acknowledges what is below its offset, so it is taken between nodes only, of the
//! present incarnation of its sender (M7). Consumers may read from followers, and are sent
//! to one in their own rack where `replica.selector.class` says so (KIP-392).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::fetch::{
    EpochEndOffset, FetchPartition, FetchTopic, FetchableTopicResponse, PartitionData,
};
use ottla_protocol::messages::{FetchRequest, FetchResponse};
use tokio::sync::Notify;

use super::RequestContext;
use crate::broker::fetch_sessions::Turn;
use crate::broker::throttle::Side;
use crate::partition::{Partition, ReadLimit};
use crate::quorum::Image;

/// Topic ids instead of names from here on (KIP-516).
const TOPIC_IDS_SINCE: i16 = 13;
/// Consumers may read from followers from here on (KIP-392).
const FOLLOWER_FETCH_SINCE: i16 = 11;
/// Sessions from here on (KIP-227).
const SESSIONS_SINCE: i16 = 7;

/// A partition of the request, and where it is here.
struct Wanted {
    topic: usize,
    request: FetchPartition,
    found: Result<Arc<Partition>, ErrorCode>,
    /// It is copied at a rate (KIP-73).
    throttled: bool,
}

/// What one look at all partitions gave.
struct Look {
    answers: Vec<PartitionData>,
    record_bytes: usize,
    /// Something that the client has to know at once.
    urgent: bool,
    /// How long throttled replicas are sent nothing.
    held: Option<Duration>,
}

pub(crate) async fn handle(context: &RequestContext, mut request: FetchRequest) -> FetchResponse {
    let replica_id = match context.api_version {
        15.. => request.replica_state.replica_id,
        _ => request.replica_id,
    };
    let sessions = context.broker.fetch_sessions();
    let by_id = context.api_version >= TOPIC_IDS_SINCE;
    let turn = match context.api_version >= SESSIONS_SINCE {
        true => match sessions.begin(&mut request, by_id) {
            Ok(turn) => turn,
            Err(code) => return session_error(code),
        },
        false => Turn::Alone,
    };
    let replica = (replica_id >= 0)
        .then_some(Replica { id: replica_id, epoch: request.replica_state.replica_epoch });
    let plan = Plan::new(context, &request, replica);
    let answers = plan.poll(context, &request).await;
    plan.count_throttled(context, &answers);
    let (session_id, news) = match turn {
        Turn::Alone => (0, None),
        Turn::Opens => (sessions.open(&request.topics, &answers, by_id), None),
        Turn::Continues { id, epoch } => match sessions.news(id, epoch, &answers) {
            Ok(news) => (id, Some(news)),
            Err(code) => return session_error(code),
        },
    };
    FetchResponse { session_id, ..plan.respond(request.topics, answers, news.as_deref()) }
}

/// FE-11: an error of the session stands at the top, with session id 0 and nothing else.
fn session_error(code: ErrorCode) -> FetchResponse {
    FetchResponse { error_code: code.code(), ..FetchResponse::default() }
}

/// A follower that fetches.
#[derive(Debug, Clone, Copy)]
struct Replica {
    id: i32,
    /// Its broker epoch.
    epoch: i64,
}

struct Plan {
    wanted: Vec<Wanted>,
    replica: Option<Replica>,
    limit: ReadLimit,
    read_committed: bool,
    /// The rack of a consumer that may be sent to another replica.
    rack: Option<(Arc<Image>, String)>,
}

impl Plan {
    fn new(context: &RequestContext, request: &FetchRequest, replica: Option<Replica>) -> Self {
        let broker = &context.broker;
        let image = broker.image();
        let by_id = context.api_version >= TOPIC_IDS_SINCE;
        // M7, KIP-903: another incarnation has not got what this one says, or not yet.
        let refused = replica.is_some_and(|replica| {
            let known = image.brokers.get(&replica.id);
            !context.internal || known.is_none_or(|broker| broker.epoch != replica.epoch)
        });
        let from_followers = replica.is_none() && context.api_version >= FOLLOWER_FETCH_SINCE;
        let find = |topic: &FetchTopic, index: i32| -> Result<Arc<Partition>, ErrorCode> {
            if refused {
                return Err(ErrorCode::NotLeaderOrFollower);
            }
            let known = match by_id {
                true => image.topic_by_id(topic.topic_id).ok_or(ErrorCode::UnknownTopicId)?,
                false => {
                    image.topics.get(&topic.topic).ok_or(ErrorCode::UnknownTopicOrPartition)?
                }
            };
            match from_followers {
                true => broker.replica_by_id(known.id, index),
                false => broker.partition_by_id(known.id, index),
            }
        };
        let mut wanted = Vec::new();
        for (index, topic) in request.topics.iter().enumerate() {
            for partition in &topic.partitions {
                let found = find(topic, partition.partition);
                let throttled = replica.is_some_and(|to| {
                    let of = partition.partition;
                    broker.is_throttled(Side::Leader, &image, topic.topic_id, of, to.id)
                });
                wanted.push(Wanted { topic: index, request: partition.clone(), found, throttled });
            }
        }
        let read_committed = request.isolation_level == 1;
        let limit = match replica {
            Some(_) => ReadLimit::LogEnd,
            None if read_committed => ReadLimit::LastStable,
            None => ReadLimit::HighWatermark,
        };
        let has_rack = from_followers && !request.rack_id.is_empty() && broker.selects_replicas();
        let rack = has_rack.then(|| (Arc::clone(&image), request.rack_id.clone()));
        Self { wanted, replica, limit, read_committed, rack }
    }

    /// Looks until there is enough, or no more time (FE-01).
    async fn poll(&self, context: &RequestContext, request: &FetchRequest) -> Vec<PartitionData> {
        let bytes_max = context.broker.config().int("fetch.max.bytes").min(request.max_bytes);
        let bytes_max = usize::try_from(bytes_max).unwrap_or(0);
        let bytes_max = || bytes_max.min(context.broker.fetch_allowance());
        let bytes_min = usize::try_from(request.min_bytes).unwrap_or(0);
        let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        let known: Vec<&Arc<Partition>> =
            self.wanted.iter().filter_map(|wanted| wanted.found.as_ref().ok()).collect();
        let look = self.look(context, bytes_max(), true);
        // FE-10: unknown partitions alone are answered at once, beside a known idle one they wait
        // with it.
        if look.record_bytes >= bytes_min || look.urgent || wait.is_zero() || known.is_empty() {
            return look.answers;
        }
        let deadline = tokio::time::Instant::now() + wait;
        let mut stop = context.broker.stop();
        let bell = Arc::new(Notify::new());
        loop {
            for partition in &known {
                partition.register(&bell);
            }
            // Looked at after registering: what was appended in between has rung nobody's bell but
            // may be enough.
            let look = self.look(context, bytes_max(), false);
            if look.record_bytes >= bytes_min || look.urgent {
                return look.answers;
            }
            let until = look
                .held
                .map_or(deadline, |pause| deadline.min(tokio::time::Instant::now() + pause));
            tokio::select! {
                () = bell.notified() => {}
                () = tokio::time::sleep_until(until) => if until == deadline {
                    return look.answers;
                },
                _ = stop.wait_for(|stop| *stop) => return look.answers,
            }
        }
    }

    /// One look at every partition, in request order (FE-04). The first batch comes whole even if
    /// it is larger than every limit (FE-03, KIP-74).
    /// A follower's fetch counts with the first look.
    fn look(&self, context: &RequestContext, bytes_max: usize, counts: bool) -> Look {
        let answers = Vec::with_capacity(self.wanted.len());
        let throttles = self.wanted.iter().any(|wanted| wanted.throttled);
        let held = throttles.then(|| context.broker.throttle_pause(Side::Leader)).flatten();
        let mut look = Look { answers, record_bytes: 0, urgent: false, held };
        for wanted in &self.wanted {
            let answer = match &wanted.found {
                Ok(partition) => {
                    let is_held = wanted.throttled && held.is_some();
                    let left = bytes_max.saturating_sub(look.record_bytes);
                    let left = if is_held { 0 } else { left };
                    let first = look.record_bytes == 0 && !is_held;
                    self.read(partition, &wanted.request, left, first, counts)
                }
                Err(code) => Err(*code),
            };
            let answer = answer.unwrap_or_else(|code| {
                look.urgent |= wanted.found.is_ok() || self.is_urgent(code);
                match &wanted.found {
                    Ok(partition) if self.replica.is_some() => PartitionData {
                        log_start_offset: partition.log_start_offset(),
                        ..failed(code)
                    },
                    _ => failed(code),
                }
            });
            look.urgent |= answer.diverging_epoch != EpochEndOffset::default()
                || answer.preferred_read_replica >= 0
                // KIP-1166: this follower does not know what is committed; M17: or deleted.
                || (self.replica.is_some()
                    && (answer.high_watermark > wanted.request.high_watermark
                        || answer.log_start_offset > wanted.request.log_start_offset));
            look.record_bytes += answer.records.as_ref().map_or(0, Bytes::len);
            look.answers
                .push(PartitionData { partition_index: wanted.request.partition, ..answer });
        }
        look
    }

    /// Counts what is sent to throttled replicas.
    fn count_throttled(&self, context: &RequestContext, answers: &[PartitionData]) {
        let throttled = self.wanted.iter().zip(answers).filter(|(wanted, _)| wanted.throttled);
        let len = |answer: &PartitionData| answer.records.as_ref().map_or(0, Bytes::len);
        let bytes = throttled.map(|(_, answer)| len(answer)).sum();
        context.broker.throttle_spend(Side::Leader, bytes);
    }

    /// Whether an error is told at once, though it stands beside partitions that have nothing new:
    /// who was told of a leader that does not know it yet, or no longer is it, asks again or
    /// elsewhere. All that goes wrong for a follower holds up acknowledgements.
    fn is_urgent(&self, code: ErrorCode) -> bool {
        let is_moving =
            matches!(code, ErrorCode::KafkaStorageError | ErrorCode::NotLeaderOrFollower);
        is_moving || self.replica.is_some()
    }

    fn read(
        &self,
        partition: &Partition,
        request: &FetchPartition,
        left: usize,
        first: bool,
        counts: bool,
    ) -> Result<PartitionData, ErrorCode> {
        partition.check_epoch(request.current_leader_epoch)?;
        // FE-07: out of range goes before a diverging epoch.
        if request.last_fetched_epoch >= 0
            && request.fetch_offset >= partition.log_start_offset()
            && let Some(diverging) = diverging(partition, request)?
        {
            return Ok(diverging);
        }
        if let Some(replica) = self.replica.filter(|_| counts) {
            let (offset, start) = (request.fetch_offset, request.log_start_offset);
            partition.on_follower_fetch(replica.id, replica.epoch, offset, start)?;
        }
        if let Some((image, rack)) = &self.rack
            && let Some(near) = partition.preferred_replica(image, rack, request.fetch_offset)
        {
            return Ok(PartitionData { preferred_read_replica: near, ..marks(partition) });
        }
        let bytes_max = usize::try_from(request.partition_max_bytes).unwrap_or(0).min(left);
        let read = partition.read(request.fetch_offset, bytes_max, self.limit, first)?;
        Ok(PartitionData {
            high_watermark: read.high_watermark,
            last_stable_offset: read.last_stable_offset,
            log_start_offset: read.log_start_offset,
            // FE-16: a list for read_committed only. Nothing is ever aborted here, as there are no
            // transactions.
            aborted_transactions: self.read_committed.then(Vec::new),
            records: Some(read.records),
            ..PartitionData::default()
        })
    }

    /// The answers in the request's order; of a session only those that are news.
    fn respond(
        self,
        topics: Vec<FetchTopic>,
        answers: Vec<PartitionData>,
        news: Option<&[bool]>,
    ) -> FetchResponse {
        let mut responses: Vec<FetchableTopicResponse> = topics
            .into_iter()
            .map(|topic| FetchableTopicResponse {
                topic: topic.topic,
                topic_id: topic.topic_id,
                partitions: Vec::with_capacity(topic.partitions.len()),
                ..FetchableTopicResponse::default()
            })
            .collect();
        for (at, (wanted, answer)) in self.wanted.iter().zip(answers).enumerate() {
            if news.is_none_or(|news| news.get(at) == Some(&true)) {
                responses[wanted.topic].partitions.push(answer);
            }
        }
        if news.is_some() {
            responses.retain(|topic| !topic.partitions.is_empty());
        }
        FetchResponse { responses, ..FetchResponse::default() }
    }
}

/// FE-20: the client's last record was written under an epoch that ended earlier here.
fn diverging(
    partition: &Partition,
    request: &FetchPartition,
) -> Result<Option<PartitionData>, ErrorCode> {
    let Some(end) = partition.end_of_epoch(request.last_fetched_epoch) else {
        return Err(ErrorCode::OffsetOutOfRange);
    };
    if end.epoch >= request.last_fetched_epoch && end.end_offset >= request.fetch_offset {
        return Ok(None);
    }
    let (epoch, end_offset) = (end.epoch, end.end_offset);
    let diverging_epoch = EpochEndOffset { epoch, end_offset, ..EpochEndOffset::default() };
    Ok(Some(PartitionData { diverging_epoch, ..marks(partition) }))
}

/// Where a partition stands, without records.
fn marks(partition: &Partition) -> PartitionData {
    PartitionData {
        high_watermark: partition.high_watermark(),
        last_stable_offset: partition.last_stable_offset(),
        log_start_offset: partition.log_start_offset(),
        records: Some(Bytes::new()),
        ..PartitionData::default()
    }
}

/// FE-07: with an error nothing is known of the offsets. FE-21: records are empty, never null.
fn failed(code: ErrorCode) -> PartitionData {
    PartitionData {
        error_code: code.code(),
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        records: Some(Bytes::new()),
        ..PartitionData::default()
    }
}
