//! What a test works with: connections, names of its own, and assertions that are counted.

use crate::case::Test;
use crate::findings::{Asserts, Checked, Findings};
use crate::suites::is_passing;
use crate::target::Target;
use crate::verdict::{Stop, Verdict};
use crate::wire::{Answer, NoAnswer, Trace, Wire};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use ottla_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::messages::{ApiKey, CreateTopicsResponse, MetadataResponse, Request, Response};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The last version of Metadata before flexible versions and topic ids.
const LAST_PLAIN_METADATA: i16 = 8;
/// The last version of Produce and of Fetch in which both name topics.
const LAST_BY_NAME: i16 = 12;
/// In ListOffsets: where the next record will be.
const LATEST_TIMESTAMP: i64 = -1;

/// Who leads a topic's partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaders {
    /// Whom the target chooses.
    Any,
    /// One broker leads all of them.
    One,
}

/// The result of a test, and of its steps.
pub type Step<T = ()> = Result<T, Stop>;

/// A running test's hands.
pub struct Context<'a> {
    target: &'a Target,
    prefix: String,
    version: Option<i16>,
    axis: Option<ApiKey>,
    trace: Trace,
    began: Instant,
    connections: usize,
    names: usize,
    /// Metadata is asked in a version without topic ids: the newer ones cannot be read.
    without_ids: bool,
    findings: Findings,
}

impl Asserts for Context<'_> {
    fn findings(&mut self) -> &mut Findings {
        &mut self.findings
    }
}

impl<'a> Context<'a> {
    pub(crate) fn new(target: &'a Target, prefix: String, test: &Test, trace: Trace) -> Self {
        Self {
            target,
            prefix,
            version: test.version,
            axis: test.case.axis.map(|(api, _)| api),
            trace,
            began: Instant::now(),
            connections: 0,
            names: 0,
            without_ids: false,
            findings: Findings::default(),
        }
    }

    /// The target.
    pub fn target(&self) -> &Target {
        self.target
    }

    /// The version under test.
    ///
    /// # Panics
    ///
    /// In a test that has no version axis: a mistake of the suite, reported as such.
    pub fn version(&self) -> i16 {
        self.version.expect("the test has a version axis")
    }

    /// All frames so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// A name that no other test and no other run has.
    pub fn name(&mut self) -> String {
        self.names += 1;
        format!("{}-{}", self.prefix, self.names)
    }

    /// How long an answer may take.
    pub fn patience(&self) -> Duration {
        self.target.patience
    }

