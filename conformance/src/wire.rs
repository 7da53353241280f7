//! One connection to a target, at the level of frames: everything that goes either way is kept for
//! the report.
//!
//! Not a client: it retries nothing, believes nothing, and sends what it is told, malformed bytes
//! as well.

use ottla_protocol::frame::FrameDecoder;
use ottla_protocol::header;
use ottla_protocol::messages::{self, ApiKey, Request, Response};
use ottla_protocol::{Bytes, Encoder};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// No answer of a healthy broker is longer.
const FRAME_BYTES_MAX: usize = 128 << 20;
/// The client id of requests that do not test client ids.
pub(crate) const CLIENT_ID: Option<&str> = Some("ottla-conformance");
/// How many times the patience for an answer a whole test may last: a target that answers without
/// end ends no loop otherwise.
const TEST_PATIENCES: u32 = 40;

/// Which way a frame went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// To the target.
    Sent,
    /// From the target.
    Received,
}

/// Bytes that went over a connection, with their length prefix.
#[derive(Debug, Clone)]
pub struct Traced {
    /// Which connection of the test, from 1.
    pub connection: usize,
    /// Which way.
    pub way: Way,
    /// Since the test began.
    pub at: Duration,
    /// What it is, where it is known: API and version.
    pub api: Option<(ApiKey, i16)>,
    /// The bytes.
    pub bytes: Bytes,
}

/// All that a test sent and received.
#[derive(Debug, Clone, Default)]
pub struct Trace(Arc<Frames>);

#[derive(Debug, Default)]
struct Frames {
    all: Mutex<Vec<Traced>>,
    is_given_up: AtomicBool,
}

impl Trace {
    pub(crate) fn add(&self, traced: Traced) {
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner).push(traced);
    }

    /// What there is so far, in order.
    pub fn frames(&self) -> Vec<Traced> {
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The target has gone: the test sends nothing more, so that it waits for nothing more.
    pub(crate) fn give_up(&self) {
        self.0.is_given_up.store(true, Ordering::Relaxed);
    }

    fn is_given_up(&self) -> bool {
        self.0.is_given_up.load(Ordering::Relaxed)
    }
}

/// Why no answer came.
#[derive(Debug, Clone, PartialEq)]
pub enum NoAnswer {
    /// The target closed the connection, or reset it.
    Closed,
    /// Nothing for so long.
    Silence(Duration),
    /// What came is no frame.
    NotAFrame(String),
    /// It could not be connected to, or the connection broke in another way.
    Broken(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the target closed the connection"),
            Self::Silence(waited) => write!(f, "no answer within {} ms", waited.as_millis()),
            Self::NotAFrame(what) => write!(f, "what came is no frame: {what}"),
            Self::Broken(what) => write!(f, "the connection failed: {what}"),
        }
    }
}

/// A connection.
pub struct Wire {
    stream: TcpStream,
    decoder: FrameDecoder,
    patience: Duration,
    trace: Trace,
    number: usize,
    began: Instant,
    correlation_id: i32,
    /// What the client calls itself.
    pub(crate) client_id: &'static str,
}

impl Wire {
    /// Connects; `number` names the connection in the trace, `patience` is how long an answer may
    /// take.
    ///
    /// # Errors
    ///
    /// `Broken`, with the address.
    pub fn connect(
        address: SocketAddr,
        patience: Duration,
        trace: Trace,
        number: usize,
        began: Instant,
    ) -> Result<Self, NoAnswer> {
        let broken = |error| NoAnswer::Broken(format!("connecting to {address}: {error}"));
        let stream = TcpStream::connect_timeout(&address, patience).map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        let decoder = FrameDecoder::new(FRAME_BYTES_MAX);
        let (correlation_id, client_id) = (0, CLIENT_ID.unwrap_or_default());
        Ok(Self { stream, decoder, patience, trace, number, began, correlation_id, client_id })
    }

    /// Whom it is connected to.
    ///
    /// # Errors
    ///
    /// `Broken`, where the connection is gone.
    pub fn address(&self) -> Result<SocketAddr, NoAnswer> {
        self.stream.peer_addr().map_err(|error| NoAnswer::Broken(error.to_string()))
    }

