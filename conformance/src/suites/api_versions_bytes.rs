//! ApiVersions byte by byte: tagged fields of the answer, the header of a version that is too new,
//! and version 5, which our codec does not have.

use super::common::{is_alive, metadata_of};
use super::told::Told;
use crate::case::{Case, Profile::Core};
use crate::context::{Context, Step};
use crate::findings::Asserts;
use crate::verdict::Stop;
use crate::wire::{self, CLIENT_ID, NoAnswer, RawHeader, Wire, raw_frame};
use ottla_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, MetadataResponse, Request,
};
use ottla_protocol::varint::{put_uvarint, uvarint};

pub(crate) const CASES: &[Case] = &[
    Case::each(
        "api-versions/tagged-fields",
        Core,
        (ApiKey::ApiVersions, 3),
        tagged_fields,
        &["K-FRAMING-021", "K-FRAMING-022", "K-API-VERSIONS-024"],
    ),
    Case::once(
        "api-versions/header-of-a-new-version",
        Core,
        header_of_a_new_version,
        &["K-API-VERSIONS-031"],
    ),
    Case::once(
        "api-versions/cluster-and-node",
        Core,
        cluster_and_node,
        &["K-API-VERSIONS-026", "K-API-VERSIONS-027", "K-API-VERSIONS-032"],
    ),
];

const UNSUPPORTED_VERSION: i16 = 35;
const INVALID_REQUEST: i16 = 42;
const REBOOTSTRAP_REQUIRED: i16 = 129;

/// The tag of a field of the answer, and its bytes where it has its default.
const DEFAULTS: [(u32, &[u8]); 4] = [(0, &[1]), (1, &[0xff; 8]), (2, &[1]), (3, &[0])];

/// Takes `count` bytes off the front.
fn skip(bytes: &mut &[u8], count: usize) -> Option<()> {
    *bytes = bytes.get(count..)?;
    Some(())
}

fn number(bytes: &mut &[u8]) -> Option<u32> {
    let (rest, number) = uvarint(bytes).ok()?;
    *bytes = rest;
    Some(number)
}

/// The tags of a section and their values, in the order of the bytes.
fn section<'a>(bytes: &mut &'a [u8]) -> Option<Section<'a>> {
    let mut tags = Vec::new();
    for _ in 0..number(bytes)? {
        let (tag, len) = (number(bytes)?, number(bytes)? as usize);
        tags.push((tag, bytes.get(..len)?));
        skip(bytes, len)?;
    }
    Some(tags)
}

/// A section of tagged fields: tags and values.
type Section<'a> = Vec<(u32, &'a [u8])>;

/// All sections of tagged fields of an answer of version 3 or later, its own last.
fn sections(frame: &[u8]) -> Option<Vec<Section<'_>>> {
    // A correlation id of header version 0, and the error.
    let mut bytes = frame.get(6..)?;
    let mut all = Vec::new();
    for _ in 1..number(&mut bytes)? {
        skip(&mut bytes, 6)?;
        all.push(section(&mut bytes)?);
    }
    skip(&mut bytes, 4)?;
    all.push(section(&mut bytes)?);
    bytes.is_empty().then_some(all)
}

fn tagged_fields(context: &mut Context<'_>) -> Step {
    let (order, left_out, own) = ("K-FRAMING-021", "K-FRAMING-022", "K-API-VERSIONS-024");
    let version = context.version();
    let mut wire = context.connect()?;
    let request = Request::ApiVersions(Box::new(ApiVersionsRequest {
        client_software_name: "ottla-conformance".to_owned(),
        client_software_version: "1.0".to_owned(),
        ..Default::default()
    }));
    let frame = wire.send(version, &request).and_then(|_| wire.receive());
    let frame = context.answered(order, frame)?;
    let sections = sections(&frame);
    context.must(order, sections.is_some(), || {
        "the answer's sections of tagged fields cannot be read".to_owned()
    })?;
    let sections = sections.unwrap_or_default();
    for section in &sections {
        let tags: Vec<u32> = section.iter().map(|(tag, _)| *tag).collect();
        context.must(order, tags.is_sorted_by(|a, b| a < b), || {
            format!("the tags of a section are {tags:?}")
        })?;
    }
    let fields = sections.last().map(Vec::as_slice).unwrap_or_default();
    let defaults: Vec<_> = fields.iter().filter(|field| DEFAULTS.contains(field)).collect();
    for statement in [left_out, own] {
        context.should(statement, defaults.is_empty(), || {
            format!("tagged fields (tag, bytes) are written with their defaults: {defaults:?}")
        });
    }
    Ok(())
}

