//! Whatever is asked in whatever order: what holds of every partition, and of the replicas that may
//! be elected, held against a model of who has what was committed.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const BROKERS: i32 = 4;

/// Something that may happen; numbers are taken modulo what there is.
#[derive(Debug, Clone)]
struct Step {
    kind: u8,
    broker: i32,
    topic: u8,
    bits: u8,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..22u8, 1..=BROKERS, 0..2u8, any::<u8>());
    let step = step.prop_map(|(kind, broker, topic, bits)| Step { kind, broker, topic, bits });
    prop::collection::vec(step, 1..120)
}

fn id(topic: u8) -> Uuid {
    Uuid([topic + 1; 16])
}

fn chosen(bits: u8) -> Vec<i32> {
    let mut ids: Vec<i32> = (1..=BROKERS).filter(|id| bits >> id & 1 == 1).collect();
    let len = ids.len().max(1);
    ids.rotate_left(usize::from(bits >> 5) % len);
    ids
}

/// The command of a step, as somebody would propose it who knows the state, or nearly.
fn command(cluster: &mut Cluster, step: &Step) -> Option<Command> {
    let Step { kind, broker: node_id, topic, bits } = *step;
    let broker_epoch = cluster.image.brokers.get(&node_id).map_or(-1, |broker| broker.epoch);
    let of = PartitionId { topic_id: id(topic), index: 0 };
    Some(match kind {
        0 | 1 => {
            cluster.incarnations += 1;
            // Rarely an empty disk, more often a lost tail.
            let directory = if bits < 16 { bits + 100 } else { 1 };
            registration(node_id, cluster.incarnations, directory, bits & 16 == 0)
        }
        2..=5 => Command::UnfenceBroker { node_id, broker_epoch },
        6 | 7 => Command::FenceBroker { node_id, broker_epoch },
        8 => Command::BeginControlledShutdown { node_id, broker_epoch },
        9 => Command::UnregisterBroker { node_id },
        10 => Command::CreateTopic {
            name: format!("t{topic}"),
            id: id(topic),
            replicas: vec![chosen(bits | 2)],
            configs: BTreeMap::from([(
                "min.insync.replicas".to_owned(),
                (bits % 3 + 1).to_string(),
            )]),
        },
        11 if bits < 30 => Command::DeleteTopic { id: id(topic) },
        11 | 12 => {
            let resource = ConfigResource::Topic(format!("t{topic}"));
            let expected = cluster.image.topic_by_id(id(topic))?.configs.clone();
            let configs = ("min.insync.replicas".to_owned(), (bits % 3 + 1).to_string());
            Command::AlterConfigs { resource, expected, configs: BTreeMap::from([configs]) }
        }
        13 => Command::ResignLeadership { topic_id: id(topic), index: 0, node_id, broker_epoch },
        14 => Command::ElectLeaders { election: Election::Preferred, partitions: vec![of] },
        15 if bits < 60 => {
            Command::ElectLeaders { election: Election::Unclean, partitions: vec![of] }
        }
        16 => Command::AlterPartitionReassignments {
            allow_replication_factor_change: bits & 1 == 0,
            reassignments: vec![Reassignment {
                partition: of,
                replicas: (bits > 60).then(|| chosen(bits)),
            }],
        },
        _ => {
            let partition = cluster.image.partition(of)?;
            let (leader, isr) = (partition.leader, chosen(bits | 1 << partition.leader.max(0)));
            let epoch = |id: i32| cluster.image.brokers.get(&id).map_or(-1, |broker| broker.epoch);
            Command::AlterPartition {
                topic_id: id(topic),
                index: 0,
                leader,
                leader_epoch: partition.leader_epoch,
                partition_epoch: partition.partition_epoch - i32::from(bits == 7),
                broker_epoch: epoch(leader),
                isr: isr.into_iter().map(|id| (id, epoch(id))).collect(),
            }
        }
    })
}

/// Who certainly has all that was ever committed to the partition of a topic.
#[derive(Debug, Default)]
struct Model {
    holders: BTreeMap<u8, BTreeSet<i32>>,
}