    /// How long an answer may take.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// `Closed`, `Broken`.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), NoAnswer> {
        self.note(Way::Sent, None, Bytes::copy_from_slice(bytes));
        self.write(bytes)
    }

    /// Sends a request with the next correlation id, and answers with that.
    ///
    /// # Errors
    ///
    /// As [`send_bytes`](Self::send_bytes).
    pub fn send(&mut self, version: i16, request: &Request) -> Result<i32, NoAnswer> {
        self.correlation_id += 1;
        let id = self.correlation_id;
        let frame = frame(version, id, Some(self.client_id), request)
            .map_err(|error| NoAnswer::Broken(format!("the request cannot be written: {error}")))?;
        self.note(Way::Sent, Some((request.api_key(), version)), frame.clone());
        self.write(&frame)?;
        Ok(id)
    }

    /// The next frame, without its length.
    ///
    /// # Errors
    ///
    /// When none came within the patience, the target closed, or it is no frame.
    pub fn receive(&mut self) -> Result<Bytes, NoAnswer> {
        let patience = self.patience;
        self.receive_within(patience)
    }

    /// As [`receive`](Self::receive) with a limit of its own.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn receive_within(&mut self, limit: Duration) -> Result<Bytes, NoAnswer> {
        let until = Instant::now() + limit;
        loop {
            let next = self.decoder.next_frame();
            if let Some(frame) = next.map_err(|error| NoAnswer::NotAFrame(error.to_string()))? {
                let mut whole = Vec::with_capacity(frame.len() + 4);
                whole.extend_from_slice(&(frame.len() as u32).to_be_bytes());
                whole.extend_from_slice(&frame);
                self.note(Way::Received, None, whole.into());
                return Ok(frame);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NoAnswer::Silence(limit));
            }
            self.read(left)?;
        }
    }

    /// Sends a request and reads its answer: header, correlation id and the whole body.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive); `NotAFrame` where the answer is not one of this version.
    pub fn call(&mut self, version: i16, request: &Request) -> Result<Response, NoAnswer> {
        self.call_within(version, request, self.patience)
    }

    /// As [`call`](Self::call) with a limit of its own.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn call_within(
        &mut self,
        version: i16,
        request: &Request,
        limit: Duration,
    ) -> Result<Response, NoAnswer> {
        let id = self.send(version, request)?;
        let frame = self.receive_within(limit)?;
        response(request.api_key(), version, id, &frame)
    }

    /// Whether the target closes the connection within the patience; bytes that come before are
    /// dropped.
    pub fn is_closed(&mut self) -> bool {
        let until = Instant::now() + self.patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            match self.read(left) {
                Ok(()) => {}
                Err(NoAnswer::Closed) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Ends the sending side; answers may still come.
    pub fn half_close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write); // the target may have closed already
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), NoAnswer> {
        if self.trace.is_given_up() {
            let text = "given up: the target no longer answers to anybody";
            return Err(NoAnswer::Broken(text.to_owned()));
        }
        let runs_for = self.began.elapsed();
        if runs_for > self.patience * TEST_PATIENCES {
            let seconds = runs_for.as_secs();
            return Err(NoAnswer::Broken(format!("given up: the test runs for {seconds} s")));
        }
        let limited = self.stream.set_write_timeout(Some(self.patience));
        limited.and_then(|()| self.stream.write_all(bytes)).map_err(|error| no_answer(&error))
    }

    fn read(&mut self, limit: Duration) -> Result<(), NoAnswer> {
        let limit = limit.max(Duration::from_millis(1));
        let limited = self.stream.set_read_timeout(Some(limit));
        limited.map_err(|error| no_answer(&error))?;
        let mut chunk = [0; 64 << 10];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(NoAnswer::Closed),
            Ok(count) => {
                self.decoder.buffer().extend_from_slice(&chunk[..count]);
                Ok(())
            }
            // The caller looks at its own limit.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(no_answer(&error)),
        }
    }

    fn note(&self, way: Way, api: Option<(ApiKey, i16)>, bytes: Bytes) {
        let (connection, at) = (self.number, self.began.elapsed());
        self.trace.add(Traced { connection, way, at, api, bytes });
    }
}

fn no_answer(error: &std::io::Error) -> NoAnswer {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
            NoAnswer::Closed
        }
        _ => NoAnswer::Broken(error.to_string()),
    }
}

/// A whole frame: length, header and body.
///
/// # Errors
///
/// What cannot be written in this version.
pub fn frame(
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    request: &Request,
) -> Result<Bytes, ottla_protocol::EncodeError> {
    let mut out = Encoder::framed();
    let api = request.api_key();
    header::encode_request_header(&mut out, api, version, correlation_id, client_id)?;
    request.encode(&mut out, version)?;
    Ok(out.into_bytes())
}

