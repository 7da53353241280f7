//! The driver against brokers that follow a script, over real sockets.

use super::{Endpoint, Network, NetworkConfig, lock};
use ottla_engine::call::{CallError, Purpose, Target};
use ottla_engine::error::ErrorKind;
use ottla_protocol::Encoder;
use ottla_protocol::header::{decode_request_header, encode_response_header};
use ottla_protocol::messages::api_versions::ApiVersion;
use ottla_protocol::messages::find_coordinator::Coordinator;
use ottla_protocol::messages::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::{
    ApiKey, ApiVersionsResponse, FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse,
    MetadataRequest, MetadataResponse, Request, Response,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

const SECOND: Duration = Duration::from_secs(1);

/// What a script answers a request with.
enum Action {
    Answer(Response),
    /// Answers when the broker's gate is opened.
    AnswerLater(Response),
    Silence,
    Close,
}

/// Connection number, version and request.
type Script = dyn Fn(usize, i16, &Request) -> Option<Action> + Send + Sync;

/// A broker that follows a script and falls back to what a sound broker of one node would say.
struct FakeBroker {
    port: u16,
    connections: AtomicUsize,
    gate: Notify,
    /// Connection and API of each request.
    log: Mutex<Vec<(usize, ApiKey)>>,
    script: Box<Script>,
}

impl FakeBroker {
    async fn start(
        script: impl Fn(usize, i16, &Request) -> Option<Action> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let broker = Arc::new(Self {
            port: listener.local_addr().expect("a bound socket").port(),
            connections: AtomicUsize::new(0),
            gate: Notify::new(),
            log: Mutex::default(),
            script: Box::new(script),
        });
        let accepting = broker.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = accepting.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(accepting.clone().serve(number, stream));
            }
        });
        broker
    }

    /// One request after the other, as a real broker.
    async fn serve(self: Arc<Self>, number: usize, mut stream: TcpStream) {
        while let Ok(len) = stream.read_i32().await {
            let mut frame = vec![0; len as usize];
            if stream.read_exact(&mut frame).await.is_err() {
                return;
            }
            let frame = bytes::Bytes::from(frame);
            let (api, header, offset) = decode_request_header(&frame).expect("a sound header");
            let version = header.request_api_version;
            let request = Request::decode(api, version, &frame, offset).expect("a sound body");
            self.log.lock().unwrap().push((number, api));
            let scripted = (self.script)(number, version, &request);
            let response = match scripted.unwrap_or_else(|| self.usual(&request)) {
                Action::Close => return,
                Action::Silence => continue,
                Action::Answer(response) => response,
                Action::AnswerLater(response) => {
                    self.gate.notified().await;
                    response
                }
            };
            let mut out = Encoder::framed();
            encode_response_header(&mut out, api, version, header.correlation_id);
            response.encode(&mut out, version).expect("the response can be encoded");
            let sent = stream.write_all(&out.into_chunks().concat()).await;
            if sent.is_err() {
                return;
            }
        }
    }

    fn usual(&self, request: &Request) -> Action {
        Action::Answer(match request {
            Request::ApiVersions(_) => all_versions(),
            Request::Metadata(body) => self.metadata(body),
            Request::FindCoordinator(_) => {
                let coordinator = Coordinator {
                    node_id: 1,
                    host: "127.0.0.1".into(),
                    port: self.port.into(),
                    ..Default::default()
                };
                let coordinators = vec![coordinator];
                let body = FindCoordinatorResponse { coordinators, ..Default::default() };
                Response::FindCoordinator(Box::new(body))
            }
            Request::Heartbeat(body) => alive(body.generation_id),
            other => panic!("the script says nothing of {:?}", other.api_key()),
        })
    }

    fn metadata(&self, body: &MetadataRequest) -> Response {
        let topic = |topic: &ottla_protocol::messages::metadata::MetadataRequestTopic| {
            MetadataResponseTopic {
                name: topic.name.clone(),
                partitions: vec![MetadataResponsePartition { leader_id: 1, ..Default::default() }],
                ..Default::default()
            }
        };
        let broker = MetadataResponseBroker {
            node_id: 1,
            host: "127.0.0.1".into(),
            port: self.port.into(),
            ..Default::default()
        };
        Response::Metadata(Box::new(MetadataResponse {
            brokers: vec![broker],
            controller_id: 1,
            topics: body.topics.iter().flatten().map(topic).collect(),
            ..Default::default()
        }))
    }

    fn count(&self, api: ApiKey) -> usize {
        self.log.lock().unwrap().iter().filter(|(_, logged)| *logged == api).count()
    }

    /// The connections on which an API was asked.
    fn connections_of(&self, api: ApiKey) -> Vec<usize> {
        let log = self.log.lock().unwrap();
        log.iter().filter(|(_, logged)| *logged == api).map(|(number, _)| *number).collect()
    }

    async fn wait_for(&self, api: ApiKey, count: usize) {
        let seen = async {
            while self.count(api) < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(10 * SECOND, seen).await.expect("the broker is asked in time");
    }
}