    /// When a condition must have come true.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.target.patience * 3
    }

    /// A new connection to where the target was reached.
    ///
    /// # Errors
    ///
    /// BLOCKED.
    pub fn connect(&mut self) -> Step<Wire> {
        self.connect_to(self.target.address)
    }

    /// A new connection to an address.
    ///
    /// # Errors
    ///
    /// BLOCKED.
    pub fn connect_to(&mut self, address: SocketAddr) -> Step<Wire> {
        self.connections += 1;
        let (trace, number) = (self.trace.clone(), self.connections);
        Wire::connect(address, self.target.patience, trace, number, self.began)
            .map_err(|why| Stop::blocked(why.to_string()))
    }

    /// A new connection to whom another one goes to.
    ///
    /// # Errors
    ///
    /// BLOCKED.
    pub fn connect_beside(&mut self, wire: &Wire) -> Step<Wire> {
        let address = wire.address().map_err(|why| Stop::blocked(why.to_string()))?;
        self.connect_to(address)
    }

    /// A new connection after others: FAIL of this statement where it is refused, since the target
    /// was there before it was sent what the statement is about.
    ///
    /// # Errors
    ///
    /// FAIL; BLOCKED where it is the test's first connection.
    pub fn connect_after(&mut self, statement: &'static str) -> Step<Wire> {
        let is_first = self.connections == 0;
        self.connect().map_err(|stop| {
            if is_first {
                return stop;
            }
            self.findings.checked.push(Checked { statement, held: false });
            Stop { verdict: Verdict::Fail, statement: Some(statement), ..stop }
        })
    }

    /// An answer that must come: FAIL of this statement where none does.
    ///
    /// # Errors
    ///
    /// FAIL.
    pub fn answered<T>(&mut self, statement: &'static str, answer: Result<T, NoAnswer>) -> Step<T> {
        answer.map_err(|why| {
            self.findings.checked.push(Checked { statement, held: false });
            let verdict = Verdict::Fail;
            Stop { verdict, statement: Some(statement), message: why.to_string() }
        })
    }

    /// A call in the version under test; FAIL of this statement where no answer of that version
    /// comes.
    ///
    /// # Errors
    ///
    /// FAIL.
    pub fn call<A: Answer>(
        &mut self,
        statement: &'static str,
        wire: &mut Wire,
        request: &Request,
    ) -> Step<A> {
        let version = self.version.unwrap_or_default();
        let answer = wire.call(version, request);
        self.answer(statement, answer)
    }

    /// An answer of this API that must come: FAIL of this statement where none does.
    ///
    /// # Errors
    ///
    /// FAIL.
    pub fn answer<A: Answer>(
        &mut self,
        statement: &'static str,
        answer: Result<Response, NoAnswer>,
    ) -> Step<A> {
        typed(self.answered(statement, answer)?)
    }

    /// The highest version that both sides have.
    ///
    /// # Errors
    ///
    /// UNSUPPORTED where the target does not list the API, or no version that we know.
    pub fn best(&self, api: ApiKey) -> Step<i16> {
        let last = match api {
            ApiKey::Metadata if self.without_ids => LAST_PLAIN_METADATA,
            ApiKey::Produce | ApiKey::Fetch if self.without_ids => LAST_BY_NAME,
            _ => i16::MAX,
        };
        self.target.best(api).map(|best| best.min(last)).ok_or_else(|| {
            let name = api.name();
            Stop::unsupported(match self.target.advertised.get(&api.code()) {
                None => format!("ApiVersions does not list {name}"),
                Some((first, last)) => {
                    format!("ApiVersions lists {name} {first} to {last}, none that is known")
                }
            })
        })
    }

    /// The version under test where that is this API's, else the highest that both sides have.
    ///
    /// # Errors
    ///
    /// As [`best`](Self::best).
    pub fn version_of(&self, api: ApiKey) -> Step<i16> {
        match (self.axis, self.version) {
            (Some(axis), Some(version)) if axis == api => Ok(version),
            _ => self.best(api),
        }
    }

    /// A condition that must come true before a deadline has not yet: FAIL once it is over.
    ///
    /// # Errors
    ///
    /// FAIL.
    pub fn must_before(
        &mut self,
        statement: &'static str,
        deadline: Instant,
        otherwise: impl FnOnce() -> String,
    ) -> Step {
        if Instant::now() < deadline {
            // The target works meanwhile; each try is a round trip, so that this is no busy loop.
            return Ok(());
        }
        self.must(statement, false, otherwise)
    }

    /// A call in the highest common version that a test needs on its way; not what it tests.
    ///
    /// # Errors
    ///
    /// UNSUPPORTED, BLOCKED.
    pub fn prepare<A: Answer>(&mut self, wire: &mut Wire, request: &Request) -> Step<A> {
        let version = self.best(request.api_key())?;
        // It is not what is tested: on a busy machine it may take its time.
        let limit = self.target.patience * 3;
        let mut answer = wire.call_within(version, request, limit);
        let is_newer = request.api_key() == ApiKey::Metadata && version > LAST_PLAIN_METADATA;
        if is_newer && !self.wants_ids() && matches!(answer, Err(NoAnswer::NotAFrame(_))) {
            // Other tests tell that it cannot be read; this one may do without topic ids.
            self.without_ids = true;
            answer = wire.call_within(LAST_PLAIN_METADATA, request, limit);
        }
        typed(answer.map_err(|why| {
            Stop::blocked(format!("{} v{version}: {why}", request.api_key().name()))
        })?)
    }

    /// Whether the version under test names topics by their ids.
    fn wants_ids(&self) -> bool {
        matches!(self.axis, Some(ApiKey::Produce | ApiKey::Fetch))
            && self.version.is_some_and(|version| version > LAST_BY_NAME)
    }

    /// A topic of this many partitions whose leaders are there, and a connection to the leader of
    /// partition 0.
    ///
    /// # Errors
    ///
    /// BLOCKED where it cannot be made.
    pub fn topic(&mut self, partitions: i32) -> Step<(String, Wire)> {
        self.topic_with(partitions, &[])
    }

    /// As [`topic`](Self::topic), with settings.
    ///
    /// # Errors
    ///
    /// BLOCKED where it cannot be made.
    pub fn topic_with(
        &mut self,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Step<(String, Wire)> {
        self.make_topic(partitions, configs, Leaders::Any)
    }

    /// As [`topic_with`](Self::topic_with), of partitions that all have one leader.
    ///
    /// # Errors
    ///
    /// BLOCKED where it cannot be made.
    pub fn topic_of_one_leader(
        &mut self,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Step<(String, Wire)> {
        self.make_topic(partitions, configs, Leaders::One)
    }

    fn make_topic(
        &mut self,
        partitions: i32,
        configs: &[(&str, &str)],
        leaders: Leaders,
    ) -> Step<(String, Wire)> {
        let name = self.name();
        let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
            ..Default::default()
        };
        let mut wire = self.connect()?;
        if self.target.versions_of(ApiKey::CreateTopics).is_none() {
            return self.auto_created(wire, name, partitions, configs.is_empty());
        }
        let assignments = match leaders {
            Leaders::One if partitions > 1 => self.assignments(&mut wire, partitions)?,
            _ => Vec::new(),
        };
        // Where the replicas are given, the numbers are not.
        let is_free = assignments.is_empty();
        let topic = CreatableTopic {
            name: name.clone(),
            num_partitions: if is_free { partitions } else { -1 },
            replication_factor: if is_free { self.target.replication_factor } else { -1 },
            assignments,
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        };
        let patience_ms = self.target.patience.as_millis() as i32;
        let request = CreateTopicsRequest {
            topics: vec![topic],
            timeout_ms: patience_ms,
            ..Default::default()
        };
        let request = Request::CreateTopics(Box::new(request));
        let answer: CreateTopicsResponse = self.prepare(&mut wire, &request)?;
        match answer.topics.first().map(|topic| topic.error_code) {
            Some(0) => {}
            Some(code) => {
                let text = format!("creating a topic: {}", error_name(code));
                return Err(Stop::blocked(text));
            }
            None => return Err(Stop::blocked("CreateTopics answered without the topic")),
        }
        let (leader, _) = self.leader_of(&mut wire, &name, partitions)?;
        self.wait_until_served(leader, &name)?;
        let wire = self.connect_to(leader)?;
        Ok((name, wire))
    }

    /// Replicas for partitions that all have one leader; none where one broker is alone, which
    /// leads them anyway. Which broker it is goes by the version under test.
    fn assignments(
        &mut self,
        wire: &mut Wire,
        partitions: i32,
    ) -> Step<Vec<CreatableReplicaAssignment>> {
        let none = MetadataRequest { topics: Some(Vec::new()), ..Default::default() };
        let none = Request::Metadata(Box::new(none));
        let answer: MetadataResponse = self.prepare(wire, &none)?;
        let mut brokers: Vec<i32> = answer.brokers.iter().map(|broker| broker.node_id).collect();
        if brokers.len() <= 1 {
            return Ok(Vec::new());
        }
        brokers.sort_unstable();
        let first = self.version.unwrap_or_default() as usize % brokers.len();
        brokers.rotate_left(first);
        brokers.truncate(self.target.replication_factor.max(1) as usize);
        let replicas = |partition_index| CreatableReplicaAssignment {
            partition_index,
            broker_ids: brokers.clone(),
            ..Default::default()
        };
        Ok((0..partitions).map(replicas).collect())
    }

    /// A leader may hear of a new topic later than the broker that said who leads it: waits while
    /// it answers that it is not the leader yet. Whatever else it answers is for the test to judge.
    fn wait_until_served(&mut self, leader: SocketAddr, topic: &str) -> Step {
        let Ok(version) = self.best(ApiKey::ListOffsets) else { return Ok(()) };
        let partition = ListOffsetsPartition {
            current_leader_epoch: -1,
            timestamp: LATEST_TIMESTAMP,
            ..Default::default()
        };
        let name = topic.to_owned();
        let topic = ListOffsetsTopic { name, partitions: vec![partition], ..Default::default() };
        let request =
            ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let request = Request::ListOffsets(Box::new(request));
        let (until, limit) = (self.deadline(), self.target.patience / 4);
        let mut wire = self.connect_to(leader)?;
        while Instant::now() < until {
            let Ok(Response::ListOffsets(answer)) = wire.call_within(version, &request, limit)
            else {
                break;
            };
            let first = answer.topics.first().and_then(|topic| topic.partitions.first());
            if !first.is_some_and(|partition| is_passing(partition.error_code)) {
                break;
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// A topic of this many partitions that Metadata creates, for a target without CreateTopics.
    /// A test of one partition looks at the first, and may have more.
    fn auto_created(
        &mut self,
        mut wire: Wire,
        name: String,
        partitions: i32,
        is_plain: bool,
    ) -> Step<(String, Wire)> {
        let lacks = "ApiVersions does not list CreateTopics";
        if !is_plain {
            let text = format!("{lacks}, and the test needs a topic with settings");
            return Err(Stop::unsupported(text));
        }
        let (leader, made) = self.leader_of(&mut wire, &name, partitions).map_err(|stop| {
            let why = stop.message;
            Stop::unsupported(format!("{lacks}, and Metadata does not create the topic: {why}"))
        })?;
        let counts = partitions > 1 || self.axis == Some(ApiKey::Metadata);
        if counts && made != partitions as usize {
            let text = format!("{lacks}, and Metadata creates topics of {made} partitions");
            return Err(Stop::unsupported(text));
        }
        let wire = self.connect_to(leader)?;
        Ok((name, wire))
    }

    /// Waits until all partitions have a leader; where the leader of partition 0 listens, and how
    /// many partitions there are.
    fn leader_of(
        &mut self,
        wire: &mut Wire,
        name: &str,
        partitions: i32,
    ) -> Step<(SocketAddr, usize)> {
        let until = self.deadline();
        loop {
            let topic = MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
            let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
            let request = Request::Metadata(Box::new(request));
            let answer: MetadataResponse = self.prepare(wire, &request)?;
            let topic = answer.topics.first();
            let led = topic.filter(|topic| {
                topic.error_code == 0
                    && topic.partitions.len() >= partitions as usize
                    && topic.partitions.iter().all(|p| p.error_code == 0 && p.leader_id >= 0)
            });
            if let Some(topic) = led {
                let first = topic.partitions.iter().find(|p| p.partition_index == 0);
                let leader = first.map(|partition| partition.leader_id);
                let broker = answer.brokers.iter().find(|b| Some(b.node_id) == leader);
                let broker = broker.ok_or_else(|| Stop::blocked("the leader is no broker"))?;
                let at = resolve(&broker.host, broker.port)?;
                return Ok((at, topic.partitions.len()));
            }
            if Instant::now() >= until {
                return Err(Stop::blocked(format!("topic {name} has no leaders")));
            }
            std::thread::yield_now();
        }
    }
}

/// An answer of the API that was asked; the parser reads no other.
fn typed<A: Answer>(answer: Response) -> Step<A> {
    A::of(answer).ok_or_else(|| Stop::harness("an answer was taken for another API's"))
}

/// Where a broker listens, by what Metadata says.
pub(crate) fn resolve(host: &str, port: i32) -> Step<SocketAddr> {
    use std::net::ToSocketAddrs;
    let port = u16::try_from(port).map_err(|_| Stop::blocked(format!("port {port}")))?;
    let found = (host, port).to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| Stop::blocked(format!("{host}:{port} does not resolve")))
}

/// An error code with its name.
pub fn error_name(code: i16) -> String {
    match ErrorCode::from_code(code) {
        Some(known) => format!("{} ({code})", known.name()),
        None => format!("unknown error {code}"),
    }
}
