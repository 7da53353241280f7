//! A consumer's configuration.

use super::{Consumer, RebalanceEvent, TopicPartition, driver};
use crate::network::{Network, NetworkConfig};
use crate::settings::{Settings, settings_methods};
use ottla_engine::config::{Config, ConsumerConfig};
use ottla_engine::error::{Error, ErrorKind};
use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

/// What is told of every change of the assignment.
pub(super) type Listener = Box<dyn Fn(&RebalanceEvent) + Send + Sync>;

/// Configures a [`Consumer`]: settings, and either topics of a group or partitions.
#[derive(Default)]
#[must_use]
pub struct ConsumerBuilder {
    settings: Settings,
    topics: Vec<Arc<str>>,
    partitions: Vec<TopicPartition>,
    listener: Option<Listener>,
}

impl fmt::Debug for ConsumerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerBuilder")
            .field("settings", &self.settings)
            .field("topics", &self.topics)
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}

impl ConsumerBuilder {
    settings_methods!();

    /// The group: its members share the topics' partitions, its offsets are kept by the cluster.
    pub fn group_id(self, id: impl Display) -> Self {
        self.with("group.id", id)
    }

    /// Makes the member static: it may be away for a session without a rebalance (KIP-345).
    pub fn group_instance_id(self, id: impl Display) -> Self {
        self.with("group.instance.id", id)
    }

    /// Subscribes to topics, as a member of the group.
    pub fn topics(mut self, topics: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Self {
        self.topics = topics.into_iter().map(Into::into).collect();
        self
    }

    /// Takes exactly these partitions; a group then only keeps the offsets.
    pub fn assign(
        mut self,
        partitions: impl IntoIterator<Item = impl Into<TopicPartition>>,
    ) -> Self {
        self.partitions = partitions.into_iter().map(Into::into).collect();
        self
    }

    /// Where to start without a committed offset: `earliest`, `latest`, `none` (an error) or
    /// `by_duration:PT1H`.
    pub fn auto_offset_reset(self, policy: impl Display) -> Self {
        self.with("auto.offset.reset", policy)
    }

    /// `read_uncommitted` or `read_committed`.
    pub fn isolation_level(self, level: impl Display) -> Self {
        self.with("isolation.level", level)
    }

    /// Whether finished batches are committed by themselves.
    pub fn enable_auto_commit(self, enable: bool) -> Self {
        self.with("enable.auto.commit", enable)
    }

    /// How often finished batches are committed by themselves.
    pub fn auto_commit_interval(self, interval: Duration) -> Self {
        self.with("auto.commit.interval.ms", interval.as_millis())
    }

    /// How the group's partitions are shared: `range`, `roundrobin`, `sticky`,
    /// `cooperative-sticky`; several separated by commas, the preferred one first.
    pub fn partition_assignment_strategy(self, strategies: impl Display) -> Self {
        self.with("partition.assignment.strategy", strategies)
    }

    /// How long the group waits for a sign of life.
    pub fn session_timeout(self, timeout: Duration) -> Self {
        self.with("session.timeout.ms", timeout.as_millis())
    }

    /// How long the user may take from one batch to the next before the member is taken for stuck.
    pub fn max_poll_interval(self, interval: Duration) -> Self {
        self.with("max.poll.interval.ms", interval.as_millis())
    }

    /// Is called with every change of the assignment, on the consumer's own task: it must not
    /// block, nor call the consumer.
    pub fn on_rebalance(
        mut self,
        listener: impl Fn(&RebalanceEvent) + Send + Sync + 'static,
    ) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Connects to one of the bootstrap servers and starts: joining, fetching ahead.
    ///
    /// # Errors
    ///
    /// A setting that is missing or refused; topics without a group; no server that could be
    /// reached.
    pub async fn build(self) -> Result<Consumer, Error> {
        let config = self.settings.finish()?.consumer()?;
        check(&config, &self.topics, &self.partitions)?;
        let mut network_config = NetworkConfig::new(&config.common);
        network_config.allow_auto_create = config.allow_auto_create_topics;
        let network = Network::connect(network_config).await?;
        let shared = driver::start(network, config, self.listener);
        if self.topics.is_empty() {
            shared.with_machine(|machine, now| machine.assign(now, self.partitions));
        } else {
            shared.with_machine(|machine, now| machine.subscribe(now, self.topics));
        }
        Ok(Consumer::new(shared))
    }
}

fn check(
    config: &ConsumerConfig,
    topics: &[Arc<str>],
    partitions: &[TopicPartition],
) -> Result<(), Error> {
    let problem = if !topics.is_empty() && !partitions.is_empty() {
        "topics and partitions exclude each other: give topics(..) or assign(..)"
    } else if !topics.is_empty() && config.group_id.is_none() {
        "topics are shared in a group: set group.id, or give partitions with assign(..)"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Config, problem))
}
