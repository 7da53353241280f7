//! The file system as a node sees it: a small trait, and the real one.
//!
//! Everything that the logs, the metadata log included, do to the disk goes through [`Storage`] and
//! [`StorageFile`], so that tests and the simulation can lose unsynced bytes, unsynced names, and
//! space.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    ReadWrite,
    /// For reading and writing; made when missing, kept as it is when there.
    Create,
    /// For reading and writing; made when missing, emptied when there.
    CreateEmpty,
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name without its folder.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// A lock on a file, held until it is dropped.
pub trait LockGuard: Send + Sync + Debug {}

/// An open file. Positions are absolute: several threads may use one file at once.
pub trait StorageFile: Send + Sync + Debug {
    /// Reads up to `len` bytes from `position`; fewer only at the end of the file.
    fn read(&self, position: u64, len: usize) -> io::Result<Vec<u8>>;

    /// Writes all of `parts`, one after the other, from `position`. After an error some of the
    /// bytes may be there.
    fn write(&self, position: u64, parts: &[&[u8]]) -> io::Result<()>;

    /// Cuts or extends (with zeros) the file.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes content and length durable (fdatasync). The *name* is durable only after
    /// [`Storage::sync_dir`].
    fn sync(&self) -> io::Result<()>;

    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file holds nothing.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A file system and the clock that stamps its files.
pub trait Storage: Send + Sync + Debug {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>>;

    /// The names in a folder, sorted.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>>;

    /// Makes a folder and those above it.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Renames a file (replacing) or a folder.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder with everything in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Whether there is a file or folder of that name.
    fn exists(&self, path: &Path) -> bool;

    /// When the file was last written, in milliseconds since 1970.
    fn modified_ms(&self, path: &Path) -> io::Result<i64>;

    /// The size of the file system that a folder is on, and what is free there, in bytes.
    fn space(&self, path: &Path) -> io::Result<(u64, u64)>;

    /// Now, in milliseconds since 1970, by the clock that stamps the files.
    fn now_ms(&self) -> i64;

    /// Locks a file (made when missing) against other processes; `None` when somebody else has it.
    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>>;

    /// Names this run of the operating system: as long as it is the same, nothing that was written
    /// can have been lost by a power failure (M11). `None` where that cannot be known.
    fn boot_id(&self) -> Option<String>;
}

/// Writes a small file so that after a crash at any point it holds the old or the new content: a
/// temporary file beside it is written and synced, renamed over it, and the folder synced (M18).
pub fn write_atomically(storage: &dyn Storage, path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    let file = storage.open(&temporary, OpenMode::CreateEmpty)?;
    file.write(0, &[content])?;
    file.sync()?;
    storage.rename(&temporary, path)?;
    storage.sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// [`write_atomically`] without the syncs: whole for other programs and after the death of this
/// one, but a power failure may leave the old content, an empty file or none.
pub fn replace(storage: &dyn Storage, path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    storage.open(&temporary, OpenMode::CreateEmpty)?.write(0, &[content])?;
    storage.rename(&temporary, path)
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    path.with_file_name(name)
}

/// Reads a small file whole; `None` when it is not there.
pub fn read_small(storage: &dyn Storage, path: &Path) -> io::Result<Option<Vec<u8>>> {
    match storage.open(path, OpenMode::Read) {
        Ok(file) => {
            let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
            file.read(0, len).map(Some)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The real file system.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealStorage;

#[derive(Debug)]
struct RealFile(File);

#[derive(Debug)]
struct RealLock(#[expect(dead_code, reason = "held for its lock, which ends with it")] File);

impl LockGuard for RealLock {}

impl StorageFile for RealFile {
    fn read(&self, position: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let at = position + bytes.len() as u64;
            let before = bytes.len();
            // The capacity may be larger than what was asked for: bytes beyond `len` are cut off
            // below.
            match rustix::io::pread(&self.0, rustix::buffer::spare_capacity(&mut bytes), at) {
                Ok(_) if bytes.len() == before => break,
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bytes.truncate(len);
        Ok(bytes)
    }

    fn write(&self, mut position: u64, parts: &[&[u8]]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut rest = &mut slices[..];
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match rustix::io::pwritev(&self.0, rest, position) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    position += written as u64;
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

impl Storage for RealStorage {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => _ = options.write(true),
            OpenMode::Create => _ = options.write(true).create(true).truncate(false),
            OpenMode::CreateEmpty => _ = options.write(true).create(true).truncate(true),
        }
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push(DirEntry { name, is_dir: entry.file_type()?.is_dir() });
        }
        entries.sort();
        Ok(entries)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn modified_ms(&self, path: &Path) -> io::Result<i64> {
        Ok(millis(fs::metadata(path)?.modified()?))
    }

    fn space(&self, path: &Path) -> io::Result<(u64, u64)> {
        let found = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok((bytes(found.f_blocks), bytes(found.f_bavail)))
    }

    fn now_ms(&self) -> i64 {
        millis(SystemTime::now())
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(RealLock(file)))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn boot_id(&self) -> Option<String> {
        let path = PathBuf::from("/proc/sys/kernel/random/boot_id");
        let id = fs::read_to_string(path).ok()?.trim().to_owned();
        (!id.is_empty()).then_some(id)
    }
}

fn millis(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    }
}
