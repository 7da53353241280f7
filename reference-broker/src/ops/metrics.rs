//! The metrics: what is counted where it happens, and what is looked up when somebody asks.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::messages::ApiKey;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Registry, Unit};

use super::cluster::Cluster;
use crate::broker::Broker;

/// All names begin with it, but those of the process.
const PREFIX: &str = "ottla_broker";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Api {
    api: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPartition {
    topic: String,
    partition: i32,
}

/// What is counted as it happens. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Requests by API, with how long their answers took; long polls wait as they were asked to.
    requests: Family<Api, Histogram>,
    /// Bytes of requests and of their answers, by API.
    request_bytes: Family<Api, Counter>,
    response_bytes: Family<Api, Counter>,
    received_bytes: Counter,
    sent_bytes: Counter,
    connections: Counter,
    open: Gauge,
    refused: Counter,
    /// Of partitions that this broker leads.
    pub(super) isr_shrinks: Counter,
    pub(super) isr_expands: Counter,
    /// By this broker as the active controller.
    pub(super) leader_elections: Counter,
    pub(super) unclean_leader_elections: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        // 0.25 ms to 16 s.
        let durations: fn() -> Histogram = || Histogram::new(exponential_buckets(0.00025, 4.0, 9));
        Self {
            requests: Family::new_with_constructor(durations),
            request_bytes: Family::default(),
            response_bytes: Family::default(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            connections: Counter::default(),
            open: Gauge::default(),
            refused: Counter::default(),
            isr_shrinks: Counter::default(),
            isr_expands: Counter::default(),
            leader_elections: Counter::default(),
            unclean_leader_elections: Counter::default(),
        }
    }
}

impl Metrics {
    /// A request of so many bytes was served; the time is from its last byte to its answer.
    pub(crate) fn on_request(&self, api: ApiKey, bytes: usize, took: Duration) {
        let label = Api { api: api.name() };
        self.requests.get_or_create(&label).observe(took.as_secs_f64());
        self.request_bytes.get_or_create(&label).inc_by(bytes as u64);
    }

    /// A request has an answer of so many bytes.
    pub(crate) fn on_response(&self, api: ApiKey, bytes: usize) {
        self.response_bytes.get_or_create(&Api { api: api.name() }).inc_by(bytes as u64);
    }

    /// Bytes of a frame came, its length prefix included.
    pub(crate) fn on_received(&self, bytes: usize) {
        self.received_bytes.inc_by(bytes as u64);
    }

    /// A client has taken these bytes of answers.
    pub(crate) fn on_sent(&self, bytes: usize) {
        self.sent_bytes.inc_by(bytes as u64);
    }

    /// A connection was accepted.
    pub(crate) fn on_connection(&self) {
        self.connections.inc();
        self.open.inc();
    }

    /// A connection that was accepted has ended.
    pub(crate) fn on_disconnection(&self) {
        self.open.dec();
    }

    /// A connection was closed for what the client did, or for `max.connections`.
    pub(crate) fn on_refused(&self) {
        self.refused.inc();
    }

    fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "request_duration",
            "From a request's last byte to its answer, by API; long polls included",
            Unit::Seconds,
            self.requests.clone(),
        );
        for (name, help, counter) in [
            ("received", "Bytes of requests", &self.received_bytes),
            ("sent", "Bytes of answers that clients have taken", &self.sent_bytes),
        ] {
            registry.register_with_unit(name, help, Unit::Bytes, counter.clone());
        }
        for (name, help, family) in [
            ("request", "Bytes of requests that were served, by API", &self.request_bytes),
            ("response", "Bytes of their answers, by API", &self.response_bytes),
        ] {
            registry.register_with_unit(name, help, Unit::Bytes, family.clone());
        }
        for (name, help, counter) in [
            ("isr_shrinks", "ISRs led here that lost a member", &self.isr_shrinks),
            ("isr_expands", "ISRs led here that got a member", &self.isr_expands),
            ("leader_elections", "Elections by this active controller", &self.leader_elections),
            (
                "unclean_leader_elections",
                "Those of leaders that may lack acknowledged records",
                &self.unclean_leader_elections,
            ),
            ("connections_accepted", "Connections that clients have made", &self.connections),
            ("connections_refused", "Connections closed for what the client did", &self.refused),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register("connections", "Open connections", self.open.clone());
    }
}

