//! The state machine: one command, one state, one answer, always the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_protocol::{ErrorCode, Uuid};

use super::PRODUCER_ID_BLOCK_LEN;
use super::command::{Command, ConfigResource, IsrChange, Outcome, PartitionId, Rejection};
use super::election::change_all;
use super::image::{BrokerImage, ControllerImage, Image, PartitionImage, TopicImage};
use super::partitions::{self, unknown_id};
use super::registration::{self, Tail};

/// Applies the command with this index of the log. A refused command advances the index and nothing
/// else.
pub fn apply(image: &mut Image, index: u64, command: &Command) -> Outcome {
    image.applied = index;
    match command {
        Command::RegisterBroker { .. } => register_broker(image, index, command),
        Command::FenceBroker { node_id, broker_epoch } => {
            registration::fence(image, *node_id, *broker_epoch).into()
        }
        Command::UnfenceBroker { node_id, broker_epoch } => {
            registration::unfence(image, *node_id, *broker_epoch).into()
        }
        Command::BeginControlledShutdown { node_id, broker_epoch } => {
            registration::begin_shutdown(image, *node_id, *broker_epoch).into()
        }
        Command::FailLogDirs { node_id, broker_epoch, log_dirs } => {
            registration::fail_log_dirs(image, *node_id, *broker_epoch, log_dirs).into()
        }
        Command::UnregisterBroker { node_id } => registration::unregister(image, *node_id).into(),
        Command::ControllerElected { node_id } => {
            image.controller = Some(ControllerImage { node_id: *node_id, epoch: index });
            Outcome::Done
        }
        Command::AllocateProducerIds { node_id, broker_epoch } => {
            allocate_producer_ids(image, *node_id, *broker_epoch)
        }
        Command::UpdateFeatures { expected, features } => {
            update_features(image, expected, features).into()
        }
        Command::AlterConfigs { resource, expected, configs } => {
            alter_configs(image, resource, expected, configs).into()
        }
        of_topics => apply_to_topics(image, of_topics),
    }
}

fn apply_to_topics(image: &mut Image, command: &Command) -> Outcome {
    match command {
        Command::CreateTopic { name, id, replicas, configs } => {
            create_topic(image, name, *id, replicas, configs).into()
        }
        Command::DeleteTopic { id } => {
            image.remove_topic(*id).map(drop).ok_or_else(|| unknown_id(*id)).into()
        }
        Command::CreatePartitions { id, expected_count, replicas } => {
            create_partitions(image, *id, *expected_count, replicas).into()
        }
        Command::AlterPartition {
            topic_id,
            index,
            leader,
            leader_epoch,
            partition_epoch,
            broker_epoch,
            isr,
        } => {
            let wanted = IsrChange {
                partition: PartitionId { topic_id: *topic_id, index: *index },
                leader_epoch: *leader_epoch,
                partition_epoch: *partition_epoch,
                isr: isr.clone(),
            };
            partitions::alter_partition(image, *leader, *broker_epoch, &wanted).into()
        }
        Command::AlterPartitions { leader, broker_epoch, changes } => {
            let each = changes.iter().map(|wanted| {
                partitions::alter_partition(image, *leader, *broker_epoch, wanted).err()
            });
            Outcome::Partitions(each.collect())
        }
        Command::ElectLeaders { election, partitions } => {
            let elect = |of: &PartitionId| partitions::elect(image, *election, *of).err();
            Outcome::Partitions(partitions.iter().map(elect).collect())
        }
        Command::ResignLeadership { topic_id, index, node_id, broker_epoch } => {
            let of = PartitionId { topic_id: *topic_id, index: *index };
            partitions::resign(image, of, *node_id, *broker_epoch).into()
        }
        Command::AlterPartitionReassignments { allow_replication_factor_change, reassignments } => {
            let each = reassignments.iter().map(|wanted| {
                partitions::reassign(image, wanted, *allow_replication_factor_change).err()
            });
            Outcome::Partitions(each.collect())
        }
        _ => unreachable!("it is not about topics"),
    }
}

fn register_broker(image: &mut Image, index: u64, command: &Command) -> Outcome {
    let Command::RegisterBroker {
        node_id,
        incarnation,
        host,
        port,
        rack,
        cluster_id,
        internal_host,
        internal_port,
        directory,
        log_dirs,
        tail_intact,
        log_dir_lost,
        flushes_before_ack,
        min_in_sync,
    } = command
    else {
        unreachable!("it is a registration")
    };
    let broker = BrokerImage {
        epoch: i64::try_from(index).expect("fewer than 2^63 commands are ever applied"),
        incarnation: *incarnation,
        host: host.clone(),
        port: *port,
        rack: rack.clone(),
        internal_host: internal_host.clone(),
        internal_port: *internal_port,
        directory: *directory,
        log_dirs: log_dirs.clone(),
        // Commands from before brokers were fenced have no directory, and nobody unfences them.
        fenced: *directory != Uuid::default(),
        shutting_down: false,
        min_in_sync: *min_in_sync,
    };
    let tail = Tail {
        intact: *tail_intact,
        log_dir_lost: *log_dir_lost,
        flushes_before_ack: *flushes_before_ack,
    };
    registration::register(image, *node_id, cluster_id, tail, broker)
}

