//! Metrics of replication and of the metadata, looked up when somebody asks: Kafka's names, in
//! snake case.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};

use super::metrics::{Writer, count};
use crate::broker::Broker;
use crate::partition::Partition;
use crate::quorum::{Image, PartitionImage, TopicImage};

/// What this broker knows of the cluster and of what it leads.
#[derive(Debug)]
pub(super) struct Cluster(pub(super) Arc<Broker>);

/// A follower of a partition that is led here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReplica {
    topic: String,
    partition: i32,
    replica: i32,
}

/// What is counted of partitions.
#[derive(Debug, Default)]
struct Counts {
    all: usize,
    offline: usize,
    not_preferred: usize,
    reassigning: usize,
    led: usize,
    under_replicated: usize,
    under_min_isr: usize,
    at_min_isr: usize,
}

impl Counts {
    fn of(image: &Image, broker: &Broker) -> Self {
        let mut counts = Self::default();
        for topic in image.topics.values() {
            for (index, partition) in (0..).zip(&topic.partitions) {
                counts.add(partition);
                if partition.leader == broker.node_id() {
                    counts.add_led(topic, index, partition, broker);
                }
            }
        }
        counts
    }

    fn add(&mut self, partition: &PartitionImage) {
        self.all += 1;
        self.offline += usize::from(partition.leader == -1);
        self.not_preferred += usize::from(partition.replicas.first() != Some(&partition.leader));
        let moves = !partition.adding.is_empty() || !partition.removing.is_empty();
        self.reassigning += usize::from(moves);
    }

    fn add_led(&mut self, topic: &TopicImage, index: i32, of: &PartitionImage, broker: &Broker) {
        self.led += 1;
        // Replicas that are being added are not missed yet.
        let wanted = of.replicas.len() - of.adding.len();
        self.under_replicated += usize::from(of.isr.len() < wanted);
        let Ok(partition) = broker.partitions().get(topic.id, index) else { return };
        let min = usize::try_from(partition.config().min_insync_replicas).unwrap_or(1);
        let min = min.min(of.replicas.len());
        self.under_min_isr += usize::from(of.isr.len() < min);
        self.at_min_isr += usize::from(of.isr.len() == min);
    }
}

impl Collector for Cluster {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(broker) = self;
        let mut out = Writer(encoder);
        let image = broker.image();
        let counts = Counts::of(&image, broker);
        let brokers = |fenced: bool| image.brokers.values().filter(move |it| it.fenced == fenced);
        for (name, help, value) in [
            ("leader_count", "Partitions that this broker leads", counts.led),
            (
                "under_replicated_partitions",
                "Partitions led here whose ISR lacks a replica",
                counts.under_replicated,
            ),
            (
                "under_min_isr_partition_count",
                "Partitions led here that take no acks=all: the ISR is below min.insync.replicas",
                counts.under_min_isr,
            ),
            (
                "at_min_isr_partition_count",
                "Partitions led here that take no acks=all when one more replica is lost",
                counts.at_min_isr,
            ),
            ("global_partition_count", "Partitions of the cluster", counts.all),
            (
                "offline_partitions_count",
                "Partitions of the cluster without a leader",
                counts.offline,
            ),
            (
                "preferred_replica_imbalance_count",
                "Partitions of the cluster that another than their preferred replica leads",
                counts.not_preferred,
            ),
            (
                "reassigning_partitions",
                "Partitions of the cluster that are being reassigned",
                counts.reassigning,
            ),
            ("active_broker_count", "Brokers that are not fenced", brokers(false).count()),
            (
                "fenced_broker_count",
                "Brokers that are registered and fenced",
                brokers(true).count(),
            ),
        ] {
            out.gauge(name, help, count(value))?;
        }
        let own = image.brokers.get(&broker.node_id());
        let fenced = own.is_none_or(|own| own.fenced);
        out.gauge("fenced", "1 while this broker may lead nothing", i64::from(fenced))?;
        quorum(broker, &mut out)?;
        lags(broker, &mut out)
    }
}

/// The metadata's log, where it is one of several nodes'.
fn quorum(broker: &Broker, out: &mut Writer<'_>) -> fmt::Result {
    let Some(quorum) = broker.quorum() else { return Ok(()) };
    let status = quorum.raft().status();
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let leader = status.leader.as_ref().map_or(-1, |leader| i64::from(leader.id));
    let voters = count(status.voters.len());
    for (name, help, value) in [
        ("raft_current_leader", "Who leads the metadata quorum, -1 for nobody known", leader),
        ("raft_current_epoch", "The metadata quorum's term", number(status.term)),
        (
            "raft_log_end_offset",
            "The last index of the metadata log here",
            number(status.last_index),
        ),
        (
            "raft_high_watermark",
            "The last index that is known to be committed",
            number(status.applied),
        ),
        ("raft_voters", "Voters of the metadata quorum", voters),
    ] {
        out.gauge(name, help, value)?;
    }
    Ok(())
}

/// How far the followers of what is led here are behind.
fn lags(broker: &Broker, out: &mut Writer<'_>) -> fmt::Result {
    let mut lags = Vec::new();
    let mut partitions: Vec<Arc<Partition>> = broker.partitions().all();
    partitions.sort_unstable_by_key(|it| (it.topic().to_owned(), it.index()));
    for partition in partitions {
        for (replica, lag) in partition.follower_lags() {
            let (topic, partition) = (partition.topic().to_owned(), partition.index());
            lags.push((OfReplica { topic, partition, replica }, lag));
        }
    }
    out.gauges(
        "replica_lag",
        "Records that a follower has not fetched yet, as its leader knows",
        &lags,
    )
}
