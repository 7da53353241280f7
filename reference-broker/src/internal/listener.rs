//! The listener between nodes: one request of a connection at a time, after a [`Hello`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::frame::FrameDecoder;
use ottla_protocol::header::{decode_request_header, encode_response_header};
use ottla_protocol::messages::{ApiKey, Request, RequestHeader};
use ottla_protocol::{Encoder, Message};
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

use super::services::Services;
use super::{HELLO, Hello, HelloAnswer, PRIVATE_HEADER_VERSION, RAFT};
use crate::api::{self, Answer, RequestContext};
use crate::runtime::{TcpListener, TcpStream};
use crate::server::write_all;

/// How long to wait after a failed accept: long enough not to spin while there are no file
/// descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// Who has not said who it is may send this much, and take this long for it.
const HELLO_LEN_MAX: usize = 64 << 10;
const HELLO_PATIENCE: Duration = Duration::from_secs(10);

/// Serves the other nodes until it is dropped, and all its connections with it.
pub(crate) async fn serve(listener: TcpListener, services: Arc<Services>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, from)) => {
                let services = Arc::clone(&services);
                connections.spawn(async move {
                    if let Err(reason) = run(&services, stream, from).await {
                        tracing::warn!(%from, "closed a connection between nodes: {reason}");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection of another node");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// Serves one connection until the other side ends it.
async fn run(services: &Services, mut stream: TcpStream, from: SocketAddr) -> Result<(), String> {
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let mut decoder = FrameDecoder::new(services.frame_len_max());
    let mut sender: Option<Hello> = None;
    loop {
        let frame = loop {
            if let Some(frame) = decoder.next_frame().map_err(|error| error.to_string())? {
                break frame;
            }
            let read = stream.read_buf(decoder.buffer());
            let read = match sender {
                Some(_) => read.await,
                None => tokio::time::timeout(HELLO_PATIENCE, read)
                    .await
                    .map_err(|_| "nobody has said who it is")?,
            };
            // A node that ends or is killed resets its connections: nothing to report.
            if !matches!(read, Ok(1..)) {
                if let Some(sender) = &sender {
                    services.connection_ended(sender.node_id).await;
                }
                return Ok(());
            }
            if sender.is_none() && decoder.claimed_len() > Some(HELLO_LEN_MAX) {
                return Err("the first request is larger than that of a node".into());
            }
        };
        let key = frame.first_chunk().map_or(-1, |key| i16::from_be_bytes(*key));
        let answer = match &sender {
            _ if key == HELLO => {
                let (correlation_id, body) = private_request(&frame)?;
                let (hello, answer) = services.hello(&body)?;
                let chunks = private_answer(correlation_id, &answer.to_json());
                if let HelloAnswer::Refused(reason) = answer {
                    write_all(&mut stream, chunks).await.map_err(|error| error.to_string())?;
                    return Err(format!("refused: {reason}"));
                }
                sender = Some(hello);
                chunks
            }
            None => return Err("the first request of a node says who it is".into()),
            Some(_) if key >= RAFT => {
                let (correlation_id, body) = private_request(&frame)?;
                private_answer(correlation_id, &services.private(key, body).await?)
            }
            Some(sender) => kafka_answer(services, sender.node_id, from, frame).await?,
        };
        if let Some(sender) = &sender {
            services.links().pass(sender.node_id).await;
        }
        if write_all(&mut stream, answer).await.is_err() {
            return Ok(());
        }
    }
}

/// The correlation id and the body of a request that is not one of Kafka's.
fn private_request(frame: &Bytes) -> Result<(i32, Bytes), String> {
    let (header, end) = RequestHeader::decode_prefix(frame, 0, PRIVATE_HEADER_VERSION)
        .map_err(|error| format!("unreadable request header: {error}"))?;
    match header.request_api_version {
        0 => Ok((header.correlation_id, frame.slice(end..))),
        version => Err(format!(
            "API {} v{version} between nodes is not known here: give all nodes one version",
            header.request_api_key
        )),
    }
}

fn private_answer(correlation_id: i32, body: &[u8]) -> Vec<Bytes> {
    let mut out = Encoder::framed();
    out.put_slice(&correlation_id.to_be_bytes());
    out.put_slice(body);
    out.into_chunks()
}

/// Serves what followers ask for with Kafka's own APIs.
async fn kafka_answer(
    services: &Services,
    sender: i32,
    from: SocketAddr,
    frame: Bytes,
) -> Result<Vec<Bytes>, String> {
    let (api, header, body) = decode_request_header(&frame)
        .map_err(|error| format!("unreadable request header: {error}"))?;
    let version = header.request_api_version;
    if !matches!(api, ApiKey::Fetch | ApiKey::OffsetForLeaderEpoch) {
        return Err(format!("{} is not served between nodes", api.name()));
    }
    let request = Request::decode(api, version, &frame, body)
        .map_err(|error| format!("malformed request: {error}"))?;
    drop(frame);
    if let Request::Fetch(fetch) = &request {
        // M7: a fetch is the acknowledgement of the replica that it names.
        let replica = fetch.replica_id.max(fetch.replica_state.replica_id);
        if replica >= 0 && replica != sender {
            return Err(format!("node {sender} fetches in the name of replica {replica}"));
        }
    }
    let broker = services.broker().ok_or("this node's broker does not run yet")?;
    let context = RequestContext {
        broker,
        api_version: version,
        client_id: header.client_id,
        client_address: from,
        internal: true,
    };
    match api::dispatch(&context, request).await {
        Answer::Response(response) => {
            let mut out = Encoder::framed();
            encode_response_header(&mut out, api, version, header.correlation_id);
            response
                .encode(&mut out, version)
                .map_err(|error| format!("cannot write the answer: {error}"))?;
            Ok(out.into_chunks())
        }
        Answer::Silence => Err(format!("{} has no answer", api.name())),
        Answer::Close(reason) => Err(reason),
    }
}
