//! One task that owns one socket.

#[cfg(feature = "simulation")]
use super::simulated::TcpStream;
use super::{CallResult, NetworkConfig, lock};
use bytes::{Buf, Bytes};
use ottla_engine::call::{CallError, CallId, Purpose};
use ottla_engine::cluster::{Backoff, Seed};
use ottla_engine::connection::{Connection, ConnectionConfig, Event};
use ottla_engine::time::Instant;
use ottla_protocol::messages::Request;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream as RealStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Sleep;

#[cfg(not(feature = "simulation"))]
type TcpStream = RealStream;

/// Pieces that one write hands to the system.
const SLICES_MAX: usize = 64;

/// Where an answer goes.
#[derive(Debug)]
pub(crate) enum Reply {
    /// To the one who waits.
    One(oneshot::Sender<CallResult>),
    /// Into a queue, under the call's id.
    Queue(mpsc::UnboundedSender<(CallId, CallResult)>, CallId),
}

impl Reply {
    /// Delivers the answer; nobody may be waiting any more.
    pub(crate) fn answer(self, result: CallResult) {
        match self {
            Self::One(sender) => drop(sender.send(result)),
            Self::Queue(sender, id) => drop(sender.send((id, result))),
        }
    }
}

/// One request on its way to the task.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) request: Request,
    pub(super) timeout: Duration,
    pub(super) reply: Reply,
}

/// The task's mailbox. The task ends when the client closes, or when the last handle was dropped
/// and all calls are answered: a broker that left the metadata may still answer what it was sent.
#[derive(Debug, Clone)]
pub(super) struct ConnectionHandle {
    commands: mpsc::UnboundedSender<Command>,
    pub(super) address: (String, u16),
    backoff: Arc<Mutex<NodeBackoff>>,
}

/// When a broker that failed may be tried again.
#[derive(Debug)]
struct NodeBackoff {
    backoff: Backoff,
    not_before: std::time::Instant,
    /// The last failure, or the end of a connection.
    failed_at: Option<std::time::Instant>,
}

impl ConnectionHandle {
    pub(super) fn spawn(
        config: &Arc<NetworkConfig>,
        address: (String, u16),
        purpose: Purpose,
        start: std::time::Instant,
        client_closed: watch::Receiver<bool>,
    ) -> Self {
        let (commands, inbox) = mpsc::unbounded_channel();
        let salt = u64::from(address.1) << 8 | purpose as u64;
        let (min, max) = config.reconnect_backoff;
        let backoff = Backoff::new(min, max, Seed::new(config.seed).derive(salt));
        let backoff = NodeBackoff { backoff, not_before: start, failed_at: None };
        let backoff = Arc::new(Mutex::new(backoff));
        let driver = Driver {
            config: config.clone(),
            address: address.clone(),
            purpose,
            start,
            inbox,
            client_closed,
            backoff: backoff.clone(),
            api_versions_start: ConnectionConfig::default().api_versions_start,
        };
        tokio::spawn(driver.run());
        Self { commands, address, backoff }
    }

    /// Sends one request and waits for its answer. The handle is given up before the wait, so that
    /// an open call does not keep the connection when the client closes.
    pub(super) async fn ask(self, request: Request, timeout: Duration) -> CallResult {
        let (reply, answer) = oneshot::channel();
        self.send(Command { request, timeout, reply: Reply::One(reply) });
        drop(self);
        // The task answers every command; it can only vanish with the runtime.
        answer.await.unwrap_or(Err(CallError::Closed { possibly_sent: true }))
    }

    pub(super) fn send(&self, command: Command) {
        if let Err(mpsc::error::SendError(command)) = self.commands.send(command) {
            command.reply.answer(Err(CallError::Closed { possibly_sent: false }));
        }
    }

    /// Whether the last attempt to connect failed and the next is not due yet, or something went
    /// wrong within this time.
    pub(super) fn has_failed_within(&self, time: Duration) -> bool {
        let (backoff, now) = (lock(&self.backoff), std::time::Instant::now());
        backoff.not_before > now || backoff.failed_at.is_some_and(|at| now < at + time)
    }
}

struct Driver {
    config: Arc<NetworkConfig>,
    address: (String, u16),
    purpose: Purpose,
    start: std::time::Instant,
    inbox: mpsc::UnboundedReceiver<Command>,
    /// Turns true when the client closes; its sender is dropped with the client.
    client_closed: watch::Receiver<bool>,
    backoff: Arc<Mutex<NodeBackoff>>,
    api_versions_start: i16,
}

/// Why a socket is not served any more.
enum Outcome {
    /// Nobody holds a handle.
    Dropped,
    /// The socket is gone; the next command makes another.
    Disconnected,
}

