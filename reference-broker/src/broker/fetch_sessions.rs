//! Fetch sessions (KIP-227): what a client fetches is remembered, so that its next request names
//! only what is other, and its answer holds only what is new.
//!
//! Sessions are bounded by `max.incremental.fetch.session.cache.slots`, and by the partitions that
//! all of them hold together. Where there is no room, a client is told so by session id 0 and goes
//! on with full requests (FE-11). Only a session that was not used for two minutes makes room for
//! another (FE-14).

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_protocol::messages::FetchRequest;
use ottla_protocol::messages::fetch::{EpochEndOffset, FetchPartition, FetchTopic, PartitionData};
use ottla_protocol::{ErrorCode, Uuid};

/// A session that was not used for so long makes room for others.
const STALE: Duration = Duration::from_secs(120);
/// The most partitions of all sessions together: some 100 bytes each.
const PARTITIONS_MAX: usize = 200_000;
/// The epoch of a request that opens a session.
const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that closes its session, or has none.
const FINAL_EPOCH: i32 = -1;

/// The part that a request has in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// None: a full request, and a full answer.
    Alone,
    /// A full request, and a session for those that follow, if there is room.
    Opens,
    /// A request of this session, which has this epoch now.
    Continues { id: i32, epoch: i32 },
}

/// All sessions of a broker.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    slots: usize,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    sessions: BTreeMap<i32, Session>,
    /// Of all sessions.
    partitions: usize,
}

#[derive(Debug)]
struct Session {
    /// By topic ids, or by names: this cannot change while it is open.
    by_id: bool,
    /// That of the request that is due.
    epoch: i32,
    used: Instant,
    /// Partitions of one topic stand together.
    partitions: Vec<Held>,
}

/// A partition in a session: what is fetched, and what the client knows.
#[derive(Debug)]
struct Held {
    topic: String,
    topic_id: Uuid,
    request: FetchPartition,
    high_watermark: i64,
    log_start_offset: i64,
}

/// A partition's name: one of topic and id is empty.
type Key = (String, [u8; 16], i32);

fn key(topic: &str, id: Uuid, partition: i32) -> Key {
    (topic.to_owned(), id.0, partition)
}

impl FetchSessions {
    /// No session yet, and never more than `slots`.
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots, cache: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets all sessions; answers how many there were.
    pub(crate) fn clear(&self) -> usize {
        std::mem::take(&mut *self.lock()).sessions.len()
    }

    /// What a request means. One that continues a session gets the session's partitions as its
    /// own.
    ///
    /// # Errors
    ///
    /// 70 for a session that there is not, 71 for an epoch that is not due, 106 where names and
    /// ids change within a session.
    pub(crate) fn begin(&self, request: &mut FetchRequest, by_id: bool) -> Result<Turn, ErrorCode> {
        let mut cache = self.lock();
        let id = request.session_id;
        if matches!(request.session_epoch, INITIAL_EPOCH | FINAL_EPOCH) {
            cache.remove(id);
            let opens = request.session_epoch == INITIAL_EPOCH;
            return Ok(if opens { Turn::Opens } else { Turn::Alone });
        }
        let session = cache.sessions.get_mut(&id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != request.session_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.by_id != by_id {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        let before = session.partitions.len();
        session.update(request);
        session.epoch = if session.epoch == i32::MAX { 1 } else { session.epoch + 1 };
        session.used = Instant::now();
        let (epoch, after) = (session.epoch, session.partitions.len());
        request.topics = session.topics();
        cache.partitions = cache.partitions - before + after;
        if after == 0 || cache.partitions > PARTITIONS_MAX {
            cache.remove(id);
            return Ok(Turn::Alone);
        }
        Ok(Turn::Continues { id, epoch })
    }

    /// Opens a session for a request that was answered so; 0 where there is no room. The answers
    /// are in the order of the request's partitions.
    pub(crate) fn open(
        &self,
        topics: &[FetchTopic],
        answers: &[PartitionData],
        by_id: bool,
    ) -> i32 {
        self.open_at(Instant::now(), topics, answers, by_id)
    }

    fn open_at(
        &self,
        now: Instant,
        topics: &[FetchTopic],
        answers: &[PartitionData],
        by_id: bool,
    ) -> i32 {
        let mut cache = self.lock();
        let named =
            topics.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic, p)));
        let mut partitions: Vec<Held> =
            named.map(|(topic, partition)| Held::new(topic, partition)).collect();
        if answers.is_empty() || !cache.has_room(now, self.slots, answers.len()) {
            return 0;
        }
        for (held, answer) in partitions.iter_mut().zip(answers) {
            held.is_news(answer);
        }
        let id = cache.free_id();
        cache.partitions += partitions.len();
        let session = Session { by_id, epoch: 1, used: now, partitions };
        cache.sessions.insert(id, session);
        id
    }

    /// Which answers of a session are news to its client, in their order.
    ///
    /// # Errors
    ///
    /// 70 and 71 where the session has gone, or another request of it has come, meanwhile.
    pub(crate) fn news(
        &self,
        id: i32,
        epoch: i32,
        answers: &[PartitionData],
    ) -> Result<Vec<bool>, ErrorCode> {
        let mut cache = self.lock();
        let session = cache.sessions.get_mut(&id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        session.used = Instant::now();
        let pairs = session.partitions.iter_mut().zip(answers);
        let news = pairs.map(|(held, answer)| held.is_news(answer)).collect();
        session.last_who_had_records(answers);
        Ok(news)
    }
}

