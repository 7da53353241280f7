//! The admin client: topics, partitions, configurations, groups, offsets.
//!
//! What to ask and what answers mean is decided in [`ottla_engine::admin`]; here is only the loop
//! that sends, waits and tries again, until `default.api.timeout.ms` has passed.

mod builder;

pub use builder::AdminBuilder;

use crate::network::Network;
use ottla_engine::admin::{
    AlterConfigs, ClusterDescription, CommittedOffset, CommittedOffsets, ConfigChange, ConfigEntry,
    ConfigResource, CreatePartitions, CreateTopics, CreatedTopic, DeleteGroups, DeleteTopics,
    DescribeCluster, DescribeConfigs, DescribeGroups, DescribeTopics, GroupDescription,
    GroupListing, ListGroups, ListOffsets, ListTopics, ListedOffset, NewTopic, OffsetSpec,
    Operation, Outcomes, Partition, TopicListing,
};
use ottla_engine::call::{CallError, Purpose, Target};
use ottla_engine::cluster::{Backoff, Seed, TopicMetadata};
use ottla_engine::config::{AdminConfig, IsolationLevel};
use ottla_engine::error::{Error, ErrorKind};
use ottla_engine::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;

/// Creates, describes, changes and deletes what a cluster holds.
///
/// Operations over several items yield an outcome for each: one item's failure leaves the others as
/// they are. Every operation tries again while its failure may pass (`default.api.timeout.ms`, 60
/// s); dropping its future abandons the answer, not what the broker was already asked. Cheap to
/// share by reference; the connections close when it is dropped.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// # let folder = tempfile::tempdir()?;
/// # let config = ottla_broker::Config::dev().set("listeners", "PLAINTEXT://127.0.0.1:0")?;
/// # let config = config.set("log.dirs", folder.path().to_str().ok_or("a plain path")?)?;
/// # let broker = ottla_broker::Broker::start(config).await?;
/// # let address = broker.addr();
/// use ottla::{Admin, NewTopic};
///
/// let admin = Admin::builder().bootstrap_servers(address).build().await?;
/// admin.create_topic(NewTopic::new("orders", 6, 1).config("retention.ms", 3_600_000)).await?;
/// assert!(admin.list_topics().await?.iter().any(|topic| topic.name == "orders"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Admin {
    network: Network,
    config: AdminConfig,
}

impl Admin {
    /// The same questions over a consumer's connections.
    pub(crate) fn over(network: Network, config: AdminConfig) -> Self {
        Self { network, config }
    }

    /// Starts a configuration.
    pub fn builder() -> AdminBuilder {
        AdminBuilder::default()
    }

    /// Creates topics and waits until the broker says that they exist.
    ///
    /// # Errors
    ///
    /// For all: no broker could be reached. For each: it exists already, its name or a
    /// configuration is not valid, or there are fewer brokers than replicas.
    pub async fn create_topics(
        &self,
        topics: impl IntoIterator<Item = NewTopic>,
    ) -> Result<Outcomes<String, CreatedTopic>, Error> {
        self.run(CreateTopics::new(topics, self.broker_timeout(), false)).await
    }

    /// Creates one topic.
    ///
    /// # Errors
    ///
    /// As [`Admin::create_topics`].
    pub async fn create_topic(&self, topic: NewTopic) -> Result<CreatedTopic, Error> {
        only(self.create_topics([topic]).await?)
    }

    /// Says what [`Admin::create_topics`] would, and creates nothing.
    ///
    /// # Errors
    ///
    /// As [`Admin::create_topics`].
    pub async fn validate_topics(
        &self,
        topics: impl IntoIterator<Item = NewTopic>,
    ) -> Result<Outcomes<String, CreatedTopic>, Error> {
        self.run(CreateTopics::new(topics, self.broker_timeout(), true)).await
    }

