//! From a frame to the bytes of its answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use ottla_protocol::header::{HeaderError, decode_request_header, encode_response_header};
use ottla_protocol::messages::{ApiKey, Request, RequestHeader, Response};
use ottla_protocol::{Encoder, Message};

use super::Shared;
use crate::api::{self, Answer, RequestContext};
use crate::testing::Outcome;

/// Of the prefix that says how long a frame is.
const LENGTH_LEN: usize = 4;

/// What a frame leads to.
pub(super) enum Served {
    /// Bytes to write, the length prefix in front.
    Answer(Vec<Bytes>),
    /// Bytes to write, and then the end of the connection; the text is for the log.
    Last(Vec<Bytes>, &'static str),
    /// Nothing to write (`acks=0`).
    Silence,
    /// The connection is closed without an answer; the text is for the log.
    Close(String),
}

/// Serves one frame. A request that cannot be read closes the connection (FRM-10, FRM-11), except
/// ApiVersions in a version that is not known (AV-02).
pub(super) async fn serve(shared: &Arc<Shared>, peer: SocketAddr, frame: Bytes) -> Served {
    shared.broker.metrics().on_received(LENGTH_LEN + frame.len());
    let (api, header, body_offset) = match decode_request_header(&frame) {
        Ok(decoded) => decoded,
        Err(HeaderError::UnsupportedVersion {
            api: ApiKey::ApiVersions, correlation_id, ..
        }) => {
            // AV-02: the body is not parsed, the answer is version 0 and carries the versions that
            // are served. The header is one of version 2, whatever comes (K-API-VERSIONS-031).
            if let Err(error) = RequestHeader::decode_prefix(&frame, 0, 2) {
                return Served::Close(format!("unreadable request header: {error}"));
            }
            let response = Response::from(api::api_versions::unsupported_version());
            return encode(ApiKey::ApiVersions, 0, correlation_id, &response);
        }
        Err(error) => return Served::Close(format!("unreadable request header: {error}")),
    };
    let version = header.request_api_version;
    if !api::is_served(api, version) {
        if api == ApiKey::ApiVersions {
            let response = Response::from(api::api_versions::unsupported_version());
            return encode(ApiKey::ApiVersions, 0, header.correlation_id, &response);
        }
        return Served::Close(format!("{} v{version} is not served", api.name()));
    }
    let request = match Request::decode(api, version, &frame, body_offset) {
        Ok(request) => request,
        // FRM-13: bytes behind a request are ignored, as Apache Kafka does; librdkafka sends three
        // of them when it asks for the metadata of all topics.
        Err(error) if error.left_over => {
            let whole = frame.slice(..error.offset);
            match Request::decode(api, version, &whole, body_offset) {
                Ok(request) => request,
                Err(error) => return Served::Close(format!("malformed request: {error}")),
            }
        }
        Err(error) => return Served::Close(format!("malformed request: {error}")),
    };
    let request_len = LENGTH_LEN + frame.len();
    drop(frame);
    let began = Instant::now();
    let context = RequestContext {
        broker: Arc::clone(&shared.broker),
        api_version: version,
        client_id: header.client_id,
        client_address: peer,
        internal: false,
    };
    let Outcome { answer, cut_after, version: instead } = match context.broker.faults.get() {
        None => api::dispatch(&context, request).await.into(),
        Some(faults) => faults.serve(&context, request).await,
    };
    shared.broker.metrics().on_request(api, request_len, began.elapsed());
    match answer {
        Answer::Response(response) => {
            let version = instead.unwrap_or(version);
            let served = encode(api, version, header.correlation_id, &response);
            if let Served::Answer(chunks) = &served {
                let len = chunks.iter().map(Bytes::len).sum();
                shared.broker.metrics().on_response(api, len);
            }
            match cut_after {
                None => served,
                Some(bytes) => cut(served, bytes),
            }
        }
        Answer::Silence => Served::Silence,
        Answer::Close(reason) => Served::Close(reason),
    }
}

fn encode(api: ApiKey, version: i16, correlation_id: i32, response: &Response) -> Served {
    let mut out = Encoder::framed();
    encode_response_header(&mut out, api, version, correlation_id);
    match response.encode(&mut out, version) {
        Ok(()) => Served::Answer(out.into_chunks()),
        Err(error) => Served::Close(format!("cannot write the answer: {error}")),
    }
}

/// The first bytes of an answer, as the last that the connection carries.
fn cut(served: Served, mut left: usize) -> Served {
    let Served::Answer(mut chunks) = served else { return served };
    for chunk in &mut chunks {
        chunk.truncate(left);
        left -= chunk.len();
    }
    chunks.retain(|chunk| !chunk.is_empty());
    Served::Last(chunks, "a fault drops the connection within the answer")
}
