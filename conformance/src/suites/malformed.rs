//! Bytes that no correct client sends: cut, overlong, negative, of another protocol. What is in
//! record batches is in `malformed_records`.

use super::common::{Partition, api_versions, is_alive, metadata_of};
use super::malformed_records as records;
use super::malformed_requests::{Sent, examples};
use super::told::Told;
use crate::case::{Case, Profile::Robustness};
use crate::context::{Context, Step};
use crate::findings::Asserts;
use crate::verdict::Stop;
use crate::wire::{self, NoAnswer, RawHeader, Wire, raw_frame};
use ottla_protocol::Encoder;
use ottla_protocol::messages::{ApiKey, MetadataResponse, Request, Response};

pub(crate) const CASES: &[Case] = &[
    Case::once(
        "malformed/cut-requests",
        Robustness,
        cut_requests,
        &["K-MALFORMED-001", "K-MALFORMED-002"],
    ),
    Case::once(
        "malformed/cut-full-requests",
        Robustness,
        cut_full_requests,
        &["K-MALFORMED-001", "K-MALFORMED-002"],
    ),
    Case::each(
        "malformed/array-lengths",
        Robustness,
        (ApiKey::Metadata, 0),
        array_lengths,
        &["K-MALFORMED-003"],
    ),
    Case::each(
        "malformed/overlong-varints",
        Robustness,
        (ApiKey::Metadata, 9),
        overlong_varints,
        &["K-MALFORMED-005"],
    ),
    Case::each(
        "malformed/negative-lengths",
        Robustness,
        (ApiKey::CreateTopics, 2),
        negative_lengths,
        &["K-MALFORMED-007"],
    ),
    Case::each(
        "malformed/long-strings",
        Robustness,
        (ApiKey::Metadata, 9),
        long_strings,
        &["K-MALFORMED-008"],
    ),
    Case::each(
        "malformed/tagged-fields",
        Robustness,
        (ApiKey::Metadata, 9),
        tagged_fields,
        &["K-MALFORMED-009", "K-MALFORMED-010"],
    ),
    Case::each(
        "malformed/short-tagged-value",
        Robustness,
        (ApiKey::Fetch, 12),
        short_tagged_value,
        &["K-MALFORMED-011"],
    ),
    Case::once(
        "malformed/other-protocols",
        Robustness,
        other_protocols,
        &["K-MALFORMED-012", "K-MALFORMED-013", "K-MALFORMED-014"],
    ),
    Case::once(
        "malformed/nothing-is-poisoned",
        Robustness,
        nothing_is_poisoned,
        &["K-MALFORMED-016"],
    ),
    Case::each(
        "malformed/not-utf-8",
        Robustness,
        (ApiKey::Metadata, 0),
        not_utf_8,
        &["K-MALFORMED-022"],
    ),
    Case::once(
        "malformed/silent-connections",
        Robustness,
        silent_connections,
        &["K-MALFORMED-024"],
    ),
    Case::each(
        "malformed/overlong-varlongs",
        Robustness,
        (ApiKey::Produce, 3),
        records::overlong_varlongs,
        &["K-MALFORMED-006"],
    ),
    Case::once("malformed/decompression", Robustness, records::decompression, &["K-MALFORMED-015"]),
    Case::each(
        "malformed/batches",
        Robustness,
        (ApiKey::Produce, 3),
        records::batches,
        &[
            "K-MALFORMED-017",
            "K-MALFORMED-018",
            "K-MALFORMED-019",
            "K-MALFORMED-020",
            "K-MALFORMED-021",
        ],
    ),
    Case::each(
        "malformed/group-bytes",
        Robustness,
        (ApiKey::JoinGroup, 0),
        records::group_bytes,
        &["K-MALFORMED-023"],
    ),
];

/// A request that is refused on a connection of its own: closed, or answered with an error of its
/// version.
fn refused(
    context: &mut Context<'_>,
    statement: &'static str,
    what: &str,
    api: ApiKey,
    version: i16,
    frame: &[u8],
) -> Step {
    let mut wire = context.connect_after(statement)?;
    let sent = wire.send_bytes(frame);
    context.answered(statement, sent)?;
    is_refused(context, &mut wire, statement, what, (api, version))
}

fn is_refused(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    what: &str,
    (api, version): (ApiKey, i16),
) -> Step {
    let answer = wire.receive();
    let otherwise = match answer {
        Err(NoAnswer::Closed) => None,
        Err(why) => Some(why.to_string()),
        Ok(frame) => match wire::response(api, version, CORRELATION, &frame) {
            Ok(answer) if has_error(&answer, version) => None,
            Ok(_) => Some("it was answered without an error".to_owned()),
            Err(why) => Some(why.to_string()),
        },
    };
    context.must(statement, otherwise.is_none(), || {
        let why = otherwise.unwrap_or_default();
        format!("{} v{version}, {what}: it should be refused; {why}", api.name())
    })
}

