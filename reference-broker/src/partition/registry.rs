//! All partitions of this broker, following the metadata image.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use ottla_protocol::{ErrorCode, Uuid};
use tokio::sync::watch;

use super::{Partition, Placed};
use crate::broker::effective_config;
use crate::config::{Config, TopicConfig};
use crate::log::manager::Belongs;
use crate::log::{Log, LogError, LogManager, TopicPartition};
use crate::quorum::{BrokerImage, Image, PartitionId, TopicImage};
use crate::runtime::on_threads;

/// Making a partition is mostly waiting for the disk.
const OPEN_THREADS: usize = 4;

/// The replicas that this broker has.
#[derive(Debug)]
pub struct Partitions {
    manager: LogManager,
    node_id: i32,
    config: Config,
    topics: ArcSwap<HashMap<Uuid, Topic>>,
    /// Counts the changes of what is led and followed.
    roles: watch::Sender<u64>,
    /// Held while the partitions follow an image; remembers what they follow.
    following: Mutex<Followed>,
}

/// What was followed last, beside the topics.
#[derive(Debug)]
struct Followed {
    config: Config,
    /// Who is in the ISR depends on who is alive.
    brokers: BTreeMap<i32, BrokerImage>,
}

#[derive(Debug, Clone)]
struct Topic {
    image: Arc<TopicImage>,
    /// By index.
    partitions: Vec<Place>,
}

impl Topic {
    fn new(image: &Arc<TopicImage>) -> Self {
        let partitions = vec![Place::Elsewhere; image.partitions.len()];
        Self { image: Arc::clone(image), partitions }
    }

    fn here(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.partitions.iter().filter_map(|place| match place {
            Place::Here(partition) => Some(partition),
            Place::Elsewhere | Place::Offline => None,
        })
    }
}

/// Where a partition is.
#[derive(Debug, Clone)]
enum Place {
    /// With another broker, or nowhere yet.
    Elsewhere,
    /// Here.
    Here(Arc<Partition>),
    /// Here, but its log is damaged (M19): nothing of it is served, and its folder stays as it is.
    Offline,
}

/// A partition to be opened.
struct Work {
    topic: Arc<TopicImage>,
    index: usize,
    /// Found on disk at start; none is made anew.
    log: Option<Log>,
}

/// How many partitions there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that are served.
    pub served: usize,
    /// Those that are not, because their logs are damaged.
    pub offline: usize,
}

/// What following an image has changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Replicas that have a new leader epoch, or are new here.
    pub opened: Vec<Arc<Partition>>,
    /// Partitions that are not led any more, by topic name, index and the epoch that is over.
    pub resigned: Vec<(String, i32, i32)>,
    /// Partitions that are gone, by topic name and index.
    pub deleted: Vec<(String, i32)>,
    /// What a disk has refused to do; the rest was done.
    pub failure: Option<LogError>,
}

impl Changes {
    fn are_of_roles(&self) -> bool {
        !(self.opened.is_empty() && self.resigned.is_empty() && self.deleted.is_empty())
    }

    fn note(&mut self, result: Result<(), LogError>) {
        self.failure = self.failure.take().or(result.err());
    }
}