fn all_versions() -> Response {
    let api = |api: ApiKey| ApiVersion {
        api_key: api.code(),
        min_version: *api.valid_versions().start(),
        max_version: *api.valid_versions().end(),
        ..Default::default()
    };
    let keys = [
        ApiKey::ApiVersions,
        ApiKey::Metadata,
        ApiKey::FindCoordinator,
        ApiKey::Heartbeat,
        ApiKey::JoinGroup,
    ];
    let body = ApiVersionsResponse { api_keys: keys.map(api).into(), ..Default::default() };
    Response::ApiVersions(Box::new(body))
}

/// The error code echoes the generation, so that an answer can be told from another's.
fn alive(generation_id: i32) -> Response {
    let body = HeartbeatResponse { error_code: generation_id as i16, ..Default::default() };
    Response::Heartbeat(Box::new(body))
}

fn heartbeat(generation_id: i32) -> Request {
    let body = HeartbeatRequest { group_id: "g".into(), generation_id, ..Default::default() };
    Request::Heartbeat(Box::new(body))
}

fn generation(response: &Response) -> i16 {
    let Response::Heartbeat(body) = response else { panic!("{response:?}") };
    body.error_code
}

fn config(ports: &[u16]) -> NetworkConfig {
    let ms = Duration::from_millis;
    NetworkConfig {
        bootstrap: ports.iter().map(|port| ("127.0.0.1".to_owned(), *port)).collect(),
        reconnect_backoff: (ms(1), ms(10)),
        retry_backoff: (ms(1), ms(10)),
        ..NetworkConfig::default()
    }
}

async fn connect(broker: &FakeBroker) -> Network {
    Network::connect(config(&[broker.port])).await.expect("the broker is there")
}

/// A port on which nobody listens.
async fn dead_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("a bound socket").port()
}

/// Trap 1: a broker answers one request of a connection after the other, so a long poll would hold
/// up everything else.
#[tokio::test]
async fn a_held_coordinator_request_does_not_hold_up_other_purposes() {
    let broker = FakeBroker::start(|_, _, request| match request {
        Request::Heartbeat(body) if body.generation_id == 1 => Some(Action::AnswerLater(alive(1))),
        _ => None,
    })
    .await;
    let network = connect(&broker).await;
    let held = network.clone();
    let held = tokio::spawn(async move {
        held.call(Target::Node(1), Purpose::Coordinator, heartbeat(1), 30 * SECOND).await
    });
    broker.wait_for(ApiKey::Heartbeat, 1).await;
    for purpose in [Purpose::Produce, Purpose::Fetch, Purpose::General] {
        let call = network.call(Target::Node(1), purpose, heartbeat(2), 30 * SECOND);
        let answer = tokio::time::timeout(10 * SECOND, call).await.expect("answered meanwhile");
        assert_eq!(generation(&answer.expect("an answer").0), 2);
    }
    let mut used = broker.connections_of(ApiKey::Heartbeat);
    used.sort_unstable();
    used.dedup();
    assert_eq!(used.len(), 4, "each purpose has a connection of its own");
    broker.gate.notify_one();
    assert_eq!(generation(&held.await.unwrap().expect("an answer").0), 1);
}

/// Trap 4: whoever waits for an answer may go away; the stream stays in step.
#[tokio::test]
async fn a_dropped_call_does_not_shift_the_answers_of_others() {
    let broker = FakeBroker::start(|_, _, request| match request {
        Request::Heartbeat(body) if body.generation_id == 1 => Some(Action::AnswerLater(alive(1))),
        _ => None,
    })
    .await;
    let network = connect(&broker).await;
    let dropped = {
        let network = network.clone();
        tokio::spawn(async move {
            network.call(Target::Node(1), Purpose::General, heartbeat(1), 30 * SECOND).await
        })
    };
    broker.wait_for(ApiKey::Heartbeat, 1).await;
    dropped.abort();
    assert!(dropped.await.is_err_and(|error| error.is_cancelled()));
    let next = network.call(Target::Node(1), Purpose::General, heartbeat(2), 30 * SECOND);
    let opened = async {
        broker.gate.notify_one();
        next.await
    };
    let (answer, _) = opened.await.expect("an answer");
    assert_eq!(generation(&answer), 2);
    let used = broker.connections_of(ApiKey::Heartbeat);
    assert_eq!(used[0], used[1], "on the same connection");
}

