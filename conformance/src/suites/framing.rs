//! Frames and headers: lengths, order, correlation, client ids, unknown tags.

use crate::case::{Case, Profile};
use crate::context::{Context, Step};
use crate::wire::{self, NoAnswer};
use ottla_protocol::Bytes;
use ottla_protocol::messages::api_versions::ApiVersionsRequest;
use ottla_protocol::messages::metadata::MetadataRequest;
use ottla_protocol::messages::{ApiKey, Request, Response};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "framing/negative-length",
        profile: Profile::Core,
        statements: &["K-FRAMING-001"],
        axis: None,
        run: negative_length,
    },
    Case {
        name: "framing/byte-by-byte",
        profile: Profile::Core,
        statements: &["K-FRAMING-003"],
        axis: None,
        run: byte_by_byte,
    },
    Case {
        name: "framing/pipelined-in-order",
        profile: Profile::Core,
        statements: &["K-FRAMING-004"],
        axis: None,
        run: pipelined_in_order,
    },
    Case {
        name: "framing/correlation-id-is-echoed",
        profile: Profile::Core,
        statements: &["K-FRAMING-005"],
        axis: None,
        run: correlation_id_is_echoed,
    },
    Case {
        name: "framing/null-client-id",
        profile: Profile::Core,
        statements: &["K-FRAMING-006"],
        axis: Some((ApiKey::Metadata, 0)),
        run: null_client_id,
    },
];

fn api_versions() -> Request {
    Request::ApiVersions(Box::<ApiVersionsRequest>::default())
}

/// All topics would be many: none.
fn no_topics(version: i16) -> Request {
    // In v0 an empty list means all.
    let topics = (version > 0).then(Vec::new).or(Some(Vec::new()));
    Request::Metadata(Box::new(MetadataRequest { topics, ..Default::default() }))
}

/// The target still answers on a new connection.
fn is_alive(context: &mut Context<'_>, statement: &'static str) -> Step {
    let mut wire = context.connect()?;
    let answer = wire.call(0, &api_versions());
    context.answered(statement, answer).map(drop)
}

fn negative_length(context: &mut Context<'_>) -> Step {
    let mut wire = context.connect()?;
    let sent = wire.send_bytes(&(-1_i32).to_be_bytes());
    let closed = sent.is_err() || wire.is_closed();
    context.must("K-FRAMING-001", closed, || {
        "a frame of length -1 was expected to close the connection; it stays open".to_owned()
    })?;
    is_alive(context, "K-FRAMING-001")
}

fn byte_by_byte(context: &mut Context<'_>) -> Step {
    let mut wire = context.connect()?;
    let one = frame(&api_versions(), 0, 7)?;
    for byte in &one {
        let sent = wire.send_bytes(&[*byte]);
        context.answered("K-FRAMING-003", sent)?;
    }
    expect_answer(context, &mut wire, 0, 7)?;
    // And several in one segment.
    let many: Vec<u8> = [one.as_ref(), &frame(&api_versions(), 0, 8)?, &one].concat();
    let sent = wire.send_bytes(&many);
    context.answered("K-FRAMING-003", sent)?;
    for id in [7, 8, 7] {
        expect_answer(context, &mut wire, 0, id)?;
    }
    Ok(())
}

fn expect_answer(
    context: &mut Context<'_>,
    wire: &mut wire::Wire,
    version: i16,
    id: i32,
) -> Step<Response> {
    let answer =
        wire.receive().and_then(|frame| wire::response(ApiKey::ApiVersions, version, id, &frame));
    let answer = context.answered("K-FRAMING-003", answer)?;
    context.must("K-FRAMING-003", true, String::new)?;
    Ok(answer)
}

fn pipelined_in_order(context: &mut Context<'_>) -> Step {
    let mut wire = context.connect()?;
    let frames: Vec<Bytes> =
        (1..=50).map(|id| frame(&api_versions(), 0, id)).collect::<Step<_>>()?;
    let sent = wire.send_bytes(&frames.concat());
    context.answered("K-FRAMING-004", sent)?;
    for id in 1..=50 {
        let answer = wire.receive();
        let answer = context.answered("K-FRAMING-004", answer)?;
        let got = answer.first_chunk().map(|bytes| i32::from_be_bytes(*bytes));
        context.must("K-FRAMING-004", got == Some(id), || {
            format!("50 requests were sent at once; answer {id} has correlation id {got:?}")
        })?;
    }
    Ok(())
}

fn correlation_id_is_echoed(context: &mut Context<'_>) -> Step {
    let mut wire = context.connect()?;
    for id in [0, -1, i32::MIN, i32::MAX, 5, 5] {
        let sent = wire.send_bytes(&frame(&api_versions(), 0, id)?);
        context.answered("K-FRAMING-005", sent)?;
        let answer = wire.receive();
        let answer = context.answered("K-FRAMING-005", answer)?;
        let got = answer.first_chunk().map(|bytes| i32::from_be_bytes(*bytes));
        context.must("K-FRAMING-005", got == Some(id), || {
            format!("correlation id {id} was answered with {got:?}")
        })?;
    }
    Ok(())
}

fn null_client_id(context: &mut Context<'_>) -> Step {
    let version = context.version();
    let mut wire = context.connect()?;
    let bytes = wire::frame(version, 3, None, &no_topics(version))
        .map_err(|error| crate::verdict::Stop::harness(error.to_string()))?;
    let sent = wire.send_bytes(&bytes);
    context.answered("K-FRAMING-006", sent)?;
    let answer = wire
        .receive()
        .and_then(|frame| wire::response(ApiKey::Metadata, version, 3, &frame))
        .map_err(|why| NoAnswer::NotAFrame(format!("to a request without a client id: {why}")));
    context.answered("K-FRAMING-006", answer)?;
    context.must("K-FRAMING-006", true, String::new)
}

fn frame(request: &Request, version: i16, id: i32) -> Step<Bytes> {
    wire::frame(version, id, Some("ottla-conformance"), request)
        .map_err(|error| crate::verdict::Stop::harness(error.to_string()))
}
