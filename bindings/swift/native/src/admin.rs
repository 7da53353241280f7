//! The admin client.

use crate::failure::{FailureDetails, NativeError};
use crate::settings::{NamedSetting, config};
use crate::types::*;
use crate::wait::{CancelToken, Home};
use ottla::Outcomes;
use ottla_bindings::{Class, Failure};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Creates, describes, changes and deletes what a cluster holds.
#[derive(Debug, uniffi::Object)]
pub struct NativeAdmin {
    /// Nothing once it was closed.
    core: Mutex<Option<Arc<ottla::Admin>>>,
    home: Home,
}

/// Why items failed, by name. Those that are not here succeeded.
pub type Failures = HashMap<String, FailureDetails>;

/// What became of topics that were to be created.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct CreateOutcomes {
    /// Those that are there now.
    pub created: HashMap<String, CreatedTopic>,
    /// The others.
    pub failures: Failures,
}

/// Topics that were described.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct TopicOutcomes {
    /// Those that exist.
    pub topics: HashMap<String, TopicDescription>,
    /// The others.
    pub failures: Failures,
}

/// Groups that were described.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct GroupOutcomes {
    /// Those that exist.
    pub groups: HashMap<String, GroupDescription>,
    /// The others.
    pub failures: Failures,
}

/// Configurations that were read.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct ConfigOutcomes {
    /// By resource.
    pub entries: HashMap<ConfigResource, Vec<ConfigEntry>>,
    /// The others.
    pub failures: HashMap<ConfigResource, FailureDetails>,
}

/// Offsets that were looked up.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct OffsetOutcomes {
    /// By partition.
    pub offsets: HashMap<TopicPartition, ListedOffset>,
    /// The others.
    pub failures: HashMap<TopicPartition, FailureDetails>,
}

/// What succeeded and what failed, apart.
fn apart<K, T, L, U>(outcomes: Outcomes<K, T>) -> (HashMap<L, U>, HashMap<L, FailureDetails>)
where
    L: From<K> + Eq + std::hash::Hash,
    U: From<T>,
{
    let (mut done, mut failures) = (HashMap::new(), HashMap::new());
    for (key, outcome) in outcomes {
        match outcome {
            Ok(value) => drop(done.insert(key.into(), value.into())),
            Err(error) => drop(failures.insert(key.into(), error.into())),
        }
    }
    (done, failures)
}

fn failures<K, L: From<K> + Eq + std::hash::Hash>(
    outcomes: Outcomes<K, ()>,
) -> HashMap<L, FailureDetails> {
    apart::<K, (), L, ()>(outcomes).1
}

impl NativeAdmin {
    fn core(&self) -> Result<Arc<ottla::Admin>, NativeError> {
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let closed = || Failure::new(Class::Closed, "the admin client is closed: make a new one");
        Ok(core.ok_or_else(closed)?)
    }
}

#[uniffi::export]
impl NativeAdmin {
    /// Connects to one of the bootstrap servers.
    #[uniffi::constructor]
    pub async fn connect(
        settings: Vec<NamedSetting>,
        token: Arc<CancelToken>,
    ) -> Result<Arc<Self>, NativeError> {
        let home = Home::of("Admin");
        let build = ottla::Admin::builder().config(config(settings)?).build();
        let core = home.run(&token, build).await?;
        Ok(Arc::new(Self { core: Mutex::new(Some(Arc::new(core))), home }))
    }

