//! The connection's state machine.

use super::negotiation::{Negotiation, Step};
use super::reshape::{check_request, reshape_request, reshape_response, version_cap};
use super::{ConnectionConfig, VersionTable};
use crate::call::{CallError, CallId};
use crate::time::Instant;
use bytes::{Bytes, BytesMut};
use ottla_protocol::Encoder;
use ottla_protocol::frame::FrameDecoder;
use ottla_protocol::header::{decode_response_header, encode_request_header};
use ottla_protocol::messages::{ApiKey, ProduceResponse, Request, Response};
use std::collections::VecDeque;
use std::time::Duration;

/// What a connection tells its driver.
#[derive(Debug)]
pub enum Event {
    /// Versions are negotiated; requests flow.
    Ready,
    /// A call has ended: with its response and the version it was made in, or without one.
    Answer(CallId, Result<(Response, i16), CallError>),
    /// The connection is over: drop the socket. Every open call was answered before.
    Closed {
        /// What was wrong, for messages and logs.
        reason: String,
        /// The peer closed while it was asked for its versions: it may not know that version of the
        /// question. Begin the next connection with version 0.
        negotiation_refused: bool,
    },
}

/// A request that is not written yet.
#[derive(Debug)]
struct Waiting {
    call: CallId,
    request: Request,
    timeout: Duration,
    deadline: Instant,
}

/// A request that is written, or about to be.
#[derive(Debug)]
struct InFlight {
    /// `None` for the connection's own requests.
    call: Option<CallId>,
    api_key: ApiKey,
    version: i16,
    correlation_id: i32,
    deadline: Instant,
    /// Where in the outgoing stream its first byte stands.
    starts_at: u64,
}

/// An acks=0 produce request: it has no response, and ends when its last byte is written.
#[derive(Debug)]
struct Unanswered {
    call: CallId,
    version: i16,
    deadline: Instant,
    /// Where in the outgoing stream its first byte stands, and the one after its last.
    starts_at: u64,
    ends_at: u64,
}

#[derive(Debug)]
enum State {
    /// The broker was asked for its versions. Authentication, when it comes, is a state between
    /// this and the next.
    ExpectApiVersions(Negotiation),
    Ready(VersionTable),
    Closed,
}

/// One connection to one broker.
#[derive(Debug)]
pub struct Connection {
    config: ConnectionConfig,
    state: State,
    frames: FrameDecoder,
    waiting: VecDeque<Waiting>,
    in_flight: VecDeque<InFlight>,
    unanswered: VecDeque<Unanswered>,
    transmits: VecDeque<Bytes>,
    events: VecDeque<Event>,
    /// The client is over its quota: nothing is written before this (KIP-219).
    throttled_until: Instant,
    correlation_id_next: i32,
    queued_bytes: u64,
    written_bytes: u64,
}

impl Connection {
    /// A connection whose socket is open; the first bytes to write ask for the broker's versions.
    pub fn new(config: ConnectionConfig, now: Instant) -> Self {
        let negotiation = Negotiation::new(config.api_versions_start);
        let mut connection = Self {
            state: State::Closed,
            frames: FrameDecoder::new(config.frame_len_max).recycling(),
            config,
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            unanswered: VecDeque::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            throttled_until: now,
            correlation_id_next: 0,
            queued_bytes: 0,
            written_bytes: 0,
        };
        connection.ask_for_versions(&negotiation, now);
        connection.state = State::ExpectApiVersions(negotiation);
        connection
    }

