//! Fetch sessions (KIP-227). A broker that opens none answers with id 0, which it may: the tests of
//! sessions end as UNSUPPORTED there.

use super::common::{Partition, is_passing, metadata_of, shaped};
use super::records::batch;
use super::told::Told;
use crate::case::{Case, Profile::Core};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::verdict::Stop;
use ottla_protocol::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic, PartitionData,
};
use ottla_protocol::messages::{ApiKey, MetadataResponse, Request};
use std::time::{Duration, Instant};

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "fetch-sessions/opening",
        Core,
        (ApiKey::Fetch, 7),
        opening,
        &["K-FETCH-SESSIONS-002"],
    ),
    Case::each(
        "fetch-sessions/nothing-new",
        Core,
        (ApiKey::Fetch, 7),
        nothing_new,
        &["K-FETCH-SESSIONS-001", "K-FETCH-SESSIONS-009"],
    ),
    Case::each(
        "fetch-sessions/epochs",
        Core,
        (ApiKey::Fetch, 7),
        epochs,
        &["K-FETCH-SESSIONS-003", "K-FETCH-SESSIONS-005", "K-FETCH-SESSIONS-006"],
    ),
    Case::each(
        "fetch-sessions/unknown-session",
        Core,
        (ApiKey::Fetch, 7),
        unknown_session,
        &["K-FETCH-SESSIONS-004", "K-FETCH-SESSIONS-005", "K-FETCH-SESSIONS-006"],
    ),
    Case::each(
        "fetch-sessions/closing",
        Core,
        (ApiKey::Fetch, 7),
        closing,
        &["K-FETCH-SESSIONS-007"],
    ),
    Case::each(
        "fetch-sessions/errors-come-again",
        Core,
        (ApiKey::Fetch, 7),
        errors_come_again,
        &["K-FETCH-SESSIONS-010"],
    ),
    Case::each(
        "fetch-sessions/kept-and-forgotten",
        Core,
        (ApiKey::Fetch, 7),
        kept_and_forgotten,
        &["K-FETCH-SESSIONS-011", "K-FETCH-SESSIONS-012"],
    ),
    Case::each(
        "fetch-sessions/high-watermark-rises",
        Core,
        (ApiKey::Fetch, 7),
        high_watermark_rises,
        &["K-FETCH-SESSIONS-013"],
    ),
    Case::each(
        "fetch-sessions/names-and-ids",
        Core,
        (ApiKey::Fetch, 13),
        names_and_ids,
        &["K-FETCH-SESSIONS-014"],
    ),
    Case::each(
        "fetch-sessions/full-fetch-replaces",
        Core,
        (ApiKey::Fetch, 7),
        full_fetch_replaces,
        &["K-FETCH-SESSIONS-017"],
    ),
    Case::once(
        "fetch-sessions/others-do-not-evict",
        Core,
        others_do_not_evict,
        &["K-FETCH-SESSIONS-016"],
    ),
];

const NOT_FOUND: i16 = 70;
const WRONG_EPOCH: i16 = 71;
const TOPIC_ID_ERROR: i16 = 106;
const OUT_OF_RANGE: i16 = 1;

/// Partitions of a topic that one broker leads, and the session with it.
struct Session {
    partition: Partition,
    version: i16,
    /// 0 while there is none.
    id: i32,
    /// The epoch that is due.
    epoch: i32,
    max_bytes: i32,
    max_wait_ms: i32,
}

impl Session {
    /// A topic of partitions that all have one leader; no session yet.
    fn with(context: &mut Context<'_>, partitions: i32) -> Step<Self> {
        let mut partition = Partition::with(context, partitions, &[])?;
        let answer: MetadataResponse =
            context.prepare(&mut partition.wire, &metadata_of(12, &[&partition.topic]))?;
        let leaders = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let mut leaders: Vec<i32> = leaders.map(|one| one.leader_id).collect();
        leaders.dedup();
        if leaders.len() > 1 {
            return Err(Stop::blocked("the partitions have several leaders; one is needed"));
        }
        let version = context.version_of(ApiKey::Fetch)?;
        Ok(Self { partition, version, id: 0, epoch: 0, max_bytes: 1 << 20, max_wait_ms: 0 })
    }

    /// A record at the end of a partition.
    fn append(&mut self, context: &mut Context<'_>, index: i32, value: &[u8]) -> Step<i64> {
        self.partition.index = index;
        self.partition.append(context, batch(&[value]))
    }

