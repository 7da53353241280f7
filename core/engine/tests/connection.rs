//! The connection's state machine against scripted brokers, byte by byte.

use bytes::{Bytes, BytesMut};
use ottla_engine::call::{CallError, CallId};
use ottla_engine::connection::{Connection, ConnectionConfig, Event};
use ottla_engine::time::Instant;
use ottla_protocol::frame::FrameDecoder;
use ottla_protocol::header::{decode_request_header, encode_response_header};
use ottla_protocol::messages::api_versions::ApiVersion;
use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{
    ApiKey, ApiVersionsResponse, FindCoordinatorRequest, HeartbeatRequest, HeartbeatResponse,
    OffsetFetchRequest, ProduceRequest, Request, Response,
};
use ottla_protocol::{Encoder, Uuid};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A request as the broker reads it.
#[derive(Debug)]
struct Received {
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    request: Request,
}

/// The broker's end of a connection.
struct Broker {
    frames: FrameDecoder,
}

impl Broker {
    fn new() -> Self {
        Self { frames: FrameDecoder::new(1 << 20) }
    }

    /// Reads what the connection wrote, and tells it that it was written.
    fn read(&mut self, connection: &mut Connection) -> Vec<Received> {
        while let Some(bytes) = connection.poll_transmit() {
            self.frames.buffer().extend_from_slice(&bytes);
            connection.handle_written(bytes.len());
        }
        let mut received = Vec::new();
        while let Some(frame) = self.frames.next_frame().expect("a sound frame") {
            let (api, header, offset) = decode_request_header(&frame).expect("a sound header");
            let version = header.request_api_version;
            let request = Request::decode(api, version, &frame, offset).expect("a sound body");
            let correlation_id = header.correlation_id;
            received.push(Received { api, version, correlation_id, request });
        }
        received
    }
}

fn frame(api: ApiKey, version: i16, correlation_id: i32, response: &Response) -> Bytes {
    let mut out = Encoder::framed();
    encode_response_header(&mut out, api, version, correlation_id);
    response.encode(&mut out, version).expect("the response can be encoded");
    Bytes::from(out.into_chunks().concat())
}

fn receive(connection: &mut Connection, bytes: &[u8], now: Instant) {
    connection.receive_buffer().extend_from_slice(bytes);
    connection.handle_received(now);
}

fn events(connection: &mut Connection) -> Vec<Event> {
    std::iter::from_fn(|| connection.poll_event()).collect()
}

fn offer(ranges: &[(ApiKey, i16, i16)]) -> Response {
    let api = |&(api, min_version, max_version): &(ApiKey, i16, i16)| ApiVersion {
        api_key: api.code(),
        min_version,
        max_version,
        ..Default::default()
    };
    let api_keys = ranges.iter().map(api).collect();
    Response::ApiVersions(Box::new(ApiVersionsResponse { api_keys, ..Default::default() }))
}

fn config() -> ConnectionConfig {
    ConnectionConfig { address: "h:9092".into(), in_flight_max: 3, ..Default::default() }
}

/// A connection to a broker that offers these.
fn ready(ranges: &[(ApiKey, i16, i16)]) -> (Connection, Broker) {
    let mut connection = Connection::new(config(), Instant::ZERO);
    let mut broker = Broker::new();
    let asked = broker.read(&mut connection).remove(0);
    let answer = frame(ApiKey::ApiVersions, asked.version, asked.correlation_id, &offer(ranges));
    receive(&mut connection, &answer, Instant::ZERO);
    assert!(matches!(events(&mut connection)[..], [Event::Ready]));
    (connection, broker)
}

fn heartbeat() -> Request {
    let body = HeartbeatRequest { group_id: "g".into(), ..Default::default() };
    Request::Heartbeat(Box::new(body))
}

fn alive(generation_seen: i16) -> Response {
    let body = HeartbeatResponse { error_code: generation_seen, ..Default::default() };
    Response::Heartbeat(Box::new(body))
}

