//! A scripted broker: nodes that listen on loopback, answer from one small state, do what rules say
//! instead, and keep every request.

use super::act::Act;
use super::answers;
use super::state::State;
use crate::wire::{Trace, Traced, Way};
use ottla_protocol::frame::FrameDecoder;
use ottla_protocol::header::{self, HeaderError};
use ottla_protocol::messages::{ApiKey, ApiVersionsResponse, Request, Response};
use ottla_protocol::{Bytes, Encoder};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// No request of these scenarios is longer.
const FRAME_BYTES_MAX: usize = 16 << 20;
/// How often a thread that waits looks whether the scenario has ended.
const LOOK: Duration = Duration::from_millis(20);
/// How long an answer is held back for another to go with it.
const HELD_FOR: Duration = Duration::from_millis(150);
/// How long the broker lets a fetch wait at most.
const FETCH_WAIT_MAX: Duration = Duration::from_millis(300);

/// A request that came.
#[derive(Debug)]
pub struct Seen {
    /// The node that it came to.
    pub node: i32,
    /// Which connection of the scenario, from 1.
    pub connection: usize,
    /// Since the scenario began.
    pub at: Duration,
    /// The API key.
    pub key: i16,
    /// The version.
    pub version: i16,
    /// The id that its answer carries.
    pub correlation_id: i32,
    /// The client id, where the header could be read.
    pub client_id: Option<String>,
    /// The request, or why it cannot be read.
    pub request: Result<Request, String>,
    /// Whether the broker listed the version when it came.
    pub is_listed: bool,
}

impl Seen {
    /// Whether it is of this API, readable or not.
    pub fn is(&self, api: ApiKey) -> bool {
        self.key == api.code()
    }

    /// `Produce v9 on connection 2 to node 1 after 17 ms`.
    pub fn shown(&self) -> String {
        let name = ApiKey::from_code(self.key).map_or("unknown", ApiKey::name);
        let (key, version, ms) = (self.key, self.version, self.at.as_millis());
        let (connection, node) = (self.connection, self.node);
        format!("{name} ({key}) v{version} on connection {connection} to node {node} after {ms} ms")
    }
}

/// What is done with a request: `None` leaves it to the next rule.
pub(crate) type Rule = Box<dyn FnMut(&Seen, &mut State) -> Option<Act> + Send>;

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    is_over: AtomicBool,
    connections: AtomicUsize,
    began: Instant,
    trace: Trace,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn note(&self, connection: usize, way: Way, bytes: Bytes) {
        let at = self.began.elapsed();
        self.trace.add(Traced { connection, way, at, api: None, bytes });
    }
}

/// The nodes of one scenario.
pub struct Cluster {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Cluster {
    /// Starts so many nodes, from node 1. Only the first is listed in metadata.
    ///
    /// # Errors
    ///
    /// Where no port can be had.
    pub fn start(nodes: i32, trace: Trace) -> std::io::Result<Self> {
        let mut state = State::default();
        let mut listeners = Vec::new();
        for node in 1..=nodes {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            state.ports.insert(node, listener.local_addr()?.port());
            listeners.push((node, listener));
        }
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            is_over: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            began: Instant::now(),
            trace,
        });
        let threads = listeners.into_iter().map(|(node, listener)| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || accept(&shared, node, &listener))
        });
        let threads = threads.collect();
        Ok(Self { shared, threads })
    }

    /// Where a node listens.
    pub fn address(&self, node: i32) -> String {
        format!("127.0.0.1:{}", self.shared.state().ports[&node])
    }

    /// When the scenario began.
    pub fn began(&self) -> Instant {
        self.shared.began
    }

    /// Reads or changes the state.
    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let done = work(&mut self.shared.state());
        self.shared.changed.notify_all();
        done
    }

    /// What is done with requests from now on, before the rules that are there.
    pub fn rule(&self, rule: impl FnMut(&Seen, &mut State) -> Option<Act> + Send + 'static) {
        self.shared.state().rules.insert(0, Box::new(rule));
    }

    /// Every request so far, in order.
    pub fn seen(&self) -> Vec<Arc<Seen>> {
        self.shared.state().seen.clone()
    }

    /// Waits until a condition holds; whether it came to hold before the deadline.
    pub fn wait(&self, deadline: Instant, mut holds: impl FnMut(&State) -> bool) -> bool {
        let mut state = self.shared.state();
        loop {
            if holds(&state) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(state, left.min(LOOK));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // what it found wrong is in the trace
        }
    }
}