impl Partitions {
    /// Opens the replicas of a data folder: those of the image are served, others are set aside
    /// (M18). One whose log is damaged is offline; the others are not concerned (M19).
    pub fn open(
        manager: LogManager,
        node_id: i32,
        config: &Config,
        image: &Image,
    ) -> Result<(Self, Changes), LogError> {
        let effective = effective_config(config, image, node_id);
        let belongs = |of: &TopicPartition, id: Option<Uuid>| {
            let topic = image.topics.get(&of.topic);
            match topic
                .filter(|topic| is_here(topic, of.partition, node_id) && id == Some(topic.id))
            {
                Some(topic) => {
                    let config = TopicConfig::resolve(&topic.configs, &effective);
                    Belongs::Yes(Box::new(config.log_config(&effective)))
                }
                None => Belongs::No,
            }
        };
        let mut topics = HashMap::new();
        let mut work = Vec::new();
        for loaded in manager.load(OPEN_THREADS, belongs)? {
            let image = &image.topics[&loaded.of.topic];
            let index = usize::try_from(loaded.of.partition).expect("it belongs to the image");
            let (log, report) = match loaded.log {
                Ok(opened) => opened,
                Err(error) if is_offline_by(&error) => {
                    let partition = loaded.of.dir_name();
                    tracing::error!(partition, %error, "a partition is offline until a restart");
                    let topic = topics.entry(image.id).or_insert_with(|| Topic::new(image));
                    topic.partitions[index] = Place::Offline;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(reason) = &report.truncated_because {
                tracing::warn!(partition = %loaded.of.dir_name(), %reason, ?report, "cut a log");
            }
            work.push(Work { topic: Arc::clone(image), index, log: Some(log) });
        }
        for folder in manager.strays()? {
            let folder = folder.display();
            tracing::warn!(%folder, "no partition of this cluster; remove it if nobody misses it");
        }
        let partitions = Self {
            manager,
            node_id,
            config: config.clone(),
            topics: ArcSwap::default(),
            roles: watch::Sender::new(0),
            following: Mutex::new(Followed {
                config: effective.clone(),
                brokers: image.brokers.clone(),
            }),
        };
        let mut changes = Changes::default();
        partitions.open_all(image, work, &effective, &mut topics, &mut changes)?;
        // A broker may end when a topic is decided on and some of its folders are not made yet.
        let not_here = |topic: &Arc<TopicImage>| partitions.not_here(topics.get(&topic.id), topic);
        let missing = image.topics.values().flat_map(not_here).collect();
        partitions.open_all(image, missing, &effective, &mut topics, &mut changes)?;
        partitions.topics.store(Arc::new(topics));
        Ok((partitions, changes))
    }

    /// A partition that this broker leads.
    ///
    /// # Errors
    /// `NotLeaderOrFollower` when another broker does, else as [`Self::replica`].
    pub fn get(&self, topic: Uuid, index: i32) -> Result<Arc<Partition>, ErrorCode> {
        let replica = self.replica(topic, index)?;
        replica.is_leader().then_some(replica).ok_or(ErrorCode::NotLeaderOrFollower)
    }

    /// A partition of which this broker has a replica.
    ///
    /// # Errors
    /// `KafkaStorageError` when its log is damaged, `UnknownTopicOrPartition` when it is not here.
    pub fn replica(&self, topic: Uuid, index: i32) -> Result<Arc<Partition>, ErrorCode> {
        match self.place(topic, index) {
            Place::Here(partition) if partition.is_offline() => Err(ErrorCode::KafkaStorageError),
            Place::Here(partition) => Ok(partition),
            Place::Offline => Err(ErrorCode::KafkaStorageError),
            Place::Elsewhere => Err(ErrorCode::UnknownTopicOrPartition),
        }
    }

    /// Whether a partition of this broker is not served because its log is damaged or its log dir
    /// has failed.
    pub fn is_offline(&self, topic: Uuid, index: i32) -> bool {
        match self.place(topic, index) {
            Place::Offline => true,
            Place::Here(partition) => partition.is_offline(),
            Place::Elsewhere => false,
        }
    }

    fn place(&self, topic: Uuid, index: i32) -> Place {
        let topics = self.topics.load();
        let index = usize::try_from(index).ok();
        let place = index.and_then(|index| topics.get(&topic)?.partitions.get(index));
        place.cloned().unwrap_or(Place::Elsewhere)
    }

    /// Changes whenever this broker leads or follows something else.
    pub(crate) fn roles(&self) -> watch::Receiver<u64> {
        self.roles.subscribe()
    }

    /// How many partitions are served here, and how many are not because their logs are damaged.
    pub fn counts(&self) -> Counts {
        let topics = self.topics.load();
        let places = topics.values().flat_map(|topic| &topic.partitions);
        places.fold(Counts::default(), |mut counts, place| {
            match place {
                Place::Here(_) => counts.served += 1,
                Place::Offline => counts.offline += 1,
                Place::Elsewhere => {}
            }
            counts
        })
    }

    /// The data folders that are out of service, and why; they stay so until a restart.
    pub fn failed_dirs(&self) -> Vec<(PathBuf, String)> {
        self.manager.failed_dirs()
    }

    /// All replicas of this broker, in no order.
    pub fn all(&self) -> Vec<Arc<Partition>> {
        self.topics.load().values().flat_map(|topic| topic.here().cloned()).collect()
    }

    /// Makes the partitions follow the latest image: new ones are opened, deleted ones go, settings
    /// are put in force. May take as long as the disk does.
    ///
    /// The image is asked for under the lock. One that was taken before it may be older than what
    /// is followed by then, and would delete the topics that have come since, with their records.
    pub fn reconcile(&self, latest: impl FnOnce() -> Arc<Image>) -> Changes {
        let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let image = &latest();
        let effective = effective_config(&self.config, image, self.node_id);
        let config_changed = following.config != effective;
        let brokers_changed = following.brokers != image.brokers;
        let mut topics = HashMap::clone(&self.topics.load());
        let mut changes = Changes::default();
        let gone: Vec<Topic> = topics
            .extract_if(|id, _| image.topic_by_id(*id).is_none())
            .map(|(_, topic)| topic)
            .collect();
        let mut work = Vec::new();
        let mut moved = Vec::new();
        for topic in image.topics.values() {
            let known = topics.get_mut(&topic.id);
            let same = known.as_ref().is_some_and(|known| Arc::ptr_eq(&known.image, topic));
            if same && !config_changed && !brokers_changed {
                continue;
            }
            if let Some(known) = known {
                known.image = Arc::clone(topic);
                let config = TopicConfig::resolve(&topic.configs, &effective);
                for partition in known.here() {
                    partition.set_config(config.clone(), config.log_config(&effective));
                    // What was there before `flush.messages` was set is meant as well.
                    partition.flush_if_due();
                }
                moved.extend(self.follow_roles(image, known, &mut changes));
            }
            work.extend(self.not_here(topics.get(&topic.id), topic));
        }
        let opened = self.open_all(image, work, &effective, &mut topics, &mut changes);
        // What was deleted is gone even if something else could not be opened.
        self.topics.store(Arc::new(topics));
        *following = Followed { config: effective, brokers: image.brokers.clone() };
        for (name, id, index) in moved {
            changes.note(self.manager.delete(&TopicPartition::new(name.as_str(), index), id));
        }
        for topic in gone {
            self.delete(&topic, &mut changes);
        }
        if changes.are_of_roles() {
            self.roles.send_modify(|count| *count += 1);
        }
        changes.note(opened);
        changes
    }

    /// Gives the replicas of a topic the parts that the image gives them. Answers those that are to
    /// be deleted: this broker is no replica of theirs any more (M21).
    fn follow_roles(
        &self,
        image: &Image,
        topic: &mut Topic,
        changes: &mut Changes,
    ) -> Vec<(String, Uuid, i32)> {
        let Topic { image: of, partitions } = topic;
        let mut moved = Vec::new();
        for (index, place) in (0..).zip(partitions.iter_mut()) {
            if !is_here(of, index, self.node_id) {
                if let Place::Here(partition) = place {
                    partition.close();
                    resign(partition, changes);
                }
                if !matches!(place, Place::Elsewhere) {
                    moved.push((of.name.clone(), of.id, index));
                }
                *place = Place::Elsewhere;
                continue;
            }
            let Place::Here(partition) = place else { continue };
            let at = usize::try_from(index).expect("it was counted from 0");
            if of.partitions[at].leader_epoch == partition.leader_epoch() {
                partition.on_image(image);
                continue;
            }
            resign(partition, changes);
            let placed = Placed { image, topic: of, index, node_id: self.node_id };
            match partition.succeed(&placed) {
                Ok(next) => {
                    let next = Arc::new(next);
                    changes.opened.push(Arc::clone(&next));
                    *place = Place::Here(next);
                }
                Err(error) => {
                    tracing::error!(?partition, %error, "a partition is offline");
                    *place = Place::Offline;
                }
            }
        }
        moved
    }

    /// The replicas that this broker has by the image and not in fact.
    fn not_here(&self, known: Option<&Topic>, image: &Arc<TopicImage>) -> Vec<Work> {
        let is_here = |index| match known.and_then(|known| known.partitions.get(index)) {
            Some(Place::Here(_) | Place::Offline) => true,
            Some(Place::Elsewhere) | None => false,
        };
        let placed = |index: &usize| image.partitions[*index].replicas.contains(&self.node_id);
        let indexes = (0..image.partitions.len()).filter(placed).filter(|index| !is_here(*index));
        indexes.map(|index| Work { topic: Arc::clone(image), index, log: None }).collect()
    }

    fn delete(&self, topic: &Topic, changes: &mut Changes) {
        for partition in topic.here() {
            partition.close();
        }
        let name = &topic.image.name;
        for (index, place) in (0..).zip(&topic.partitions) {
            if !matches!(place, Place::Elsewhere) {
                let of = TopicPartition::new(name.as_str(), index);
                changes.note(self.manager.delete(&of, topic.image.id));
                changes.deleted.push((name.clone(), index));
            }
        }
    }

    /// Opens some partitions, several at a time, and enters them.
    fn open_all(
        &self,
        image: &Image,
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
                let partition = self.open_one(image, work, effective);
                let mut opened = opened.lock().unwrap_or_else(PoisonError::into_inner);
                opened.push((topic, index, partition));
            }
        };
        on_threads(threads, run);
        let mut failed = Ok(());
        for (topic_image, index, partition) in
            opened.into_inner().unwrap_or_else(PoisonError::into_inner)
        {
            let topic = topics.entry(topic_image.id);
            let topic = topic.or_insert_with(|| Topic::new(&topic_image));
            let len = topic.partitions.len().max(topic_image.partitions.len());
            topic.partitions.resize(len, Place::Elsewhere);
            match partition {
                Ok(partition) => {
                    let partition = Arc::new(partition);
                    topic.partitions[index] = Place::Here(Arc::clone(&partition));
                    changes.opened.push(partition);
                }
                Err(error) if is_offline_by(&error) => {
                    let name = &topic_image.name;
                    tracing::error!(topic = name, index, %error, "a partition is offline");
                    topic.partitions[index] = Place::Offline;
                }
                Err(error) => failed = Err(error),
            }
        }
        failed
    }