    /// Whether calls are of no use any more.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Whether no call is open: an idle connection may be closed.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty() && self.unanswered.is_empty()
    }

    /// Takes a call; it is written when versions are known, there is room in flight, and the broker
    /// does not hold this client back. `timeout` bounds the wait for that, and then the answer.
    pub fn handle_call(&mut self, now: Instant, call: CallId, request: Request, timeout: Duration) {
        if self.is_closed() {
            let error = CallError::Closed { possibly_sent: false };
            return self.events.push_back(Event::Answer(call, Err(error)));
        }
        self.waiting.push_back(Waiting { call, request, timeout, deadline: now + timeout });
        self.write_waiting(now);
    }

    /// Where the driver appends what it read.
    pub fn receive_buffer(&mut self) -> &mut BytesMut {
        self.frames.buffer()
    }

    /// Takes the responses that are complete in the receive buffer.
    pub fn handle_received(&mut self, now: Instant) {
        while !self.is_closed() {
            match self.frames.next_frame() {
                Ok(Some(frame)) => self.on_frame(now, &frame),
                Ok(None) => break,
                Err(error) => self.close_broken(&format!("{}: {error}", self.config.address)),
            }
        }
        self.write_waiting(now);
    }

    /// The driver wrote this many bytes of what [`Connection::poll_transmit`] yielded.
    pub fn handle_written(&mut self, bytes: usize) {
        self.written_bytes += bytes as u64;
        debug_assert!(self.written_bytes <= self.queued_bytes, "more was written than queued");
        while self.unanswered.front().is_some_and(|first| first.ends_at <= self.written_bytes) {
            let done = self.unanswered.pop_front().expect("invariant: just looked at");
            let response = Response::Produce(Box::<ProduceResponse>::default());
            self.events.push_back(Event::Answer(done.call, Ok((response, done.version))));
        }
    }

    /// The peer closed, or the socket failed.
    pub fn handle_disconnected(&mut self, reason: &str) {
        let refused = match &self.state {
            State::ExpectApiVersions(negotiation) => negotiation.asked_version() > 0,
            State::Ready(_) | State::Closed => false,
        };
        let reason = format!("{}: {reason}", self.config.address);
        self.close(&reason, refused, CallKind::Disconnected);
    }

    /// The client goes away: open calls end.
    pub fn handle_close(&mut self) {
        self.close("the client is closed", false, CallKind::Closed);
    }

    /// Something's time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let is_stuck = self.unanswered.iter().any(|entry| entry.deadline <= now);
        if is_stuck || self.in_flight.iter().any(|entry| entry.deadline <= now) {
            let negotiating = matches!(self.state, State::ExpectApiVersions(_));
            let what = if negotiating { "its API versions" } else { "a request" };
            let reason =
                format!("{}: no answer to {what} within the time limit", self.config.address);
            return self.close(&reason, false, CallKind::TimedOut(now));
        }
        let mut index = 0;
        while index < self.waiting.len() {
            if self.waiting[index].deadline > now {
                index += 1;
                continue;
            }
            let late = self.waiting.remove(index).expect("the index is within bounds");
            let error = CallError::Timeout { possibly_sent: false };
            self.events.push_back(Event::Answer(late.call, Err(error)));
        }
        self.write_waiting(now);
    }

    /// When [`Connection::handle_timeout`] is due; changes with every call and answer.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let in_flight = self.in_flight.iter().map(|entry| entry.deadline);
        let unanswered = self.unanswered.iter().map(|entry| entry.deadline);
        let waiting = self.waiting.iter().map(|waiting| waiting.deadline);
        // A call that waits for room in flight is written by an answer, not by the clock.
        let has_room = self.in_flight.len() < self.config.in_flight_max;
        let is_held = has_room && matches!(self.state, State::Ready(_)) && !self.waiting.is_empty();
        let release = is_held.then_some(self.throttled_until);
        in_flight.chain(unanswered).chain(waiting).chain(release).min()
    }

    /// The next bytes to write, in order.
    #[must_use]
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.transmits.pop_front()
    }

    /// What happened, in order.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn ask_for_versions(&mut self, negotiation: &Negotiation, now: Instant) {
        let version = negotiation.asked_version();
        let deadline = now + self.config.negotiation_timeout;
        let written = self.write(None, &negotiation.request(), version, deadline);
        written.expect("invariant: ApiVersions has only short strings");
    }

    fn write_waiting(&mut self, now: Instant) {
        while self.in_flight.len() < self.config.in_flight_max && self.throttled_until <= now {
            let State::Ready(versions) = &self.state else { return };
            let Some(waiting) = self.waiting.pop_front() else { return };
            let Waiting { call, mut request, timeout, .. } = waiting;
            let api_key = request.api_key();
            // The version is chosen now, for this connection: a retry may meet another broker
            // version (trap 5).
            let picked = versions.pick(api_key, version_cap(&request));
            let result = match picked {
                Some(version) => {
                    reshape_request(&mut request, version);
                    check_request(&request, version)
                        .and_then(|()| self.write(Some(call), &request, version, now + timeout))
                }
                None => {
                    let offered = versions.offered(api_key);
                    Err(CallError::UnsupportedVersion { api_key, offered })
                }
            };
            if let Err(error) = result {
                self.events.push_back(Event::Answer(call, Err(error)));
            }
        }
    }

    fn write(
        &mut self,
        call: Option<CallId>,
        request: &Request,
        version: i16,
        deadline: Instant,
    ) -> Result<(), CallError> {
        let (api_key, correlation_id) = (request.api_key(), self.correlation_id_next);
        let client_id = self.config.client_id.as_deref();
        let mut out = Encoder::framed();
        encode_request_header(&mut out, api_key, version, correlation_id, client_id)
            .and_then(|()| request.encode(&mut out, version))
            .map_err(|error| CallError::Encode(error.to_string()))?;
        self.correlation_id_next = self.correlation_id_next.wrapping_add(1);
        let starts_at = self.queued_bytes;
        self.queued_bytes += out.len() as u64;
        self.transmits.extend(out.into_chunks());
        let is_answered = !matches!(request, Request::Produce(body) if body.acks == 0);
        if is_answered {
            let entry = InFlight { call, api_key, version, correlation_id, deadline, starts_at };
            self.in_flight.push_back(entry);
        } else if let Some(call) = call {
            let ends_at = self.queued_bytes;
            self.unanswered.push_back(Unanswered { call, version, deadline, starts_at, ends_at });
        }
        Ok(())
    }

    fn on_frame(&mut self, now: Instant, frame: &Bytes) {
        let Some(entry) = self.in_flight.pop_front() else {
            let reason = format!("{}: a response to no request", self.config.address);
            return self.close_broken(&reason);
        };
        let version = match &self.state {
            State::ExpectApiVersions(negotiation) => negotiation.answer_version(frame),
            State::Ready(_) | State::Closed => entry.version,
        };
        match decode(frame, &entry, version) {
            Ok(response) => {
                self.note_throttle(now, &response, version);
                self.on_response(now, &entry, response);
            }
            Err(reason) => {
                let reason = format!("{}: {reason}", self.config.address);
                if let Some(call) = entry.call {
                    let error = CallError::Decode(reason.clone());
                    self.events.push_back(Event::Answer(call, Err(error)));
                }
                self.close_broken(&reason);
            }
        }
    }

    /// Holds back what is not written yet, whatever it is, as Java's client does: the broker does
    /// not read it before that time anyway. Older versions are answered after the delay.
    fn note_throttle(&mut self, now: Instant, response: &Response, version: i16) {
        let since = response.api_key().throttled_after_response_since();
        if since.is_some_and(|since| version >= since) {
            let delay_ms = u64::try_from(response.throttle_time_ms()).unwrap_or(0);
            let until = now + Duration::from_millis(delay_ms);
            self.throttled_until = self.throttled_until.max(until);
        }
    }

    fn on_response(&mut self, now: Instant, entry: &InFlight, mut response: Response) {
        if let Some(call) = entry.call {
            reshape_response(&mut response, entry.version);
            return self.events.push_back(Event::Answer(call, Ok((response, entry.version))));
        }
        let (State::ExpectApiVersions(negotiation), Response::ApiVersions(body)) =
            (&mut self.state, &response)
        else {
            unreachable!("the connection's own requests are negotiation");
        };
        match negotiation.handle_response(body) {
            Step::Done(versions) => {
                self.state = State::Ready(versions);
                self.events.push_back(Event::Ready);
            }
            Step::Again => {
                let negotiation = negotiation.clone();
                self.ask_for_versions(&negotiation, now);
            }
            Step::Failed(reason) => {
                let reason = format!("{}: {reason}", self.config.address);
                self.close_broken(&reason);
            }
        }
    }

    fn close_broken(&mut self, reason: &str) {
        self.close(reason, false, CallKind::Disconnected);
    }

    fn close(&mut self, reason: &str, negotiation_refused: bool, kind: CallKind) {
        if self.is_closed() {
            return;
        }
        self.state = State::Closed;
        let written = self.written_bytes;
        for entry in std::mem::take(&mut self.in_flight) {
            let Some(call) = entry.call else { continue };
            let possibly_sent = written > entry.starts_at;
            let error = kind.error(entry.deadline, possibly_sent, reason);
            self.events.push_back(Event::Answer(call, Err(error)));
        }
        for entry in std::mem::take(&mut self.unanswered) {
            let error = kind.error(entry.deadline, written > entry.starts_at, reason);
            self.events.push_back(Event::Answer(entry.call, Err(error)));
        }
        for waiting in std::mem::take(&mut self.waiting) {
            let error = kind.error(waiting.deadline, false, reason);
            self.events.push_back(Event::Answer(waiting.call, Err(error)));
        }
        self.transmits.clear();
        self.events.push_back(Event::Closed { reason: reason.to_owned(), negotiation_refused });
    }
}

