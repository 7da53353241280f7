//! The caller's state machine under openraft, and its snapshots on disk.

use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::RaftStateMachine;
use openraft::{
    EntryPayload, LogId, OptionalSend, RaftSnapshotBuilder, SnapshotMeta, StorageError,
    StorageIOError, StoredMembership,
};
use serde::{Deserialize, Serialize};

use crate::storage::{Storage, write_atomically};
use crate::types::{Opaque, Types};
use crate::{Error, Node, StateMachine, files};

type Snapshot = openraft::Snapshot<Types>;

/// The machine and what openraft wants to know of it; clones share it.
#[derive(Clone)]
pub(crate) struct Machine(Arc<Mutex<Inner>>);

struct Inner {
    machine: Box<dyn StateMachine>,
    storage: Arc<dyn Storage>,
    path: PathBuf,
    last_applied: Option<LogId<i32>>,
    membership: StoredMembership<i32, Node>,
    snapshot: Option<Stored>,
}

/// A snapshot as it is on disk.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    meta: SnapshotMeta<i32, Node>,
    content: Opaque,
}

impl Machine {
    /// The machine with the snapshot of `folder` in it, if there is one (R6).
    ///
    /// # Errors [`Error`].
    pub(crate) fn open(
        storage: &Arc<dyn Storage>,
        folder: &Path,
        machine: Box<dyn StateMachine>,
    ) -> Result<Self, Error> {
        let path = folder.join("snapshot");
        let mut inner = Inner {
            machine,
            storage: Arc::clone(storage),
            last_applied: None,
            membership: StoredMembership::default(),
            snapshot: None,
            path,
        };
        if let Some(bytes) = files::read(&**storage, &inner.path)? {
            let corrupt = |reason: &str| Error::corrupt(&inner.path, 0, reason);
            let stored: Stored =
                serde_json::from_slice(&bytes).map_err(|error| corrupt(&error.to_string()))?;
            inner.restore(stored).map_err(|reason| Error::corrupt(&inner.path, 0, &reason))?;
        }
        Ok(Self(Arc::new(Mutex::new(inner))))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn restore(&mut self, stored: Stored) -> Result<(), String> {
        let index = stored.meta.last_log_id.map_or(0, |log_id| log_id.index);
        self.machine.restore(index, &stored.content.0)?;
        self.machine.applied(index);
        self.last_applied = stored.meta.last_log_id;
        self.membership = stored.meta.last_membership.clone();
        self.snapshot = Some(stored);
        Ok(())
    }

    /// Makes a snapshot durable before anything relies on it (R6).
    fn store(&self, stored: &Stored) -> io::Result<()> {
        let bytes = serde_json::to_vec(stored).expect("a snapshot has a form in JSON");
        write_atomically(&*self.storage, &self.path, &files::record(&bytes))
    }
}

fn not_written(stored: &Stored) -> impl FnOnce(io::Error) -> StorageIOError<i32> {
    let signature = stored.meta.signature();
    move |error| StorageIOError::write_snapshot(Some(signature), &error)
}

impl Stored {
    fn give(&self) -> Snapshot {
        let snapshot = Box::new(Cursor::new(self.content.0.clone()));
        Snapshot { meta: self.meta.clone(), snapshot }
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError<i32>> {
        let mut inner = self.lock();
        let index = inner.last_applied.map_or(0, |log_id| log_id.index);
        let stored = Stored {
            meta: SnapshotMeta {
                last_log_id: inner.last_applied,
                last_membership: inner.membership.clone(),
                snapshot_id: format!("{index}"),
            },
            content: Opaque(inner.machine.snapshot()),
        };
        inner.store(&stored).map_err(not_written(&stored))?;
        let snapshot = stored.give();
        inner.snapshot = Some(stored);
        Ok(snapshot)
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<i32>>, StoredMembership<i32, Node>), StorageError<i32>> {
        let inner = self.lock();
        Ok((inner.last_applied, inner.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Opaque>, StorageError<i32>>
    where
        I: IntoIterator<Item = openraft::Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut inner = self.lock();
        let mut answers = Vec::new();
        for entry in entries {
            let index = entry.log_id.index;
            inner.last_applied = Some(entry.log_id);
            answers.push(Opaque(match entry.payload {
                EntryPayload::Blank => Vec::new(),
                EntryPayload::Normal(command) => inner.machine.apply(index, &command.0),
                EntryPayload::Membership(membership) => {
                    inner.membership = StoredMembership::new(Some(entry.log_id), membership);
                    Vec::new()
                }
            }));
            inner.machine.applied(index);
        }
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(
        &mut self,
    ) -> Result<Box<Cursor<Vec<u8>>>, StorageError<i32>> {
        Ok(Box::new(Cursor::new(Vec::new())))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<i32, Node>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError<i32>> {
        let stored = Stored { meta: meta.clone(), content: Opaque(snapshot.into_inner()) };
        let mut inner = self.lock();
        inner.store(&stored).map_err(not_written(&stored))?;
        let signature = meta.signature();
        inner.restore(stored).map_err(|reason| {
            let error = io::Error::other(reason);
            StorageIOError::read_snapshot(Some(signature), &error)
        })?;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError<i32>> {
        Ok(self.lock().snapshot.as_ref().map(Stored::give))
    }
}