fn heartbeats() -> (Connection, Broker) {
    ready(&[(ApiKey::Heartbeat, 0, 4)])
}

#[test]
fn versions_are_asked_for_in_our_newest_version() {
    let mut connection = Connection::new(config(), Instant::ZERO);
    let asked = Broker::new().read(&mut connection).remove(0);
    assert_eq!((asked.api, asked.version), (ApiKey::ApiVersions, 4));
    let Request::ApiVersions(body) = asked.request else { panic!("not ApiVersions") };
    assert_eq!(body.client_software_name, "ottla");
    assert!(!body.client_software_version.is_empty());
}

#[test]
fn a_refused_version_is_asked_again_on_the_same_connection() {
    let mut connection = Connection::new(config(), Instant::ZERO);
    let mut broker = Broker::new();
    let first = broker.read(&mut connection).remove(0);
    // Error 35 is written in version 0, whatever was asked.
    let refusal = ApiVersionsResponse {
        error_code: 35,
        api_keys: vec![ApiVersion {
            api_key: ApiKey::ApiVersions.code(),
            max_version: 2,
            ..Default::default()
        }],
        ..Default::default()
    };
    let refusal = Response::ApiVersions(Box::new(refusal));
    let bytes = frame(ApiKey::ApiVersions, 0, first.correlation_id, &refusal);
    receive(&mut connection, &bytes, Instant::ZERO);
    let second = broker.read(&mut connection).remove(0);
    assert_eq!(second.version, 2);
    let ranges = offer(&[(ApiKey::Heartbeat, 0, 1)]);
    let bytes = frame(ApiKey::ApiVersions, 2, second.correlation_id, &ranges);
    receive(&mut connection, &bytes, Instant::ZERO);
    assert!(matches!(events(&mut connection)[..], [Event::Ready]));
}

