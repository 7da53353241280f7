//! Producer ids, epochs and sequences.

use super::common::{Partition, is_passing, shaped};
use super::records::{Plain, batch_with};
use crate::case::{Case, Profile::Core};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::verdict::Stop;
use ottla_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use ottla_protocol::messages::produce::PartitionProduceResponse;
use ottla_protocol::messages::{ApiKey, ProduceResponse, Request};
use ottla_protocol::records::BatchFields;
use std::collections::BTreeSet;
use std::time::Instant;

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "idempotence/duplicates",
        Core,
        (ApiKey::Produce, 3),
        duplicates,
        &["K-IDEMPOTENCE-001", "K-IDEMPOTENCE-002", "K-IDEMPOTENCE-003", "K-IDEMPOTENCE-004"],
    ),
    Case::each("idempotence/gaps", Core, (ApiKey::Produce, 3), gaps, &["K-IDEMPOTENCE-006"]),
    Case::each(
        "idempotence/epochs",
        Core,
        (ApiKey::Produce, 3),
        epochs,
        &["K-IDEMPOTENCE-007", "K-IDEMPOTENCE-008", "K-IDEMPOTENCE-009", "K-IDEMPOTENCE-010"],
    ),
    Case::each(
        "idempotence/unknown-producer",
        Core,
        (ApiKey::Produce, 3),
        unknown_producer,
        &["K-IDEMPOTENCE-011"],
    ),
    Case::each(
        "idempotence/wrap",
        Core,
        (ApiKey::Produce, 3),
        wrap,
        &["K-IDEMPOTENCE-013", "K-IDEMPOTENCE-014"],
    ),
    Case::each(
        "idempotence/five-in-flight",
        Core,
        (ApiKey::Produce, 3),
        five_in_flight,
        &["K-IDEMPOTENCE-015", "K-IDEMPOTENCE-016"],
    ),
    Case::each(
        "idempotence/producer-ids",
        Core,
        (ApiKey::InitProducerId, 0),
        producer_ids,
        &["K-IDEMPOTENCE-021", "K-IDEMPOTENCE-022", "K-IDEMPOTENCE-023"],
    ),
    Case::each(
        "idempotence/half-an-identity",
        Core,
        (ApiKey::InitProducerId, 3),
        half_an_identity,
        &["K-IDEMPOTENCE-024"],
    ),
];

/// A producer with a partition.
struct Producer {
    partition: Partition,
    id: i64,
}

impl Producer {
    fn new(context: &mut Context<'_>) -> Step<Self> {
        let mut partition = Partition::new(context)?;
        let until = context.deadline();
        loop {
            let answer: InitProducerIdResponse =
                context.prepare(&mut partition.wire, &init(None, -1, -1))?;
            match answer.error_code {
                0 => return Ok(Self { partition, id: answer.producer_id }),
                code if is_passing(code) && Instant::now() < until => {}
                code => return Err(Stop::blocked(format!("InitProducerId: {}", error_name(code)))),
            }
        }
    }

    fn batch(&self, epoch: i16, sequence: i32, count: usize) -> Vec<u8> {
        let fields = BatchFields {
            producer_id: self.id,
            producer_epoch: epoch,
            base_sequence: sequence,
            ..Default::default()
        };
        batch_with(&fields, &vec![Plain::of(b"k", b"v"); count])
    }

    fn send(
        &mut self,
        context: &mut Context<'_>,
        statement: &'static str,
        epoch: i16,
        sequence: i32,
        count: usize,
    ) -> Step<PartitionProduceResponse> {
        let batch = self.batch(epoch, sequence, count);
        self.partition.produce(context, statement, batch)
    }

    /// A batch that is due: taken, at this offset.
    fn due(
        &mut self,
        context: &mut Context<'_>,
        statement: &'static str,
        (epoch, sequence, count): (i16, i32, usize),
        offset: i64,
    ) -> Step {
        let entry = self.send(context, statement, epoch, sequence, count)?;
        context.must(statement, entry.error_code == 0 && entry.base_offset == offset, || {
            let (code, base) = (error_name(entry.error_code), entry.base_offset);
            format!(
                "epoch {epoch}, sequence {sequence}, {count} records, due at offset {offset}: \
                 {code}, base offset {base}"
            )
        })
    }