    /// Creates topics, or says what creating them would.
    pub async fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
        token: Arc<CancelToken>,
    ) -> Result<CreateOutcomes, NativeError> {
        let core = self.core()?;
        let topics = topics.into_iter().map(ottla::NewTopic::from);
        let outcomes = match validate_only {
            true => self.home.run(&token, core.validate_topics(topics)).await?,
            false => self.home.run(&token, core.create_topics(topics)).await?,
        };
        let (created, failures) = apart(outcomes);
        Ok(CreateOutcomes { created, failures })
    }

    /// Deletes topics with all their records.
    pub async fn delete_topics(
        &self,
        topics: Vec<String>,
        token: Arc<CancelToken>,
    ) -> Result<Failures, NativeError> {
        Ok(failures(self.home.run(&token, self.core()?.delete_topics(topics)).await?))
    }

    /// Raises the number of partitions of topics to these totals.
    pub async fn create_partitions(
        &self,
        totals: HashMap<String, i32>,
        token: Arc<CancelToken>,
    ) -> Result<Failures, NativeError> {
        Ok(failures(self.home.run(&token, self.core()?.create_partitions(totals)).await?))
    }

    /// All topics, by name.
    pub async fn list_topics(
        &self,
        token: Arc<CancelToken>,
    ) -> Result<Vec<TopicListing>, NativeError> {
        let topics = self.home.run(&token, self.core()?.list_topics()).await?;
        Ok(topics.into_iter().map(Into::into).collect())
    }

    /// Partitions of topics, with leaders and replicas.
    pub async fn describe_topics(
        &self,
        topics: Vec<String>,
        token: Arc<CancelToken>,
    ) -> Result<TopicOutcomes, NativeError> {
        let outcomes = self.home.run(&token, self.core()?.describe_topics(topics)).await?;
        let (topics, failures) = apart(outcomes);
        Ok(TopicOutcomes { topics, failures })
    }

    /// The cluster's id, controller and brokers.
    pub async fn describe_cluster(
        &self,
        token: Arc<CancelToken>,
    ) -> Result<ClusterDescription, NativeError> {
        Ok(self.home.run(&token, self.core()?.describe_cluster()).await?.into())
    }

    /// All configuration values of topics or brokers.
    pub async fn describe_configs(
        &self,
        resources: Vec<ConfigResource>,
        token: Arc<CancelToken>,
    ) -> Result<ConfigOutcomes, NativeError> {
        let core = self.core()?;
        let resources = resources.into_iter().map(ottla::ConfigResource::from);
        let outcomes = self.home.run(&token, core.describe_configs(resources)).await?;
        let (entries, failures): (HashMap<_, Entries>, _) = apart(outcomes);
        let entries = entries.into_iter().map(|(key, Entries(entries))| (key, entries)).collect();
        Ok(ConfigOutcomes { entries, failures })
    }

    /// Changes configuration values.
    pub async fn alter_configs(
        &self,
        changes: HashMap<ConfigResource, Vec<ConfigChange>>,
        token: Arc<CancelToken>,
    ) -> Result<HashMap<ConfigResource, FailureDetails>, NativeError> {
        let core = self.core()?;
        let changes = changes.into_iter().map(|(resource, changes)| {
            let changes = changes.into_iter().map(Into::into).collect();
            (ottla::ConfigResource::from(resource), changes)
        });
        Ok(failures(self.home.run(&token, core.alter_configs(changes)).await?))
    }

    /// The groups of all brokers.
    pub async fn list_groups(
        &self,
        token: Arc<CancelToken>,
    ) -> Result<Vec<GroupListing>, NativeError> {
        let groups = self.home.run(&token, self.core()?.list_groups()).await?;
        Ok(groups.into_iter().map(Into::into).collect())
    }

    /// State, members and assignments of groups.
    pub async fn describe_groups(
        &self,
        groups: Vec<String>,
        token: Arc<CancelToken>,
    ) -> Result<GroupOutcomes, NativeError> {
        let outcomes = self.home.run(&token, self.core()?.describe_groups(groups)).await?;
        let (groups, failures) = apart(outcomes);
        Ok(GroupOutcomes { groups, failures })
    }

    /// Deletes groups that have no members.
    pub async fn delete_groups(
        &self,
        groups: Vec<String>,
        token: Arc<CancelToken>,
    ) -> Result<Failures, NativeError> {
        Ok(failures(self.home.run(&token, self.core()?.delete_groups(groups)).await?))
    }

    /// Offsets of partitions.
    pub async fn list_offsets(
        &self,
        partitions: HashMap<TopicPartition, OffsetSpec>,
        token: Arc<CancelToken>,
    ) -> Result<OffsetOutcomes, NativeError> {
        let core = self.core()?;
        let partitions = partitions.into_iter().map(|(partition, spec)| {
            ((partition.topic, partition.partition), ottla::OffsetSpec::from(spec))
        });
        let outcomes = self.home.run(&token, core.list_offsets(partitions)).await?;
        let (offsets, failures) = apart(outcomes);
        Ok(OffsetOutcomes { offsets, failures })
    }

    /// What a group has committed.
    pub async fn list_consumer_group_offsets(
        &self,
        group: String,
        token: Arc<CancelToken>,
    ) -> Result<HashMap<TopicPartition, CommittedOffset>, NativeError> {
        let core = self.core()?;
        let found = self.home.run(&token, core.list_consumer_group_offsets(&group)).await?;
        Ok(found.into_iter().map(|(partition, found)| (partition.into(), found.into())).collect())
    }

    /// Closes the connections once no operation is under way.
    pub fn close(&self) -> Result<(), NativeError> {
        self.home.check()?;
        drop(self.core.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(())
    }
}

/// A resource's entries: a type of this crate, so that there is a way into it.
struct Entries(Vec<ConfigEntry>);

impl From<Vec<ottla::ConfigEntry>> for Entries {
    fn from(entries: Vec<ottla::ConfigEntry>) -> Self {
        Self(entries.into_iter().map(Into::into).collect())
    }
}