fn accept(shared: &Arc<Shared>, node: i32, listener: &TcpListener) {
    let mut connections: Vec<JoinHandle<()>> = Vec::new();
    while !shared.is_over() {
        match listener.accept() {
            Ok((stream, _)) => {
                let number = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
                let is_refused = {
                    let mut state = shared.state();
                    state.connections.push((number, node, shared.began.elapsed()));
                    state.refusing.contains(&node)
                };
                shared.changed.notify_all();
                if is_refused {
                    let _ = stream.shutdown(Shutdown::Both);
                    continue;
                }
                let shared = Arc::clone(shared);
                connections.push(std::thread::spawn(move || {
                    // Its end is the client's, or the scenario's.
                    let _ = Served::new(&shared, node, number, stream).and_then(Served::run);
                }));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(2)); // std has no accept with a limit
            }
            Err(_) => return,
        }
    }
    for connection in connections {
        let _ = connection.join();
    }
}

/// One connection.
struct Served<'s> {
    shared: &'s Shared,
    node: i32,
    number: usize,
    stream: TcpStream,
    decoder: FrameDecoder,
    held: Vec<u8>,
}

impl<'s> Served<'s> {
    fn new(
        shared: &'s Shared,
        node: i32,
        number: usize,
        stream: TcpStream,
    ) -> std::io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        let decoder = FrameDecoder::new(FRAME_BYTES_MAX);
        Ok(Self { shared, node, number, stream, decoder, held: Vec::new() })
    }

    fn run(mut self) -> std::io::Result<()> {
        let mut held_since = None;
        while !self.shared.is_over() {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => {
                    if !self.serve(&frame)? {
                        return self.stream.shutdown(Shutdown::Both);
                    }
                    held_since = (!self.held.is_empty()).then(Instant::now);
                    continue;
                }
                Ok(None) => {}
                Err(why) => {
                    self.unreadable(-1, -1, why.to_string());
                    return self.stream.shutdown(Shutdown::Both);
                }
            }
            if held_since.is_some_and(|since| since.elapsed() > HELD_FOR) {
                held_since = None;
                self.flush()?;
            }
            if !self.read()? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads what there is; whether there may be more.
    fn read(&mut self) -> std::io::Result<bool> {
        let mut chunk = [0; 64 << 10];
        match self.stream.read(&mut chunk) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.decoder.buffer().extend_from_slice(&chunk[..count]);
                Ok(true)
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(true),
                _ => Err(error),
            },
        }
    }

    /// Answers a request; whether the connection goes on.
    fn serve(&mut self, frame: &Bytes) -> std::io::Result<bool> {
        let mut whole = (frame.len() as u32).to_be_bytes().to_vec();
        whole.extend_from_slice(frame);
        self.shared.note(self.number, Way::Received, whole.into());
        let (api, head, body_at) = match header::decode_request_header(frame) {
            Ok(decoded) => decoded,
            Err(why) => return self.unheaded(frame, &why),
        };
        let version = head.request_api_version;
        let request = Request::decode(api, version, frame, body_at);
        let is_readable = request.is_ok();
        let is_listed = self.shared.state().lists(api, version);
        let seen = Arc::new(Seen {
            node: self.node,
            connection: self.number,
            at: self.shared.began.elapsed(),
            key: api.code(),
            version,
            correlation_id: head.correlation_id,
            client_id: head.client_id.clone(),
            request: request.map_err(|why| why.to_string()),
            is_listed,
        });
        let act = self.record(&seen);
        if !is_listed && act.is_none() {
            if api == ApiKey::ApiVersions {
                return self.unsupported_api_versions(head.correlation_id);
            }
            return Ok(false);
        }
        if !is_readable {
            return Ok(false);
        }
        self.act(&seen, act.unwrap_or_default())
    }

    /// Keeps a request and asks the rules.
    fn record(&self, seen: &Arc<Seen>) -> Option<Act> {
        let mut state = self.shared.state();
        state.seen.push(Arc::clone(seen));
        let mut rules = std::mem::take(&mut state.rules);
        let is_ignored = state.ignored.contains(&seen.key);
        let act = if is_ignored {
            Some(Act::ignore())
        } else {
            rules.iter_mut().find_map(|rule| rule(seen, &mut state))
        };
        rules.append(&mut state.rules);
        state.rules = rules;
        drop(state);
        self.shared.changed.notify_all();
        act
    }

    fn unreadable(&self, key: i16, version: i16, why: String) {
        let seen = Seen {
            node: self.node,
            connection: self.number,
            at: self.shared.began.elapsed(),
            key,
            version,
            correlation_id: 0,
            client_id: None,
            request: Err(why),
            is_listed: false,
        };
        let _ = self.record(&Arc::new(seen));
    }

    /// A request whose header cannot be read: as a broker does, closed, but for ApiVersions.
    fn unheaded(&mut self, frame: &Bytes, why: &HeaderError) -> std::io::Result<bool> {
        let at = |at: usize| match frame.get(at..at + 2) {
            Some(two) => i16::from_be_bytes([two[0], two[1]]),
            None => -1,
        };
        self.unreadable(at(0), at(2), why.to_string());
        match why {
            HeaderError::UnsupportedVersion {
                api: ApiKey::ApiVersions, correlation_id, ..
            } => self.unsupported_api_versions(*correlation_id),
            _ => Ok(false),
        }
    }

    /// UNSUPPORTED_VERSION in version 0, with the range of ApiVersions (KIP-511).
    fn unsupported_api_versions(&mut self, correlation_id: i32) -> std::io::Result<bool> {
        let api_keys = self.shared.state().listed();
        let only = |entry: &ottla_protocol::messages::api_versions::ApiVersion| {
            entry.api_key == ApiKey::ApiVersions.code()
        };
        let answer = ApiVersionsResponse {
            error_code: 35,
            api_keys: api_keys.into_iter().filter(only).collect(),
            ..Default::default()
        };
        let answer = Response::ApiVersions(Box::new(answer));
        let bytes = self.framed(ApiKey::ApiVersions, 0, correlation_id, &answer)?;
        self.write(&bytes, false)?;
        Ok(true)
    }

    fn act(&mut self, seen: &Seen, act: Act) -> std::io::Result<bool> {
        let request = seen.request.as_ref().expect("only readable requests are answered");
        let answer = match (act.answer, act.is_ignored) {
            (Some(answer), _) => Some(answer),
            (None, true) => None,
            (None, false) => self.answer(seen, request, act.refuse),
        };
        let until = Instant::now() + act.delay;
        let mut state = self.shared.state();
        while Instant::now() < until && !self.shared.is_over() {
            let left = until.saturating_duration_since(Instant::now()).min(LOOK);
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        if let (Some(mut answer), false) = (answer, act.is_silent) {
            if let Some(edit) = act.edit {
                edit(&mut answer);
            }
            let api = request.api_key();
            let mut bytes = self.framed(api, seen.version, seen.correlation_id, &answer)?;
            if let Some(mangle) = act.mangle {
                bytes = mangle(bytes);
            }
            if act.is_held {
                self.shared.note(self.number, Way::Sent, Bytes::copy_from_slice(&bytes));
                self.held.extend_from_slice(&bytes);
            } else {
                self.write(&bytes, act.by_byte)?;
            }
            self.shared.changed.notify_all();
        }
        if act.half_closes {
            self.stream.shutdown(Shutdown::Write)?;
        }
        Ok(!act.closes)
    }

    /// The answer from the state; a fetch that finds nothing waits.
    fn answer(&self, seen: &Seen, request: &Request, refuse: Option<i16>) -> Option<Response> {
        let mut state = self.shared.state();
        if let Some(code) = refuse {
            return Some(answers::refused(&mut state, seen, request, code));
        }
        let Request::Fetch(fetch) = request else {
            return answers::answer(&mut state, seen, request);
        };
        let wait = Duration::from_millis(u64::try_from(fetch.max_wait_ms).unwrap_or(0));
        let until = Instant::now() + wait.min(FETCH_WAIT_MAX);
        let wanted = state.sessions.wanted(seen.version, fetch);
        loop {
            let (answer, is_empty) = answers::fetch(&state, seen, fetch, &wanted);
            let left = until.saturating_duration_since(Instant::now());
            if !is_empty || left.is_zero() || self.shared.is_over() {
                return Some(answer);
            }
            let waited = self.shared.changed.wait_timeout(state, left.min(LOOK));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn write(&mut self, bytes: &[u8], by_byte: bool) -> std::io::Result<()> {
        let mut out = std::mem::take(&mut self.held);
        out.extend_from_slice(bytes);
        if !bytes.is_empty() {
            self.shared.note(self.number, Way::Sent, Bytes::copy_from_slice(bytes));
        }
        if by_byte {
            return out.iter().try_for_each(|byte| self.stream.write_all(&[*byte]));
        }
        self.stream.write_all(&out)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.write(&[], false)
    }

    /// A whole answer; where a value does not exist in the version, the scenario is at fault.
    fn framed(
        &self,
        api: ApiKey,
        version: i16,
        correlation_id: i32,
        answer: &Response,
    ) -> std::io::Result<Vec<u8>> {
        let mut out = Encoder::framed();
        header::encode_response_header(&mut out, api, version, correlation_id);
        match answer.encode(&mut out, version) {
            Ok(()) => Ok(out.into_bytes().to_vec()),
            Err(why) => {
                let text = format!("an answer to {} v{version} of a scenario: {why}", api.name());
                self.shared.state().faults.push(text);
                Err(std::io::Error::other(why.to_string()))
            }
        }
    }
}

/// An address on loopback that nobody listens on.
///
/// # Errors
///
/// Where no port can be had.
pub fn nobodys_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