impl Driver {
    /// Connects when there is something to send, serves the socket until it fails, and begins
    /// again.
    async fn run(mut self) {
        while let Some(first) = self.inbox.recv().await {
            match self.establish().await {
                Ok(socket) => {
                    if matches!(socket.serve(&mut self, first).await, Outcome::Dropped) {
                        return;
                    }
                }
                Err(reason) => self.fail_waiting(first, &reason),
            }
        }
    }

    /// A connection whose versions are negotiated. Nothing was handed to it before, so that a
    /// broker that hangs up on a newer version of that question is asked in the oldest without
    /// anybody noticing.
    async fn establish(&mut self) -> Result<Socket, String> {
        loop {
            let not_before = lock(&self.backoff).not_before;
            tokio::time::sleep_until(not_before.into()).await;
            let address = format!("{}:{}", self.address.0, self.address.1);
            let stream = connect(&self.address, &self.config).await;
            let stream = stream.map_err(|error| format!("{address}: {error}"))?;
            match Socket::new(self, stream).negotiate().await {
                Ok(socket) => {
                    lock(&self.backoff).backoff.reset();
                    return Ok(socket);
                }
                Err((_, true)) if self.api_versions_start > 0 => self.api_versions_start = 0,
                Err((reason, _)) => return Err(reason),
            }
        }
    }

    /// Nothing could be sent: everything that waits is told so.
    fn fail_waiting(&mut self, first: Command, reason: &str) {
        self.note_failure();
        tracing::debug!(%reason, "cannot connect");
        let reason = reason.to_owned();
        let error = CallError::Disconnected { possibly_sent: false, reason };
        first.reply.answer(Err(error.clone()));
        while let Ok(command) = self.inbox.try_recv() {
            command.reply.answer(Err(error.clone()));
        }
    }

    fn note_failure(&self) {
        let mut backoff = lock(&self.backoff);
        let delay = backoff.backoff.next_delay();
        let now = std::time::Instant::now();
        (backoff.not_before, backoff.failed_at) = (now + delay, Some(now));
    }
}

/// A socket with its state machine.
struct Socket {
    stream: TcpStream,
    machine: Connection,
    start: std::time::Instant,
    /// What the machine wants written, the first piece perhaps in part.
    out: VecDeque<Bytes>,
    replies: BTreeMap<CallId, Reply>,
    call_next: u64,
    timer: Pin<Box<Sleep>>,
    timer_at: Option<Instant>,
    active_at: Instant,
    is_closed: bool,
}

impl Socket {
    fn new(driver: &Driver, stream: TcpStream) -> Self {
        let config = ConnectionConfig {
            client_id: driver.config.client_id.clone(),
            address: format!("{}:{}", driver.address.0, driver.address.1),
            in_flight_max: driver.purpose.in_flight_max(),
            negotiation_timeout: driver.config.connect_timeout,
            api_versions_start: driver.api_versions_start,
            ..ConnectionConfig::default()
        };
        let now = instant_since(driver.start);
        Self {
            stream,
            machine: Connection::new(config, now),
            start: driver.start,
            out: VecDeque::new(),
            replies: BTreeMap::new(),
            call_next: 0,
            timer: Box::pin(tokio::time::sleep(driver.config.idle_max)),
            timer_at: None,
            active_at: now,
            is_closed: false,
        }
    }

    /// Moves bytes until the versions are known; else why not, and whether the broker hung up on
    /// the question.
    async fn negotiate(mut self) -> Result<Self, (String, bool)> {
        loop {
            self.drive_transmit();
            match self.machine.poll_event() {
                None => {}
                Some(Event::Ready) => return Ok(self),
                Some(Event::Closed { reason, negotiation_refused }) => {
                    return Err((reason, negotiation_refused));
                }
                Some(Event::Answer(..)) => unreachable!("no call was handed over yet"),
            }
            self.drive_timer(Duration::MAX);
            tokio::select! {
                biased;
                ready = self.stream.readable() => self.drive_receive(ready),
                ready = self.stream.writable(), if !self.out.is_empty() => self.on_writable(ready),
                () = &mut self.timer => self.on_timer(Duration::MAX),
            }
        }
    }

    /// Moves bytes and answers until the socket or its users are gone.
    async fn serve(mut self, driver: &mut Driver, first: Command) -> Outcome {
        let idle_max = driver.config.idle_max;
        self.take(first);
        let (mut users_gone, mut client_closed) = (false, false);
        loop {
            if users_gone && self.machine.is_idle() {
                self.machine.handle_close();
            }
            self.drive_transmit();
            self.drive_events(driver);
            if self.is_closed {
                let ends = users_gone || client_closed;
                return if ends { Outcome::Dropped } else { Outcome::Disconnected };
            }
            self.drive_timer(idle_max);
            tokio::select! {
                biased;
                ready = self.stream.readable() => self.drive_receive(ready),
                command = driver.inbox.recv(), if !users_gone => match command {
                    Some(command) => self.take(command),
                    None => users_gone = true,
                },
                _ = driver.client_closed.wait_for(|closed| *closed), if !client_closed => {
                    client_closed = true;
                    self.machine.handle_close();
                }
                ready = self.stream.writable(), if !self.out.is_empty() => self.on_writable(ready),
                () = &mut self.timer => self.on_timer(idle_max),
            }
        }
    }

