//! The state machine: one command, one state, one answer, always the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::{ErrorCode, Uuid};

use super::PRODUCER_ID_BLOCK_LEN;
use super::command::{Command, ConfigResource, Outcome};
use super::image::{BrokerImage, Image, PartitionImage, TopicImage};

/// Applies the command with index `image.applied + 1`. A refused command advances the index and
/// nothing else.
pub fn apply(image: &mut Image, command: &Command) -> Outcome {
    image.applied += 1;
    match command {
        Command::RegisterBroker { node_id, incarnation, host, port, rack } => {
            register_broker(image, *node_id, *incarnation, host, *port, rack.as_deref())
        }
        Command::CreateTopic { name, id, replicas, configs } => {
            create_topic(image, name, *id, replicas, configs)
        }
        Command::DeleteTopic { id } => match image.remove_topic(*id) {
            Some(_) => Outcome::Done,
            None => unknown_id(*id),
        },
        Command::CreatePartitions { id, expected_count, replicas } => {
            create_partitions(image, *id, *expected_count, replicas)
        }
        Command::AlterConfigs { resource, expected, configs } => {
            alter_configs(image, resource, expected, configs)
        }
        Command::AllocateProducerIds { node_id, broker_epoch } => {
            allocate_producer_ids(image, *node_id, *broker_epoch)
        }
    }
}

fn register_broker(
    image: &mut Image,
    node_id: i32,
    incarnation: Uuid,
    host: &str,
    port: u16,
    rack: Option<&str>,
) -> Outcome {
    // M2: the epoch is the index of the registration, so no two incarnations share one.
    let epoch = i64::try_from(image.applied).expect("fewer than 2^63 commands are ever applied");
    let broker = BrokerImage {
        epoch,
        incarnation,
        host: host.to_owned(),
        port,
        rack: rack.map(str::to_owned),
    };
    image.brokers.insert(node_id, broker);
    for topic in image.topics.values_mut() {
        if topic.partitions.iter().any(|partition| partition.leader == node_id) {
            for partition in &mut Arc::make_mut(topic).partitions {
                if partition.leader == node_id {
                    partition.leader_epoch += 1;
                    partition.partition_epoch += 1;
                }
            }
        }
    }
    Outcome::BrokerEpoch(epoch)
}

fn create_topic(
    image: &mut Image,
    name: &str,
    id: Uuid,
    replicas: &[Vec<i32>],
    configs: &BTreeMap<String, String>,
) -> Outcome {
    if image.topics.contains_key(name) {
        return Outcome::rejected(
            ErrorCode::TopicAlreadyExists,
            format!("Topic '{name}' already exists."),
        );
    }
    if let Some(other) = image.colliding_topic(name) {
        let message = format!("Topic '{name}' collides with existing topic: {other}");
        return Outcome::rejected(ErrorCode::InvalidTopicException, message);
    }
    if image.topic_by_id(id).is_some() {
        return Outcome::rejected(ErrorCode::InvalidRequest, format!("topic id {id} is taken"));
    }
    if let Some(refusal) = unknown_replica(image, replicas) {
        return refusal;
    }
    image.insert_topic(TopicImage {
        name: name.to_owned(),
        id,
        partitions: replicas.iter().map(|replicas| new_partition(replicas)).collect(),
        configs: configs.clone(),
    });
    Outcome::Done
}

fn create_partitions(
    image: &mut Image,
    id: Uuid,
    expected_count: usize,
    replicas: &[Vec<i32>],
) -> Outcome {
    if let Some(refusal) = unknown_replica(image, replicas) {
        return refusal;
    }
    let Some(name) = image.topic_by_id(id).map(|topic| topic.name.clone()) else {
        return unknown_id(id);
    };
    let topic = image.topics.get_mut(&name).expect("names and topics hold the same topics");
    if topic.partitions.len() != expected_count {
        let message = format!("Topic already has {} partition(s).", topic.partitions.len());
        return Outcome::rejected(ErrorCode::InvalidPartitions, message);
    }
    let added = replicas.iter().map(|replicas| new_partition(replicas));
    Arc::make_mut(topic).partitions.extend(added);
    Outcome::Done
}

fn alter_configs(
    image: &mut Image,
    resource: &ConfigResource,
    expected: &BTreeMap<String, String>,
    configs: &BTreeMap<String, String>,
) -> Outcome {
    let current = match resource {
        ConfigResource::Topic(name) => match image.topics.get_mut(name) {
            Some(topic) => &mut Arc::make_mut(topic).configs,
            None => {
                let message = format!("The topic '{name}' does not exist.");
                return Outcome::rejected(ErrorCode::UnknownTopicOrPartition, message);
            }
        },
        ConfigResource::Broker(node_id) => image.broker_configs.entry(*node_id).or_default(),
        ConfigResource::DefaultBroker => &mut image.default_broker_configs,
    };
    if current != expected {
        let message = "the configuration was changed at the same time, read it and try again";
        return Outcome::rejected(ErrorCode::InvalidUpdateVersion, message);
    }
    current.clone_from(configs);
    Outcome::Done
}

