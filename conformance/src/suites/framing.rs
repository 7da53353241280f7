//! Frames and headers: lengths, order, correlation, client ids, unknown tags.

use super::common::{api_versions, is_alive, metadata_of};
use super::told::Told;
use crate::case::{Case, Profile::Core};
use crate::context::{Context, Step};
use crate::findings::Asserts;
use crate::verdict::Stop;
use crate::wire::{self, CLIENT_ID, NoAnswer, RawHeader, raw_frame};
use ottla_protocol::Bytes;
use ottla_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use ottla_protocol::messages::{ApiKey, MetadataResponse, Request};
use std::time::Duration;

pub(crate) const CASES: &[Case] = &[
    Case::once(
        "framing/negative-length",
        Core,
        negative_length,
        &["K-FRAMING-001", "K-FRAMING-002"],
    ),
    Case::once("framing/length-above-the-limit", Core, length_above_the_limit, &["K-FRAMING-003"]),
    Case::once("framing/byte-by-byte", Core, byte_by_byte, &["K-FRAMING-005"]),
    Case::once(
        "framing/many-in-one-segment",
        Core,
        many_in_one_segment,
        &["K-FRAMING-006", "K-FRAMING-007"],
    ),
    Case::once("framing/behind-a-held-fetch", Core, behind_a_held_fetch, &["K-FRAMING-008"]),
    Case::once(
        "framing/correlation-ids",
        Core,
        correlation_ids,
        &["K-FRAMING-009", "K-FRAMING-010"],
    ),
    Case::each(
        "framing/client-ids",
        Core,
        (ApiKey::Metadata, 0),
        client_ids,
        &["K-FRAMING-011", "K-FRAMING-012", "K-FRAMING-013", "K-FRAMING-014"],
    ),
    Case::each(
        "framing/unknown-tags",
        Core,
        (ApiKey::Metadata, 9),
        unknown_tags,
        &["K-FRAMING-015", "K-FRAMING-016", "K-FRAMING-017"],
    ),
    Case::each(
        "framing/response-header",
        Core,
        (ApiKey::Metadata, 0),
        response_header,
        &["K-FRAMING-018", "K-FRAMING-019", "K-FRAMING-020", "K-FRAMING-023"],
    ),
    Case::once("framing/unknown-key", Core, unknown_key, &["K-FRAMING-024"]),
    Case::once(
        "framing/version-that-is-not-listed",
        Core,
        version_that_is_not_listed,
        &["K-FRAMING-025", "K-FRAMING-026"],
    ),
    Case::once(
        "framing/controller-keys",
        Core,
        controller_keys,
        &["K-FRAMING-027", "K-FRAMING-028"],
    ),
    Case::once("framing/header-only", Core, header_only, &["K-FRAMING-029"]),
    Case::once("framing/length-zero", Core, length_zero, &["K-FRAMING-030"]),
    Case::once("framing/bytes-left-over", Core, bytes_left_over, &["K-FRAMING-031"]),
    Case::once("framing/half-closed", Core, half_closed, &["K-FRAMING-032", "K-FRAMING-033"]),
];

/// A Metadata request that asks for no topic: the cheapest that has a body.
fn cheap(version: i16) -> Request {
    metadata_of(version, &[])
}

/// ApiVersions, the cheapest of all, as a frame with this correlation id.
fn quick(id: i32) -> Step<Bytes> {
    Ok(wire::frame(0, id, CLIENT_ID, &api_versions())?)
}

fn correlation_id(frame: &Bytes) -> Option<i32> {
    frame.first_chunk().map(|bytes| i32::from_be_bytes(*bytes))
}

fn negative_length(context: &mut Context<'_>) -> Step {
    let mut bystander = context.connect()?;
    for length in [-1_i32, i32::MIN] {
        let mut wire = context.connect()?;
        let sent = wire.send_bytes(&length.to_be_bytes());
        let closed = sent.is_err() || wire.is_closed();
        context.must("K-FRAMING-001", closed, || {
            format!("a frame of length {length} should close the connection; it stays open")
        })?;
    }
    let answer = bystander.call(0, &api_versions());
    context.answered("K-FRAMING-002", answer)?;
    context.held("K-FRAMING-002");
    Ok(())
}