    fn take(&mut self, command: Command) {
        let (now, id) = (instant_since(self.start), CallId(self.call_next));
        self.call_next += 1;
        self.active_at = now;
        self.replies.insert(id, command.reply);
        self.machine.handle_call(now, id, command.request, command.timeout);
    }

    fn on_writable(&mut self, ready: io::Result<()>) {
        if let Err(error) = ready {
            self.machine.handle_disconnected(&error.to_string());
        }
    }

    fn drive_receive(&mut self, ready: io::Result<()>) {
        if let Err(error) = ready {
            return self.machine.handle_disconnected(&error.to_string());
        }
        match self.stream.try_read_buf(self.machine.receive_buffer()) {
            Ok(0) => self.machine.handle_disconnected("closed by the broker"),
            Ok(_) => self.machine.handle_received(instant_since(self.start)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => self.machine.handle_disconnected(&error.to_string()),
        }
    }

    fn drive_transmit(&mut self) {
        loop {
            while let Some(bytes) = self.machine.poll_transmit() {
                self.out.push_back(bytes);
            }
            if self.out.is_empty() {
                return;
            }
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            for (slice, bytes) in slices.iter_mut().zip(&self.out) {
                *slice = IoSlice::new(bytes);
            }
            let count = self.out.len().min(SLICES_MAX);
            match self.stream.try_write_vectored(&slices[..count]) {
                Ok(written) => self.on_written(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return self.machine.handle_disconnected(&error.to_string()),
            }
        }
    }

    fn on_written(&mut self, written: usize) {
        self.machine.handle_written(written);
        let mut left = written;
        while left > 0 {
            let first = self.out.front_mut().expect("invariant: no more is written than queued");
            if first.len() > left {
                first.advance(left);
                return;
            }
            left -= first.len();
            self.out.pop_front();
        }
    }

    fn drive_events(&mut self, driver: &Driver) {
        while let Some(event) = self.machine.poll_event() {
            match event {
                Event::Ready => {}
                Event::Answer(id, result) => {
                    self.active_at = instant_since(self.start);
                    let reply = self.replies.remove(&id);
                    reply.expect("invariant: a call is answered once").answer(result);
                }
                Event::Closed { reason, .. } => {
                    tracing::debug!(%reason, "connection closed");
                    driver.note_failure();
                    self.is_closed = true;
                }
            }
        }
    }

    /// Sets the timer to the soonest deadline. Later deadlines leave it: it fires once for nothing,
    /// which is cheaper than a reset for every answer.
    fn drive_timer(&mut self, idle_max: Duration) {
        let idle_at = self.active_at + idle_max;
        let at = self.machine.poll_timeout().map_or(idle_at, |at| at.min(idle_at));
        if self.timer_at.is_none_or(|set| at < set) {
            self.timer_at = Some(at);
            let far = self.start + Duration::from_secs(365 * 24 * 3600);
            let since = Duration::from_nanos(at.as_nanos());
            let deadline = self.start.checked_add(since).unwrap_or(far);
            self.timer.as_mut().reset(deadline.into());
        }
    }

    fn on_timer(&mut self, idle_max: Duration) {
        self.timer_at = None;
        let now = instant_since(self.start);
        self.machine.handle_timeout(now);
        if self.machine.is_idle() && now >= self.active_at + idle_max {
            self.machine.handle_disconnected("idle for connections.max.idle.ms");
        }
    }
}

fn instant_since(start: std::time::Instant) -> Instant {
    Instant::from_nanos(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// Tries every address of the host in turn, all within the setup timeout.
async fn connect(address: &(String, u16), config: &NetworkConfig) -> io::Result<TcpStream> {
    let limit = config.connect_timeout;
    match tokio::time::timeout(limit, connect_any(address, config)).await {
        Ok(result) => result,
        Err(_) => {
            let text = format!("no connection within {} ms", limit.as_millis());
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        }
    }
}

async fn connect_any(address: &(String, u16), config: &NetworkConfig) -> io::Result<TcpStream> {
    let (host, port) = address;
    #[cfg(feature = "simulation")]
    if turmoil::in_simulation() {
        return TcpStream::connect_simulated(host, *port).await;
    }
    let found = tokio::net::lookup_host((host.as_str(), *port)).await.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot resolve the name \"{host}\" ({error})"))
    })?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for socket_address in found {
        match RealStream::connect(socket_address).await {
            Ok(stream) => {
                set_options(&stream, config)?;
                #[cfg(feature = "simulation")]
                let stream = TcpStream::Real(stream);
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn set_options(stream: &RealStream, config: &NetworkConfig) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    socket.set_keepalive(true)?;
    if let Some(bytes) = config.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = config.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    Ok(())
}
