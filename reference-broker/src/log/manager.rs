//! All logs of all log dirs: their locks, their start and their end.
//!
//! A dir that fails takes its own logs out of service and no others. The first one also holds the
//! metadata, so without that there is no broker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ottla_protocol::Uuid;

use super::checkpoint::{TopicPartition, read_topic_id, write_topic_id};
use super::config::LogConfig;
use super::error::{LogError, Result};
use super::log_dir::{LogDir, make_dir, not_writable_or_io};
use super::partition_log::Log;
use super::recovery::{RecoveryReport, Startup};
use super::storage::{LockGuard, Storage, read_small, write_atomically};
use crate::runtime::on_threads;

/// Held while a broker has the log dir open.
const LOCK: &str = ".lock";
/// There when the last broker closed every log. Removed on start.
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
/// The boot id of the operating system under which the logs were last open (M11).
const BOOT_ID: &str = ".boot_id";
/// Folders of partitions that are being deleted end so.
const DELETE_SUFFIX: &str = "-delete";
/// Folders that belong to no partition of the cluster end so (M18).
const STRAY_SUFFIX: &str = "-stray";

/// Bytes that a file system takes for a name.
const NAME_MAX: usize = 255;

/// A partition that was found on start.
#[derive(Debug)]
pub struct Loaded {
    /// Which one.
    pub of: TopicPartition,
    /// Its topic's id, if its folder has one.
    pub topic_id: Option<Uuid>,
    /// Its log, or why it is offline: the others are not concerned.
    pub log: Result<(Log, RecoveryReport)>,
}

/// What a found folder is to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belongs {
    /// It is a replica of ours: open it with these settings.
    Yes(Box<LogConfig>),
    /// It is not (another topic id, or unknown): set it aside as a stray.
    No,
}

/// A log dir that is in use.
#[derive(Debug)]
struct OpenDir {
    log_dir: Arc<LogDir>,
    startup: Startup,
    /// No broker has ever had it open.
    is_new: bool,
    /// Logs that were put here.
    logs: AtomicUsize,
    _lock: Box<dyn LockGuard>,
}

/// The open log dirs. Dropping it without [`LogManager::mark_clean`] counts as a crash.
#[derive(Debug)]
pub struct LogManager {
    dirs: Vec<OpenDir>,
    /// Those that could not be opened, and why.
    failed: Vec<(PathBuf, String)>,
}

impl LogManager {
    /// Opens one log dir; see [`Self::open_all`].
    pub fn open(dir: &Path, storage: Arc<dyn Storage>) -> Result<Self> {
        Self::open_all(&[dir.to_path_buf()], &storage)
    }

    /// Opens log dirs: makes those that are missing, takes their locks, and finds out how they were
    /// left. One that cannot be opened is out of service; the first one must be.
    ///
    /// # Errors
    /// [`LogError::Locked`] when another broker has one of them, [`LogError::NotWritable`] without
    /// permission in the first.
    pub fn open_all(dirs: &[PathBuf], storage: &Arc<dyn Storage>) -> Result<Self> {
        let mut manager = Self { dirs: Vec::new(), failed: Vec::new() };
        for dir in dirs {
            match OpenDir::open(dir, storage) {
                Ok(dir) => manager.dirs.push(dir),
                Err(error @ LogError::Locked { .. }) => return Err(error),
                Err(error) if manager.dirs.is_empty() => return Err(error),
                Err(error) => {
                    tracing::error!(%error, "a log dir is out of service until a restart");
                    manager.failed.push((dir.clone(), error.to_string()));
                }
            }
        }
        Ok(manager)
    }

    /// How the dirs were left: the worst of them.
    pub fn startup(&self) -> Startup {
        let left = |startup: Startup| self.dirs.iter().any(|dir| dir.startup == startup);
        match (left(Startup::AfterPowerLoss), left(Startup::AfterCrash)) {
            (true, _) => Startup::AfterPowerLoss,
            (false, true) => Startup::AfterCrash,
            (false, false) => Startup::Clean,
        }
    }

    /// Whether every log ends where it did when the broker did (M11): no power failure since.
    pub fn tail_intact(&self) -> bool {
        self.startup() != Startup::AfterPowerLoss
    }