fn length_above_the_limit(context: &mut Context<'_>) -> Step {
    let mut wire = context.connect()?;
    // The default limit is 100 MiB; nobody sets one near 2 GiB.
    let sent = wire.send_bytes(&i32::MAX.to_be_bytes());
    let closed = sent.is_err() || wire.is_closed();
    context.must("K-FRAMING-003", closed, || {
        "a frame of 2 GiB was announced; the connection stays open and waits for it".to_owned()
    })
}

fn byte_by_byte(context: &mut Context<'_>) -> Step {
    let mut wire = context.connect()?;
    for byte in &quick(7)? {
        let sent = wire.send_bytes(&[*byte]);
        context.answered("K-FRAMING-005", sent)?;
    }
    let answer = wire.receive().and_then(|f| wire::response(ApiKey::ApiVersions, 0, 7, &f));
    context.answered("K-FRAMING-005", answer)?;
    context.held("K-FRAMING-005");
    Ok(())
}

fn many_in_one_segment(context: &mut Context<'_>) -> Step {
    let mut wire = context.connect()?;
    let frames: Vec<Bytes> = (1..=50).map(quick).collect::<Step<_>>()?;
    let sent = wire.send_bytes(&frames.concat());
    context.answered("K-FRAMING-006", sent)?;
    for id in 1..=50 {
        let answer = wire.receive();
        let answer = context.answered("K-FRAMING-006", answer)?;
        let got = correlation_id(&answer);
        context.must("K-FRAMING-007", got == Some(id), || {
            format!("50 requests were sent at once; answer {id} has correlation id {}", got.told())
        })?;
    }
    context.held("K-FRAMING-006");
    Ok(())
}

fn behind_a_held_fetch(context: &mut Context<'_>) -> Step {
    let (topic, mut wire) = context.topic(1)?;
    // Names are in Fetch until version 12, ids from 13 on.
    let version = context.best(ApiKey::Fetch)?.min(12);
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let fetch = FetchRequest {
        max_wait_ms: 300,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![FetchTopic { topic, partitions: vec![partition], ..Default::default() }],
        ..FetchRequest::default()
    };
    let held = wire::frame(version, 1, CLIENT_ID, &Request::Fetch(Box::new(fetch)))?;
    let after = quick(2)?;
    let sent = wire.send_bytes(&[held, after].concat());
    context.answered("K-FRAMING-008", sent)?;
    for id in [1, 2] {
        let answer = wire.receive_within(context.patience() + Duration::from_millis(300));
        let answer = context.answered("K-FRAMING-008", answer)?;
        let got = correlation_id(&answer);
        context.must("K-FRAMING-008", got == Some(id), || {
            format!(
                "a held Fetch (1) and ApiVersions (2) were sent; {} came in place {id}",
                got.told()
            )
        })?;
    }
    Ok(())
}

fn correlation_ids(context: &mut Context<'_>) -> Step {
    let mut wire = context.connect()?;
    for id in [0, -1, i32::MIN, i32::MAX] {
        let sent = wire.send_bytes(&quick(id)?);
        context.answered("K-FRAMING-009", sent)?;
        let answer = wire.receive();
        let got = correlation_id(&context.answered("K-FRAMING-009", answer)?);
        context.must("K-FRAMING-009", got == Some(id), || {
            format!("correlation id {id} was answered with {}", got.told())
        })?;
    }
    let twice = quick(5)?;
    let sent = wire.send_bytes(&[twice.clone(), twice].concat());
    context.answered("K-FRAMING-010", sent)?;
    for _ in 0..2 {
        let answer = wire.receive();
        context.answered("K-FRAMING-010", answer)?;
    }
    context.held("K-FRAMING-010");
    Ok(())
}

fn client_ids(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let flexible = ApiKey::Metadata.is_flexible(version);
    let null = if flexible { "K-FRAMING-012" } else { "K-FRAMING-011" };
    let mut wire = context.connect()?;
    // 200 bytes: a compact length would take two bytes and be another number.
    let long = "i".repeat(200);
    let mut ids = vec![(null, None), ("K-FRAMING-013", Some(""))];
    if flexible {
        ids.push(("K-FRAMING-014", Some(long.as_str())));
    }
    for (statement, client_id) in ids {
        let bytes = wire::frame(version, 3, client_id, &cheap(version))?;
        let sent = wire.send_bytes(&bytes);
        context.answered(statement, sent)?;
        let answer = wire
            .receive()
            .and_then(|frame| wire::response(ApiKey::Metadata, version, 3, &frame))
            .map_err(|why| NoAnswer::NotAFrame(format!("client id {}: {why}", client_id.told())));
        context.answered(statement, answer)?;
        context.held(statement);
    }
    Ok(())
}