/// The correlation id of all requests by hand.
pub(super) const CORRELATION: i32 = 77;

fn has_error(answer: &Response, version: i16) -> bool {
    fn within(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::Object(fields) => fields.iter().any(|(name, value)| {
                let is_code = name == "errorCode" && value.as_i64().is_some_and(|code| code != 0);
                is_code || within(value)
            }),
            serde_json::Value::Array(values) => values.iter().any(within),
            _ => false,
        }
    }
    answer.to_json(version).is_ok_and(|value| within(&value))
}

/// The body of a request by hand, under the header of its version.
fn by_hand(api: ApiKey, version: i16, body: &[u8]) -> Vec<u8> {
    tagged_header(api, version, &[0], body)
}

fn tagged_header(api: ApiKey, version: i16, tags: &[u8], body: &[u8]) -> Vec<u8> {
    let head = RawHeader {
        api_key: api.code(),
        version,
        correlation_id: CORRELATION,
        client_id: Some("c"),
        tags: api.is_flexible(version).then_some(tags),
    };
    raw_frame(&head, body)
}

/// Connections that are open at a time.
const WAVE: usize = 32;

/// Each request, cut at each byte, in a frame of the shorter length.
fn cut(context: &mut Context<'_>, requests: &[Sent]) -> Step {
    let (one, two) = ("K-MALFORMED-001", "K-MALFORMED-002");
    // Was there before, is there after.
    let mut witness = context.connect()?;
    let mut cuts = Vec::new();
    for request in requests {
        let frame = &request.frame[4..];
        cuts.extend((1..frame.len()).map(|len| (request, &frame[..len])));
    }
    for wave in cuts.chunks(WAVE) {
        let mut wires = Vec::with_capacity(wave.len());
        for (_, bytes) in wave {
            let mut wire = context.connect_after(one)?;
            let framed = [&(bytes.len() as u32).to_be_bytes(), *bytes].concat();
            let sent = wire.send_bytes(&framed);
            context.answered(one, sent)?;
            wires.push(wire);
        }
        for ((request, bytes), wire) in wave.iter().zip(&mut wires) {
            let what = format!("cut after {} of {} bytes", bytes.len(), request.frame.len() - 4);
            is_refused(context, wire, one, &what, (request.api, request.version))?;
        }
    }
    let answer = witness.call(0, &api_versions());
    context.answered(two, answer)?;
    is_alive(context, two)?;
    context.held(two);
    Ok(())
}

/// Every API that is listed, in its lowest and its highest version.
fn cut_requests(context: &mut Context<'_>) -> Step {
    let mut requests = Vec::new();
    for api in super::honesty::TRIED.iter().copied() {
        let Some(versions) = context.target().versions_of(api) else { continue };
        if versions.is_empty() {
            continue;
        }
        let mut ends = vec![*versions.start(), *versions.end()];
        ends.dedup();
        for version in ends {
            let request = Request::default_of(api);
            // Some have no default in some version, such as a field that must not be there.
            if let Ok(frame) = wire::frame(version, CORRELATION, Some("c"), &request) {
                requests.push(Sent { api, version, frame: frame.to_vec() });
            }
        }
    }
    cut(context, &requests)
}

fn cut_full_requests(context: &mut Context<'_>) -> Step {
    let partition = Partition::new(context)?;
    let requests = examples(context, &partition)?;
    cut(context, &requests)
}

/// The length of an array: four bytes, or a varint of one more.
fn array_len(flexible: bool, len: u32) -> Vec<u8> {
    if !flexible {
        return len.to_be_bytes().to_vec();
    }
    let mut out = Encoder::new();
    out.put_uvarint(len.wrapping_add(1));
    out.into_bytes().to_vec()
}

fn array_lengths(context: &mut Context<'_>) -> Step {
    let (api, version) = (ApiKey::Metadata, context.version());
    let flexible = api.is_flexible(version);
    for len in [0x7fff_fffe, 0x00ff_ffff, 1_000, 40] {
        let body = [array_len(flexible, len), vec![0; 24]].concat();
        let what = format!("{len} topics in 24 bytes");
        let frame = by_hand(api, version, &body);
        refused(context, "K-MALFORMED-003", &what, api, version, &frame)?;
    }
    is_alive(context, "K-MALFORMED-003")
}