    fn open_one(
        &self,
        image: &Image,
        work: Work,
        effective: &Config,
    ) -> Result<Partition, LogError> {
        let index = i32::try_from(work.index).expect("partition counts are 32-bit");
        let of = TopicPartition::new(work.topic.name.as_str(), index);
        let config = TopicConfig::resolve(&work.topic.configs, effective);
        let log = match work.log {
            Some(log) => log,
            None => self.manager.create(of.clone(), work.topic.id, config.log_config(effective))?.0,
        };
        let log_dir = Arc::clone(log.log_dir());
        let high_watermark = log_dir.high_watermark(&of);
        let place = Placed { image, topic: &work.topic, index, node_id: self.node_id };
        Partition::open(&place, config, log, high_watermark)
    }

    /// The replicas here that cannot be served (M19); true: only their bytes are damaged, which
    /// other replicas have.
    pub(crate) fn offline(&self) -> Vec<(PartitionId, bool)> {
        let mut offline = Vec::new();
        for (topic_id, topic) in self.topics.load().iter() {
            for (index, place) in (0..).zip(&topic.partitions) {
                let of = PartitionId { topic_id: *topic_id, index };
                match place {
                    Place::Offline => offline.push((of, true)),
                    Place::Here(partition) if partition.is_offline() => {
                        offline.push((of, partition.dir_works()));
                    }
                    Place::Here(_) | Place::Elsewhere => {}
                }
            }
        }
        offline
    }

