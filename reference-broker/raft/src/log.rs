//! Log and vote on disk: a journal of what happened to the log, synced before openraft is answered
//! (R6), and the vote in a file of its own.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{LogId, LogState, RaftLogReader, StorageError, StorageIOError, Vote};
use serde::{Deserialize, Serialize};

use crate::storage::{OpenMode, Storage, StorageFile, write_atomically};
use crate::types::Types;
use crate::{Error, files};

type Entry = openraft::Entry<Types>;

/// The log and the vote of one node; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Log(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    storage: Arc<dyn Storage>,
    folder: PathBuf,
    journal: Arc<dyn StorageFile>,
    /// Bytes of the journal that hold whole records.
    len: u64,
    entries: BTreeMap<u64, Entry>,
    purged: Option<LogId<i32>>,
    vote: Option<Vote<i32>>,
    /// A write failed: what is on disk is unknown.
    failed: bool,
}

/// A record of the journal.
#[derive(Debug, Serialize, Deserialize)]
enum Record {
    Entry(Entry),
    /// Entries from this index on are gone.
    Truncate(u64),
    /// Entries up to this one are in a snapshot.
    Purge(LogId<i32>),
}

impl Log {
    /// Reads the log of a folder, and cuts a torn last record.
    ///
    /// # Errors [`Error`].
    pub(crate) fn open(storage: &Arc<dyn Storage>, folder: &Path) -> Result<Self, Error> {
        storage.create_dir_all(folder).map_err(|error| Error::io("make", folder, error))?;
        let vote = match files::read(&**storage, &folder.join("vote"))? {
            Some(vote) => Some(parse(&vote, &folder.join("vote"), 0)?),
            None => None,
        };
        let path = folder.join("log");
        let failed = |action| {
            let path = path.clone();
            move |error| Error::io(action, &path, error)
        };
        let journal = storage.open(&path, OpenMode::Create).map_err(failed("open"))?;
        let len = journal.len().map_err(failed("read"))?;
        let len = usize::try_from(len).map_err(io::Error::other).map_err(failed("read"))?;
        let bytes = journal.read(0, len).map_err(failed("read"))?;
        let (records, len) = files::records(&bytes, &path)?;
        let mut inner = Inner {
            storage: Arc::clone(storage),
            folder: folder.to_owned(),
            len: len as u64,
            entries: BTreeMap::new(),
            purged: None,
            vote,
            failed: false,
            journal,
        };
        for record in records {
            inner.replay(parse(record, &path, 0)?);
        }
        if len < bytes.len() {
            tracing::warn!(?path, len, "cut a torn last record of the metadata log");
        }
        inner.journal.set_len(inner.len).map_err(failed("cut"))?;
        inner.journal.sync().map_err(failed("sync"))?;
        // The folder's own name as well: a node that finds none believes that it is new.
        for folder in [Some(folder), folder.parent()].into_iter().flatten() {
            storage.sync_dir(folder).map_err(failed("sync the folder of"))?;
        }
        Ok(Self(Arc::new(Mutex::new(inner))))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse<T: for<'de> Deserialize<'de>>(bytes: &[u8], path: &Path, at: usize) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::corrupt(path, at, &error.to_string()))
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    files::record(&serde_json::to_vec(value).expect("log records have a form in JSON"))
}

impl Inner {
    fn replay(&mut self, record: Record) {
        match record {
            Record::Entry(entry) => drop(self.entries.insert(entry.log_id.index, entry)),
            Record::Truncate(from) => drop(self.entries.split_off(&from)),
            Record::Purge(log_id) => {
                self.entries = self.entries.split_off(&(log_id.index + 1));
                self.purged = Some(log_id);
            }
        }
    }

    /// Appends records and syncs them. After a failure nothing more is written: the kernel may
    /// have dropped what it could not write, and would report success for it later.
    fn append(&mut self, records: Vec<Record>) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write failed; restart the node"));
        }
        let bytes: Vec<u8> = records.iter().flat_map(encode).collect();
        let written = self.journal.write(self.len, &[&bytes]).and_then(|()| self.journal.sync());
        self.failed = written.is_err();
        written?;
        self.len += bytes.len() as u64;
        records.into_iter().for_each(|record| self.replay(record));
        Ok(())
    }

    /// Writes the journal anew without what is purged.
    fn compact(&mut self, purged: LogId<i32>) -> io::Result<()> {
        self.replay(Record::Purge(purged));
        let mut bytes = encode(&Record::Purge(purged));
        for entry in self.entries.values() {
            bytes.extend(encode(&Record::Entry(entry.clone())));
        }
        let path = self.folder.join("log");
        let journal = write_atomically(&*self.storage, &path, &bytes)
            .and_then(|()| self.storage.open(&path, OpenMode::ReadWrite));
        self.failed |= journal.is_err();
        self.journal = journal?;
        self.len = bytes.len() as u64;
        Ok(())
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, StorageError<i32>> {
        Ok(self.lock().entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError<i32>> {
        let inner = self.lock();
        let last = inner.entries.values().next_back().map(|entry| entry.log_id);
        Ok(LogState { last_purged_log_id: inner.purged, last_log_id: last.or(inner.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<i32>) -> Result<(), StorageError<i32>> {
        let mut inner = self.lock();
        write_atomically(&*inner.storage, &inner.folder.join("vote"), &encode(vote))
            .map_err(|error| StorageIOError::write_vote(&error))?;
        inner.vote = Some(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<i32>>, StorageError<i32>> {
        Ok(self.lock().vote)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<Types>,
    ) -> Result<(), StorageError<i32>>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let written = self.lock().append(entries.into_iter().map(Record::Entry).collect());
        callback.log_io_completed(written);
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId<i32>) -> Result<(), StorageError<i32>> {
        let truncated = self.lock().append(vec![Record::Truncate(log_id.index)]);
        Ok(truncated.map_err(|error| StorageIOError::write_logs(&error))?)
    }

    async fn purge(&mut self, log_id: LogId<i32>) -> Result<(), StorageError<i32>> {
        let purged = self.lock().compact(log_id);
        Ok(purged.map_err(|error| StorageIOError::write_logs(&error))?)
    }
}
