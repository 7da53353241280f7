//! What a consumer can ask the cluster besides records.

use super::{Consumer, OffsetAndMetadata, TopicPartition, closed};
use crate::admin::Admin;
use ottla_engine::admin::{CommittedOffsets, ListOffsets, OffsetSpec};
use ottla_engine::config::AdminConfig;
use ottla_engine::error::{Error, ErrorKind};
use std::collections::BTreeMap;

/// A record's place and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetAndTimestamp {
    /// The record's offset.
    pub offset: i64,
    /// The record's timestamp in ms since 1970.
    pub timestamp_ms: i64,
    /// The leader epoch of the offset, where the broker tells.
    pub leader_epoch: Option<i32>,
}

impl Consumer {
    /// The first record of each partition with this timestamp (ms since 1970) or a later one;
    /// `None` where there is none.
    ///
    /// # Errors
    ///
    /// A partition that does not exist or may not be read; no answer within
    /// `default.api.timeout.ms`; `Closed`.
    pub async fn offsets_for_times(
        &self,
        timestamps: impl IntoIterator<Item = (impl Into<TopicPartition>, i64)>,
    ) -> Result<BTreeMap<TopicPartition, Option<OffsetAndTimestamp>>, Error> {
        let specs = timestamps.into_iter().map(|(p, at)| (p.into(), OffsetSpec::Timestamp(at)));
        let listed = self.list(specs).await?;
        Ok(listed
            .into_iter()
            .map(|(partition, listed)| {
                let found = (listed.offset >= 0).then(|| OffsetAndTimestamp {
                    offset: listed.offset,
                    timestamp_ms: listed.timestamp.unwrap_or(-1),
                    leader_epoch: listed.leader_epoch,
                });
                (partition, found)
            })
            .collect())
    }

    /// The first offset of each partition.
    ///
    /// # Errors
    ///
    /// As [`Consumer::offsets_for_times`].
    pub async fn beginning_offsets(
        &self,
        partitions: impl IntoIterator<Item = impl Into<TopicPartition>>,
    ) -> Result<BTreeMap<TopicPartition, i64>, Error> {
        self.list_all(partitions, OffsetSpec::Earliest).await
    }

    /// The offset after the last record of each partition: under `read_committed` the last stable
    /// offset, else the high watermark.
    ///
    /// # Errors
    ///
    /// As [`Consumer::offsets_for_times`].
    pub async fn end_offsets(
        &self,
        partitions: impl IntoIterator<Item = impl Into<TopicPartition>>,
    ) -> Result<BTreeMap<TopicPartition, i64>, Error> {
        self.list_all(partitions, OffsetSpec::Latest).await
    }

    /// What the group has committed of these partitions; one without a commit is absent.
    ///
    /// # Errors
    ///
    /// `Config` without a group; no answer of the coordinator within `default.api.timeout.ms`.
    pub async fn committed(
        &self,
        partitions: impl IntoIterator<Item = impl Into<TopicPartition>>,
    ) -> Result<BTreeMap<TopicPartition, OffsetAndMetadata>, Error> {
        let Some(group) = &self.shared.config.group_id else {
            return Err(Error::new(
                ErrorKind::Config,
                "committed offsets need a group: set group.id",
            ));
        };
        let mut all = self.admin()?.run(CommittedOffsets::new(group)).await?;
        let wanted = partitions.into_iter().map(Into::into);
        Ok(wanted
            .filter_map(|partition: TopicPartition| {
                let key = (partition.topic.to_string(), partition.partition);
                let found = all.remove(&key)?;
                let committed = OffsetAndMetadata {
                    offset: found.offset,
                    leader_epoch: found.leader_epoch,
                    metadata: Some(found.metadata).filter(|note| !note.is_empty()),
                };
                Some((partition, committed))
            })
            .collect())
    }

    async fn list_all(
        &self,
        partitions: impl IntoIterator<Item = impl Into<TopicPartition>>,
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, i64>, Error> {
        let listed = self.list(partitions.into_iter().map(|p| (p.into(), spec))).await?;
        Ok(listed.into_iter().map(|(partition, listed)| (partition, listed.offset)).collect())
    }

    async fn list(
        &self,
        specs: impl IntoIterator<Item = (TopicPartition, OffsetSpec)>,
    ) -> Result<BTreeMap<TopicPartition, ottla_engine::admin::ListedOffset>, Error> {
        let specs = specs.into_iter().map(|(p, spec)| ((p.topic.to_string(), p.partition), spec));
        let timeout = self.shared.config.common.request_timeout.as_millis();
        let timeout_ms = i32::try_from(timeout).unwrap_or(i32::MAX);
        let isolation = self.shared.config.isolation_level;
        let outcomes = self.admin()?.run(ListOffsets::new(specs, isolation, timeout_ms)).await?;
        outcomes
            .into_iter()
            .map(|((topic, partition), outcome)| {
                Ok((TopicPartition::new(topic, partition), outcome?))
            })
            .collect()
    }

    fn admin(&self) -> Result<Admin, Error> {
        if *self.shared.closed().borrow() {
            return Err(closed());
        }
        let config = &self.shared.config;
        let admin = AdminConfig {
            common: config.common.clone(),
            retries: u32::MAX,
            default_api_timeout: config.default_api_timeout,
        };
        Ok(Admin::over(self.shared.network.clone(), admin))
    }
}