    fn request(&self, epoch: i32, offsets: &[(i32, i64)]) -> FetchRequest {
        let one = |(partition, fetch_offset): &(i32, i64)| FetchPartition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        };
        let topic = FetchTopic {
            topic: self.partition.topic.clone(),
            topic_id: self.partition.id,
            partitions: offsets.iter().map(one).collect(),
            ..Default::default()
        };
        FetchRequest {
            replica_id: -1,
            max_wait_ms: self.max_wait_ms,
            min_bytes: 1,
            max_bytes: self.max_bytes,
            session_id: self.id,
            session_epoch: epoch,
            topics: if offsets.is_empty() { Vec::new() } else { vec![topic] },
            ..Default::default()
        }
    }

    /// One request as it is, and its answer.
    fn send(
        &mut self,
        context: &mut Context<'_>,
        statement: &'static str,
        request: FetchRequest,
    ) -> Step<FetchResponse> {
        let request = shaped(Request::Fetch(Box::new(request)), self.version);
        let answer = self.partition.wire.call(self.version, &request);
        context.answer(statement, answer)
    }

    /// A full fetch that opens a session, or UNSUPPORTED. Errors of partitions that pass are tried
    /// again.
    fn open(
        &mut self,
        context: &mut Context<'_>,
        statement: &'static str,
        offsets: &[(i32, i64)],
    ) -> Step<FetchResponse> {
        let until = context.deadline();
        loop {
            let answer = self.send(context, statement, self.request(0, offsets))?;
            let code = answer.error_code;
            context.must(statement, code == 0, || {
                format!("a full fetch: {} at the top", error_name(code))
            })?;
            self.id = answer.session_id;
            self.epoch = 1;
            let passing = entries(&answer).into_iter().find(|one| is_passing(one.error_code));
            match passing {
                None if self.id != 0 => return Ok(answer),
                None => {
                    let version = self.version;
                    return Err(Stop::unsupported(format!(
                        "Fetch v{version} with session id 0 and epoch 0 is answered with session \
                         id 0: it opens no sessions"
                    )));
                }
                Some(one) => context.must_before(statement, until, || {
                    format!("only {} until the deadline", error_name(one.error_code))
                })?,
            }
            self.close(context);
        }
    }

    /// A fetch with the epoch that is due and only these partitions in it.
    fn next(
        &mut self,
        context: &mut Context<'_>,
        statement: &'static str,
        offsets: &[(i32, i64)],
    ) -> Step<FetchResponse> {
        let request = self.request(self.epoch, offsets);
        self.next_with(context, statement, request)
    }

    fn next_with(
        &mut self,
        context: &mut Context<'_>,
        statement: &'static str,
        request: FetchRequest,
    ) -> Step<FetchResponse> {
        let answer = self.send(context, statement, request)?;
        self.epoch += 1;
        let (code, id) = (answer.error_code, answer.session_id);
        context.must(statement, code == 0 && id == self.id, || {
            format!("session {}: {}, session id {id}", self.id, error_name(code))
        })?;
        Ok(answer)
    }

    /// Closes the session, so that it takes no other's place; what it is answered does not matter.
    fn close(&mut self, context: &mut Context<'_>) {
        if self.id != 0 {
            let request = FetchRequest { max_wait_ms: 0, ..self.request(-1, &[]) };
            let _ = self.send(context, "K-FETCH-SESSIONS-007", request);
            self.id = 0;
        }
    }
}