fn create_topic(
    image: &mut Image,
    name: &str,
    id: Uuid,
    replicas: &[Vec<i32>],
    configs: &BTreeMap<String, String>,
) -> Result<(), Rejection> {
    if image.topics.contains_key(name) {
        let message = format!("Topic '{name}' already exists.");
        return Err(Rejection::new(ErrorCode::TopicAlreadyExists, message));
    }
    if let Some(other) = image.colliding_topic(name) {
        let message = format!("Topic '{name}' collides with existing topic: {other}");
        return Err(Rejection::new(ErrorCode::InvalidTopicException, message));
    }
    if image.topic_by_id(id).is_some() {
        let message = format!("topic id {id} is taken");
        return Err(Rejection::new(ErrorCode::InvalidRequest, message));
    }
    let partitions = new_partitions(image, 0, replicas)?;
    let (name, configs) = (name.to_owned(), configs.clone());
    image.insert_topic(TopicImage { name, id, partitions, configs });
    Ok(())
}

fn create_partitions(
    image: &mut Image,
    id: Uuid,
    expected_count: usize,
    replicas: &[Vec<i32>],
) -> Result<(), Rejection> {
    let added = new_partitions(image, expected_count, replicas)?;
    let topic = image.topic_by_id(id).ok_or_else(|| unknown_id(id))?;
    if topic.partitions.len() != expected_count {
        let message = format!("Topic already has {} partition(s).", topic.partitions.len());
        return Err(Rejection::new(ErrorCode::InvalidPartitions, message));
    }
    let name = topic.name.clone();
    let topic = image.topics.get_mut(&name).expect("names and topics hold the same topics");
    Arc::make_mut(topic).partitions.extend(added);
    Ok(())
}

fn alter_configs(
    image: &mut Image,
    resource: &ConfigResource,
    expected: &BTreeMap<String, String>,
    configs: &BTreeMap<String, String>,
) -> Result<(), Rejection> {
    let current = match resource {
        ConfigResource::Topic(name) => match image.topics.get_mut(name) {
            Some(topic) => &mut Arc::make_mut(topic).configs,
            None => {
                let message = format!("The topic '{name}' does not exist.");
                return Err(Rejection::new(ErrorCode::UnknownTopicOrPartition, message));
            }
        },
        ConfigResource::Broker(node_id) => image.broker_configs.entry(*node_id).or_default(),
        ConfigResource::DefaultBroker => &mut image.default_broker_configs,
    };
    if current != expected {
        let message = "the configuration was changed at the same time, read it and try again";
        return Err(Rejection::new(ErrorCode::InvalidUpdateVersion, message));
    }
    current.clone_from(configs);
    // A lower min.insync.replicas takes eligibility away, an unclean election may be allowed now.
    change_all(
        image,
        |partition| partition.leader == -1 || !partition.elr.is_empty(),
        |rules, partition| {
            rules.change(partition, None, |_| {});
        },
    );
    Ok(())
}

fn update_features(
    image: &mut Image,
    expected: &BTreeMap<String, i16>,
    features: &BTreeMap<String, i16>,
) -> Result<(), Rejection> {
    if image.features != *expected {
        let message = "the features were changed at the same time, read them and try again";
        return Err(Rejection::new(ErrorCode::FeatureUpdateFailed, message));
    }
    image.features = features.clone();
    image.features.retain(|_, level| *level > 0);
    Ok(())
}

fn allocate_producer_ids(image: &mut Image, node_id: i32, broker_epoch: i64) -> Outcome {
    match registration::incarnation(image, node_id, broker_epoch) {
        Ok(_) => {
            let first = image.next_producer_id;
            image.next_producer_id += PRODUCER_ID_BLOCK_LEN;
            Outcome::ProducerIds(first)
        }
        Err(refused) => Outcome::Rejected(refused),
    }
}

/// Partitions from the index `first` on; in sync are the replicas that are active.
fn new_partitions(
    image: &Image,
    first: usize,
    replicas: &[Vec<i32>],
) -> Result<Vec<PartitionImage>, Rejection> {
    let bad = |message: String| Err(Rejection::new(ErrorCode::InvalidReplicaAssignment, message));
    let new = |(index, replicas): (usize, &Vec<i32>)| {
        if let Some(unknown) = replicas.iter().find(|id| !image.brokers.contains_key(id)) {
            return bad(format!(
                "The manual partition assignment includes broker {unknown}, but no such broker is \
                 registered."
            ));
        }
        if replicas.iter().collect::<BTreeSet<_>>().len() != replicas.len() {
            return bad("The manual partition assignment includes a broker more than once.".into());
        }
        let active = replicas.iter().copied().filter(|id| image.is_active(*id));
        let isr: Vec<i32> = active.collect();
        let Some(leader) = isr.first().copied() else {
            let index = first + index;
            return bad(format!(
                "All brokers specified in the manual partition assignment for partition {index} \
                 are fenced or in controlled shutdown."
            ));
        };
        Ok(PartitionImage {
            replicas: replicas.clone(),
            isr,
            leader,
            leader_epoch: 0,
            partition_epoch: 0,
            adding: Vec::new(),
            removing: Vec::new(),
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            recovering: false,
            offline: Vec::new(),
        })
    };
    replicas.iter().enumerate().map(new).collect()
}

#[cfg(test)]
mod tests;