impl Cache {
    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.partitions.len();
        }
    }

    /// Whether there is room for a session of so many partitions, if need be in a stale one's
    /// place.
    fn has_room(&mut self, now: Instant, slots: usize, partitions: usize) -> bool {
        let is_full = |cache: &Self| {
            cache.sessions.len() >= slots || cache.partitions + partitions > PARTITIONS_MAX
        };
        while is_full(self) {
            let oldest = self.sessions.iter().min_by_key(|(_, session)| session.used);
            match oldest.filter(|(_, session)| now.duration_since(session.used) > STALE) {
                Some((id, _)) => {
                    let id = *id;
                    self.remove(id);
                }
                None => return false,
            }
        }
        true
    }

    /// An id that nobody has, and that nobody guesses from another.
    fn free_id(&self) -> i32 {
        loop {
            let random = RandomState::new().build_hasher().finish();
            let id = i32::try_from(random & 0x7fff_ffff).unwrap_or_default();
            if id != 0 && !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }
}

impl Session {
    /// Takes over what a request says: partitions that are new or have other values, and those
    /// that are forgotten.
    fn update(&mut self, request: &FetchRequest) {
        if request.topics.is_empty() && request.forgotten_topics_data.is_empty() {
            return;
        }
        let mut given: HashMap<Key, Held> = HashMap::new();
        let mut order = Vec::new();
        for topic in &request.topics {
            for partition in &topic.partitions {
                let named = key(&topic.topic, topic.topic_id, partition.partition);
                order.push(named.clone());
                given.insert(named, Held::new(topic, partition));
            }
        }
        let mut forgotten: HashSet<Key> = HashSet::new();
        for topic in &request.forgotten_topics_data {
            for index in &topic.partitions {
                forgotten.insert(key(&topic.topic, topic.topic_id, *index));
            }
        }
        self.partitions.retain_mut(|held| {
            let own = key(&held.topic, held.topic_id, held.request.partition);
            if let Some(given) = given.remove(&own) {
                if given.request.current_leader_epoch != held.request.current_leader_epoch {
                    // Another replica, which may have missed what the former one was told.
                    held.high_watermark = -1;
                }
                held.request = given.request;
            }
            !forgotten.contains(&own)
        });
        for named in order {
            if let Some(held) = given.remove(&named)
                && !forgotten.contains(&named)
            {
                self.partitions.push(held);
            }
        }
        self.group_by_topic();
    }