    /// A batch that is refused with this error.
    fn refused(
        &mut self,
        context: &mut Context<'_>,
        statement: &'static str,
        (epoch, sequence, count): (i16, i32, usize),
        expected: i16,
    ) -> Step<i16> {
        let code = self.send(context, statement, epoch, sequence, count)?.error_code;
        context.must(statement, code == expected, || {
            let (expected, code) = (error_name(expected), error_name(code));
            format!("epoch {epoch}, sequence {sequence}: expected {expected}, it is {code}")
        })?;
        Ok(code)
    }
}

fn init(transactional_id: Option<String>, id: i64, epoch: i16) -> Request {
    Request::InitProducerId(Box::new(InitProducerIdRequest {
        transactional_id,
        transaction_timeout_ms: 60_000,
        producer_id: id,
        producer_epoch: epoch,
        ..Default::default()
    }))
}

fn duplicates(context: &mut Context<'_>) -> Step {
    let mut producer = Producer::new(context)?;
    for index in 0..6 {
        let due = i64::from(index) * 2;
        producer.due(context, "K-IDEMPOTENCE-001", (0, index * 2, 2), due)?;
    }
    for index in 1..6 {
        let entry = producer.send(context, "K-IDEMPOTENCE-001", 0, index * 2, 2)?;
        let (code, base) = (entry.error_code, entry.base_offset);
        context.must("K-IDEMPOTENCE-001", code == 0, || {
            format!("a duplicate of batch {index} of six: {}", error_name(code))
        })?;
        context.must("K-IDEMPOTENCE-002", base == i64::from(index) * 2, || {
            format!("a duplicate of the batch at {} is answered with offset {base}", index * 2)
        })?;
    }
    let entry = producer.send(context, "K-IDEMPOTENCE-004", 0, 0, 2)?;
    let code = entry.error_code;
    // DUPLICATE_SEQUENCE_NUMBER (46) says the same.
    context.must("K-IDEMPOTENCE-004", matches!(code, 45 | 46), || {
        format!("a duplicate of the sixth batch from the end: {}", error_name(code))
    })?;
    producer.due(context, "K-IDEMPOTENCE-003", (0, 12, 1), 12)
}

fn gaps(context: &mut Context<'_>) -> Step {
    let mut producer = Producer::new(context)?;
    producer.due(context, "K-IDEMPOTENCE-006", (0, 0, 3), 0)?;
    for sequence in [4, 5, 100, i32::MAX] {
        producer.refused(context, "K-IDEMPOTENCE-006", (0, sequence, 1), 45)?;
    }
    producer.due(context, "K-IDEMPOTENCE-006", (0, 3, 1), 3)
}

fn epochs(context: &mut Context<'_>) -> Step {
    let mut producer = Producer::new(context)?;
    producer.due(context, "K-IDEMPOTENCE-010", (0, 0, 1), 0)?;
    producer.refused(context, "K-IDEMPOTENCE-009", (1, 5, 1), 45)?;
    producer.due(context, "K-IDEMPOTENCE-010", (1, 0, 1), 1)?;
    let code = producer.refused(context, "K-IDEMPOTENCE-007", (0, 1, 1), 47)?;
    context.must("K-IDEMPOTENCE-008", code != 90, || {
        "an old epoch is answered with PRODUCER_FENCED (90)".to_owned()
    })
}

fn unknown_producer(context: &mut Context<'_>) -> Step {
    let mut producer = Producer::new(context)?;
    producer.due(context, "K-IDEMPOTENCE-011", (3, 4_711, 2), 0)?;
    producer.due(context, "K-IDEMPOTENCE-011", (3, 4_713, 1), 2)
}