/// Trap 4: nobody knows where the stream stands after a missing answer.
#[tokio::test]
async fn a_missing_answer_closes_the_connection_and_the_next_call_makes_another() {
    let broker = FakeBroker::start(|_, _, request| match request {
        Request::Heartbeat(body) if body.generation_id == 1 => Some(Action::Silence),
        _ => None,
    })
    .await;
    let network = connect(&broker).await;
    let limit = Duration::from_millis(50);
    let late = network.call(Target::Node(1), Purpose::General, heartbeat(1), limit).await;
    assert_eq!(late.unwrap_err(), CallError::Timeout { possibly_sent: true });
    let next = network.call(Target::Node(1), Purpose::General, heartbeat(2), 10 * SECOND).await;
    assert_eq!(generation(&next.expect("an answer").0), 2);
    let used = broker.connections_of(ApiKey::Heartbeat);
    assert_ne!(used[0], used[1]);
}

/// KIP-219, with the real clock: only the connection that was told waits.
#[tokio::test]
async fn a_throttled_connection_waits_and_others_do_not() {
    let throttled = HeartbeatResponse { throttle_time_ms: 1000, ..Default::default() };
    let broker = FakeBroker::start(move |_, _, request| match request {
        Request::Heartbeat(body) if body.generation_id == 1 => {
            Some(Action::Answer(Response::Heartbeat(Box::new(throttled.clone()))))
        }
        _ => None,
    })
    .await;
    let network = connect(&broker).await;
    let call = |purpose, id| network.call(Target::Node(1), purpose, heartbeat(id), 30 * SECOND);
    let started = std::time::Instant::now();
    call(Purpose::General, 1).await.expect("an answer");
    let (held, free) = (call(Purpose::General, 2), call(Purpose::Produce, 3));
    tokio::join!(async { held.await.expect("an answer") }, async { free.await.expect("one too") });
    assert!(started.elapsed() >= SECOND, "asked after {:?}", started.elapsed());
    let used = broker.connections_of(ApiKey::Heartbeat);
    assert_eq!((used[0], used.len()), (used[2], 3), "the other connection was first");
}

#[tokio::test]
async fn a_broker_that_hangs_up_on_a_new_version_of_the_question_is_asked_in_the_oldest() {
    let versions = Arc::new(Mutex::new(Vec::new()));
    let seen = versions.clone();
    let broker = FakeBroker::start(move |_, version, request| match request {
        Request::ApiVersions(_) => {
            seen.lock().unwrap().push(version);
            (version > 0).then_some(Action::Close)
        }
        _ => None,
    })
    .await;
    let network = connect(&broker).await;
    let call = network.call(Target::Any, Purpose::General, heartbeat(3), 10 * SECOND).await;
    assert_eq!(generation(&call.expect("an answer").0), 3);
    assert_eq!(versions.lock().unwrap()[..2], [4, 0]);
}

#[tokio::test]
async fn unreachable_bootstrap_servers_are_named_with_what_to_do() {
    let (first, second) = (dead_port().await, dead_port().await);
    let error = Network::connect(config(&[first, second])).await.expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let text = error.to_string();
    assert!(text.contains(&format!("127.0.0.1:{first}")), "{text}");
    assert!(text.contains(&format!("127.0.0.1:{second}")), "{text}");
    assert!(text.contains("refused") && text.contains("check that bootstrap.servers"), "{text}");
}

#[tokio::test]
async fn a_bootstrap_server_that_is_down_is_passed_over() {
    let broker = FakeBroker::start(|_, _, _| None).await;
    for seed in 0..2 {
        let ports = [dead_port().await, broker.port];
        let network = Network::connect(NetworkConfig { seed, ..config(&ports) }).await;
        let network = network.expect("the second server answers");
        assert_eq!(network.metadata().brokers().len(), 1);
    }
}