    /// Opens a damaged replica again, cut where it is damaged; the rest is fetched (M19). Only for
    /// one that follows somebody and is in no ISR: false is "not now".
    pub(crate) fn repair(
        &self,
        of: PartitionId,
        latest: impl FnOnce() -> Arc<Image>,
    ) -> Result<bool, LogError> {
        let following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let (image, config) = (&latest(), &following.config);
        let (Some(topic), Ok(index)) = (image.topic_by_id(of.topic_id), usize::try_from(of.index))
        else {
            return Ok(false);
        };
        let follows = topic.partitions.get(index).is_some_and(|partition| {
            ![-1, self.node_id].contains(&partition.leader)
                && !partition.isr.contains(&self.node_id)
        });
        let mut topics = HashMap::clone(&self.topics.load());
        let known = topics.get_mut(&of.topic_id);
        let place = known.and_then(|known| known.partitions.get_mut(index));
        let Some(place) = place.filter(|_| follows) else { return Ok(false) };
        match place {
            Place::Here(partition) if partition.is_offline() => partition.close(),
            Place::Offline => {}
            Place::Here(_) | Place::Elsewhere => return Ok(false),
        }
        let name = TopicPartition::new(topic.name.as_str(), of.index);
        let log_config = TopicConfig::resolve(&topic.configs, config).log_config(config);
        let (log, report) = self.manager.repair(&name, log_config)?;
        let work = Work { topic: Arc::clone(topic), index, log: Some(log) };
        let opened = Arc::new(self.open_one(image, work, config)?);
        tracing::warn!(partition = ?opened, ?report, "cut a damaged log, to fetch the rest again");
        *place = Place::Here(opened);
        self.topics.store(Arc::new(topics));
        self.roles.send_modify(|count| *count += 1);
        Ok(true)
    }