/// A section of tagged fields with one that nobody knows: tag 9,999, three bytes.
const UNKNOWN_TAG: [u8; 7] = [1, 0x8f, 0x4e, 3, 1, 2, 3];

fn unknown_tags(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let mut wire = context.connect()?;
    let plain = wire::body(version, &cheap(version))?;
    let (without_tags, _) = plain.split_at(plain.len() - 1);
    let in_body = [without_tags, &UNKNOWN_TAG].concat();
    let name = context.name();
    let one = wire::body(version, &metadata_of(version, &[&name]))?;
    // The element's own section is the byte before the request's last fields.
    let after_element = plain.len() - 1;
    let at = one.len() - after_element - 1;
    let in_element = [&one[..at], &UNKNOWN_TAG, &one[at + 1..]].concat();
    for (statement, tags, body) in [
        ("K-FRAMING-015", &UNKNOWN_TAG[..], plain.to_vec()),
        ("K-FRAMING-016", &[0], in_body),
        ("K-FRAMING-017", &[0], in_element),
    ] {
        let head = RawHeader {
            api_key: ApiKey::Metadata.code(),
            version,
            correlation_id: 4,
            client_id: Some("t"),
            tags: Some(tags),
        };
        let sent = wire.send_bytes(&raw_frame(&head, &body));
        context.answered(statement, sent)?;
        let answer = wire.receive().and_then(|f| wire::response(ApiKey::Metadata, version, 4, &f));
        context.answered(statement, answer)?;
        context.held(statement);
    }
    Ok(())
}

fn response_header(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let mut wire = context.connect()?;
    let flexible = ApiKey::Metadata.is_flexible(version);
    let statement = if flexible { "K-FRAMING-018" } else { "K-FRAMING-019" };
    // The parser takes the header of this version and refuses bytes that are missing or left.
    let answer = context.call(statement, &mut wire, &cheap(version))?;
    context.held(statement);
    context.held("K-FRAMING-023");
    if flexible {
        context.held("K-FRAMING-020");
    }
    let _: MetadataResponse = answer;
    Ok(())
}

/// A frame that closes its connection, and no other, without an answer.
fn closes_without_answer(
    context: &mut Context<'_>,
    statement: &'static str,
    what: &str,
    frame: &[u8],
) -> Step {
    // A target that ends closes the connection, too; this one tells.
    let mut witness = context.connect_after(statement)?;
    let mut wire = context.connect_after(statement)?;
    let sent = wire.send_bytes(frame);
    context.answered(statement, sent)?;
    let answer = wire.receive();
    context.must(statement, answer == Err(NoAnswer::Closed), || {
        let came = match answer {
            Ok(frame) => format!("{} bytes came", frame.len()),
            Err(why) => why.to_string(),
        };
        format!("{what} should close the connection without an answer; {came}")
    })?;
    let answer = witness.call(0, &api_versions());
    context.must(statement, answer.is_ok(), || {
        let why = answer.err().map(|why| why.to_string()).unwrap_or_default();
        format!("{what} should close its connection only; on another one: {why}")
    })
}

fn unknown_key(context: &mut Context<'_>) -> Step {
    let statement = "K-FRAMING-024";
    for api_key in [-1, 1_000, i16::MAX] {
        let frame = raw_frame(&head(api_key, 0), &[]);
        closes_without_answer(context, statement, &format!("API key {api_key}"), &frame)?;
    }
    is_alive(context, statement)
}

fn head(api_key: i16, version: i16) -> RawHeader<'static> {
    RawHeader { api_key, version, correlation_id: 1, client_id: Some("x"), tags: None }
}