/// A request's body alone, for a frame by hand.
///
/// # Errors
///
/// What cannot be written in this version.
pub fn body(version: i16, request: &Request) -> Result<Bytes, ottla_protocol::EncodeError> {
    let mut out = Encoder::new();
    request.encode(&mut out, version)?;
    Ok(out.into_bytes())
}

/// A frame by hand: any key and version, any body, header version 1 or 2 with these tagged bytes.
pub fn raw_frame(head: &RawHeader<'_>, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend_from_slice(&head.api_key.to_be_bytes());
    out.extend_from_slice(&head.version.to_be_bytes());
    out.extend_from_slice(&head.correlation_id.to_be_bytes());
    match head.client_id {
        Some(id) => {
            out.extend_from_slice(&(id.len() as i16).to_be_bytes());
            out.extend_from_slice(id.as_bytes());
        }
        None => out.extend_from_slice(&(-1_i16).to_be_bytes()),
    }
    if let Some(tags) = head.tags {
        out.extend_from_slice(tags);
    }
    out.extend_from_slice(body);
    let len = (out.len() - 4) as u32;
    out[..4].copy_from_slice(&len.to_be_bytes());
    out
}

/// A request header by hand.
#[derive(Debug, Clone, Copy)]
pub struct RawHeader<'a> {
    /// Any number.
    pub api_key: i16,
    /// Any number.
    pub version: i16,
    /// Any number.
    pub correlation_id: i32,
    /// `None` is null.
    pub client_id: Option<&'a str>,
    /// The section of tagged fields of header version 2; `None` for version 1.
    pub tags: Option<&'a [u8]>,
}

/// Reads an answer: its header must carry this correlation id, its body must be whole.
///
/// # Errors
///
/// `NotAFrame`, with what is wrong and where.
pub fn response(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    frame: &Bytes,
) -> Result<Response, NoAnswer> {
    let wrong = |what: String| NoAnswer::NotAFrame(format!("{} v{version}: {what}", api.name()));
    let (header, body_at) = header::decode_response_header(frame, api, version)
        .map_err(|error| wrong(error.to_string()))?;
    if header.correlation_id != correlation_id {
        let got = header.correlation_id;
        return Err(wrong(format!("correlation id {got} answers {correlation_id}")));
    }
    Response::decode(api, version, frame, body_at).map_err(|error| wrong(error.to_string()))
}

/// The body of one API's answers.
pub trait Answer: Sized {
    /// The body, where the answer is of this API.
    fn of(response: Response) -> Option<Self>;
}

macro_rules! answers {
    ($($api:ident($message:ident)),+ $(,)?) => {
        $(
            impl Answer for messages::$message {
                fn of(response: Response) -> Option<Self> {
                    match response {
                        Response::$api(answer) => Some(*answer),
                        _ => None,
                    }
                }
            }
        )+
    };
}

answers! {
    Produce(ProduceResponse),
    Fetch(FetchResponse),
    ListOffsets(ListOffsetsResponse),
    Metadata(MetadataResponse),
    OffsetCommit(OffsetCommitResponse),
    OffsetFetch(OffsetFetchResponse),
    FindCoordinator(FindCoordinatorResponse),
    JoinGroup(JoinGroupResponse),
    Heartbeat(HeartbeatResponse),
    LeaveGroup(LeaveGroupResponse),
    SyncGroup(SyncGroupResponse),
    DescribeGroups(DescribeGroupsResponse),
    ListGroups(ListGroupsResponse),
    ApiVersions(ApiVersionsResponse),
    CreateTopics(CreateTopicsResponse),
    DeleteTopics(DeleteTopicsResponse),
    DeleteRecords(DeleteRecordsResponse),
    InitProducerId(InitProducerIdResponse),
    OffsetForLeaderEpoch(OffsetForLeaderEpochResponse),
    DescribeConfigs(DescribeConfigsResponse),
    CreatePartitions(CreatePartitionsResponse),
    DeleteGroups(DeleteGroupsResponse),
    IncrementalAlterConfigs(IncrementalAlterConfigsResponse),
    DescribeCluster(DescribeClusterResponse),
    AlterConfigs(AlterConfigsResponse),
    ElectLeaders(ElectLeadersResponse),
    OffsetDelete(OffsetDeleteResponse),
    DescribeTopicPartitions(DescribeTopicPartitionsResponse),
}
