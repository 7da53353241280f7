//! All partitions of this broker, following the metadata image.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use ottla_protocol::Uuid;

use super::Partition;
use crate::broker::effective_config;
use crate::config::{Config, TopicConfig};
use crate::log::manager::Belongs;
use crate::log::{Log, LogError, LogManager, TopicPartition};
use crate::quorum::{Image, TopicImage};

/// Making a partition is mostly waiting for the disk.
const OPEN_THREADS: usize = 4;

/// The partitions that this broker leads.
#[derive(Debug)]
pub struct Partitions {
    manager: LogManager,
    node_id: i32,
    config: Config,
    topics: ArcSwap<HashMap<Uuid, Topic>>,
    /// Held while the partitions follow an image; also remembers the configuration that they
    /// follow.
    following: Mutex<Config>,
}

#[derive(Debug, Clone)]
struct Topic {
    image: Arc<TopicImage>,
    /// By index; none where another broker leads.
    partitions: Vec<Option<Arc<Partition>>>,
}

/// A partition to be opened.
struct Work {
    topic: Arc<TopicImage>,
    index: usize,
    /// Found on disk at start; none is made anew.
    log: Option<Log>,
}

/// What following an image has changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Partitions that are led from now on.
    pub opened: Vec<Arc<Partition>>,
    /// Partitions that are gone, by topic name and index.
    pub deleted: Vec<(String, i32)>,
}

impl Partitions {
    /// Opens the partitions of a data folder: those of the image are led, others are set aside
    /// (M18).
    pub fn open(
        manager: LogManager,
        node_id: i32,
        config: &Config,
        image: &Image,
    ) -> Result<(Self, Changes), LogError> {
        let effective = effective_config(config, image, node_id);
        let belongs = |of: &TopicPartition, id: Option<Uuid>| {
            let topic = image.topics.get(&of.topic);
            match topic.filter(|topic| is_led(topic, of.partition, node_id) && id == Some(topic.id))
            {
                Some(topic) => {
                    let config = TopicConfig::resolve(&topic.configs, &effective);
                    Belongs::Yes(Box::new(config.log_config(&effective)))
                }
                None => Belongs::No,
            }
        };
        let mut work = Vec::new();
        for loaded in manager.load(OPEN_THREADS, belongs)? {
            let (log, report) = loaded.log?;
            if let Some(reason) = &report.truncated_because {
                tracing::warn!(partition = %loaded.of.dir_name(), %reason, ?report, "cut a log");
            }
            let topic = Arc::clone(&image.topics[&loaded.of.topic]);
            let index = usize::try_from(loaded.of.partition).expect("it belongs to the image");
            work.push(Work { topic, index, log: Some(log) });
        }
        let partitions = Self {
            manager,
            node_id,
            config: config.clone(),
            topics: ArcSwap::default(),
            following: Mutex::new(effective.clone()),
        };
        let mut changes = Changes::default();
        let mut topics = HashMap::new();
        partitions.open_all(work, &effective, &mut topics, &mut changes)?;
        partitions.topics.store(Arc::new(topics));
        let more = partitions.reconcile(image)?;
        changes.opened.extend(more.opened);
        Ok((partitions, changes))
    }

    /// A partition that this broker leads.
    pub fn get(&self, topic: Uuid, index: i32) -> Option<Arc<Partition>> {
        let index = usize::try_from(index).ok()?;
        self.topics.load().get(&topic)?.partitions.get(index)?.clone()
    }

    /// All partitions that this broker leads, in no order.
    pub fn all(&self) -> Vec<Arc<Partition>> {
        let topics = self.topics.load();
        topics.values().flat_map(|topic| topic.partitions.iter().flatten().cloned()).collect()
    }

    /// Makes the partitions follow an image: new ones are opened, deleted ones go, settings are put
    /// in force. May take as long as the disk does.
    pub fn reconcile(&self, image: &Image) -> Result<Changes, LogError> {
        let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let effective = effective_config(&self.config, image, self.node_id);
        let config_changed = *following != effective;
        let mut topics = HashMap::clone(&self.topics.load());
        let mut changes = Changes::default();
        let gone: Vec<Topic> = topics
            .extract_if(|id, _| image.topic_by_id(*id).is_none())
            .map(|(_, topic)| topic)
            .collect();
        let mut work = Vec::new();
        for topic in image.topics.values() {
            let known = topics.get_mut(&topic.id);
            if known.as_ref().is_some_and(|known| Arc::ptr_eq(&known.image, topic))
                && !config_changed
            {
                continue;
            }
            let mut open = 0..topic.partitions.len();
            if let Some(known) = known {
                known.image = Arc::clone(topic);
                open.start = known.partitions.len();
                let config = TopicConfig::resolve(&topic.configs, &effective);
                for partition in known.partitions.iter().flatten() {
                    partition.set_config(config.clone(), config.log_config(&effective));
                }
            }
            let led = open.filter(|index| topic.partitions[*index].leader == self.node_id);
            work.extend(led.map(|index| Work { topic: Arc::clone(topic), index, log: None }));
        }
        let opened = self.open_all(work, &effective, &mut topics, &mut changes);
        // What was deleted is gone even if something else could not be opened.
        self.topics.store(Arc::new(topics));
        *following = effective;
        for topic in gone {
            self.delete(&topic, &mut changes)?;
        }
        opened?;
        Ok(changes)
    }