fn version_that_is_not_listed(context: &mut Context<'_>) -> Step {
    let (key, (_, last)) = (ApiKey::Metadata.code(), metadata_range(context)?);
    for version in [last + 1, -1, i16::MAX] {
        let mut wire = context.connect()?;
        let sent = wire.send_bytes(&raw_frame(&head(key, version), &[0; 16]));
        context.answered("K-FRAMING-026", sent)?;
        let answer = wire.receive();
        // Where an answer comes it is an error 35 in the shape of version 0, whose first field is
        // the list of brokers: never a list that is not empty.
        let body = answer.as_ref().ok().and_then(|frame| frame.get(4..12));
        let served = body.is_some_and(|body| body[..4] != [0; 4] && body[..2] != [0, 35]);
        context.must("K-FRAMING-026", !served, || {
            format!("Metadata v{version} is not listed and was answered as if it were")
        })?;
        context.should("K-FRAMING-025", answer == Err(NoAnswer::Closed), || match answer {
            Ok(_) => format!("Metadata v{version} is not listed; it was answered"),
            Err(why) => format!("Metadata v{version} is not listed: {why}"),
        });
    }
    Ok(())
}

fn metadata_range(context: &Context<'_>) -> Step<(i16, i16)> {
    let range = context.target().advertised.get(&ApiKey::Metadata.code());
    range.copied().ok_or_else(|| Stop::unsupported("ApiVersions does not list Metadata"))
}

/// Vote, BeginQuorumEpoch, EndQuorumEpoch, AlterPartition, BrokerRegistration, BrokerHeartbeat,
/// FetchSnapshot, ControllerRegistration, AssignReplicasToDirs.
const CONTROLLER_KEYS: [i16; 9] = [52, 53, 54, 56, 62, 63, 59, 70, 73];

fn controller_keys(context: &mut Context<'_>) -> Step {
    for key in CONTROLLER_KEYS {
        let listed = context.target().advertised.contains_key(&key);
        context.must("K-FRAMING-027", !listed, || {
            format!("ApiVersions lists key {key}, which only controllers serve")
        })?;
    }
    let frame = raw_frame(&head(62, 0), &[0; 8]);
    closes_without_answer(context, "K-FRAMING-028", "BrokerRegistration", &frame)
}

fn header_only(context: &mut Context<'_>) -> Step {
    let version = context.best(ApiKey::Metadata)?.min(8);
    let frame = raw_frame(&head(ApiKey::Metadata.code(), version), &[]);
    closes_without_answer(context, "K-FRAMING-029", "Metadata without a body", &frame)
}

fn length_zero(context: &mut Context<'_>) -> Step {
    let mut wire = context.connect()?;
    let sent = wire.send_bytes(&[0; 4]);
    context.answered("K-FRAMING-030", sent)?;
    is_alive(context, "K-FRAMING-030")?;
    context.held("K-FRAMING-030");
    Ok(())
}

fn bytes_left_over(context: &mut Context<'_>) -> Step {
    let mut wire = context.connect()?;
    let version = context.best(ApiKey::Metadata)?;
    let tags = ApiKey::Metadata.is_flexible(version).then_some(&[0][..]);
    let head = RawHeader { tags, ..head(ApiKey::Metadata.code(), version) };
    let body = [&wire::body(version, &cheap(version))?[..], &[7; 5]].concat();
    let sent = wire.send_bytes(&raw_frame(&head, &body));
    context.answered("K-FRAMING-031", sent)?;
    let what = match wire.receive() {
        Ok(_) => "five bytes after the body: the request is answered".to_owned(),
        Err(why) => format!("five bytes after the body: {why}"),
    };
    context.note("K-FRAMING-031", what);
    is_alive(context, "K-FRAMING-031")
}

fn half_closed(context: &mut Context<'_>) -> Step {
    let mut gone = context.connect()?;
    let sent = gone.send_bytes(&quick(1)?);
    context.answered("K-FRAMING-032", sent)?;
    drop(gone);
    is_alive(context, "K-FRAMING-032")?;
    context.held("K-FRAMING-032");
    let mut wire = context.connect()?;
    let frames: Vec<Bytes> = (1..=5).map(quick).collect::<Step<_>>()?;
    let sent = wire.send_bytes(&frames.concat());
    context.answered("K-FRAMING-033", sent)?;
    wire.half_close();
    // Whether these are answered is open; that others are is not.
    let _ = wire.receive();
    is_alive(context, "K-FRAMING-033")?;
    context.held("K-FRAMING-033");
    Ok(())
}
