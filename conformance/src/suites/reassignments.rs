//! AlterPartitionReassignments (45) and ListPartitionReassignments (46), which our codec does not
//! have: version 0 of both by hand.

use super::admin::{INVALID_REPLICA_ASSIGNMENT, TIMEOUT_MS};
use super::offsets::Topic;
use super::told::Told;
use crate::case::{Case, Profile::Admin};
use crate::context::{Context, Step, error_name};
use crate::findings::Asserts;
use crate::verdict::Stop;
use crate::wire::{CLIENT_ID, RawHeader, Wire, raw_frame};
use ottla_protocol::Bytes;
use ottla_protocol::varint::{put_uvarint, uvarint};

pub(crate) const CASES: &[Case] = &[
    Case::once(
        "reassignments/refused",
        Admin,
        refused,
        &["K-REASSIGNMENTS-001", "K-REASSIGNMENTS-002"],
    ),
    Case::once("reassignments/list-all", Admin, list_all, &["K-REASSIGNMENTS-003"]),
];

const ALTER: i16 = 45;
const LIST: i16 = 46;
const NO_REASSIGNMENT_IN_PROGRESS: i16 = 85;

/// A request of version 0, and its answer behind the header.
fn call(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    api_key: i16,
    body: &[u8],
) -> Step<Bytes> {
    let head = RawHeader {
        api_key,
        version: 0,
        correlation_id: 3,
        client_id: CLIENT_ID,
        tags: Some(&[0]),
    };
    let sent = wire.send_bytes(&raw_frame(&head, body));
    context.answered(statement, sent)?;
    let frame = wire.receive();
    let frame = context.answered(statement, frame)?;
    context.must(statement, frame.len() > 5, || format!("it has {} bytes", frame.len()))?;
    // The correlation id, and no tags.
    Ok(frame.slice(5..))
}

fn is_listed(context: &Context<'_>, api_key: i16, name: &str) -> Step {
    match context.target().advertised.get(&api_key) {
        Some((0, _)) => Ok(()),
        Some((first, last)) => {
            let text = format!("ApiVersions lists {name} {first} to {last}; this is in 0");
            Err(Stop::unsupported(text))
        }
        None => Err(Stop::unsupported(format!("ApiVersions does not list {name}"))),
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_uvarint(out, text.len() as u32 + 1);
    out.extend_from_slice(text.as_bytes());
}

/// One partition of one topic, with these replicas.
fn alteration(topic: &str, replicas: Option<&[i32]>) -> Vec<u8> {
    let mut out = TIMEOUT_MS.to_be_bytes().to_vec();
    out.push(2);
    put_text(&mut out, topic);
    out.push(2);
    out.extend_from_slice(&0_i32.to_be_bytes());
    put_uvarint(&mut out, replicas.map_or(0, |all| all.len() as u32 + 1));
    for id in replicas.unwrap_or_default() {
        out.extend_from_slice(&id.to_be_bytes());
    }
    // Tags of partition, topic and request.
    out.extend_from_slice(&[0; 3]);
    out
}

/// Reads what an answer consists of, front to back.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn count(&mut self) -> Option<usize> {
        let (rest, count) = uvarint(self.0).ok()?;
        self.0 = rest;
        Some((count as usize).saturating_sub(1))
    }

    fn skip_text(&mut self) -> Option<()> {
        let len = self.count()?;
        self.0 = self.0.get(len..)?;
        Some(())
    }

    /// The errors at the top and of the partitions of AlterPartitionReassignments.
    fn altered(&mut self) -> Option<(i16, Vec<i16>)> {
        self.take::<4>()?;
        let top = i16::from_be_bytes(self.take()?);
        self.skip_text()?;
        let mut codes = Vec::new();
        for _ in 0..self.count()? {
            self.skip_text()?;
            for _ in 0..self.count()? {
                self.take::<4>()?;
                codes.push(i16::from_be_bytes(self.take()?));
                self.skip_text()?;
                self.take::<1>()?;
            }
            self.take::<1>()?;
        }
        Some((top, codes))
    }
}

fn refused(context: &mut Context<'_>) -> Step {
    let (cancelled, unknown) = ("K-REASSIGNMENTS-001", "K-REASSIGNMENTS-002");
    is_listed(context, ALTER, "AlterPartitionReassignments")?;
    let topic = Topic::new(context, 1)?;
    let mut wire = context.connect()?;
    let nobody = [i32::MAX];
    for (statement, replicas, expected) in [
        (cancelled, None, NO_REASSIGNMENT_IN_PROGRESS),
        (unknown, Some(&nobody[..]), INVALID_REPLICA_ASSIGNMENT),
    ] {
        let body = alteration(&topic.name, replicas);
        let answer = call(context, &mut wire, statement, ALTER, &body)?;
        let told = Reader(&answer).altered();
        context.must(statement, told == Some((0, vec![expected])), || {
            let expected = error_name(expected);
            format!(
                "replicas {} should be {expected}; top and entries are {}",
                replicas.told(),
                told.told()
            )
        })?;
    }
    Ok(())
}

fn list_all(context: &mut Context<'_>) -> Step {
    let statement = "K-REASSIGNMENTS-003";
    is_listed(context, LIST, "ListPartitionReassignments")?;
    let mut wire = context.connect()?;
    // The time limit, null for the topics, and no tags.
    let body = [&TIMEOUT_MS.to_be_bytes()[..], &[0, 0]].concat();
    let answer = call(context, &mut wire, statement, LIST, &body)?;
    let code = answer.get(4..6).map(|bytes| i16::from_be_bytes([bytes[0], bytes[1]]));
    context.must(statement, code == Some(0), || {
        format!("a null list of topics is answered with error {}", code.told())
    })
}