/// Runs a test with a session, which is closed whatever comes of it.
fn with_session(
    context: &mut Context<'_>,
    partitions: i32,
    test: impl FnOnce(&mut Context<'_>, &mut Session) -> Step,
) -> Step {
    let mut session = Session::with(context, partitions)?;
    let done = test(context, &mut session);
    session.close(context);
    done
}

fn entries(answer: &FetchResponse) -> Vec<&PartitionData> {
    answer.responses.iter().flat_map(|topic| &topic.partitions).collect()
}

fn indexes(answer: &FetchResponse) -> Vec<i32> {
    let mut all: Vec<i32> = entries(answer).iter().map(|one| one.partition_index).collect();
    all.sort_unstable();
    all
}

fn opening(context: &mut Context<'_>) -> Step {
    let statement = "K-FETCH-SESSIONS-002";
    with_session(context, 1, |context, session| {
        let request = session.request(0, &[(0, 0)]);
        let first = session.send(context, statement, request.clone())?;
        let (code, id) = (first.error_code, first.session_id);
        session.id = id;
        context.must(statement, code == 0 && id >= 0, || {
            format!("a full fetch: {}, session id {id}", error_name(code))
        })?;
        let second = session.send(context, statement, request)?;
        let other = second.session_id;
        context.must(statement, other >= 0 && (other == 0 || other != id), || {
            format!("two sessions are opened, and both are {id}")
        })?;
        session.close(context);
        session.id = other;
        Ok(())
    })
}

fn nothing_new(context: &mut Context<'_>) -> Step {
    let (held, left_out) = ("K-FETCH-SESSIONS-001", "K-FETCH-SESSIONS-009");
    with_session(context, 2, |context, session| {
        let end = session.append(context, 0, b"value")? + 1;
        session.open(context, held, &[(0, end), (1, 0)])?;
        session.max_wait_ms = 200;
        let began = Instant::now();
        let answer = session.next(context, held, &[])?;
        let took = began.elapsed();
        context.must(held, took >= Duration::from_millis(150), || {
            format!("an incremental fetch of 200 ms was answered after {} ms", took.as_millis())
        })?;
        let there = indexes(&answer);
        context.must(left_out, there.is_empty(), || {
            format!("nothing has changed; partitions {there:?} are in the answer")
        })
    })
}

/// An answer with an error at the top: no session, no partitions.
fn session_error(
    context: &mut Context<'_>,
    statement: &'static str,
    what: &str,
    expected: i16,
    answer: &FetchResponse,
) -> Step {
    let (code, id, there) = (answer.error_code, answer.session_id, indexes(answer));
    context.must(statement, code == expected, || {
        format!("{what} should be {}; it is {}", error_name(expected), error_name(code))
    })?;
    context.must("K-FETCH-SESSIONS-005", id == 0, || {
        format!("{what} is answered with {} and session id {id}", error_name(code))
    })?;
    context.must("K-FETCH-SESSIONS-006", there.is_empty(), || {
        format!("{what} is answered with {} and partitions {there:?}", error_name(code))
    })
}

fn epochs(context: &mut Context<'_>) -> Step {
    let statement = "K-FETCH-SESSIONS-003";
    with_session(context, 1, |context, session| {
        session.open(context, statement, &[(0, 0)])?;
        for (epoch, what) in [(2, "the epoch after the next"), (i32::MAX, "a far epoch")] {
            let answer = session.send(context, statement, session.request(epoch, &[]))?;
            session_error(context, statement, what, WRONG_EPOCH, &answer)?;
        }
        session.next(context, statement, &[])?;
        let answer = session.send(context, statement, session.request(1, &[]))?;
        session_error(context, statement, "an epoch that was there", WRONG_EPOCH, &answer)
    })
}

fn unknown_session(context: &mut Context<'_>) -> Step {
    let statement = "K-FETCH-SESSIONS-004";
    let mut session = Session::with(context, 1)?;
    // Ids are drawn at random: nobody has this one.
    session.id = 1_234_567_890;
    for offsets in [&[][..], &[(0, 0)]] {
        let answer = session.send(context, statement, session.request(1, offsets))?;
        session_error(context, statement, "an unknown session", NOT_FOUND, &answer)?;
    }
    Ok(())
}

fn closing(context: &mut Context<'_>) -> Step {
    let statement = "K-FETCH-SESSIONS-007";
    with_session(context, 1, |context, session| {
        session.open(context, statement, &[(0, 0)])?;
        let answer = session.send(context, statement, session.request(-1, &[(0, 0)]))?;
        let code = answer.error_code;
        context.must(statement, code == 0, || format!("epoch -1: {}", error_name(code)))?;
        let after = session.send(context, statement, session.request(1, &[]))?;
        let code = after.error_code;
        context.must(statement, code == NOT_FOUND, || {
            let expected = error_name(NOT_FOUND);
            format!("after epoch -1 the session should be {expected}; it is {}", error_name(code))
        })
    })
}

fn errors_come_again(context: &mut Context<'_>) -> Step {
    let statement = "K-FETCH-SESSIONS-010";
    with_session(context, 2, |context, session| {
        let first = session.open(context, statement, &[(0, 1_000), (1, 0)])?;
        let code_of = |answer: &FetchResponse| {
            let one = entries(answer).into_iter().find(|one| one.partition_index == 0);
            one.map(|one| one.error_code)
        };
        let mut code = code_of(&first);
        for _ in 0..3 {
            context.must(statement, code == Some(OUT_OF_RANGE), || {
                format!("an offset out of range is answered with error {}", code.told())
            })?;
            code = code_of(&session.next(context, statement, &[])?);
        }
        Ok(())
    })
}

fn kept_and_forgotten(context: &mut Context<'_>) -> Step {
    let (forgotten, kept) = ("K-FETCH-SESSIONS-011", "K-FETCH-SESSIONS-012");
    with_session(context, 2, |context, session| {
        for index in [0, 1] {
            session.append(context, index, b"value")?;
        }
        session.open(context, kept, &[(0, 0), (1, 0)])?;
        let answer = session.next(context, kept, &[])?;
        let with_records =
            |one: &&PartitionData| one.records.as_ref().is_some_and(|r| !r.is_empty());
        let count = entries(&answer).iter().filter(|one| with_records(one)).count();
        context.must(kept, count == 2, || {
            format!("2 partitions are fetched at offset 0 still; {count} came with records")
        })?;
        let topic = ForgottenTopic {
            topic: session.partition.topic.clone(),
            topic_id: session.partition.id,
            partitions: vec![1],
            ..Default::default()
        };
        let mut request = session.request(session.epoch, &[]);
        request.forgotten_topics_data = vec![topic];
        for request in [Some(request), None] {
            let request = request.unwrap_or_else(|| session.request(session.epoch, &[]));
            let there = indexes(&session.next_with(context, forgotten, request)?);
            context.must(forgotten, there == [0], || {
                format!("partition 1 is forgotten, 0 is not; the answer has {there:?}")
            })?;
        }
        Ok(())
    })
}

/// Rounds in which three partitions take turns: the one that rises is left without records in most.
const ROUNDS: usize = 6;

fn high_watermark_rises(context: &mut Context<'_>) -> Step {
    let statement = "K-FETCH-SESSIONS-013";
    with_session(context, 3, |context, session| {
        for index in [0, 1] {
            session.append(context, index, b"value")?;
        }
        // Room for one batch: that of the first partition that has one.
        session.max_bytes = 1;
        session.open(context, statement, &[(0, 0), (1, 0), (2, 0)])?;
        let mut without = 0;
        for _ in 0..ROUNDS {
            let end = session.append(context, 2, b"another")? + 1;
            let answer = session.next(context, statement, &[])?;
            let entry = entries(&answer).into_iter().find(|one| one.partition_index == 2);
            let seen = entry.map(|one| one.high_watermark);
            context.must(statement, seen == Some(end), || {
                format!("the high watermark rose to {end}; the answer has {}", seen.told())
            })?;
            let records = entry.and_then(|one| one.records.as_ref());
            without += usize::from(records.is_none_or(|records| records.is_empty()));
        }
        if without == 0 {
            context.note(statement, "it was never left without records");
        }
        Ok(())
    })
}

fn names_and_ids(context: &mut Context<'_>) -> Step {
    let statement = "K-FETCH-SESSIONS-014";
    let versions = context.target().versions_of(ApiKey::Fetch);
    if !versions.is_some_and(|versions| versions.contains(&12)) {
        return Err(Stop::unsupported("Fetch v12, the last with names, is not listed"));
    }
    let by_id = context.version();
    for (first, then) in [(12, by_id), (by_id, 12)] {
        with_session(context, 2, |context, session| {
            session.version = first;
            session.open(context, statement, &[(0, 0)])?;
            session.version = then;
            let answer = session.send(context, statement, session.request(1, &[(1, 0)]))?;
            session.version = first;
            let code = answer.error_code;
            context.must(statement, code == TOPIC_ID_ERROR, || {
                let expected = error_name(TOPIC_ID_ERROR);
                format!("v{first}, then v{then} should be {expected}; it is {}", error_name(code))
            })
        })?;
    }
    Ok(())
}

fn full_fetch_replaces(context: &mut Context<'_>) -> Step {
    let statement = "K-FETCH-SESSIONS-017";
    with_session(context, 2, |context, session| {
        for index in [0, 1] {
            session.append(context, index, b"value")?;
        }
        session.open(context, statement, &[(0, 0), (1, 0)])?;
        let full = session.open(context, statement, &[(1, 0)])?;
        let there = indexes(&full);
        context.must(statement, there == [1], || {
            format!("a full fetch of partition 1 is answered with {there:?}")
        })?;
        let there = indexes(&session.next(context, statement, &[])?);
        context.must(statement, there == [1], || {
            format!("after a full fetch of partition 1 the session has {there:?}")
        })
    })
}

/// Far fewer than brokers keep (Apache Kafka: 1000), so that other tests find room.
const OTHERS: usize = 60;

fn others_do_not_evict(context: &mut Context<'_>) -> Step {
    let statement = "K-FETCH-SESSIONS-016";
    with_session(context, 1, |context, session| {
        session.open(context, statement, &[(0, 0)])?;
        let own = session.id;
        let mut others = Vec::new();
        for _ in 0..OTHERS {
            session.id = 0;
            let answer = session.send(context, statement, session.request(0, &[(0, 0)]))?;
            others.push(answer.session_id);
        }
        session.id = own;
        let after = session.send(context, statement, session.request(session.epoch, &[]))?;
        let code = after.error_code;
        context.should(statement, code == 0, || {
            format!("after {OTHERS} other sessions: {}", error_name(code))
        });
        for other in others {
            session.id = other;
            session.close(context);
        }
        session.id = own;
        Ok(())
    })
}
