//! A file of fixed-size, ascending entries: what the offset index and the time index have in
//! common.
//!
//! While its segment is the active one, the entries are in memory and written to the file now and
//! then (after a crash the index is made anew from the segment anyway). A sealed segment's index
//! stays on disk and is searched there.

use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::error::{LogError, Result};
use super::storage::{OpenMode, Storage, StorageFile};

/// Entries that are collected in memory before they are written to the file.
const WRITE_BEHIND: usize = 256;

/// One entry of an index file.
pub(crate) trait Entry: Copy + PartialEq + std::fmt::Debug {
    /// Bytes on disk.
    const LEN: usize;
    /// Appends the entry's bytes.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads it back from exactly `LEN` bytes.
    fn get(bytes: &[u8]) -> Self;
    /// Whether `next` may follow `self`.
    fn precedes(&self, next: &Self) -> bool;
}

/// An index file, see the module's text.
#[derive(Debug)]
pub(crate) struct IndexFile<E> {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    /// `None` while the index is sealed: then its entries are read from the file.
    entries: Option<Vec<E>>,
    count: usize,
    /// Entries that are in the file; below `count` only while not sealed.
    written: usize,
    file: OnceLock<Arc<dyn StorageFile>>,
    entry: PhantomData<E>,
}

impl<E: Entry> IndexFile<E> {
    /// An empty index; a file of that name is emptied at the first write.
    pub(crate) fn new(storage: Arc<dyn Storage>, path: PathBuf) -> Self {
        Self {
            storage,
            path,
            entries: Some(Vec::new()),
            count: 0,
            written: 0,
            file: OnceLock::new(),
            entry: PhantomData,
        }
    }

    /// Opens an existing file as sealed. `Ok(None)`: missing, of impossible length, or its first
    /// and last entries do not ascend: to be rebuilt.
    pub(crate) fn open_sealed(
        storage: Arc<dyn Storage>,
        path: PathBuf,
    ) -> io::Result<Option<Self>> {
        let file = match storage.open(&path, OpenMode::ReadWrite) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let len = file.len()?;
        if len % E::LEN as u64 != 0 {
            return Ok(None);
        }
        let count = usize::try_from(len / E::LEN as u64).map_err(io::Error::other)?;
        let index = Self {
            storage,
            path,
            entries: None,
            count,
            written: count,
            file: OnceLock::from(file),
            entry: PhantomData,
        };
        if count > 1 && !index.read_entry(0)?.precedes(&index.read_entry(count - 1)?) {
            return Ok(None);
        }
        Ok(Some(index))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.entries.is_none()
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn last(&self) -> Result<Option<E>> {
        match self.count {
            0 => Ok(None),
            count => self.at(count - 1).map(Some),
        }
    }

    /// The entry at `index`, which must be below `len`.
    pub(crate) fn at(&self, index: usize) -> Result<E> {
        match &self.entries {
            Some(entries) => Ok(entries[index]),
            None => self.read_entry(index).map_err(LogError::io("read", &self.path)),
        }
    }

    /// How many entries at the front satisfy `before` (which must hold for a prefix).
    fn partition_point(&self, before: impl Fn(&E) -> bool) -> Result<usize> {
        if let Some(entries) = &self.entries {
            return Ok(entries.partition_point(before));
        }
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match before(&self.at(middle)?) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Ok(low)
    }

    /// The last entry of those at the front that satisfy `before`.
    pub(crate) fn last_while(&self, before: impl Fn(&E) -> bool) -> Result<Option<E>> {
        self.partition_point(before)?.checked_sub(1).map(|last| self.at(last)).transpose()
    }

    /// Adds an entry. The index must not be sealed.
    pub(crate) fn push(&mut self, entry: E) {
        let entries =
            self.entries.as_mut().expect("invariant: only the active segment's index grows");
        debug_assert!(entries.last().is_none_or(|last| last.precedes(&entry)));
        entries.push(entry);
        self.count += 1;
    }

    /// Writes what is only in memory once there is enough of it.
    pub(crate) fn write_behind(&mut self) -> io::Result<()> {
        match self.count - self.written >= WRITE_BEHIND {
            true => self.write_out(),
            false => Ok(()),
        }
    }

    /// Writes what is only in memory to the file, without a sync.
    pub(crate) fn write_out(&mut self) -> io::Result<()> {
        let Some(entries) = &self.entries else { return Ok(()) };
        if self.written == self.count && self.file.get().is_some() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity((self.count - self.written) * E::LEN);
        entries[self.written..].iter().for_each(|entry| entry.put(&mut bytes));
        let at = (self.written * E::LEN) as u64;
        let mode = if self.written == 0 { OpenMode::CreateEmpty } else { OpenMode::Create };
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let file = self.storage.open(&self.path, mode)?;
                self.file.get_or_init(|| file)
            }
        };
        if !bytes.is_empty() {
            file.write(at, &[&bytes])?;
        }
        self.written = self.count;
        Ok(())
    }

    /// The file, for a sync; `None` before the first write.
    pub(crate) fn file(&self) -> Option<Arc<dyn StorageFile>> {
        self.file.get().cloned()
    }

    /// Writes everything and lets go of the memory.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        self.write_out()?;
        self.entries = None;
        Ok(())
    }

    /// Brings a sealed index back into memory, so that it can grow.
    pub(crate) fn unseal(&mut self) -> io::Result<()> {
        if self.entries.is_some() {
            return Ok(());
        }
        let bytes = self.open_file()?.read(0, self.count * E::LEN)?;
        let entries: Vec<E> = bytes.chunks_exact(E::LEN).map(E::get).collect();
        self.count = entries.len();
        self.written = self.count;
        self.entries = Some(entries);
        Ok(())
    }

    /// Keeps the entries at the front that satisfy `before`. The index must not be sealed.
    pub(crate) fn keep_while(&mut self, before: impl Fn(&E) -> bool) -> Result<()> {
        let count = self.partition_point(before)?;
        self.truncate(count).map_err(LogError::io("truncate", &self.path))
    }

    fn truncate(&mut self, count: usize) -> io::Result<()> {
        let entries = self.entries.as_mut().expect("invariant: only an unsealed index is cut");
        entries.truncate(count);
        self.count = entries.len();
        if self.written > self.count {
            if let Some(file) = self.file.get() {
                file.set_len((self.count * E::LEN) as u64)?;
            }
            self.written = self.count;
        }
        Ok(())
    }

    fn open_file(&self) -> io::Result<&Arc<dyn StorageFile>> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = self.storage.open(&self.path, OpenMode::ReadWrite)?;
        Ok(self.file.get_or_init(|| file))
    }

    fn read_entry(&self, index: usize) -> io::Result<E> {
        let bytes = self.open_file()?.read((index * E::LEN) as u64, E::LEN)?;
        match bytes.len() == E::LEN {
            true => Ok(E::get(&bytes)),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