    /// Whether logs may be missing (M15): a dir could not be opened, or was never used while others
    /// were. A dir that is new in the configuration cannot be told from one that was emptied.
    pub fn has_lost_a_dir(&self) -> bool {
        let is_new = |dir: &OpenDir| dir.is_new;
        let some_new = self.dirs.iter().any(is_new);
        !self.failed.is_empty() || (some_new && !self.dirs.iter().all(is_new))
    }

    /// The first log dir.
    pub fn log_dir(&self) -> &Arc<LogDir> {
        &self.dirs.first().expect("invariant: the first one was opened").log_dir
    }

    /// The log dirs that could be opened, those that have failed since included.
    pub fn log_dirs(&self) -> impl Iterator<Item = &Arc<LogDir>> {
        self.dirs.iter().map(|dir| &dir.log_dir)
    }

    /// The log dirs that are out of service, and why: at start or since.
    pub fn failed_dirs(&self) -> Vec<(PathBuf, String)> {
        let since = self.log_dirs().filter_map(|dir| {
            dir.failure().map(|cause| (dir.path().to_path_buf(), cause.to_owned()))
        });
        self.failed.iter().cloned().chain(since).collect()
    }

    /// The log dir that has this partition's log.
    pub fn log_dir_of(&self, of: &TopicPartition) -> Option<&Arc<LogDir>> {
        self.log_dirs().find(|dir| dir.holds(of))
    }