fn overlong_varints(context: &mut Context<'_>) -> Step {
    let (api, version, statement) = (ApiKey::Metadata, context.version(), "K-MALFORMED-005");
    for overlong in [&[0x80, 0x80, 0x80, 0x80, 0x80, 0x01][..], &[0xff; 10]] {
        let body = [overlong, &[0; 16]].concat();
        let what = format!("a length of {} bytes", overlong.len());
        let frame = by_hand(api, version, &body);
        refused(context, statement, &what, api, version, &frame)?;
        let body = wire::body(version, &metadata_of(version, &[]))?;
        let what = format!("a count of tagged fields of {} bytes", overlong.len());
        let frame = tagged_header(api, version, overlong, &body);
        refused(context, statement, &what, api, version, &frame)?;
    }
    is_alive(context, statement)
}

fn negative_lengths(context: &mut Context<'_>) -> Step {
    let (api, version, statement) = (ApiKey::CreateTopics, context.version(), "K-MALFORMED-007");
    let flexible = api.is_flexible(version);
    let rest = [0; 32];
    let null_array: &[u8] = if flexible { &[0] } else { &[0xff; 4] };
    let frame = by_hand(api, version, &[null_array, &rest].concat());
    refused(context, statement, "topics of length -1", api, version, &frame)?;
    let null_string: &[u8] = if flexible { &[0] } else { &[0xff; 2] };
    let body = [&array_len(flexible, 1)[..], null_string, &rest].concat();
    let frame = by_hand(api, version, &body);
    refused(context, statement, "a name of length -1", api, version, &frame)?;
    if !flexible {
        let body = [&array_len(false, 1)[..], &[0x80, 0], &rest].concat();
        let frame = by_hand(api, version, &body);
        refused(context, statement, "a name of length -32768", api, version, &frame)?;
    }
    is_alive(context, statement)
}

fn long_strings(context: &mut Context<'_>) -> Step {
    let (api, version, statement) = (ApiKey::Metadata, context.version(), "K-MALFORMED-008");
    let mut body = Encoder::new();
    body.put_uvarint(2);
    if version >= 10 {
        body.put_slice(&[0; 16]);
    }
    body.put_uvarint(32_768 + 1);
    body.put_slice(&[b'a'; 32_768]);
    body.put_slice(&[0; 4]);
    let frame = by_hand(api, version, &body.into_bytes());
    refused(context, statement, "a name of 32768 bytes", api, version, &frame)?;
    is_alive(context, statement)
}

/// The topics of Metadata, none, and the flags up to its tagged fields.
fn metadata_up_to_tags(version: i16) -> Step<Vec<u8>> {
    let mut body = wire::body(version, &metadata_of(version, &[]))?.to_vec();
    body.pop();
    Ok(body)
}

fn tagged_fields(context: &mut Context<'_>) -> Step {
    let (api, version) = (ApiKey::Metadata, context.version());
    let start = metadata_up_to_tags(version)?;
    // Count, tag, size, and less than that.
    for (statement, what, tags) in [
        ("K-MALFORMED-009", "a tagged field of 100 bytes in 2", &[1, 9, 100, 0, 0][..]),
        (
            "K-MALFORMED-009",
            "a tagged field of 2 GiB",
            &[1, 9, 0xff, 0xff, 0xff, 0xff, 0x07, 0, 0][..],
        ),
        ("K-MALFORMED-010", "5 tagged fields of which one is there", &[5, 9, 1, 0][..]),
        ("K-MALFORMED-010", "2^31-1 tagged fields", &[0xff, 0xff, 0xff, 0xff, 0x07][..]),
    ] {
        let frame = by_hand(api, version, &[&start[..], tags].concat());
        refused(context, statement, what, api, version, &frame)?;
        let frame = tagged_header(api, version, tags, &[]);
        refused(context, statement, &format!("{what}, in the header"), api, version, &frame)?;
    }
    // Out of order and twice is wrong as well; that nothing breaks is all that can be asked.
    for tags in [&[2, 9, 1, 0, 8, 1, 0][..], &[2, 9, 1, 0, 9, 1, 0]] {
        let mut wire = context.connect()?;
        let sent = wire.send_bytes(&by_hand(api, version, &[&start[..], tags].concat()));
        context.answered("K-MALFORMED-009", sent)?;
        let _ = wire.receive();
    }
    is_alive(context, "K-MALFORMED-010")
}

fn short_tagged_value(context: &mut Context<'_>) -> Step {
    let (api, version) = (ApiKey::Fetch, context.version());
    let fetch = ottla_protocol::messages::fetch::FetchRequest {
        replica_id: -1,
        session_epoch: -1,
        ..Default::default()
    };
    let mut body = wire::body(version, &Request::Fetch(Box::new(fetch)))?.to_vec();
    // From version 15 on the replica is a tagged field too; it is left out at its default.
    let count = body.pop();
    if count != Some(0) {
        return Err(Stop::harness("the example has tagged fields"));
    }
    // ClusterId, tag 0, of three bytes: a null string, which takes one.
    body.extend_from_slice(&[1, 0, 3, 0, 0, 0]);
    let mut wire = context.connect()?;
    let sent = wire.send_bytes(&by_hand(api, version, &body));
    context.answered("K-MALFORMED-011", sent)?;
    let what = match wire.receive() {
        Ok(_) => "a known tagged field that its value does not fill is accepted".to_owned(),
        Err(why) => format!("a known tagged field that its value does not fill: {why}"),
    };
    context.note("K-MALFORMED-011", what);
    is_alive(context, "K-MALFORMED-011")
}