/// First and last version of ApiVersions itself.
fn own_range(context: &Context<'_>) -> Step<(i16, i16)> {
    let range = context.target().advertised.get(&ApiKey::ApiVersions.code());
    range.copied().ok_or_else(|| Stop::unsupported("ApiVersions does not list itself"))
}

fn header_of_a_new_version(context: &mut Context<'_>) -> Step {
    let statement = "K-API-VERSIONS-031";
    let (_, last) = own_range(context)?;
    let head = |tags| RawHeader {
        api_key: ApiKey::ApiVersions.code(),
        version: last + 1,
        correlation_id: 7,
        client_id: Some("c"),
        tags,
    };
    // One tag that nobody knows.
    let with_tags = raw_frame(&head(Some(&[1, 0x8f, 0x4e, 3, 1, 2, 3])), &[]);
    let mut wire = context.connect()?;
    let sent = wire.send_bytes(&with_tags);
    context.answered(statement, sent)?;
    let answer = wire.receive().and_then(|f| wire::response(ApiKey::ApiVersions, 0, 7, &f));
    let answer: ApiVersionsResponse = context.answer(statement, answer)?;
    context.must(statement, answer.error_code == UNSUPPORTED_VERSION, || {
        format!("a header of version 2 with a tag: error {}", answer.error_code)
    })?;
    // Without a section of tags it is no header of version 2.
    let mut wire = context.connect()?;
    let sent = wire.send_bytes(&raw_frame(&head(None), &[]));
    context.answered(statement, sent)?;
    let answer = wire.receive();
    context.must(statement, answer == Err(NoAnswer::Closed), || {
        "a header of version 1, without tags, is read as if it were of version 2".to_owned()
    })?;
    is_alive(context, statement)
}

/// Software, cluster and node, as version 5 has them.
fn body(cluster: Option<&str>, node: i32) -> Vec<u8> {
    let mut body = Vec::new();
    let put = |body: &mut Vec<u8>, text: Option<&str>| match text {
        None => body.push(0),
        Some(text) => {
            put_uvarint(body, text.len() as u32 + 1);
            body.extend_from_slice(text.as_bytes());
        }
    };
    for text in [CLIENT_ID, Some("1.0"), cluster] {
        put(&mut body, text);
    }
    body.extend_from_slice(&node.to_be_bytes());
    body.push(0);
    body
}

/// The error that version 5 is answered with.
fn error_of(
    context: &mut Context<'_>,
    wire: &mut Wire,
    statement: &'static str,
    (cluster, node): (Option<&str>, i32),
) -> Step<i16> {
    let head = RawHeader {
        api_key: ApiKey::ApiVersions.code(),
        version: 5,
        correlation_id: 5,
        client_id: CLIENT_ID,
        tags: Some(&[0]),
    };
    let sent = wire.send_bytes(&raw_frame(&head, &body(cluster, node)));
    context.answered(statement, sent)?;
    let frame = wire.receive();
    let frame = context.answered(statement, frame)?;
    let code = frame.get(4..6).map(|bytes| i16::from_be_bytes([bytes[0], bytes[1]]));
    context.must(statement, code.is_some(), || format!("the answer has {} bytes", frame.len()))?;
    Ok(code.unwrap_or_default())
}

fn cluster_and_node(context: &mut Context<'_>) -> Step {
    let (other, unchecked, half) =
        ("K-API-VERSIONS-026", "K-API-VERSIONS-027", "K-API-VERSIONS-032");
    let (first, last) = own_range(context)?;
    if last < 5 {
        let text = format!("ApiVersions lists ApiVersions {first} to {last}; this is in 5");
        return Err(Stop::unsupported(text));
    }
    let mut wire = context.connect()?;
    let cluster: MetadataResponse = context.prepare(&mut wire, &metadata_of(12, &[]))?;
    let id = cluster.cluster_id.as_deref();
    // The node that was reached is not told, where there are several.
    let node = cluster.brokers.first().map_or(0, |broker| broker.node_id);
    for (statement, asked, expected) in [
        (unchecked, (None, -1), 0),
        (other, (Some("another cluster"), node), REBOOTSTRAP_REQUIRED),
        (other, (id, 1_000_000), REBOOTSTRAP_REQUIRED),
        (half, (id, -1), INVALID_REQUEST),
        (half, (None, node), INVALID_REQUEST),
    ] {
        let code = error_of(context, &mut wire, statement, asked)?;
        context.must(statement, code == expected, || {
            let (cluster, node) = asked;
            format!(
                "cluster {}, node {node}: expected error {expected}, it is {code}",
                cluster.told()
            )
        })?;
    }
    Ok(())
}
