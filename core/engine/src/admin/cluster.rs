//! What the cluster is made of: DescribeCluster, and topics by Metadata.

use super::items::{Items, item_by_item};
use super::{Operation, Outcomes, is_transient, unexpected};
use crate::call::Target;
use crate::cluster::{BrokerAddress, Metadata, TopicMetadata};
use crate::error::Error;
use ottla_protocol::messages::metadata::MetadataRequestTopic;
use ottla_protocol::messages::{DescribeClusterRequest, MetadataRequest, Request, Response};
use ottla_protocol::{ErrorCode, Uuid};

/// A cluster's id and brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDescription {
    /// The cluster's id.
    pub cluster_id: String,
    /// The node id that stands for the controller: any broker in KRaft mode. `None` while there is
    /// none.
    pub controller_id: Option<i32>,
    /// The brokers that are alive, by node id.
    pub brokers: Vec<BrokerAddress>,
}

/// Describes the cluster (API key 60, KIP-700).
#[derive(Debug, Default)]
pub struct DescribeCluster {
    description: Option<ClusterDescription>,
}

impl Operation for DescribeCluster {
    type Answer = ClusterDescription;

    fn what(&self) -> &'static str {
        "describe the cluster"
    }

    fn requests(&mut self, _: &Metadata) -> Vec<(Target, Request)> {
        vec![(Target::Any, Request::DescribeCluster(Box::<DescribeClusterRequest>::default()))]
    }

    fn read(&mut self, _: &Target, response: Response) -> Result<(), Error> {
        let Response::DescribeCluster(response) = response else {
            return Err(unexpected(&response));
        };
        match ErrorCode::from_code(response.error_code) {
            Some(ErrorCode::None) => {}
            Some(code) if is_transient(code) => return Ok(()),
            _ => return Err(Error::from_raw_code(response.error_code, "describe the cluster")),
        }
        let mut brokers: Vec<_> = response
            .brokers
            .iter()
            .filter_map(|broker| {
                Some(BrokerAddress {
                    node_id: broker.broker_id,
                    host: broker.host.clone(),
                    port: u16::try_from(broker.port).ok()?,
                    rack: broker.rack.clone(),
                })
            })
            .collect();
        brokers.sort_by_key(|broker| broker.node_id);
        self.description = Some(ClusterDescription {
            cluster_id: response.cluster_id,
            controller_id: Some(response.controller_id).filter(|id| *id >= 0),
            brokers,
        });
        Ok(())
    }

    fn answer(&mut self) -> Option<ClusterDescription> {
        self.description.take()
    }
}

/// A topic in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicListing {
    /// Its name.
    pub name: String,
    /// Its id; `None` from brokers before 2.8.
    pub id: Option<Uuid>,
    /// Whether it is the cluster's own, such as `__consumer_offsets`.
    pub is_internal: bool,
}

/// Lists all topics (API key 3).
#[derive(Debug, Default)]
pub struct ListTopics {
    topics: Option<Vec<TopicListing>>,
}

impl Operation for ListTopics {
    type Answer = Vec<TopicListing>;

    fn what(&self) -> &'static str {
        "list topics"
    }

    fn requests(&mut self, _: &Metadata) -> Vec<(Target, Request)> {
        let request = MetadataRequest {
            topics: None,
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        vec![(Target::Any, Request::Metadata(Box::new(request)))]
    }

    fn read(&mut self, _: &Target, response: Response) -> Result<(), Error> {
        let Response::Metadata(response) = response else { return Err(unexpected(&response)) };
        let mut topics: Vec<_> = response
            .topics
            .into_iter()
            .filter(|topic| topic.error_code == 0)
            .filter_map(|topic| {
                Some(TopicListing {
                    name: topic.name?,
                    id: Some(topic.topic_id).filter(|id| !id.is_zero()),
                    is_internal: topic.is_internal,
                })
            })
            .collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        self.topics = Some(topics);
        Ok(())
    }

    fn answer(&mut self) -> Option<Vec<TopicListing>> {
        self.topics.take()
    }
}

/// Describes topics by name (API key 3); never creates one.
#[derive(Debug)]
pub struct DescribeTopics {
    items: Items<String, (), TopicMetadata>,
}

impl DescribeTopics {
    /// These topics.
    pub fn new(topics: impl IntoIterator<Item = String>) -> Self {
        Self { items: Items::new(topics.into_iter().map(|topic| (topic, ()))) }
    }
}

impl Operation for DescribeTopics {
    type Answer = Outcomes<String, TopicMetadata>;

    fn what(&self) -> &'static str {
        "describe topics"
    }

    fn requests(&mut self, _: &Metadata) -> Vec<(Target, Request)> {
        let names = self.items.open.keys();
        let topics = names
            .map(|name| MetadataRequestTopic { name: Some(name.clone()), ..Default::default() });
        let request = MetadataRequest {
            topics: Some(topics.collect()),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        vec![(Target::Any, Request::Metadata(Box::new(request)))]
    }

    fn read(&mut self, _: &Target, response: Response) -> Result<(), Error> {
        let Response::Metadata(response) = response else { return Err(unexpected(&response)) };
        let described = Metadata::default().updated(&response, true);
        for topic in &response.topics {
            let Some(name) = &topic.name else { continue };
            let what = format!("cannot describe topic {name:?}");
            self.items.settle(name, topic.error_code, None, what, || {
                let topic = described.topic(name).expect("the answer has the topic");
                TopicMetadata::clone(topic)
            });
        }
        Ok(())
    }

    item_by_item!();
}