impl Model {
    /// Follows one step, and says what is wrong with it.
    fn follow(&mut self, before: &Image, after: &Image, command: &Command) -> Result<(), String> {
        for topic in 0..2 {
            let of = PartitionId { topic_id: id(topic), index: 0 };
            let Some(partition) = after.partition(of) else {
                self.holders.remove(&topic);
                continue;
            };
            self.lose(topic, before, of, command);
            let configs = &after.topic_by_id(of.topic_id).unwrap().configs;
            let min = configs["min.insync.replicas"].parse::<usize>().unwrap();
            let min = min.min(partition.replicas.len());
            let first = || partition.isr.iter().copied().collect();
            let holders = self.holders.entry(topic).or_insert_with(first);
            if let Command::AlterPartition { topic_id, isr, .. } = command
                && *topic_id == of.topic_id
            {
                // A leader lets into the ISR only who has everything.
                holders.extend(isr.iter().map(|(id, _)| *id));
            }
            holders.retain(|id| partition.replicas.contains(id));
            check_epochs(before.partition(of), partition)?;
            check_sets(after, partition, min)?;
            let elected = before
                .partition(of)
                .is_some_and(|before| before.leader != partition.leader && partition.leader != -1);
            if elected && partition.recovering {
                let is_forced = matches!(command, Command::ElectLeaders { .. });
                if !is_forced && !holders.is_empty() {
                    return Err(format!("{partition:?} is unclean, {holders:?} have everything"));
                }
                *holders = BTreeSet::from([partition.leader]);
            }
            if partition.leader != -1 && !holders.contains(&partition.leader) {
                return Err(format!("{partition:?} is led without all, which {holders:?} have"));
            }
            // It commits with its ISR alone.
            if partition.isr.len() >= min {
                *holders = partition.isr.iter().copied().collect();
            }
            let outside = holders.iter().copied().filter(|id| !partition.isr.contains(id));
            let eligible: BTreeSet<i32> = partition.elr.iter().copied().collect();
            if eligible != outside.collect() {
                return Err(format!("{partition:?}: eligible should be {holders:?}"));
            }
        }
        Ok(())
    }

    /// A replica no longer has what it had.
    fn lose(&mut self, topic: u8, before: &Image, of: PartitionId, command: &Command) {
        let lost = match command {
            Command::RegisterBroker { node_id, directory, tail_intact, .. } => {
                let former = before.brokers.get(node_id);
                let is_empty = former.is_none_or(|former| former.directory != *directory);
                (is_empty || !tail_intact).then_some(*node_id)
            }
            Command::UnregisterBroker { node_id } => Some(*node_id),
            Command::ResignLeadership { topic_id, node_id, .. } => {
                (*topic_id == of.topic_id).then_some(*node_id)
            }
            _ => None,
        };
        if let (Some(lost), Some(holders)) = (lost, self.holders.get_mut(&topic)) {
            holders.remove(&lost);
        }
    }
}

fn check_epochs(before: Option<&PartitionImage>, after: &PartitionImage) -> Result<(), String> {
    let Some(before) = before else { return Ok(()) };
    let is_gone = |id: &i32| !after.replicas.contains(id);
    let must_grow = before.leader != after.leader || before.replicas.iter().any(is_gone);
    let holds = before.leader_epoch <= after.leader_epoch
        && (!must_grow || before.leader_epoch < after.leader_epoch)
        && (before == after || before.partition_epoch < after.partition_epoch);
    holds.then_some(()).ok_or_else(|| format!("epochs: {before:?} became {after:?}"))
}

fn check_sets(image: &Image, partition: &PartitionImage, min: usize) -> Result<(), String> {
    let PartitionImage { replicas, isr, leader, adding, removing, elr, offline, .. } = partition;
    let sets = [replicas, isr, adding, removing, elr, offline];
    let is_set = |ids: &Vec<i32>| ids.iter().collect::<BTreeSet<_>>().len() == ids.len();
    let holds = sets.iter().all(|ids| is_set(ids))
        && sets.iter().all(|ids| ids.iter().all(|id| replicas.contains(id)))
        && isr.iter().all(|id| image.is_active(*id) && !offline.contains(id) && !elr.contains(id))
        && (if isr.is_empty() { *leader == -1 } else { isr.contains(leader) })
        && (isr.len() < min || elr.is_empty())
        && adding.iter().all(|id| !removing.contains(id))
        && replicas.len() > removing.len();
    holds.then_some(()).ok_or_else(|| format!("sets: {partition:?}"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_commands_breaks_a_partition(steps in steps(), cut in 0..120usize) {
        let mut cluster = Cluster::of(1..=BROKERS);
        for topic in 0..2 {
            let step = Step { kind: 10, broker: 1, topic, bits: 0xff };
            let create = command(&mut cluster, &step).unwrap();
            cluster.run(create);
        }
        let mut model = Model::default();
        model.follow(&Image::default(), &cluster.image, &Command::UnregisterBroker { node_id: -1 })
            .map_err(TestCaseError::fail)?;
        let mut restored = None;
        for (at, step) in steps.iter().enumerate() {
            // M20: what goes on from a snapshot is what would have been without it.
            if at == cut {
                let text = serde_json::to_string(&cluster.image).unwrap();
                let mut image: Image = serde_json::from_str(&text).unwrap();
                image.reindex();
                restored = Some(image);
            }
            let Some(command) = command(&mut cluster, step) else { continue };
            let before = cluster.image.clone();
            let outcome = cluster.run(command.clone());
            if let Some(restored) = &mut restored {
                prop_assert_eq!(apply(restored, before.applied + 1, &command), outcome.clone());
            }
            if matches!(outcome, Outcome::Rejected(_)) {
                let mut unchanged = cluster.image.clone();
                unchanged.applied = before.applied;
                prop_assert_eq!(&unchanged, &before);
                continue;
            }
            model.follow(&before, &cluster.image, &command)
                .map_err(|reason| TestCaseError::fail(format!("{command:?}: {reason}")))?;
        }
        if let Some(restored) = restored {
            prop_assert_eq!(restored, cluster.image);
        }
    }
}