    /// Puts the partitions of a topic together, behind the first of them.
    fn group_by_topic(&mut self) {
        let mut places: HashMap<(String, [u8; 16]), usize> = HashMap::new();
        for held in &self.partitions {
            let next = places.len();
            places.entry((held.topic.clone(), held.topic_id.0)).or_insert(next);
        }
        self.partitions
            .sort_by_key(|held| places.get(&(held.topic.clone(), held.topic_id.0)).copied());
    }

    /// Who had records stands last the next time, so that all have their turn.
    fn last_who_had_records(&mut self, answers: &[PartitionData]) {
        if !answers.iter().any(has_records) {
            return;
        }
        let held = std::mem::take(&mut self.partitions);
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for (held, answer) in held.into_iter().zip(answers) {
            if has_records(answer) { last.push(held) } else { first.push(held) }
        }
        first.append(&mut last);
        self.partitions = first;
        self.group_by_topic();
    }

    /// The partitions as a request names them.
    fn topics(&self) -> Vec<FetchTopic> {
        let mut topics: Vec<FetchTopic> = Vec::new();
        for held in &self.partitions {
            let request = held.request.clone();
            match topics.last_mut() {
                Some(last) if (&last.topic, last.topic_id) == (&held.topic, held.topic_id) => {
                    last.partitions.push(request);
                }
                _ => topics.push(FetchTopic {
                    topic: held.topic.clone(),
                    topic_id: held.topic_id,
                    partitions: vec![request],
                    ..FetchTopic::default()
                }),
            }
        }
        topics
    }
}

impl Held {
    fn new(topic: &FetchTopic, partition: &FetchPartition) -> Self {
        Self {
            topic: topic.topic.clone(),
            topic_id: topic.topic_id,
            request: partition.clone(),
            high_watermark: -1,
            log_start_offset: -1,
        }
    }

    /// Whether an answer tells the client something, which it then knows (FE-12).
    fn is_news(&mut self, answer: &PartitionData) -> bool {
        let marks = (answer.high_watermark, answer.log_start_offset);
        let is_other = (self.high_watermark, self.log_start_offset) != marks;
        (self.high_watermark, self.log_start_offset) = marks;
        if answer.error_code != 0 {
            // The end of an error is told as well: no high watermark is -1.
            self.high_watermark = -1;
            return true;
        }
        is_other
            || has_records(answer)
            || answer.preferred_read_replica >= 0
            || answer.diverging_epoch != EpochEndOffset::default()
    }
}