const HTTP: &[u8] = b"GET / HTTP/1.1\r\nHost: broker\r\nAccept: */*\r\n\r\n";
/// The head of a record with a ClientHello of TLS 1.2.
const TLS: &[u8] = &[
    0x16, 0x03, 0x01, 0x00, 0x2f, 0x01, 0x00, 0x00, 0x2b, 0x03, 0x03, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f,
    0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f,
    0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x00, 0x00, 0x02, 0x00, 0x2f,
    0x01, 0x00, 0x00, 0x00,
];

fn other_protocols(context: &mut Context<'_>) -> Step {
    let mut witness = context.connect()?;
    for (statement, what, bytes) in
        [("K-MALFORMED-012", "HTTP", HTTP), ("K-MALFORMED-013", "a TLS ClientHello", TLS)]
    {
        let mut wire = context.connect()?;
        let sent = wire.send_bytes(bytes);
        context.answered(statement, sent)?;
        let answer = wire.receive();
        context.must(statement, answer == Err(NoAnswer::Closed), || match answer {
            Ok(frame) => format!("{what} was answered with {} bytes", frame.len()),
            Err(why) => format!("{what} should close the connection; {why}"),
        })?;
    }
    let answer = witness.call(0, &api_versions());
    context.answered("K-MALFORMED-014", answer)?;
    context.held("K-MALFORMED-014");
    is_alive(context, "K-MALFORMED-014")
}

/// A topic's answers before and after bytes that are refused, on old and new connections.
fn nothing_is_poisoned(context: &mut Context<'_>) -> Step {
    let statement = "K-MALFORMED-016";
    let mut partition = Partition::new(context)?;
    let version = context.best(ApiKey::Metadata)?;
    let request = metadata_of(version, &[&partition.topic]);
    let before = partition.wire.call(version, &request);
    let before: MetadataResponse = context.answer(statement, before)?;
    for request in examples(context, &partition)? {
        let frame = &request.frame[4..request.frame.len() - 1];
        let framed = [&(frame.len() as u32).to_be_bytes(), frame].concat();
        refused(context, statement, "cut by a byte", request.api, request.version, &framed)?;
    }
    for new in [false, true] {
        if new {
            partition.wire = context.connect_beside(&partition.wire)?;
        }
        let after = partition.wire.call(version, &request);
        let after: MetadataResponse = context.answer(statement, after)?;
        context.must(statement, after.topics == before.topics, || {
            format!("the topic was {}, and is {}", before.topics.told(), after.topics.told())
        })?;
    }
    let base = partition.append(context, super::records::batch(&[b"good"]))?;
    context.must(statement, base == 0, || {
        format!("requests that were refused have taken offsets: the first record is at {base}")
    })
}

fn not_utf_8(context: &mut Context<'_>) -> Step {
    let (api, version) = (ApiKey::Metadata, context.version());
    let mut witness = context.connect()?;
    let good = wire::body(version, &metadata_of(version, &["QQQQ"]))?;
    let mut body = good.to_vec();
    let at = body.windows(4).position(|part| part == b"QQQQ");
    let at = at.ok_or_else(|| Stop::harness("the name is not in the request"))?;
    body[at..at + 4].copy_from_slice(&[0xc3, 0x28, 0xff, 0xfe]);
    let mut wire = context.connect()?;
    let sent = wire.send_bytes(&by_hand(api, version, &body));
    context.answered("K-MALFORMED-022", sent)?;
    let _ = wire.receive(); // an error, or closed: either will do
    let answer = witness.call(0, &api_versions());
    context.answered("K-MALFORMED-022", answer)?;
    context.held("K-MALFORMED-022");
    is_alive(context, "K-MALFORMED-022")
}

/// Silent connections at a time: below what brokers limit an address to.
const SILENT: usize = 100;

fn silent_connections(context: &mut Context<'_>) -> Step {
    let mut silent = Vec::with_capacity(SILENT);
    for _ in 0..SILENT {
        silent.push(context.connect()?);
    }
    is_alive(context, "K-MALFORMED-024")?;
    context.held("K-MALFORMED-024");
    drop(silent);
    is_alive(context, "K-MALFORMED-024")
}