    /// Opens every partition's log, `threads` at a time. `belongs` tells by name and topic id which
    /// are ours; the others are renamed to `-stray` before they are opened (M18), and half-deleted
    /// ones are removed.
    pub fn load(
        &self,
        threads: usize,
        belongs: impl Fn(&TopicPartition, Option<Uuid>) -> Belongs,
    ) -> Result<Vec<Loaded>> {
        let mut work = Vec::new();
        for dir in &self.dirs {
            for (of, path) in dir.partition_dirs()? {
                let topic_id = read_topic_id(&**dir.log_dir.storage(), &path)?;
                match belongs(&of, topic_id) {
                    Belongs::Yes(config) => work.push((dir, of, topic_id, *config)),
                    Belongs::No => dir.set_aside(&path)?,
                }
            }
        }
        let next = AtomicUsize::new(0);
        let loaded = Mutex::new(BTreeMap::new());
        on_threads(threads.clamp(1, work.len().max(1)), || {
            while let Some((dir, of, topic_id, config)) =
                work.get(next.fetch_add(1, Ordering::Relaxed))
            {
                let log = Log::open_in(&dir.log_dir, of.clone(), config.clone(), dir.startup);
                dir.logs.fetch_add(1, Ordering::Relaxed);
                let entry = Loaded { of: of.clone(), topic_id: *topic_id, log };
                let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
                loaded.insert((of.clone(), dir.log_dir.path()), entry);
            }
        });
        let loaded = loaded.into_inner().unwrap_or_else(PoisonError::into_inner);
        let places: Vec<_> = loaded.keys().collect();
        if let Some(twice) = places.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let dir = twice[1].1.join(twice[1].0.dir_name());
            let other = twice[0].1.display();
            let reason = format!("the partition is in {other} as well; move one away");
            return Err(LogError::Invalid { dir, reason });
        }
        // Only now: a crash in the middle of a recovery from a power loss must be followed by the
        // same recovery. Without it the next start recovers as after one.
        for dir in &self.dirs {
            dir.write_boot_id().or_else(|error| self.unless_first(dir, error))?;
        }
        Ok(loaded.into_values().collect())
    }

    /// Only the first dir is needed.
    fn unless_first(&self, dir: &OpenDir, error: LogError) -> Result<()> {
        match Arc::ptr_eq(&dir.log_dir, self.log_dir()) {
            true => Err(error),
            false => {
                tracing::error!(%error, "a log dir does not work");
                Ok(())
            }
        }
    }

    /// The folders that were set aside as strays, now or earlier. They are never removed here: what
    /// is in them may be missed by somebody.
    pub fn strays(&self) -> Result<Vec<PathBuf>> {
        let mut strays = Vec::new();
        for dir in self.log_dirs() {
            let path = dir.path();
            let entries = dir.storage().read_dir(path).map_err(LogError::io("list", path))?;
            let found = entries.iter().filter(|entry| entry.name.ends_with(STRAY_SUFFIX));
            strays.extend(found.map(|entry| path.join(&entry.name)));
        }
        Ok(strays)
    }

    /// Makes a new partition's log, with its topic id beside it, in the dir with the fewest logs.
    /// What is there under that name already must have the same id; a folder of another topic of
    /// that name is set aside.
    ///
    /// # Errors
    /// [`LogError::DirFailed`]: a log dir could not be opened at start, and the partition may be in
    /// it; or none is left that works.
    pub fn create(
        &self,
        of: TopicPartition,
        topic_id: Uuid,
        config: LogConfig,
    ) -> Result<(Log, RecoveryReport)> {
        let name = of.dir_name();
        let has = |dir: &&OpenDir| dir.log_dir.storage().exists(&dir.log_dir.path().join(&name));
        let mut startup = Startup::AfterCrash;
        let dir = match self.dirs.iter().find(has) {
            Some(dir) => {
                startup = dir.startup;
                let path = dir.log_dir.path().join(&name);
                let found = read_topic_id(&**dir.log_dir.storage(), &path)?;
                if found.is_some_and(|found| found != topic_id) {
                    dir.set_aside(&path)?;
                    dir.log_dir.forget(&of)?;
                }
                dir
            }
            None => self.place()?,
        };
        dir.logs.fetch_add(1, Ordering::Relaxed);
        let opened = Log::open_in(&dir.log_dir, of, config, startup)?;
        let storage = dir.log_dir.storage();
        let path = dir.log_dir.path().join(&name);
        if read_topic_id(&**storage, &path)? != Some(topic_id) {
            let written = write_topic_id(&**storage, &path, topic_id);
            written.map_err(|error| dir.log_dir.write_failed("write topic id in", &path, error))?;
        }
        Ok(opened)
    }

    /// Opens the log of a partition that was found damaged, with [`Startup::Repair`]: it is cut
    /// where it is damaged. For a replica that is in no ISR, and has a leader to fetch the rest
    /// from.
    ///
    /// # Errors
    /// [`LogError::Invalid`] when there is no folder of that partition.
    pub fn repair(&self, of: &TopicPartition, config: LogConfig) -> Result<(Log, RecoveryReport)> {
        let path = |dir: &OpenDir| dir.log_dir.path().join(of.dir_name());
        let dir = self.dirs.iter().find(|dir| dir.log_dir.storage().exists(&path(dir)));
        let missing = || LogError::Invalid {
            dir: self.log_dir().path().join(of.dir_name()),
            reason: "there is nothing to repair".to_owned(),
        };
        Log::open_in(&dir.ok_or_else(missing)?.log_dir, of.clone(), config, Startup::Repair)
    }

    /// The dir for a new log.
    fn place(&self) -> Result<&OpenDir> {
        if let Some((dir, cause)) = self.failed.first() {
            return Err(LogError::DirFailed { dir: dir.clone(), cause: cause.clone() });
        }
        let working = self.dirs.iter().filter(|dir| dir.log_dir.failure().is_none());
        let emptiest = working.min_by_key(|dir| dir.logs.load(Ordering::Relaxed));
        match emptiest {
            Some(dir) => Ok(dir),
            None => self.log_dir().check().map(|()| &self.dirs[0]),
        }
    }

    /// Deletes a partition's log: its folder is renamed, durably, so that it is gone at once, and
    /// then removed. Only the topic id tells one topic from another of the same name (M18, M21): a
    /// folder with a different id is left alone. One in a dir that has failed is a stray when the
    /// dir is back.
    pub fn delete(&self, of: &TopicPartition, topic_id: Uuid) -> Result<()> {
        for dir in self.dirs.iter().filter(|dir| dir.log_dir.failure().is_none()) {
            let storage = dir.log_dir.storage();
            let path = dir.log_dir.path().join(of.dir_name());
            if !storage.exists(&path)
                || read_topic_id(&**storage, &path)?.is_some_and(|found| found != topic_id)
            {
                continue;
            }
            let renamed = dir.rename_aside(&path, DELETE_SUFFIX)?;
            dir.logs.fetch_sub(1, Ordering::Relaxed);
            dir.log_dir.forget(of)?;
            storage.remove_dir_all(&renamed).map_err(LogError::io("remove", &renamed))?;
        }
        Ok(())
    }

    /// Writes the checkpoints that have changed, of the dirs that work.
    pub fn write_checkpoints(&self) -> Result<()> {
        let working = self.log_dirs().filter(|dir| dir.failure().is_none());
        working.map(|dir| dir.write_checkpoints()).fold(Ok(()), Result::and)
    }

    /// The end of a clean shutdown: call it when every log was closed by [`Log::close`]. The next
    /// start believes the logs of the dirs that work.
    pub fn mark_clean(&self) -> Result<()> {
        self.write_checkpoints()?;
        for dir in self.log_dirs().filter(|dir| dir.failure().is_none()) {
            let path = dir.path().join(CLEAN_SHUTDOWN);
            let content = b"{\"version\":0,\"brokerEpoch\":-1}";
            write_atomically(&**dir.storage(), &path, content)
                .map_err(|error| dir.write_failed("write", &path, error))?;
        }
        Ok(())
    }
}