#[test]
fn a_broker_that_refuses_without_a_range_is_asked_in_version_0_and_no_further() {
    let mut connection = Connection::new(config(), Instant::ZERO);
    let mut broker = Broker::new();
    let refusal = ApiVersionsResponse { error_code: 35, ..Default::default() };
    let refusal = Response::ApiVersions(Box::new(refusal));
    for version in [4, 0] {
        let asked = broker.read(&mut connection).remove(0);
        assert_eq!(asked.version, version);
        let bytes = frame(ApiKey::ApiVersions, 0, asked.correlation_id, &refusal);
        receive(&mut connection, &bytes, Instant::ZERO);
    }
    let events = events(&mut connection);
    let [Event::Closed { reason, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(reason.contains("refuses ApiVersions v0"), "{reason}");
}

#[test]
fn a_broker_that_closes_on_the_question_is_asked_in_version_0_next_time() {
    let mut connection = Connection::new(config(), Instant::ZERO);
    connection.handle_disconnected("closed by the broker");
    let [Event::Closed { negotiation_refused: true, .. }] = events(&mut connection)[..] else {
        panic!("the refusal is reported")
    };
    let again = ConnectionConfig { api_versions_start: 0, ..config() };
    let mut connection = Connection::new(again, Instant::ZERO);
    assert_eq!(Broker::new().read(&mut connection).remove(0).version, 0);
    connection.handle_disconnected("closed by the broker");
    assert!(matches!(
        events(&mut connection)[..],
        [Event::Closed { negotiation_refused: false, .. }]
    ));
}

/// Trap 15: error 0 and nothing offered.
#[test]
fn an_empty_list_of_versions_is_no_success() {
    let mut connection = Connection::new(config(), Instant::ZERO);
    let asked = Broker::new().read(&mut connection).remove(0);
    let bytes = frame(ApiKey::ApiVersions, asked.version, asked.correlation_id, &offer(&[]));
    receive(&mut connection, &bytes, Instant::ZERO);
    assert!(connection.is_closed());
}

#[test]
fn answers_come_out_however_their_bytes_are_cut() {
    for step in [1, 2, 3, 5, 7, 1000] {
        let (mut connection, mut broker) = heartbeats();
        for id in 0..3 {
            connection.handle_call(Instant::ZERO, CallId(id), heartbeat(), SECOND);
        }
        let asked = broker.read(&mut connection);
        let mut stream = BytesMut::new();
        for (index, received) in asked.iter().enumerate() {
            let answer = alive(index as i16);
            let (version, id) = (received.version, received.correlation_id);
            stream.extend_from_slice(&frame(ApiKey::Heartbeat, version, id, &answer));
        }
        for piece in stream.chunks(step) {
            receive(&mut connection, piece, Instant::ZERO);
        }
        let answered: Vec<_> = events(&mut connection)
            .into_iter()
            .map(|event| match event {
                Event::Answer(CallId(id), Ok((Response::Heartbeat(body), 4))) => {
                    (id, body.error_code)
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(answered, [(0, 0), (1, 1), (2, 2)], "in pieces of {step}");
        assert!(connection.is_idle());
    }
}

#[test]
fn no_more_than_the_limit_is_on_the_way_and_the_rest_follows_the_answers() {
    let (mut connection, mut broker) = heartbeats();
    for id in 0..5 {
        connection.handle_call(Instant::ZERO, CallId(id), heartbeat(), SECOND);
    }
    let asked = broker.read(&mut connection);
    assert_eq!(asked.len(), 3);
    let id = asked[0].correlation_id;
    receive(&mut connection, &frame(ApiKey::Heartbeat, 4, id, &alive(0)), Instant::ZERO);
    assert_eq!(broker.read(&mut connection).len(), 1);
}

#[test]
fn an_answer_out_of_order_ends_the_connection() {
    let (mut connection, mut broker) = heartbeats();
    connection.handle_call(Instant::ZERO, CallId(1), heartbeat(), SECOND);
    connection.handle_call(Instant::ZERO, CallId(2), heartbeat(), SECOND);
    let asked = broker.read(&mut connection);
    let second = asked[1].correlation_id;
    receive(&mut connection, &frame(ApiKey::Heartbeat, 4, second, &alive(0)), Instant::ZERO);
    let events = events(&mut connection);
    let [
        Event::Answer(CallId(1), Err(CallError::Decode(reason))),
        Event::Answer(CallId(2), Err(CallError::Disconnected { possibly_sent: true, .. })),
        Event::Closed { .. },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert!(reason.contains("correlation id"), "{reason}");
}

#[test]
fn an_answer_to_nothing_ends_the_connection() {
    let (mut connection, _) = heartbeats();
    receive(&mut connection, &frame(ApiKey::Heartbeat, 4, 7, &alive(0)), Instant::ZERO);
    assert!(connection.is_closed());
}

/// Trap 14: bytes that no field wants mean that the two sides read different messages.
#[test]
fn bytes_left_over_after_an_answer_end_the_connection() {
    let (mut connection, mut broker) = heartbeats();
    connection.handle_call(Instant::ZERO, CallId(1), heartbeat(), SECOND);
    let asked = broker.read(&mut connection).remove(0);
    let mut bytes = frame(ApiKey::Heartbeat, 4, asked.correlation_id, &alive(0)).to_vec();
    bytes.push(0);
    let len = (bytes.len() - 4) as u32;
    bytes[..4].copy_from_slice(&len.to_be_bytes());
    receive(&mut connection, &bytes, Instant::ZERO);
    let events = events(&mut connection);
    assert!(matches!(
        &events[..],
        [Event::Answer(CallId(1), Err(CallError::Decode(_))), Event::Closed { .. }]
    ));
}

/// Trap 4: after a missing answer nobody knows what the next bytes are.
#[test]
fn a_late_answer_closes_the_connection_and_tells_the_others() {
    let (mut connection, mut broker) = heartbeats();
    connection.handle_call(Instant::ZERO, CallId(1), heartbeat(), SECOND);
    connection.handle_call(Instant::ZERO, CallId(2), heartbeat(), 2 * SECOND);
    broker.read(&mut connection);
    assert_eq!(connection.poll_timeout(), Some(Instant::ZERO + SECOND));
    connection.handle_timeout(Instant::ZERO + SECOND);
    assert!(connection.is_closed());
    let events = events(&mut connection);
    assert!(
        matches!(
            &events[..],
            [
                Event::Answer(CallId(1), Err(CallError::Timeout { possibly_sent: true })),
                Event::Answer(CallId(2), Err(CallError::Disconnected { possibly_sent: true, .. })),
                Event::Closed { .. }
            ]
        ),
        "{events:?}"
    );
    connection.handle_call(Instant::ZERO, CallId(3), heartbeat(), SECOND);
    let error = connection.poll_event();
    assert!(matches!(error, Some(Event::Answer(_, Err(CallError::Closed { .. })))));
}

#[test]
fn a_request_of_which_no_byte_was_written_was_not_sent() {
    let (mut connection, _) = heartbeats();
    for id in 0..4 {
        connection.handle_call(Instant::ZERO, CallId(id), heartbeat(), SECOND);
    }
    let first = connection.poll_transmit().expect("the first request");
    connection.handle_written(first.len());
    let second = connection.poll_transmit().expect("the second request");
    connection.handle_written(second.len() - 1);
    connection.handle_disconnected("connection reset");
    let sent: Vec<_> = events(&mut connection)
        .into_iter()
        .filter_map(|event| match event {
            Event::Answer(_, Err(error)) => Some(error.possibly_sent()),
            _ => None,
        })
        .collect();
    assert_eq!(sent, [true, true, false, false]);
}

#[test]
fn a_call_that_waits_too_long_for_its_turn_fails_alone() {
    let (mut connection, _) = heartbeats();
    for id in 0..3 {
        connection.handle_call(Instant::ZERO, CallId(id), heartbeat(), 3 * SECOND);
    }
    connection.handle_call(Instant::ZERO, CallId(9), heartbeat(), SECOND);
    connection.handle_timeout(Instant::ZERO + SECOND);
    let events = events(&mut connection);
    assert!(matches!(
        events[..],
        [Event::Answer(CallId(9), Err(CallError::Timeout { possibly_sent: false }))]
    ));
    assert!(!connection.is_closed());
}

fn throttled(throttle_time_ms: i32) -> Response {
    Response::Heartbeat(Box::new(HeartbeatResponse { throttle_time_ms, ..Default::default() }))
}

/// KIP-219: the broker answers at once and reads nothing more until the time is over.
#[test]
fn a_client_over_its_quota_holds_back_what_is_not_written_yet() {
    let (mut connection, mut broker) = heartbeats();
    let at = |ms| Instant::ZERO + Duration::from_millis(ms);
    connection.handle_call(at(0), CallId(1), heartbeat(), SECOND);
    connection.handle_call(at(0), CallId(2), heartbeat(), SECOND);
    let asked = broker.read(&mut connection);
    let first = frame(ApiKey::Heartbeat, 4, asked[0].correlation_id, &throttled(500));
    receive(&mut connection, &first, at(100));
    connection.handle_call(at(150), CallId(3), heartbeat(), SECOND);
    connection.handle_call(at(150), CallId(4), heartbeat(), Duration::from_millis(200));
    assert!(broker.read(&mut connection).is_empty(), "held back");
    // What is on the way is answered; a shorter delay in it does not shorten the first.
    let second = frame(ApiKey::Heartbeat, 4, asked[1].correlation_id, &throttled(10));
    receive(&mut connection, &second, at(200));
    let answered = events(&mut connection);
    assert!(matches!(
        answered[..],
        [Event::Answer(CallId(1), Ok(_)), Event::Answer(CallId(2), Ok(_))]
    ));
    // Whoever cannot wait as long was not sent.
    assert_eq!(connection.poll_timeout(), Some(at(350)));
    connection.handle_timeout(at(350));
    let late = events(&mut connection);
    let [Event::Answer(CallId(4), Err(CallError::Timeout { possibly_sent: false }))] = late[..]
    else {
        panic!("{late:?}")
    };
    assert_eq!(connection.poll_timeout(), Some(at(600)));
    connection.handle_timeout(at(599));
    assert!(broker.read(&mut connection).is_empty(), "still held back");
    connection.handle_timeout(at(600));
    assert_eq!(broker.read(&mut connection).len(), 1);
    // The answer has its whole time from here on.
    assert_eq!(connection.poll_timeout(), Some(at(1600)));
}

#[test]
fn an_answer_that_came_after_its_delay_holds_nothing_back() {
    let (mut connection, mut broker) = ready(&[(ApiKey::Heartbeat, 0, 1)]);
    connection.handle_call(Instant::ZERO, CallId(1), heartbeat(), SECOND);
    let asked = broker.read(&mut connection).remove(0);
    let answer = frame(ApiKey::Heartbeat, 1, asked.correlation_id, &throttled(500));
    receive(&mut connection, &answer, Instant::ZERO);
    connection.handle_call(Instant::ZERO, CallId(2), heartbeat(), SECOND);
    assert_eq!(broker.read(&mut connection).len(), 1);
}

#[test]
fn a_client_that_is_held_back_closes_at_once() {
    let (mut connection, mut broker) = heartbeats();
    connection.handle_call(Instant::ZERO, CallId(1), heartbeat(), SECOND);
    let asked = broker.read(&mut connection).remove(0);
    let answer = frame(ApiKey::Heartbeat, 4, asked.correlation_id, &throttled(60_000));
    receive(&mut connection, &answer, Instant::ZERO);
    connection.handle_call(Instant::ZERO, CallId(2), heartbeat(), 100 * SECOND);
    connection.handle_close();
    let events = events(&mut connection);
    assert!(
        matches!(
            events[..],
            [
                Event::Answer(CallId(1), Ok(_)),
                Event::Answer(CallId(2), Err(CallError::Closed { possibly_sent: false })),
                Event::Closed { .. }
            ]
        ),
        "{events:?}"
    );
}

fn produce(acks: i16, topic_id: Uuid) -> Request {
    let partition =
        PartitionProduceData { records: Some(Bytes::from_static(b"batch")), ..Default::default() };
    let topic = TopicProduceData {
        name: "t".into(),
        topic_id,
        partition_data: vec![partition],
        ..Default::default()
    };
    Request::Produce(Box::new(ProduceRequest {
        acks,
        topic_data: vec![topic],
        ..Default::default()
    }))
}

#[test]
fn an_unacknowledged_produce_ends_when_its_last_byte_is_written() {
    let (mut connection, _) = ready(&[(ApiKey::Produce, 0, 9)]);
    connection.handle_call(Instant::ZERO, CallId(1), produce(0, Uuid::ZERO), SECOND);
    let bytes = connection.poll_transmit().expect("the request");
    connection.handle_written(bytes.len() - 1);
    assert!(connection.poll_event().is_none());
    connection.handle_written(1);
    assert!(matches!(connection.poll_event(), Some(Event::Answer(CallId(1), Ok(_)))));
    assert!(connection.is_idle());
}

#[test]
fn an_unacknowledged_produce_that_cannot_be_written_ends_in_time() {
    let (mut connection, _) = ready(&[(ApiKey::Produce, 0, 9)]);
    connection.handle_call(Instant::ZERO, CallId(1), produce(0, Uuid::ZERO), SECOND);
    assert_eq!(connection.poll_timeout(), Some(Instant::ZERO + SECOND));
    connection.handle_timeout(Instant::ZERO + SECOND);
    assert!(matches!(
        connection.poll_event(),
        Some(Event::Answer(CallId(1), Err(CallError::Timeout { possibly_sent: false })))
    ));
    assert!(connection.is_closed());
}

/// Traps 5 and 13: the version follows from the connection and from what the request can say.
#[test]
fn a_topic_without_an_id_is_named_in_a_version_that_has_names() {
    let (mut connection, mut broker) = ready(&[(ApiKey::Produce, 0, 13)]);
    connection.handle_call(Instant::ZERO, CallId(1), produce(-1, Uuid::ZERO), SECOND);
    connection.handle_call(Instant::ZERO, CallId(2), produce(-1, Uuid([7; 16])), SECOND);
    let asked = broker.read(&mut connection);
    let topic = |received: &Received| match &received.request {
        Request::Produce(body) => (body.topic_data[0].name.clone(), body.topic_data[0].topic_id),
        other => panic!("{other:?}"),
    };
    assert_eq!((asked[0].version, topic(&asked[0])), (12, ("t".into(), Uuid::ZERO)));
    assert_eq!((asked[1].version, topic(&asked[1])), (13, (String::new(), Uuid([7; 16]))));
}

#[test]
fn a_broker_without_a_common_version_is_told_nothing() {
    let (mut connection, mut broker) = ready(&[(ApiKey::Produce, 0, 2)]);
    connection.handle_call(Instant::ZERO, CallId(1), produce(-1, Uuid::ZERO), SECOND);
    connection.handle_call(Instant::ZERO, CallId(2), heartbeat(), SECOND);
    assert!(broker.read(&mut connection).is_empty());
    let events = events(&mut connection);
    let [Event::Answer(_, Err(old)), Event::Answer(_, Err(none))] = &events[..] else {
        panic!("{events:?}")
    };
    assert!(old.to_string().contains("Produce in versions 0 to 2"), "{old}");
    assert!(none.to_string().contains("does not know Heartbeat"), "{none}");
}

/// The same calls, written in the shape of each version.
#[test]
fn requests_take_the_shape_of_the_connections_version() {
    for (max, shape) in [(3, "key g"), (6, "keys [\"g\"]")] {
        let (mut connection, mut broker) = ready(&[(ApiKey::FindCoordinator, 0, max)]);
        let body = FindCoordinatorRequest {
            key: "g".into(),
            coordinator_keys: vec!["g".into()],
            ..Default::default()
        };
        let request = Request::FindCoordinator(Box::new(body));
        connection.handle_call(Instant::ZERO, CallId(1), request, SECOND);
        let asked = broker.read(&mut connection).remove(0);
        let Request::FindCoordinator(body) = asked.request else { panic!("{asked:?}") };
        let found = match body.key.as_str() {
            "" => format!("keys {:?}", body.coordinator_keys),
            key => format!("key {key}"),
        };
        assert_eq!((asked.version, found.as_str()), (max, shape));
    }
    for (max, in_groups) in [(5, false), (9, true)] {
        let (mut connection, mut broker) = ready(&[(ApiKey::OffsetFetch, 1, max)]);
        let body =
            OffsetFetchRequest { group_id: "g".into(), require_stable: true, ..Default::default() };
        let request = Request::OffsetFetch(Box::new(body));
        connection.handle_call(Instant::ZERO, CallId(1), request, SECOND);
        let asked = broker.read(&mut connection).remove(0);
        let Request::OffsetFetch(body) = asked.request else { panic!("{asked:?}") };
        assert_eq!((asked.version, body.group_id == "g"), (max, !in_groups));
        assert_eq!(body.groups.first().is_some_and(|group| group.group_id == "g"), in_groups);
    }
}

#[test]
fn a_frame_that_is_too_large_ends_the_connection_before_it_is_read() {
    let (mut connection, _) = heartbeats();
    connection.handle_call(Instant::ZERO, CallId(1), heartbeat(), SECOND);
    receive(&mut connection, &i32::MAX.to_be_bytes(), Instant::ZERO);
    assert!(connection.is_closed());
    let (mut connection, _) = heartbeats();
    receive(&mut connection, b"HTTP/1.1 400 Bad Request\r\n", Instant::ZERO);
    let events = events(&mut connection);
    let [Event::Closed { reason, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(reason.contains("HTTP"), "{reason}");
}