    /// The log dirs and what is in them.
    pub(crate) fn manager(&self) -> &LogManager {
        &self.manager
    }

    /// Writes high watermarks and recovery points of partitions that have moved.
    pub fn write_checkpoints(&self) -> Result<(), LogError> {
        for partition in self.all() {
            let of = TopicPartition::new(partition.topic(), partition.index());
            if let Some(dir) = self.manager.log_dir_of(&of) {
                dir.set_high_watermark(&of, partition.high_watermark());
            }
        }
        self.manager.write_checkpoints()
    }

    /// Closes every log and marks the folder as cleanly shut down. Nothing is served afterwards.
    /// With a damaged log in it the folder is not marked: the next start has to find that again.
    pub fn shut_down(&self) -> Result<(), LogError> {
        for partition in self.all() {
            match partition.shut_down() {
                Err(error) if is_offline_by(&error) => {
                    tracing::warn!(?partition, %error, "a log was not closed");
                }
                closed => closed?,
            }
        }
        self.write_checkpoints()?;
        match self.has_offline() {
            true => Ok(()),
            false => self.manager.mark_clean(),
        }
    }

    fn has_offline(&self) -> bool {
        self.counts().offline > 0
    }

    /// Ends service without writing anything more, as if the process had been killed.
    pub(crate) fn abandon(&self) {
        for partition in self.all() {
            partition.close();
        }
    }
}

fn resign(partition: &Partition, changes: &mut Changes) {
    if partition.is_leader() {
        let (topic, index) = (partition.topic().to_owned(), partition.index());
        changes.resigned.push((topic, index, partition.leader_epoch()));
    }
}

fn is_here(topic: &TopicImage, index: i32, node_id: i32) -> bool {
    let partition = usize::try_from(index).ok().and_then(|index| topic.partitions.get(index));
    partition.is_some_and(|partition| partition.replicas.contains(&node_id))
}

/// Whether an error concerns one log, or those of one log dir, and no others.
fn is_offline_by(error: &LogError) -> bool {
    matches!(error, LogError::Corrupt { .. } | LogError::DirFailed { .. })
}
