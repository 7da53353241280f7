//! [`Peer`]: the way to another node.
//!
//! A call takes a connection out of the pool, or makes one, and puts it back after a whole answer.
//! So calls at the same time have a connection each and none waits behind another's long poll, and
//! a call that is given up half-way takes its connection with it: nobody reads the rest of its
//! answer as their own.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::frame::FrameDecoder;
use ottla_protocol::header::{decode_response_header, encode_request_header};
use ottla_protocol::messages::{RequestHeader, Response};
use ottla_protocol::{Encoder, Message, messages::Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::hello::{Hello, HelloAnswer, Introduction};
use super::{HELLO, Links, PRIVATE_HEADER_VERSION, PRIVATE_RESPONSE_HEADER_LEN};
use crate::runtime::TcpStream;

/// The largest answer that is read: a follower's fetch is bounded well below it.
const FRAME_LEN_MAX: usize = 256 << 20;
/// Connections that are kept open while nobody uses them.
const IDLE_MAX: usize = 4;
/// The first and the longest wait before connecting again.
const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_millis(200);

/// Another node, reached over its listener between nodes.
pub struct Peer {
    /// None is told to a listener for clients.
    own: Option<Hello>,
    /// The links of this node, and the node that it reaches here.
    link: Option<(Arc<Links>, i32)>,
    address: String,
    idle: Mutex<Vec<Connection>>,
    backoff: Mutex<Option<Backoff>>,
}

/// After a connection that failed.
#[derive(Debug, Clone, Copy)]
struct Backoff {
    wait: Duration,
    until: Instant,
}

/// Why a call brought no answer. The request may have been served, unless it is said to be
/// unreachable or refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// There is no connection.
    #[error("cannot connect to {address}: {reason}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the operating system said.
        reason: String,
    },
    /// It is another node than was meant, or of another cluster.
    #[error("{address} does not take this node: {reason}")]
    Refused {
        /// Host and port.
        address: String,
        /// Its words.
        reason: String,
    },
    /// The connection ended before the answer.
    #[error("the connection to {address} ended before the answer: {reason}")]
    Lost {
        /// Host and port.
        address: String,
        /// How.
        reason: String,
    },
    /// The deadline passed.
    #[error("{address} did not answer within {} ms", waited.as_millis())]
    TimedOut {
        /// Host and port.
        address: String,
        /// The deadline of the call.
        waited: Duration,
    },
    /// The answer, or the request, has not the form of its API.
    #[error("unreadable exchange with {address}: {reason}")]
    Malformed {
        /// Host and port.
        address: String,
        /// Where it is wrong.
        reason: String,
    },
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Host and port as one; the host may be an address of IPv6.
pub(super) fn address(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

impl Peer {
    /// The node that listens at `host` and `port`; `own` is what this node says of itself, and of
    /// whom it expects there. Nothing is connected before the first call.
    pub fn new(own: Hello, host: &str, port: u16) -> Self {
        Self { own: Some(own), ..Self::for_clients(address(host, port)) }
    }

    /// The listener for clients at this address, as host:port. Only [`send`](Self::send) is served
    /// there.
    pub fn for_clients(address: String) -> Self {
        Self { own: None, link: None, address, idle: Mutex::default(), backoff: Mutex::default() }
    }

    /// The same over a link that may be at fault.
    #[must_use]
    pub(super) fn over(self, links: &Arc<Links>, node_id: i32) -> Self {
        Self { link: Some((Arc::clone(links), node_id)), ..self }
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// One request of an API between nodes (key 30000 and above), as bytes; answers the bytes
    /// behind the response's header. Dropping the future closes its connection.
    ///
    /// # Errors
    /// [`PeerError`]. After `Lost` and `TimedOut` the request may have been served.
    pub async fn call(
        &self,
        api_key: i16,
        version: i16,
        body: &[u8],
        deadline: Duration,
    ) -> Result<Bytes, PeerError> {
        let encode = |correlation_id| {
            let mut out = Encoder::framed();
            put_private_header(&mut out, api_key, version, correlation_id);
            out.put_slice(body);
            Ok(out.into_bytes())
        };
        let frame = self.exchange(encode, deadline).await?;
        Ok(frame.slice(PRIVATE_RESPONSE_HEADER_LEN..))
    }

    /// One request of Kafka's own APIs in the version given.
    ///
    /// # Errors
    /// [`PeerError`]. After `Lost` and `TimedOut` the request may have been served.
    pub async fn send(
        &self,
        version: i16,
        request: &Request,
        deadline: Duration,
    ) -> Result<Response, PeerError> {
        let api = request.api_key();
        let encode = |correlation_id| {
            let mut out = Encoder::framed();
            encode_request_header(&mut out, api, version, correlation_id, None)
                .and_then(|()| request.encode(&mut out, version))
                .map_err(|error| self.malformed(&error))?;
            Ok(out.into_bytes())
        };
        let frame = self.exchange(encode, deadline).await?;
        let (_, body) =
            decode_response_header(&frame, api, version).map_err(|error| self.malformed(&error))?;
        Response::decode(api, version, &frame, body).map_err(|error| self.malformed(&error))
    }

    /// Asks the node who it is.
    ///
    /// # Errors [`PeerError`], `Refused` when it is not the node that was meant.
    pub async fn introduce(&self, deadline: Duration) -> Result<Introduction, PeerError> {
        let hello = self.own.as_ref().map(Hello::to_json).unwrap_or_default();
        self.introduced(self.call(HELLO, 0, &hello, deadline).await?)
    }

    /// Sends a request and reads its answer, within the deadline.
    async fn exchange(
        &self,
        encode: impl FnOnce(i32) -> Result<Bytes, PeerError>,
        deadline: Duration,
    ) -> Result<Bytes, PeerError> {
        let exchange = async {
            if let Some((links, to)) = &self.link {
                links.pass(*to).await;
            }
            let idle = lock(&self.idle).pop();
            let mut connection = match idle {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            let frame = encode(connection.next_id())?;
            match connection.exchange(&frame).await {
                Ok(answer) => {
                    let mut idle = lock(&self.idle);
                    if idle.len() < IDLE_MAX {
                        idle.push(connection);
                    }
                    Ok(answer)
                }
                Err(error) => {
                    // The node has ended or was restarted: the other connections are no better.
                    lock(&self.idle).clear();
                    Err(PeerError::Lost {
                        address: self.address.clone(),
                        reason: error.to_string(),
                    })
                }
            }
        };
        match tokio::time::timeout(deadline, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(PeerError::TimedOut { address: self.address.clone(), waited: deadline }),
        }
    }

    /// A connection on which both sides know each other.
    async fn connect(&self) -> Result<Connection, PeerError> {
        let backoff = *lock(&self.backoff);
        if let Some(backoff) = backoff {
            tokio::time::sleep_until(backoff.until).await;
        }
        let connected = self.connect_now().await;
        *lock(&self.backoff) = match &connected {
            Ok(_) => None,
            Err(_) => {
                let wait = backoff.map_or(BACKOFF_MIN, |backoff| backoff.wait * 2);
                let wait = wait.min(BACKOFF_MAX);
                Some(Backoff { wait, until: Instant::now() + wait })
            }
        };
        connected
    }

    async fn connect_now(&self) -> Result<Connection, PeerError> {
        let failed = |error: io::Error| PeerError::Unreachable {
            address: self.address.clone(),
            reason: error.to_string(),
        };
        let stream = TcpStream::connect(&self.address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let decoder = FrameDecoder::new(FRAME_LEN_MAX).recycling();
        let mut connection = Connection { stream, decoder, last_id: 0 };
        let Some(own) = &self.own else { return Ok(connection) };
        let mut out = Encoder::framed();
        put_private_header(&mut out, HELLO, 0, connection.next_id());
        out.put_slice(&own.to_json());
        let answer = connection.exchange(&out.into_bytes()).await.map_err(failed)?;
        self.introduced(answer.slice(PRIVATE_RESPONSE_HEADER_LEN..))?;
        Ok(connection)
    }

    fn introduced(&self, answer: Bytes) -> Result<Introduction, PeerError> {
        match serde_json::from_slice(&answer).map_err(|error| self.malformed(&error))? {
            HelloAnswer::Introduced(introduction) => Ok(introduction),
            HelloAnswer::Refused(reason) => {
                Err(PeerError::Refused { address: self.address.clone(), reason })
            }
        }
    }

    fn malformed(&self, error: &dyn fmt::Display) -> PeerError {
        PeerError::Malformed { address: self.address.clone(), reason: error.to_string() }
    }
}

/// The header of a request that is not one of Kafka's; a client's name is left out.
fn put_private_header(out: &mut Encoder, api_key: i16, version: i16, correlation_id: i32) {
    let header = RequestHeader {
        request_api_key: api_key,
        request_api_version: version,
        correlation_id,
        client_id: None,
        ..RequestHeader::default()
    };
    header.encode(out, PRIVATE_HEADER_VERSION).expect("a header without a name is short");
}

/// One connection, one request at a time.
struct Connection {
    stream: TcpStream,
    decoder: FrameDecoder,
    last_id: i32,
}

impl Connection {
    fn next_id(&mut self) -> i32 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }

    /// Writes a request that has the last id and reads its answer.
    async fn exchange(&mut self, frame: &[u8]) -> io::Result<Bytes> {
        self.stream.write_all(frame).await?;
        let answer = loop {
            if let Some(answer) = self.decoder.next_frame().map_err(io::Error::other)? {
                break answer;
            }
            if self.stream.read_buf(self.decoder.buffer()).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        match answer.first_chunk() {
            Some(id) if i32::from_be_bytes(*id) == self.last_id => Ok(answer),
            _ => Err(io::Error::other("the answer is to another request")),
        }
    }
}

/// What is guarded is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