    /// Deletes topics with all their records.
    ///
    /// # Errors
    ///
    /// For all: no broker could be reached. For each: it does not exist.
    pub async fn delete_topics(
        &self,
        topics: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Outcomes<String, ()>, Error> {
        let topics = topics.into_iter().map(Into::into);
        self.run(DeleteTopics::new(topics, self.broker_timeout())).await
    }

    /// Raises the number of partitions of topics to the given totals. Keys may go to other
    /// partitions afterwards.
    ///
    /// # Errors
    ///
    /// For all: no broker could be reached. For each: it does not exist, or has as many partitions
    /// already.
    pub async fn create_partitions(
        &self,
        topics: impl IntoIterator<Item = (impl Into<String>, i32)>,
    ) -> Result<Outcomes<String, ()>, Error> {
        let topics = topics.into_iter().map(|(topic, count)| (topic.into(), count));
        self.run(CreatePartitions::new(topics, self.broker_timeout(), false)).await
    }

    /// All topics, by name.
    ///
    /// # Errors
    ///
    /// When no broker could be reached.
    pub async fn list_topics(&self) -> Result<Vec<TopicListing>, Error> {
        self.run(ListTopics::default()).await
    }

    /// Partitions of topics, with leaders, replicas and in-sync replicas. Never creates a topic.
    ///
    /// # Errors
    ///
    /// For all: no broker could be reached. For each: it does not exist.
    pub async fn describe_topics(
        &self,
        topics: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Outcomes<String, TopicMetadata>, Error> {
        self.run(DescribeTopics::new(topics.into_iter().map(Into::into))).await
    }

    /// All configuration values of topics or brokers.
    ///
    /// # Errors
    ///
    /// For all: no broker could be reached. For each: there is no such topic or broker.
    pub async fn describe_configs(
        &self,
        resources: impl IntoIterator<Item = ConfigResource>,
    ) -> Result<Outcomes<ConfigResource, Vec<ConfigEntry>>, Error> {
        self.run(DescribeConfigs::new(resources)).await
    }

    /// Changes configuration values; those that are not named stay as they are.
    ///
    /// # Errors
    ///
    /// For all: no broker could be reached. For each: there is no such topic or broker, or a value
    /// is not valid (then nothing of that resource is changed).
    pub async fn alter_configs(
        &self,
        changes: impl IntoIterator<Item = (ConfigResource, Vec<ConfigChange>)>,
    ) -> Result<Outcomes<ConfigResource, ()>, Error> {
        self.run(AlterConfigs::new(changes, false)).await
    }

    /// The cluster's id, controller and brokers.
    ///
    /// # Errors
    ///
    /// When no broker could be reached, or the brokers are older than 2.8.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, Error> {
        self.run(DescribeCluster::default()).await
    }

    /// The groups of all brokers, by id.
    ///
    /// # Errors
    ///
    /// When a broker could not be reached.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>, Error> {
        self.run(ListGroups::default()).await
    }

    /// State, members and assignments of groups.
    ///
    /// # Errors
    ///
    /// For all: no broker could be reached. For each: there is no such group (from version 6 of the
    /// API on; older brokers describe it as `Dead`).
    pub async fn describe_groups(
        &self,
        groups: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Outcomes<String, GroupDescription>, Error> {
        self.run(DescribeGroups::new(groups.into_iter().map(Into::into))).await
    }

    /// Deletes groups that have no members, with their committed offsets.
    ///
    /// # Errors
    ///
    /// For all: no broker could be reached. For each: there is no such group, or it has members.
    pub async fn delete_groups(
        &self,
        groups: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Outcomes<String, ()>, Error> {
        self.run(DeleteGroups::new(groups.into_iter().map(Into::into))).await
    }

    /// Offsets of partitions: the first, the next, or by timestamp; as a reader of uncommitted
    /// records sees them.
    ///
    /// # Errors
    ///
    /// For all: no broker could be reached. For each: there is no such partition, or no leader in
    /// time.
    pub async fn list_offsets(
        &self,
        partitions: impl IntoIterator<Item = (Partition, OffsetSpec)>,
    ) -> Result<Outcomes<Partition, ListedOffset>, Error> {
        let isolation = IsolationLevel::ReadUncommitted;
        let timeout_ms = i32::try_from(self.broker_timeout().as_millis()).unwrap_or(i32::MAX);
        let operation = ListOffsets::new(partitions, isolation, timeout_ms);
        self.network.want_topics(&operation.topics());
        self.run(operation).await
    }

    /// What a group has committed; empty for a group that does not exist.
    ///
    /// # Errors
    ///
    /// When the group's coordinator could not be reached.
    pub async fn list_consumer_group_offsets(
        &self,
        group: &str,
    ) -> Result<BTreeMap<Partition, CommittedOffset>, Error> {
        self.run(CommittedOffsets::new(group)).await
    }

    /// Closes the connections. Operations under way fail with [`ErrorKind::Closed`].
    #[allow(
        clippy::unused_async,
        reason = "closing may have to wait one day; callers await it now"
    )]
    pub async fn close(&self) {
        self.network.close();
    }

