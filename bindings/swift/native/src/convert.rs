//! Between the core's values and those that cross.

use crate::types::*;

impl From<NewTopic> for ottla::NewTopic {
    fn from(topic: NewTopic) -> Self {
        let new = match topic.assignments.is_empty() {
            true => Self::new(topic.name, topic.partitions, topic.replication_factor),
            false => Self::assigned(topic.name, topic.assignments),
        };
        topic.configs.into_iter().fold(new, |new, (name, value)| new.config(name, value))
    }
}

impl From<ottla::CreatedTopic> for CreatedTopic {
    fn from(created: ottla::CreatedTopic) -> Self {
        let ottla::CreatedTopic { id, partitions, replication_factor } = created;
        Self { id: id.map(|id| id.to_string()), partitions, replication_factor }
    }
}

impl From<ottla::TopicListing> for TopicListing {
    fn from(topic: ottla::TopicListing) -> Self {
        let ottla::TopicListing { name, id, is_internal } = topic;
        Self { name, id: id.map(|id| id.to_string()), is_internal }
    }
}

impl From<ottla::TopicMetadata> for TopicDescription {
    fn from(topic: ottla::TopicMetadata) -> Self {
        Self {
            name: topic.name,
            id: topic.id.to_string(),
            is_internal: topic.is_internal,
            partitions: topic.partitions.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<ottla::PartitionMetadata> for PartitionDescription {
    fn from(partition: ottla::PartitionMetadata) -> Self {
        Self {
            partition: partition.index,
            leader: partition.leader,
            leader_epoch: partition.leader_epoch,
            replicas: partition.replicas,
            in_sync_replicas: partition.isr,
            offline_replicas: partition.offline_replicas,
        }
    }
}

impl From<ottla::BrokerAddress> for BrokerAddress {
    fn from(broker: ottla::BrokerAddress) -> Self {
        let ottla::BrokerAddress { node_id, host, port, rack } = broker;
        Self { node_id, host, port, rack }
    }
}

impl From<ottla::ClusterDescription> for ClusterDescription {
    fn from(cluster: ottla::ClusterDescription) -> Self {
        Self {
            cluster_id: cluster.cluster_id,
            controller_id: cluster.controller_id,
            brokers: cluster.brokers.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<ConfigResource> for ottla::ConfigResource {
    fn from(resource: ConfigResource) -> Self {
        match resource {
            ConfigResource::Topic { name } => Self::Topic(name),
            ConfigResource::Broker { node_id } => Self::Broker(node_id),
        }
    }
}

impl From<ottla::ConfigResource> for ConfigResource {
    fn from(resource: ottla::ConfigResource) -> Self {
        match resource {
            ottla::ConfigResource::Topic(name) => Self::Topic { name },
            ottla::ConfigResource::Broker(node_id) => Self::Broker { node_id },
        }
    }
}

impl From<ottla::ConfigSource> for ConfigSource {
    fn from(source: ottla::ConfigSource) -> Self {
        use ottla::ConfigSource as Source;
        match source {
            Source::Topic => Self::Topic,
            Source::DynamicBroker => Self::DynamicBroker,
            Source::DynamicDefaultBroker => Self::DynamicDefaultBroker,
            Source::StaticBroker => Self::StaticBroker,
            Source::Default => Self::Default,
            Source::Other(number) => Self::Other { number },
            // The core may name more: they are others until they have a name here.
            _ => Self::Other { number: -1 },
        }
    }
}

impl From<ottla::ConfigEntry> for ConfigEntry {
    fn from(entry: ottla::ConfigEntry) -> Self {
        let ottla::ConfigEntry { name, value, source, is_read_only, is_sensitive } = entry;
        Self { name, value, source: source.into(), is_read_only, is_sensitive }
    }
}

impl From<ConfigChange> for ottla::ConfigChange {
    fn from(change: ConfigChange) -> Self {
        match change {
            ConfigChange::Set { name, value } => Self::Set(name, value),
            ConfigChange::Delete { name } => Self::Delete(name),
            ConfigChange::Append { name, value } => Self::Append(name, value),
            ConfigChange::Subtract { name, value } => Self::Subtract(name, value),
        }
    }
}

impl From<ottla::GroupListing> for GroupListing {
    fn from(group: ottla::GroupListing) -> Self {
        let ottla::GroupListing { group_id, protocol_type, state, group_type } = group;
        Self { group_id, protocol_type, state, group_type }
    }
}

impl From<ottla::GroupDescription> for GroupDescription {
    fn from(group: ottla::GroupDescription) -> Self {
        Self {
            group_id: group.group_id,
            state: group.state,
            protocol_type: group.protocol_type,
            assignor: group.protocol,
            members: group.members.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<ottla::MemberDescription> for MemberDescription {
    fn from(member: ottla::MemberDescription) -> Self {
        Self {
            member_id: member.member_id,
            group_instance_id: member.group_instance_id,
            client_id: member.client_id,
            client_host: member.client_host,
            assignment: member.assignment.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<(String, i32)> for TopicPartition {
    fn from((topic, partition): (String, i32)) -> Self {
        Self { topic, partition }
    }
}

impl From<OffsetSpec> for ottla::OffsetSpec {
    fn from(spec: OffsetSpec) -> Self {
        match spec {
            OffsetSpec::Earliest => Self::Earliest,
            OffsetSpec::Latest => Self::Latest,
            OffsetSpec::MaxTimestamp => Self::MaxTimestamp,
            OffsetSpec::Timestamp { milliseconds } => Self::Timestamp(milliseconds),
        }
    }
}

impl From<ottla::ListedOffset> for ListedOffset {
    fn from(listed: ottla::ListedOffset) -> Self {
        let ottla::ListedOffset { offset, timestamp, leader_epoch } = listed;
        Self { offset, timestamp, leader_epoch }
    }
}

impl From<ottla::CommittedOffset> for CommittedOffset {
    fn from(committed: ottla::CommittedOffset) -> Self {
        let metadata = Some(committed.metadata).filter(|note| !note.is_empty());
        Self { offset: committed.offset, leader_epoch: committed.leader_epoch, metadata }
    }
}