fn allocate_producer_ids(image: &mut Image, node_id: i32, broker_epoch: i64) -> Outcome {
    match image.brokers.get(&node_id) {
        Some(broker) if broker.epoch == broker_epoch => {
            let first = image.next_producer_id;
            image.next_producer_id += PRODUCER_ID_BLOCK_LEN;
            Outcome::ProducerIds(first)
        }
        _ => Outcome::rejected(
            ErrorCode::StaleBrokerEpoch,
            format!("broker {node_id} has not the epoch {broker_epoch}"),
        ),
    }
}

fn new_partition(replicas: &[i32]) -> PartitionImage {
    PartitionImage {
        replicas: replicas.to_vec(),
        isr: replicas.to_vec(),
        leader: replicas.first().copied().unwrap_or(-1),
        leader_epoch: 0,
        partition_epoch: 0,
    }
}

fn unknown_replica(image: &Image, replicas: &[Vec<i32>]) -> Option<Outcome> {
    let unknown = replicas.iter().flatten().find(|id| !image.brokers.contains_key(id))?;
    Some(Outcome::rejected(
        ErrorCode::InvalidReplicaAssignment,
        format!(
            "The manual partition assignment includes broker {unknown}, but no such broker is \
             registered."
        ),
    ))
}

fn unknown_id(id: Uuid) -> Outcome {
    Outcome::rejected(ErrorCode::UnknownTopicId, format!("there is no topic with id {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(image: &mut Image, tag: u8) -> i64 {
        let command = Command::RegisterBroker {
            node_id: 1,
            incarnation: Uuid([tag; 16]),
            host: "127.0.0.1".into(),
            port: 9092,
            rack: None,
        };
        match apply(image, &command) {
            Outcome::BrokerEpoch(epoch) => epoch,
            other => panic!("{other:?}"),
        }
    }

    fn create(image: &mut Image, name: &str, tag: u8) -> Outcome {
        let command = Command::CreateTopic {
            name: name.into(),
            id: Uuid([tag; 16]),
            replicas: vec![vec![1]; 2],
            configs: BTreeMap::new(),
        };
        apply(image, &command)
    }

    #[test]
    fn a_restart_raises_the_leader_epoch_of_what_it_leads() {
        let mut image = Image::default();
        let first = register(&mut image, 1);
        assert_eq!(create(&mut image, "t", 9), Outcome::Done);
        assert_eq!(image.topics["t"].partitions[1].leader_epoch, 0);
        let second = register(&mut image, 2);
        assert!(second > first);
        assert_eq!(image.topics["t"].partitions[1].leader_epoch, 1);
    }

    #[test]
    fn a_former_incarnation_gets_no_producer_ids() {
        let mut image = Image::default();
        let first = register(&mut image, 1);
        let second = register(&mut image, 2);
        let ask = |broker_epoch| Command::AllocateProducerIds { node_id: 1, broker_epoch };
        assert!(matches!(apply(&mut image, &ask(first)), Outcome::Rejected(_)));
        assert_eq!(apply(&mut image, &ask(second)), Outcome::ProducerIds(0));
        assert_eq!(apply(&mut image, &ask(second)), Outcome::ProducerIds(1000));
    }

    #[test]
    fn names_that_collide_in_metrics_are_refused() {
        let mut image = Image::default();
        register(&mut image, 1);
        assert_eq!(create(&mut image, "a.b", 1), Outcome::Done);
        let Outcome::Rejected(refusal) = create(&mut image, "a_b", 2) else { panic!() };
        assert_eq!(refusal.code, ErrorCode::InvalidTopicException);
        let Outcome::Rejected(refusal) = create(&mut image, "a.b", 3) else { panic!() };
        assert_eq!(refusal.code, ErrorCode::TopicAlreadyExists);
    }

    #[test]
    fn decisions_on_a_stale_base_are_refused() {
        let mut image = Image::default();
        register(&mut image, 1);
        create(&mut image, "t", 1);
        let id = Uuid([1; 16]);
        let grow = Command::CreatePartitions { id, expected_count: 2, replicas: vec![vec![1]] };
        assert_eq!(apply(&mut image, &grow), Outcome::Done);
        let Outcome::Rejected(refusal) = apply(&mut image, &grow) else { panic!() };
        assert_eq!(refusal.code, ErrorCode::InvalidPartitions);
        let alter = Command::AlterConfigs {
            resource: ConfigResource::Topic("t".into()),
            expected: BTreeMap::new(),
            configs: BTreeMap::from([("retention.ms".to_owned(), "1".to_owned())]),
        };
        assert_eq!(apply(&mut image, &alter), Outcome::Done);
        assert!(matches!(apply(&mut image, &alter), Outcome::Rejected(_)));
    }

    #[test]
    fn deleting_goes_by_id_so_a_recreated_topic_stays() {
        let mut image = Image::default();
        register(&mut image, 1);
        create(&mut image, "t", 1);
        let delete = Command::DeleteTopic { id: Uuid([1; 16]) };
        assert_eq!(apply(&mut image, &delete), Outcome::Done);
        assert_eq!(create(&mut image, "t", 2), Outcome::Done);
        assert!(matches!(apply(&mut image, &delete), Outcome::Rejected(_)));
        assert!(image.topics.contains_key("t"));
    }
}