fn has_records(answer: &PartitionData) -> bool {
    answer.records.as_ref().is_some_and(|records| !Bytes::is_empty(records))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::messages::fetch::ForgottenTopic;

    fn topic(partitions: &[i32]) -> FetchTopic {
        let partition = |index: &i32| FetchPartition { partition: *index, ..Default::default() };
        let partitions = partitions.iter().map(partition).collect();
        FetchTopic { topic: "t".to_owned(), partitions, ..Default::default() }
    }

    fn request(id: i32, epoch: i32, partitions: &[i32]) -> FetchRequest {
        FetchRequest {
            session_id: id,
            session_epoch: epoch,
            topics: if partitions.is_empty() { Vec::new() } else { vec![topic(partitions)] },
            ..FetchRequest::default()
        }
    }

    fn answer(high_watermark: i64, error_code: i16) -> PartitionData {
        PartitionData { high_watermark, log_start_offset: 0, error_code, ..Default::default() }
    }

    fn open(sessions: &FetchSessions, partitions: &[i32]) -> i32 {
        let answers = vec![answer(5, 0); partitions.len()];
        sessions.open(&[topic(partitions)], &answers, false)
    }

    fn next(sessions: &FetchSessions, mut request: FetchRequest) -> (Vec<i32>, i32) {
        let Ok(Turn::Continues { epoch, .. }) = sessions.begin(&mut request, false) else {
            panic!("the request should continue its session")
        };
        let named = request.topics.iter().flat_map(|topic| &topic.partitions);
        (named.map(|partition| partition.partition).collect(), epoch)
    }

    #[test]
    fn partitions_are_kept_added_and_forgotten() {
        let sessions = FetchSessions::new(1);
        let id = open(&sessions, &[0, 1]);
        assert_eq!(next(&sessions, request(id, 1, &[])), (vec![0, 1], 2));
        assert_eq!(next(&sessions, request(id, 2, &[2])), (vec![0, 1, 2], 3));
        let forgotten = ForgottenTopic {
            topic: "t".to_owned(),
            partitions: vec![1],
            ..ForgottenTopic::default()
        };
        let without =
            FetchRequest { forgotten_topics_data: vec![forgotten], ..request(id, 3, &[]) };
        assert_eq!(next(&sessions, without), (vec![0, 2], 4));
        assert_eq!(sessions.lock().partitions, 2);
    }

    #[test]
    fn only_news_are_answered_and_who_had_records_is_last() {
        let sessions = FetchSessions::new(1);
        let id = open(&sessions, &[0, 1]);
        next(&sessions, request(id, 1, &[]));
        let records = Some(Bytes::from_static(b"a batch"));
        let first = PartitionData { records, ..answer(5, 0) };
        let same = answer(5, 0);
        assert_eq!(sessions.news(id, 2, &[first, same.clone()]), Ok(vec![true, false]));
        assert_eq!(next(&sessions, request(id, 2, &[])).0, [1, 0]);
        assert_eq!(sessions.news(id, 3, &[answer(6, 0), same.clone()]), Ok(vec![true, false]));
        // An error comes again and again, and so does its end.
        for (epoch, now, expected) in
            [(4, answer(-1, 1), true), (5, answer(-1, 1), true), (6, same.clone(), true)]
        {
            next(&sessions, request(id, epoch - 1, &[]));
            let told = sessions.news(id, epoch, &[answer(6, 0), now]);
            assert_eq!(told, Ok(vec![false, expected]), "epoch {epoch}");
        }
    }

    #[test]
    fn epochs_and_names_must_fit() {
        let sessions = FetchSessions::new(1);
        let id = open(&sessions, &[0]);
        let begin = |mut request: FetchRequest, by_id| sessions.begin(&mut request, by_id);
        assert_eq!(begin(request(id, 7, &[]), false), Err(ErrorCode::InvalidFetchSessionEpoch));
        assert_eq!(begin(request(id, 1, &[]), true), Err(ErrorCode::FetchSessionTopicIdError));
        let other = id ^ 1;
        assert_eq!(begin(request(other, 1, &[]), false), Err(ErrorCode::FetchSessionIdNotFound));
        next(&sessions, request(id, 1, &[]));
        // Another request of the session has come while the first was held back.
        next(&sessions, request(id, 2, &[]));
        let late = sessions.news(id, 2, &[answer(5, 0)]);
        assert_eq!(late, Err(ErrorCode::InvalidFetchSessionEpoch));
        assert_eq!(begin(request(id, FINAL_EPOCH, &[]), false), Ok(Turn::Alone));
        assert_eq!(begin(request(id, 3, &[]), false), Err(ErrorCode::FetchSessionIdNotFound));
        assert_eq!(sessions.lock().partitions, 0);
    }

    #[test]
    fn room_is_made_by_stale_sessions_only() {
        let sessions = FetchSessions::new(2);
        let (old, new) = (open(&sessions, &[0]), open(&sessions, &[0]));
        assert_eq!(open(&sessions, &[0]), 0);
        let later = Instant::now() + STALE * 2;
        sessions.lock().sessions.get_mut(&new).expect("it was opened").used = later;
        let answers = [answer(5, 0), answer(5, 0)];
        assert_ne!(sessions.open_at(later, &[topic(&[0, 1])], &answers, false), 0);
        let cache = sessions.lock();
        assert!(!cache.sessions.contains_key(&old) && cache.sessions.contains_key(&new));
        assert_eq!(cache.partitions, 3);
        drop(cache);
        assert_eq!(open(&FetchSessions::new(0), &[0]), 0);
    }
}