    fn delete(&self, topic: &Topic, changes: &mut Changes) -> Result<(), LogError> {
        for partition in topic.partitions.iter().flatten() {
            partition.close();
        }
        for partition in topic.partitions.iter().flatten() {
            let of = TopicPartition::new(partition.topic(), partition.index());
            self.manager.delete(&of, topic.image.id)?;
            changes.deleted.push((partition.topic().to_owned(), partition.index()));
        }
        Ok(())
    }

    /// Opens some partitions, several at a time, and enters them.
    fn open_all(
        &self,
        work: Vec<Work>,
        effective: &Config,
        topics: &mut HashMap<Uuid, Topic>,
        changes: &mut Changes,
    ) -> Result<(), LogError> {
        let threads = OPEN_THREADS.min(work.len());
        let work: Vec<Mutex<Option<Work>>> =
            work.into_iter().map(|work| Mutex::new(Some(work))).collect();
        let next = AtomicUsize::new(0);
        let opened = Mutex::new(Vec::new());
        let run = || {
            while let Some(slot) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                let work = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
                let work = work.expect("every index is taken once");
                let topic = Arc::clone(&work.topic);
                let index = work.index;
                let partition = self.open_one(work, effective);
                let mut opened = opened.lock().unwrap_or_else(PoisonError::into_inner);
                opened.push((topic, index, partition));
            }
        };
        if threads <= 1 {
            run();
        } else {
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(run);
                }
            });
        }
        let mut failed = Ok(());
        for (image, index, partition) in opened.into_inner().unwrap_or_else(PoisonError::into_inner)
        {
            let topic = topics
                .entry(image.id)
                .or_insert_with(|| Topic { image: Arc::clone(&image), partitions: Vec::new() });
            let len = topic.partitions.len().max(image.partitions.len());
            topic.partitions.resize(len, None);
            match partition {
                Ok(partition) => {
                    let partition = Arc::new(partition);
                    topic.partitions[index] = Some(Arc::clone(&partition));
                    changes.opened.push(partition);
                }
                Err(error) => failed = Err(error),
            }
        }
        failed
    }

    fn open_one(&self, work: Work, effective: &Config) -> Result<Partition, LogError> {
        let index = i32::try_from(work.index).expect("partition counts are 32-bit");
        let of = TopicPartition::new(work.topic.name.as_str(), index);
        let config = TopicConfig::resolve(&work.topic.configs, effective);
        let log = match work.log {
            Some(log) => log,
            None => self.manager.create(of.clone(), work.topic.id, config.log_config(effective))?.0,
        };
        let log_dir = Arc::clone(self.manager.log_dir());
        let high_watermark = log_dir.high_watermark(&of);
        let epoch = work.topic.partitions[work.index].leader_epoch;
        Partition::lead(&work.topic, index, epoch, config, log, log_dir, high_watermark)
    }

    /// Writes high watermarks and recovery points of partitions that have moved.
    pub fn write_checkpoints(&self) -> Result<(), LogError> {
        for partition in self.all() {
            let of = TopicPartition::new(partition.topic(), partition.index());
            self.manager.log_dir().set_high_watermark(&of, partition.high_watermark());
        }
        self.manager.write_checkpoints()
    }

    /// Closes every log and marks the folder as cleanly shut down. Nothing is served afterwards.
    pub fn shut_down(&self) -> Result<(), LogError> {
        for partition in self.all() {
            partition.shut_down()?;
        }
        self.write_checkpoints()?;
        self.manager.mark_clean()
    }

    /// Ends service without writing anything more, as if the process had been killed.
    pub(crate) fn abandon(&self) {
        for partition in self.all() {
            partition.close();
        }
    }
}

fn is_led(topic: &TopicImage, index: i32, node_id: i32) -> bool {
    let partition = usize::try_from(index).ok().and_then(|index| topic.partitions.get(index));
    partition.is_some_and(|partition| partition.leader == node_id)
}