fn wrap(context: &mut Context<'_>) -> Step {
    let mut producer = Producer::new(context)?;
    producer.due(context, "K-IDEMPOTENCE-013", (0, i32::MAX, 1), 0)?;
    producer.due(context, "K-IDEMPOTENCE-013", (0, 0, 1), 1)?;
    let mut producer = Producer::new(context)?;
    producer.due(context, "K-IDEMPOTENCE-014", (0, i32::MAX - 1, 4), 0)?;
    producer.due(context, "K-IDEMPOTENCE-014", (0, 2, 1), 4)
}

fn five_in_flight(context: &mut Context<'_>) -> Step {
    let mut producer = Producer::new(context)?;
    // The first is answered: no error that passes by itself comes after.
    producer.due(context, "K-IDEMPOTENCE-015", (0, 0, 1), 0)?;
    let version = context.version();
    let mut sent = Vec::new();
    for sequence in 1..=5 {
        let batch = producer.batch(0, sequence, 1);
        let request = shaped(producer.partition.produce_request(-1, batch), version);
        let id = producer.partition.wire.send(version, &request);
        sent.push(context.answered("K-IDEMPOTENCE-015", id)?);
    }
    for (index, id) in sent.into_iter().enumerate() {
        let frame = producer.partition.wire.receive();
        let answer =
            frame.and_then(|frame| crate::wire::response(ApiKey::Produce, version, id, &frame));
        let answer: ProduceResponse = context.answer("K-IDEMPOTENCE-015", answer)?;
        let entry = answer.responses.first().and_then(|topic| topic.partition_responses.first());
        context.must("K-IDEMPOTENCE-015", entry.is_some(), || {
            format!("batch {index} of five in flight is answered without an entry")
        })?;
        let (code, base) = entry.map_or((-1, -1), |entry| (entry.error_code, entry.base_offset));
        context.must("K-IDEMPOTENCE-016", code != 45, || {
            format!("batch {index} of five in flight is answered with 45")
        })?;
        context.must("K-IDEMPOTENCE-015", code == 0 && base == index as i64 + 1, || {
            format!("batch {index} of five in flight: {}, offset {base}", error_name(code))
        })?;
    }
    Ok(())
}

fn ask(
    context: &mut Context<'_>,
    wire: &mut crate::wire::Wire,
    statement: &'static str,
    request: &Request,
) -> Step<InitProducerIdResponse> {
    let until = context.deadline();
    loop {
        let answer: InitProducerIdResponse = context.call(statement, wire, request)?;
        if !is_passing(answer.error_code) {
            return Ok(answer);
        }
        context.must_before(statement, until, || {
            format!("only {} until the deadline", error_name(answer.error_code))
        })?;
    }
}

fn producer_ids(context: &mut Context<'_>) -> Step {
    let mut wire = context.connect()?;
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let answer = ask(context, &mut wire, "K-IDEMPOTENCE-021", &init(None, -1, -1))?;
        let (code, id, epoch) = (answer.error_code, answer.producer_id, answer.producer_epoch);
        context.must("K-IDEMPOTENCE-021", code == 0 && id >= 0, || {
            format!("{}, producer id {id}", error_name(code))
        })?;
        context
            .must("K-IDEMPOTENCE-022", epoch == 0, || format!("a fresh id has epoch {epoch}"))?;
        context.must("K-IDEMPOTENCE-023", seen.insert(id), || {
            format!("producer id {id} was given out twice")
        })?;
    }
    Ok(())
}

fn half_an_identity(context: &mut Context<'_>) -> Step {
    let mut wire = context.connect()?;
    let name = context.name();
    for (id, epoch) in [(5, -1), (-1, 5)] {
        let request = init(Some(name.clone()), id, epoch);
        let answer = ask(context, &mut wire, "K-IDEMPOTENCE-024", &request)?;
        let code = answer.error_code;
        context.must("K-IDEMPOTENCE-024", code == 42, || {
            format!("producer id {id} with epoch {epoch} should be 42; it is {}", error_name(code))
        })?;
    }
    Ok(())
}