/// All metrics as text; without a broker, those of the process.
pub(super) fn text(broker: Option<&Arc<Broker>>, ready: bool) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Process));
    let ours = registry.sub_registry_with_prefix(PREFIX);
    if let Some(broker) = broker {
        broker.metrics().register(ours);
        ours.register_collector(Box::new(Looked(Arc::clone(broker))));
        ours.register_collector(Box::new(Cluster(Arc::clone(broker))));
    }
    ours.register_collector(Box::new(Ready(ready)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// Writes metrics that were looked up.
pub(super) struct Writer<'a>(pub(super) DescriptorEncoder<'a>);

/// A count as a gauge takes it.
pub(super) fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Writer<'_> {
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: i64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    pub(super) fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: &[(L, i64)],
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(*value).encode(family.encode_family(labels)?)?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Ready(bool);

impl Collector for Ready {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        Writer(encoder).gauge("ready", "1 while a produce would work", i64::from(self.0))
    }
}

/// What the broker knows at this moment.
#[derive(Debug)]
struct Looked(Arc<Broker>);

impl Collector for Looked {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(broker) = self;
        let mut out = Writer(encoder);
        let image = broker.image();
        let counts = broker.partitions().counts();
        out.gauge("topics", "Topics of the cluster", count(image.topics.len()))?;
        out.gauge("partitions", "Partitions that this broker serves", count(counts.served))?;
        out.gauge(
            "offline_replica_count",
            "Replicas of this broker that are not served because their logs are damaged",
            count(counts.offline),
        )?;
        out.gauge(
            "log_dirs_failed",
            "Data folders that failed: nothing is appended to them",
            count(broker.partitions().failed_dirs().len()),
        )?;
        out.gauge(
            "unread_answer_bytes",
            "Bytes of answers that clients have not taken yet",
            count(broker.unread_bytes()),
        )?;
        out.gauge(
            "metadata_applied_index",
            "The last metadata command that this broker has applied",
            i64::try_from(image.applied).unwrap_or(i64::MAX),
        )?;
        out.gauge(
            "active_controller",
            "1 on the node that decides on metadata",
            i64::from(broker.controller_id() == broker.node_id()),
        )?;
        let mut partitions = broker.partitions().all();
        partitions
            .sort_unstable_by_key(|partition| (partition.topic().to_owned(), partition.index()));
        let (mut high_watermarks, mut log_starts) = (Vec::new(), Vec::new());
        for partition in &partitions {
            let labels =
                OfPartition { topic: partition.topic().to_owned(), partition: partition.index() };
            high_watermarks.push((labels.clone(), partition.high_watermark()));
            log_starts.push((labels, partition.log_start_offset()));
        }
        out.gauges("high_watermark", "Records below it are committed", &high_watermarks)?;
        out.gauges("log_start_offset", "The first offset that can be read", &log_starts)
    }
}

/// What Prometheus' own clients tell of a process, under their names.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Writer(encoder);
        if let Some(bytes) = resident_bytes() {
            out.gauge("process_resident_memory_bytes", "Resident memory", bytes)?;
        }
        if let Some(open) = open_files() {
            out.gauge("process_open_fds", "Open file descriptors", open)?;
        }
        if let Some(seconds) = cpu_seconds() {
            let counter = ConstCounter::new(seconds);
            let help = "User and system time";
            let kind = ConstCounter::<f64>::TYPE;
            let place = out.0.encode_descriptor("process_cpu_seconds", help, None, kind)?;
            counter.encode(place)?;
        }
        Ok(())
    }
}

/// Linux only, like the next one.
fn resident_bytes() -> Option<i64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * i64::try_from(rustix::param::page_size()).ok()?)
}

fn open_files() -> Option<i64> {
    // The folder itself is open while it is read.
    i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok().map(|count| count - 1)
}

fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name before it may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let (user, system) = (ticks()?, ticks()?);
    Some((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
}