#[tokio::test]
async fn a_topic_that_is_wanted_is_in_the_next_metadata() {
    let broker = FakeBroker::start(|_, _, _| None).await;
    let network = connect(&broker).await;
    let version = network.metadata().version();
    network.want_topics(&["t".into()]);
    let newer = network.metadata_newer_than(version);
    let metadata = tokio::time::timeout(10 * SECOND, newer).await.expect("it is asked for");
    assert_eq!(metadata.partition("t", 0).and_then(|partition| partition.leader), Some(1));
}

/// A broker whose process is stopped takes requests, and answers none of them: whoever else is
/// there is asked before `request.timeout.ms` has passed.
#[tokio::test]
async fn a_silent_broker_does_not_keep_metadata_and_coordinators_from_a_client() {
    let stopped = FakeBroker::start(|number, _, request| {
        // Its first answer is the one that the client begins with.
        let asks = matches!(request, Request::Metadata(_) | Request::FindCoordinator(_));
        (number > 0 && asks).then_some(Action::Silence)
    })
    .await;
    let alive = FakeBroker::start(|_, _, _| None).await;
    let network = Network::connect(config(&[stopped.port, alive.port])).await.expect("both serve");
    let call = network.call(Target::Group("g".into()), Purpose::Coordinator, heartbeat(5), SECOND);
    let answer = tokio::time::timeout(10 * SECOND, call).await.expect("a coordinator");
    assert_eq!(generation(&answer.expect("an answer").0), 5);
    let version = network.metadata().version();
    network.want_topics(&["t".into()]);
    let newer = tokio::time::timeout(10 * SECOND, network.metadata_newer_than(version)).await;
    assert!(newer.is_ok_and(|metadata| metadata.topic("t").is_some()), "metadata");
    for api in [ApiKey::FindCoordinator, ApiKey::Metadata] {
        assert!(stopped.connections_of(api).iter().any(|number| *number > 0), "{api:?}");
    }
}

/// A leader that is cut off from the other brokers takes itself for the leader: who got no answer
/// from it asks somebody else who leads, and nobody asks the same one all the time.
#[tokio::test]
async fn any_broker_is_another_one_each_time_and_not_one_in_trouble() {
    let ports = Arc::new(OnceLock::<[u16; 2]>::new());
    let start = |silent_at: i32| {
        let known = ports.clone();
        FakeBroker::start(move |_, _, request| match request {
            Request::Heartbeat(body) if body.generation_id == silent_at => Some(Action::Silence),
            Request::Metadata(_) => {
                let broker = |(node_id, port): (i32, &u16)| MetadataResponseBroker {
                    node_id,
                    host: "127.0.0.1".into(),
                    port: (*port).into(),
                    ..Default::default()
                };
                let ports = known.get().expect("both have been started");
                let brokers = (1..).zip(ports).map(broker).collect();
                let answer = MetadataResponse { brokers, ..Default::default() };
                Some(Action::Answer(Response::Metadata(Box::new(answer))))
            }
            _ => None,
        })
    };
    let (cut_off, other) = (start(9).await, start(-1).await);
    ports.set([cut_off.port, other.port]).expect("it is set once");
    let config = NetworkConfig {
        retry_backoff: (Duration::from_millis(1), 60 * SECOND),
        ..config(&[cut_off.port])
    };
    let network = Network::connect(config).await.expect("the broker is there");
    let asked = || [cut_off.count(ApiKey::Heartbeat), other.count(ApiKey::Heartbeat)];
    for target in [Target::Node(1), Target::Node(2)] {
        network.call(target, Purpose::Produce, heartbeat(1), 10 * SECOND).await.expect("an answer");
    }
    let any = || network.call(Target::Any, Purpose::General, heartbeat(2), 10 * SECOND);
    for _ in 0..4 {
        any().await.expect("an answer");
    }
    assert_eq!(asked(), [3, 3], "in turn");
    let limit = Duration::from_millis(50);
    let late = network.call(Target::Node(1), Purpose::Produce, heartbeat(9), limit).await;
    assert_eq!(late.unwrap_err(), CallError::Timeout { possibly_sent: true });
    for _ in 0..4 {
        any().await.expect("an answer");
    }
    assert_eq!(asked(), [4, 7], "not the one that was silent");
}

#[tokio::test]
async fn a_coordinator_is_asked_for_once_until_it_is_invalidated() {
    let broker = FakeBroker::start(|_, _, _| None).await;
    let network = connect(&broker).await;
    let target = || Target::Group("g".into());
    for _ in 0..3 {
        let call = network.call(target(), Purpose::Coordinator, heartbeat(5), 10 * SECOND);
        assert_eq!(generation(&call.await.expect("an answer").0), 5);
    }
    assert_eq!(broker.count(ApiKey::FindCoordinator), 1);
    network.invalidate_coordinator("g");
    let call = network.call(target(), Purpose::Coordinator, heartbeat(6), 10 * SECOND);
    assert_eq!(generation(&call.await.expect("an answer").0), 6);
    assert_eq!(broker.count(ApiKey::FindCoordinator), 2);
}