impl OpenDir {
    fn open(dir: &Path, storage: &Arc<dyn Storage>) -> Result<Self> {
        make_dir(&**storage, dir)?;
        let lock = storage
            .try_lock(&dir.join(LOCK))
            .map_err(|error| not_writable_or_io(dir, error))?
            .ok_or_else(|| LogError::Locked { dir: dir.to_path_buf() })?;
        let (startup, is_new) = take_startup(&**storage, dir)?;
        let log_dir = LogDir::open(dir, Arc::clone(storage))?;
        storage.read_dir(dir).map_err(LogError::io("list", dir))?;
        Ok(Self { log_dir, startup, is_new, logs: AtomicUsize::new(0), _lock: lock })
    }

    fn write_boot_id(&self) -> Result<()> {
        let storage = self.log_dir.storage();
        let path = self.log_dir.path().join(BOOT_ID);
        let content = storage.boot_id().unwrap_or_default();
        write_atomically(&**storage, &path, content.as_bytes())
            .map_err(|error| self.log_dir.write_failed("write", &path, error))
    }

    /// The partitions' folders; removes those whose deletion was interrupted.
    fn partition_dirs(&self) -> Result<Vec<(TopicPartition, PathBuf)>> {
        let storage = self.log_dir.storage();
        let dir = self.log_dir.path();
        let mut found = Vec::new();
        for entry in storage.read_dir(dir).map_err(LogError::io("list", dir))? {
            let path = dir.join(&entry.name);
            if !entry.is_dir || entry.name.ends_with(STRAY_SUFFIX) {
                continue;
            }
            if entry.name.ends_with(DELETE_SUFFIX) {
                storage.remove_dir_all(&path).map_err(LogError::io("remove", &path))?;
            } else if let Some(of) = TopicPartition::from_dir_name(&entry.name) {
                found.push((of, path));
            }
        }
        Ok(found)
    }

    fn set_aside(&self, path: &Path) -> Result<()> {
        self.rename_aside(path, STRAY_SUFFIX).map(|_| ())
    }

    /// Renames a folder to `name.number-suffix`, durably. The longest names of topics are cut.
    fn rename_aside(&self, path: &Path, suffix: &str) -> Result<PathBuf> {
        let storage = self.log_dir.storage();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let room = NAME_MAX - ".00000000".len() - suffix.len();
        let name = &name[..name.floor_char_boundary(room)];
        let target = (0..)
            .map(|number| path.with_file_name(format!("{name}.{number:08x}{suffix}")))
            .find(|target| !storage.exists(target))
            .expect("invariant: a folder holds fewer names than there are numbers");
        storage.rename(path, &target).map_err(LogError::io("rename", path))?;
        let dir = self.log_dir.path();
        storage.sync_dir(dir).map_err(LogError::io("flush", dir))?;
        Ok(target)
    }
}

/// Finds out how the dir was left, and whether it was ever used; takes the clean-shutdown marker
/// away.
fn take_startup(storage: &dyn Storage, dir: &Path) -> Result<(Startup, bool)> {
    let marker = dir.join(CLEAN_SHUTDOWN);
    let clean = storage.exists(&marker);
    let boot_path = dir.join(BOOT_ID);
    let last = read_small(storage, &boot_path).map_err(LogError::io("read", &boot_path))?;
    let boot_id = storage.boot_id();
    let same_boot = boot_id.as_ref().is_some_and(|id| last.as_deref() == Some(id.as_bytes()));
    if clean {
        storage.remove_file(&marker).map_err(|error| not_writable_or_io(dir, error))?;
        storage.sync_dir(dir).map_err(LogError::io("flush", dir))?;
    }
    let startup = match (clean, same_boot || last.is_none()) {
        (true, _) => Startup::Clean,
        (false, true) => Startup::AfterCrash,
        (false, false) => Startup::AfterPowerLoss,
    };
    Ok((startup, last.is_none() && !clean))
}
