//! Record batches that cannot be read, and bytes that only clients understand.

use super::common::{Partition, api_versions, is_alive, shaped};
use super::groups::Group;
use super::records::{batch, compressed, patched, put};
use super::told::Told;
use crate::context::{Context, Step};
use crate::findings::Asserts;
use crate::wire;
use ottla_protocol::Bytes;
use ottla_protocol::messages::ApiKey;
use ottla_protocol::records::header::{
    ATTRIBUTES_AT, BATCH_LENGTH_AT, LAST_OFFSET_DELTA_AT, RECORD_COUNT_AT,
};
use ottla_protocol::records::{BATCH_HEADER_LEN, Compression};

const CODECS: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// The batch is answered with an error, whichever.
fn refused(
    context: &mut Context<'_>,
    partition: &mut Partition,
    statement: &'static str,
    what: &str,
    records: Vec<u8>,
) -> Step {
    let entry = partition.produce(context, statement, records)?;
    context.must(statement, entry.error_code != 0, || format!("{what} was taken"))
}

pub(super) fn overlong_varlongs(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    // Attributes, then the timestamp's delta in eleven bytes, offset delta, null key, null value,
    // no headers; the length before them is right.
    let delta = [0x80; 10];
    let rest = [&[0][..], &delta, &[0x01, 0, 1, 1, 0]].concat();
    let record = [&[(rest.len() as u8) << 1][..], &rest].concat();
    let broken = patched(batch(&[b"v"]), |batch| {
        batch.truncate(BATCH_HEADER_LEN);
        batch.extend_from_slice(&record);
    });
    let statement = "K-MALFORMED-006";
    refused(context, &mut partition, statement, "a timestamp delta of eleven bytes", broken)?;
    is_alive(context, statement)
}

/// What a bomb decompresses to: far above the limit of a batch, 1 MiB by default.
const BOMB_BYTES: usize = 12 << 20;

pub(super) fn decompression(context: &mut Context<'_>) -> Step {
    let statement = "K-MALFORMED-015";
    let mut witness = context.connect()?;
    let mut partition = Partition::new(context)?;
    let zeros = vec![0; BOMB_BYTES];
    for codec in [Compression::Gzip, Compression::Zstd] {
        let version = context.best(ApiKey::Produce)?;
        let bomb = compressed(codec, &[&zeros]);
        let huge_count = patched(bomb.clone(), |batch| {
            put(batch, RECORD_COUNT_AT, &i32::MAX.to_be_bytes());
            put(batch, LAST_OFFSET_DELTA_AT, &(i32::MAX - 1).to_be_bytes());
        });
        for batch in [bomb, huge_count] {
            let request = shaped(partition.produce_request(-1, batch), version);
            let sent = partition.wire.send(version, &request);
            context.answered(statement, sent)?;
            // While it is at it, and after.
            let answer = witness.call(0, &api_versions());
            context.answered(statement, answer)?;
            // Taken, refused or closed: all of them will do.
            if partition.wire.receive().is_err() {
                partition.wire = context.connect()?;
            }
            is_alive(context, statement)?;
            context.held(statement);
        }
    }
    Ok(())
}

/// Garbage in place of what a codec wrote.
fn garbage(codec: Compression) -> Vec<u8> {
    patched(compressed(codec, &[b"value"]), |batch| {
        batch.truncate(BATCH_HEADER_LEN);
        batch.extend_from_slice(&[0xde, 0xad, 0xbe, 0xef].repeat(8));
    })
}

pub(super) fn batches(context: &mut Context<'_>) -> Step {
    let mut partition = Partition::new(context)?;
    let (length, codec) = ("K-MALFORMED-018", "K-MALFORMED-020");
    for by in [-1, 1, 1_000_000] {
        let mut broken = batch(&[b"value"]);
        let right = (broken.len() - 12) as i32;
        put(&mut broken, BATCH_LENGTH_AT, &(right + by).to_be_bytes());
        refused(context, &mut partition, length, &format!("a length off by {by}"), broken)?;
    }
    for compression in CODECS {
        // Before version 7 zstd is refused whatever it holds.
        let what = format!("{compression} of bytes that it cannot read");
        let broken = garbage(compression);
        refused(context, &mut partition, "K-MALFORMED-019", &what, broken)?;
    }
    for code in [5_i16, 6, 7] {
        let broken =
            patched(batch(&[b"value"]), |batch| put(batch, ATTRIBUTES_AT, &code.to_be_bytes()));
        refused(context, &mut partition, codec, &format!("codec {code}"), broken)?;
    }
    own_correlation_ids(context, &mut partition)?;
    let base = partition.append(context, batch(&[b"good"]))?;
    let mut seen = 0;
    for batch in partition.read(context, "K-MALFORMED-021", 0)? {
        seen += batch.header().record_count;
    }
    // own_correlation_ids has left a good record as well.
    context.must("K-MALFORMED-021", (base, seen) == (1, 2), || {
        format!("two batches were taken; {seen} records are there, the last at {base}")
    })
}

/// A refused batch between two good requests: each answer has its own id.
fn own_correlation_ids(context: &mut Context<'_>, partition: &mut Partition) -> Step {
    let statement = "K-MALFORMED-017";
    let version = context.version_of(ApiKey::Produce)?;
    let mut asked = Vec::new();
    for records in [garbage(Compression::Gzip), batch(&[b"good"])] {
        let request = shaped(partition.produce_request(-1, records), version);
        let sent = partition.wire.send(version, &request);
        asked.push(context.answered(statement, sent)?);
    }
    for id in asked {
        let answer = partition.wire.receive();
        let frame = context.answered(statement, answer)?;
        let answer = wire::response(ApiKey::Produce, version, id, &frame);
        context.answered(statement, answer)?;
        context.held(statement);
    }
    Ok(())
}

pub(super) fn group_bytes(context: &mut Context<'_>) -> Step {
    let statement = "K-MALFORMED-023";
    let version = context.version();
    let group = Group::new(context)?;
    let mut member = group.member(context)?;
    let meaningless = Bytes::from_static(&[0xff, 0x00, 0xc3, 0x28, 0x7f, 0xff, 0xff, 0xff]);
    member.protocols = vec![("any".to_owned(), meaningless.clone())];
    let joined = member.join(context, statement)?;
    let own = joined.members.iter().find(|one| one.member_id == member.id);
    context.must(statement, own.is_some_and(|one| one.metadata == meaningless), || {
        format!(
            "JoinGroup v{version} gave the leader other bytes than the member's: {}",
            own.told()
        )
    })?;
    let id = member.id.clone();
    let synced = member.sync(context, statement, &[(&id, &meaningless)])?;
    context.must(statement, synced.assignment == meaningless, || {
        format!("SyncGroup gave {} (error {})", synced.assignment.told(), synced.error_code)
    })
}
