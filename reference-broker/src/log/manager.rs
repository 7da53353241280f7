//! All logs of one log dir: its lock, its start and its end.

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

/// An open log dir. Dropping it without [`LogManager::mark_clean`] counts as a crash.
#[derive(Debug)]
pub struct LogManager {
    log_dir: Arc<LogDir>,
    startup: Startup,
    _lock: Box<dyn LockGuard>,
}

impl LogManager {
    /// Opens a log dir: makes it if it is missing, takes its lock, and finds out how it was left.
    ///
    /// # Errors
    /// [`LogError::Locked`] when another broker has it, [`LogError::NotWritable`] without
    /// permission.
    pub fn open(dir: &Path, storage: Arc<dyn Storage>) -> Result<Self> {
        make_dir(&*storage, dir)?;
        let lock = storage
            .try_lock(&dir.join(LOCK))
            .map_err(|error| not_writable_or_io(dir, error))?
            .ok_or_else(|| LogError::Locked { dir: dir.to_path_buf() })?;
        let startup = take_startup(&*storage, dir)?;
        let log_dir = LogDir::open(dir, storage)?;
        Ok(Self { log_dir, startup, _lock: lock })
    }

    /// How the dir was left.
    pub fn startup(&self) -> Startup {
        self.startup
    }

    /// The dir's checkpoints and health.
    pub fn log_dir(&self) -> &Arc<LogDir> {
        &self.log_dir
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
        for (of, path) in self.partition_dirs()? {
            let topic_id = read_topic_id(&**self.log_dir.storage(), &path)?;
            match belongs(&of, topic_id) {
                Belongs::Yes(config) => work.push((of, topic_id, *config)),
                Belongs::No => self.set_aside(&path)?,
            }
        }
        let next = AtomicUsize::new(0);
        let loaded = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for _ in 0..threads.clamp(1, work.len().max(1)) {
                scope.spawn(|| {
                    while let Some((of, topic_id, config)) =
                        work.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        let log =
                            Log::open_in(&self.log_dir, of.clone(), config.clone(), self.startup);
                        let entry = Loaded { of: of.clone(), topic_id: *topic_id, log };
                        let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
                        loaded.insert(of.clone(), entry);
                    }
                });
            }
        });
        // Only now: a crash in the middle of a recovery from a power loss must be followed by the
        // same recovery.
        self.write_boot_id()?;
        let loaded = loaded.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(loaded.into_values().collect())
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

    /// The folders that were set aside as strays, now or earlier. They are never removed here: what
    /// is in them may be missed by somebody.
    pub fn strays(&self) -> Result<Vec<PathBuf>> {
        let dir = self.log_dir.path();
        let entries = self.log_dir.storage().read_dir(dir).map_err(LogError::io("list", dir))?;
        let strays = entries.iter().filter(|entry| entry.name.ends_with(STRAY_SUFFIX));
        Ok(strays.map(|entry| dir.join(&entry.name)).collect())
    }

    /// Makes a new partition's log, with its topic id beside it. What is there under that name
    /// already must have the same id; a folder of another topic of that name is set aside.
    pub fn create(
        &self,
        of: TopicPartition,
        topic_id: Uuid,
        config: LogConfig,
    ) -> Result<(Log, RecoveryReport)> {
        let storage = self.log_dir.storage();
        let path = self.log_dir.path().join(of.dir_name());
        let mut startup = Startup::AfterCrash;
        if storage.exists(&path) {
            startup = self.startup;
            if read_topic_id(&**storage, &path)?.is_some_and(|found| found != topic_id) {
                self.set_aside(&path)?;
                self.log_dir.forget(&of)?;
            }
        }
        let opened = Log::open_in(&self.log_dir, of, config, startup)?;
        if read_topic_id(&**storage, &path)? != Some(topic_id) {
            let written = write_topic_id(&**storage, &path, topic_id);
            written
                .map_err(|error| self.log_dir.write_failed("write topic id in", &path, error))?;
        }
        Ok(opened)
    }

    /// Deletes a partition's log: its folder is renamed, durably, so that it is gone at once, and
    /// then removed. Only the topic id tells one topic from another of the same name (M18, M21): a
    /// folder with a different id is left alone.
    pub fn delete(&self, of: &TopicPartition, topic_id: Uuid) -> Result<()> {
        let storage = self.log_dir.storage();
        let path = self.log_dir.path().join(of.dir_name());
        if !storage.exists(&path)
            || read_topic_id(&**storage, &path)?.is_some_and(|found| found != topic_id)
        {
            return Ok(());
        }
        let renamed = self.rename_aside(&path, DELETE_SUFFIX)?;
        self.log_dir.forget(of)?;
        storage.remove_dir_all(&renamed).map_err(LogError::io("remove", &renamed))
    }

    fn set_aside(&self, path: &Path) -> Result<()> {
        self.rename_aside(path, STRAY_SUFFIX).map(|_| ())
    }

    /// Renames a folder to `name.number-suffix`, durably.
    fn rename_aside(&self, path: &Path, suffix: &str) -> Result<PathBuf> {
        let storage = self.log_dir.storage();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let target = (0..)
            .map(|number| path.with_file_name(format!("{name}.{number:08x}{suffix}")))
            .find(|target| !storage.exists(target))
            .expect("invariant: a folder holds fewer names than there are numbers");
        storage.rename(path, &target).map_err(LogError::io("rename", path))?;
        let dir = self.log_dir.path();
        storage.sync_dir(dir).map_err(LogError::io("flush", dir))?;
        Ok(target)
    }

    /// Writes the checkpoints that have changed.
    pub fn write_checkpoints(&self) -> Result<()> {
        self.log_dir.write_checkpoints()
    }

    /// The end of a clean shutdown: call it when every log was closed by [`Log::close`]. The next
    /// start believes the logs.
    pub fn mark_clean(&self) -> Result<()> {
        self.write_checkpoints()?;
        let path = self.log_dir.path().join(CLEAN_SHUTDOWN);
        let content = b"{\"version\":0,\"brokerEpoch\":-1}";
        write_atomically(&**self.log_dir.storage(), &path, content)
            .map_err(|error| self.log_dir.write_failed("write", &path, error))
    }
}

/// Finds out how the dir was left, and takes the clean-shutdown marker away.
fn take_startup(storage: &dyn Storage, dir: &Path) -> Result<Startup> {
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
    Ok(match (clean, same_boot || last.is_none()) {
        (true, _) => Startup::Clean,
        (false, true) => Startup::AfterCrash,
        (false, false) => Startup::AfterPowerLoss,
    })
}