    fn broker_timeout(&self) -> Duration {
        self.config.common.request_timeout
    }

    /// Sends, waits and tries again until the operation is settled or its time is up.
    pub(crate) async fn run<O: Operation>(&self, mut operation: O) -> Result<O::Answer, Error> {
        let deadline = self.network.now() + self.config.default_api_timeout;
        let common = &self.config.common;
        let seed = Seed::new(self.network.now().as_nanos());
        let mut backoff = Backoff::new(common.retry_backoff, common.retry_backoff_max, seed);
        loop {
            let failure = self.attempt(&mut operation, deadline).await?;
            if let Some(answer) = operation.answer() {
                return Ok(answer);
            }
            self.forget_open_coordinators(&mut operation);
            let delay = backoff.next_delay();
            if self.network.now() + delay >= deadline {
                let why = failure.unwrap_or_else(|| timed_out(operation.what(), &self.config));
                return operation.give_up(why);
            }
            let seen = self.network.metadata().version();
            self.network.request_metadata_refresh();
            // Fresh metadata may come sooner than the backoff ends; a broker is not asked before
            // either.
            let refreshed = self.network.metadata_newer_than(seen);
            let _ = tokio::time::timeout(delay, refreshed).await;
            tokio::time::sleep(delay.min(common.retry_backoff)).await;
        }
    }

    /// One round of requests. `Ok(Some)` is a failure that may pass.
    async fn attempt<O: Operation>(
        &self,
        operation: &mut O,
        deadline: Instant,
    ) -> Result<Option<Error>, Error> {
        let left = deadline.saturating_since(self.network.now());
        let timeout = self.config.common.request_timeout.min(left);
        let mut calls = JoinSet::new();
        for (target, request) in operation.requests(&self.network.metadata()) {
            let network = self.network.clone();
            calls.spawn(async move {
                let call = network.call(target.clone(), Purpose::General, request, timeout);
                (call.await, target)
            });
        }
        let mut failure = None;
        while let Some(joined) = calls.join_next().await {
            let (result, target) = joined.map_err(|_| closed(operation.what()))?;
            match result {
                Ok((response, _)) => operation.read(&target, response)?,
                Err(error) if error.is_retriable() => {
                    failure = Some(self.call_failed(operation.what(), &target, &error));
                }
                Err(error) => return Err(self.call_failed(operation.what(), &target, &error)),
            }
        }
        Ok(failure)
    }

    /// A group whose item is still open was answered by a broker that is not its coordinator, or
    /// not yet.
    fn forget_open_coordinators<O: Operation>(&self, operation: &mut O) {
        for (target, _) in operation.requests(&self.network.metadata()) {
            if let Target::Group(group) = target {
                self.network.invalidate_coordinator(&group);
            }
        }
    }

    fn call_failed(&self, what: &str, target: &Target, error: &CallError) -> Error {
        if let Target::Group(group) = target {
            self.network.invalidate_coordinator(group);
        }
        let servers = self.config.common.bootstrap_servers.join(", ");
        Error::from_call(error, format!("cannot {what} (bootstrap.servers {servers})"))
    }
}

fn closed(what: &str) -> Error {
    Error::new(ErrorKind::Closed, format!("cannot {what}: the client's runtime was shut down"))
}

fn timed_out(what: &str, config: &AdminConfig) -> Error {
    let seconds = config.default_api_timeout.as_secs_f64();
    let message = format!(
        "cannot {what} within {seconds} s (default.api.timeout.ms): leaders or coordinators did \
         not settle; check the brokers"
    );
    Error::new(ErrorKind::Timeout, message)
}

/// The outcome of the only item.
fn only<T>(outcomes: Outcomes<String, T>) -> Result<T, Error> {
    let (_, outcome) = outcomes.into_iter().next().expect("one item went in");
    outcome
}
