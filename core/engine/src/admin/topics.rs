//! CreateTopics, DeleteTopics and CreatePartitions, by the controller.

use super::items::{Items, item_by_item};
use super::{Operation, Outcomes, unexpected};
use crate::call::Target;
use crate::cluster::Metadata;
use crate::error::Error;
use ottla_protocol::Uuid;
use ottla_protocol::messages::create_partitions::CreatePartitionsTopic;
use ottla_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use ottla_protocol::messages::delete_topics::DeleteTopicState;
use ottla_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, Request, Response,
};
use std::time::Duration;

/// A topic to create.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTopic {
    name: String,
    partitions: i32,
    replication_factor: i16,
    assignments: Vec<Vec<i32>>,
    configs: Vec<(String, String)>,
}

impl NewTopic {
    /// A topic of so many partitions (at least 1; -1: the broker's `num.partitions`) with so many
    /// replicas each (at least 1; -1: the broker's `default.replication.factor`).
    pub fn new(name: impl Into<String>, partitions: i32, replication_factor: i16) -> Self {
        Self {
            name: name.into(),
            partitions,
            replication_factor,
            assignments: Vec::new(),
            configs: Vec::new(),
        }
    }

    /// A topic whose replicas stand on these brokers: one list of node ids a partition, the
    /// preferred leader first.
    pub fn assigned(name: impl Into<String>, assignments: Vec<Vec<i32>>) -> Self {
        Self { assignments, ..Self::new(name, -1, -1) }
    }

    /// Sets a topic configuration such as `retention.ms`.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.configs.push((name.into(), value.to_string()));
        self
    }
}

/// A topic that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id; `None` from brokers before 2.8.
    pub id: Option<Uuid>,
    /// Its partitions; `None` where the broker does not tell.
    pub partitions: Option<i32>,
    /// Replicas of each; `None` where the broker does not tell.
    pub replication_factor: Option<i16>,
}

fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}

/// Creates topics (API key 19).
#[derive(Debug)]
pub struct CreateTopics {
    items: Items<String, NewTopic, CreatedTopic>,
    timeout: Duration,
    validate_only: bool,
}

impl CreateTopics {
    /// `timeout` is how long the broker may wait until the topics exist everywhere; `validate_only`
    /// creates nothing.
    pub fn new(
        topics: impl IntoIterator<Item = NewTopic>,
        timeout: Duration,
        validate_only: bool,
    ) -> Self {
        let items = Items::new(topics.into_iter().map(|topic| (topic.name.clone(), topic)));
        Self { items, timeout, validate_only }
    }
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    CreatableTopic {
        name: topic.name.clone(),
        num_partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        assignments: (0..)
            .zip(&topic.assignments)
            .map(|(partition_index, brokers)| CreatableReplicaAssignment {
                partition_index,
                broker_ids: brokers.clone(),
                ..Default::default()
            })
            .collect(),
        configs: topic
            .configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig {
                name: name.clone(),
                value: Some(value.clone()),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

impl Operation for CreateTopics {
    type Answer = Outcomes<String, CreatedTopic>;

    fn what(&self) -> &'static str {
        "create topics"
    }

    fn requests(&mut self, _: &Metadata) -> Vec<(Target, Request)> {
        let request = CreateTopicsRequest {
            topics: self.items.open.values().map(creatable).collect(),
            timeout_ms: millis(self.timeout),
            validate_only: self.validate_only,
            ..Default::default()
        };
        vec![(Target::Controller, Request::CreateTopics(Box::new(request)))]
    }

    fn read(&mut self, _: &Target, response: Response) -> Result<(), Error> {
        let Response::CreateTopics(response) = response else {
            return Err(unexpected(&response));
        };
        for topic in &response.topics {
            let what = format!("cannot create topic {:?}", topic.name);
            let message = topic.error_message.as_deref();
            self.items.settle(&topic.name, topic.error_code, message, what, || CreatedTopic {
                id: Some(topic.topic_id).filter(|id| !id.is_zero()),
                partitions: Some(topic.num_partitions).filter(|count| *count >= 0),
                replication_factor: Some(topic.replication_factor).filter(|count| *count >= 0),
            });
        }
        Ok(())
    }

    item_by_item!();
}

/// Deletes topics by name (API key 20).
#[derive(Debug)]
pub struct DeleteTopics {
    items: Items<String, (), ()>,
    timeout: Duration,
}

impl DeleteTopics {
    /// `timeout` is how long the broker may wait until the topics are gone everywhere.
    pub fn new(topics: impl IntoIterator<Item = String>, timeout: Duration) -> Self {
        Self { items: Items::new(topics.into_iter().map(|topic| (topic, ()))), timeout }
    }
}

impl Operation for DeleteTopics {
    type Answer = Outcomes<String, ()>;

    fn what(&self) -> &'static str {
        "delete topics"
    }

    fn requests(&mut self, _: &Metadata) -> Vec<(Target, Request)> {
        let names = self.items.open.keys();
        // Both shapes are filled in; the connection keeps the one that its version has.
        let request = DeleteTopicsRequest {
            topics: names
                .clone()
                .map(|name| DeleteTopicState { name: Some(name.clone()), ..Default::default() })
                .collect(),
            topic_names: names.cloned().collect(),
            timeout_ms: millis(self.timeout),
            ..Default::default()
        };
        vec![(Target::Controller, Request::DeleteTopics(Box::new(request)))]
    }

    fn read(&mut self, _: &Target, response: Response) -> Result<(), Error> {
        let Response::DeleteTopics(response) = response else {
            return Err(unexpected(&response));
        };
        for topic in &response.responses {
            let Some(name) = &topic.name else { continue };
            let what = format!("cannot delete topic {name:?}");
            let message = topic.error_message.as_deref();
            self.items.settle(name, topic.error_code, message, what, || ());
        }
        Ok(())
    }

    item_by_item!();
}

/// Raises the number of partitions of topics (API key 37).
#[derive(Debug)]
pub struct CreatePartitions {
    items: Items<String, i32, ()>,
    timeout: Duration,
    validate_only: bool,
}

impl CreatePartitions {
    /// Topic names with the number of partitions that they shall have in all.
    pub fn new(
        topics: impl IntoIterator<Item = (String, i32)>,
        timeout: Duration,
        validate_only: bool,
    ) -> Self {
        Self { items: Items::new(topics), timeout, validate_only }
    }
}

impl Operation for CreatePartitions {
    type Answer = Outcomes<String, ()>;

    fn what(&self) -> &'static str {
        "create partitions"
    }

    fn requests(&mut self, _: &Metadata) -> Vec<(Target, Request)> {
        let open = self.items.open.iter();
        let request = CreatePartitionsRequest {
            topics: open
                .map(|(name, count)| CreatePartitionsTopic {
                    name: name.clone(),
                    count: *count,
                    assignments: None,
                    ..Default::default()
                })
                .collect(),
            timeout_ms: millis(self.timeout),
            validate_only: self.validate_only,
            ..Default::default()
        };
        vec![(Target::Controller, Request::CreatePartitions(Box::new(request)))]
    }

    fn read(&mut self, _: &Target, response: Response) -> Result<(), Error> {
        let Response::CreatePartitions(response) = response else {
            return Err(unexpected(&response));
        };
        for topic in &response.results {
            let what = format!("cannot add partitions to topic {:?}", topic.name);
            let message = topic.error_message.as_deref();
            self.items.settle(&topic.name, topic.error_code, message, what, || ());
        }
        Ok(())
    }

    item_by_item!();
}