/// Trap 15: metadata that names no broker is no metadata.
#[tokio::test]
async fn an_empty_list_of_brokers_does_not_replace_what_is_known() {
    let broker = FakeBroker::start(|_, _, request| match request {
        Request::Metadata(body) if body.topics.as_ref().is_some_and(|list| !list.is_empty()) => {
            Some(Action::Answer(Response::Metadata(Box::default())))
        }
        _ => None,
    })
    .await;
    let network = connect(&broker).await;
    network.want_topics(&["t".into()]);
    broker.wait_for(ApiKey::Metadata, 3).await;
    assert_eq!(network.metadata().brokers().len(), 1);
}

/// KIP-1102: a broker that knows nothing any more sends the client back to where it began.
#[tokio::test]
async fn rebootstrap_required_leads_back_to_the_bootstrap_servers() {
    let broker = FakeBroker::start(|number, _, request| match request {
        Request::Metadata(_) if number == 1 => {
            let error_code = ottla_protocol::ErrorCode::RebootstrapRequired.code();
            let answer = MetadataResponse { error_code, ..Default::default() };
            Some(Action::Answer(Response::Metadata(Box::new(answer))))
        }
        _ => None,
    })
    .await;
    let network = connect(&broker).await;
    let version = network.metadata().version();
    network.want_topics(&["t".into()]);
    let newer = tokio::time::timeout(10 * SECOND, network.metadata_newer_than(version)).await;
    assert!(newer.is_ok_and(|metadata| metadata.topic("t").is_some()));
}

/// A produce request that its broker answers is not lost because the broker has left the metadata
/// in the meantime, as after a rebootstrap.
#[tokio::test]
async fn a_broker_that_leaves_the_metadata_answers_what_it_was_sent() {
    let has_left = Arc::new(AtomicUsize::new(0));
    let left = has_left.clone();
    let broker = FakeBroker::start(move |_, _, request| match request {
        Request::Heartbeat(_) => Some(Action::AnswerLater(alive(1))),
        Request::Metadata(_) if left.load(Ordering::SeqCst) == 1 => {
            let other = MetadataResponseBroker { node_id: 2, port: 1, ..Default::default() };
            let answer = MetadataResponse { brokers: vec![other], ..Default::default() };
            Some(Action::Answer(Response::Metadata(Box::new(answer))))
        }
        _ => None,
    })
    .await;
    let network = connect(&broker).await;
    let caller = network.clone();
    let open = tokio::spawn(async move {
        caller.call(Target::Node(1), Purpose::Produce, heartbeat(1), 60 * SECOND).await
    });
    broker.wait_for(ApiKey::Heartbeat, 1).await;
    has_left.store(1, Ordering::SeqCst);
    let version = network.metadata().version();
    network.request_metadata_refresh();
    let newer = tokio::time::timeout(10 * SECOND, network.metadata_newer_than(version)).await;
    assert!(newer.expect("the metadata is refreshed").broker(1).is_none());
    let (gone, kept) = (Endpoint::Node(1), || {
        lock(&network.inner.connections).keys().copied().collect::<Vec<_>>()
    });
    let pruned = async {
        while kept().iter().any(|(endpoint, _)| *endpoint == gone) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(10 * SECOND, pruned).await.expect("its connections are given up");
    broker.gate.notify_one();
    let answer = tokio::time::timeout(10 * SECOND, open).await.expect("answered in time").unwrap();
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
async fn closing_answers_open_calls() {
    let broker = FakeBroker::start(|_, _, request| {
        matches!(request, Request::Heartbeat(_)).then_some(Action::Silence)
    })
    .await;
    let network = connect(&broker).await;
    let open = network.clone();
    let open = tokio::spawn(async move {
        open.call(Target::Node(1), Purpose::General, heartbeat(1), 60 * SECOND).await
    });
    broker.wait_for(ApiKey::Heartbeat, 1).await;
    network.close();
    let answer = tokio::time::timeout(10 * SECOND, open).await.expect("answered at once").unwrap();
    assert_eq!(answer.unwrap_err(), CallError::Closed { possibly_sent: true });
}