/// Why the connection closes, as its open calls are told.
#[derive(Debug, Clone, Copy)]
enum CallKind {
    Disconnected,
    Closed,
    /// Those whose deadline has come timed out; the others lost their connection.
    TimedOut(Instant),
}

impl CallKind {
    fn error(self, deadline: Instant, possibly_sent: bool, reason: &str) -> CallError {
        match self {
            Self::Closed => CallError::Closed { possibly_sent },
            Self::TimedOut(now) if deadline <= now => CallError::Timeout { possibly_sent },
            Self::TimedOut(_) | Self::Disconnected => {
                CallError::Disconnected { possibly_sent, reason: reason.to_owned() }
            }
        }
    }
}

/// Reads a response; leftover bytes are an error of the body's decoder (trap 14).
fn decode(frame: &Bytes, entry: &InFlight, version: i16) -> Result<Response, String> {
    let (header, offset) =
        decode_response_header(frame, entry.api_key, version).map_err(|error| error.to_string())?;
    if header.correlation_id != entry.correlation_id {
        return Err(format!(
            "correlation id {} in the answer to {} {}: responses come in the order of the requests",
            header.correlation_id,
            entry.api_key.name(),
            entry.correlation_id,
        ));
    }
    Response::decode(entry.api_key, version, frame, offset).map_err(|error| error.to_string())
}
