//! A file system in memory that can lose what was not synced, run full, and fail: for tests and
//! simulation.
//!
//! It keeps two states: what programs see, and what would be there after a power failure.
//! [`StorageFile::sync`] copies a file's content to the second, [`Storage::sync_dir`] a folder's
//! names. [`FaultyStorage::power_loss`] goes back to the second state, with some of the rest,
//! sector by sector and folder by folder, as the seed decides: disks write in any order.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottla_raft::storage::{DirEntry, LockGuard, OpenMode, Storage, StorageFile};

/// What a power failure keeps or loses as one.
const SECTOR: usize = 512;

/// A kind of operation that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// [`StorageFile::read`].
    Read,
    /// [`StorageFile::write`].
    Write,
    /// [`StorageFile::sync`].
    Sync,
    /// [`Storage::sync_dir`].
    SyncDir,
    /// [`Storage::open`].
    Open,
    /// [`Storage::rename`].
    Rename,
}

/// A fault that strikes once.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Which operation.
    pub operation: Operation,
    /// On a path that ends with this.
    pub path_suffix: String,
    /// After so many that go well.
    pub after: usize,
    /// What the operation fails with.
    pub error: io::ErrorKind,
    /// Of a write, so many bytes are written before it fails.
    pub written: usize,
}

#[derive(Debug, Default, Clone)]
struct Inode {
    path: PathBuf,
    content: Vec<u8>,
    synced: Vec<u8>,
    modified_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File(usize),
}

type Names = BTreeMap<PathBuf, Node>;

#[derive(Debug, Default)]
struct Disk {
    inodes: Vec<Inode>,
    names: Names,
    synced_names: Names,
    locks: Vec<PathBuf>,
    faults: Vec<Fault>,
    /// Bytes that files may hold altogether.
    capacity: Option<usize>,
    now_ms: i64,
    boot: u64,
}

/// See the module's text. Clones share one disk.
#[derive(Debug, Clone, Default)]
pub struct FaultyStorage {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug)]
struct FaultyFile {
    disk: Arc<Mutex<Disk>>,
    inode: usize,
    boot: u64,
}

#[derive(Debug)]
struct FaultyLock {
    disk: Arc<Mutex<Disk>>,
    path: PathBuf,
}

impl LockGuard for FaultyLock {}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        lock(&self.disk).locks.retain(|path| *path != self.path);
    }
}

impl FaultyStorage {
    /// An empty disk; the clock stands at `now_ms`.
    pub fn new(now_ms: i64) -> Self {
        let disk = Disk { now_ms, ..Disk::default() };
        Self { disk: Arc::new(Mutex::new(disk)) }
    }

    /// Sets the clock.
    pub fn set_now_ms(&self, now_ms: i64) {
        lock(&self.disk).now_ms = now_ms;
    }

    /// Limits the bytes of all files together; writes beyond fail with ENOSPC after what still
    /// fits.
    pub fn set_capacity(&self, capacity: Option<usize>) {
        lock(&self.disk).capacity = capacity;
    }

    /// Bytes of all files together.
    pub fn used(&self) -> usize {
        lock(&self.disk).used()
    }

    /// Arms a fault.
    pub fn inject(&self, fault: Fault) {
        lock(&self.disk).faults.push(fault);
    }

    /// The files in a folder, and in the folders in it.
    pub fn paths(&self, dir: &Path) -> Vec<PathBuf> {
        let disk = lock(&self.disk);
        let files = disk.names.iter().filter(|(_, node)| matches!(node, Node::File(_)));
        files.filter(|(path, _)| path.starts_with(dir)).map(|(path, _)| path.clone()).collect()
    }

    /// A file's content as programs see it.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = lock(&self.disk);
        match disk.names.get(path) {
            Some(Node::File(inode)) => Some(disk.inodes[*inode].content.clone()),
            _ => None,
        }
    }

    /// Replaces a file's content, synced: damage, or a state to start from.
    pub fn set_content(&self, path: &Path, content: Vec<u8>) {
        let mut disk = lock(&self.disk);
        let now_ms = disk.now_ms;
        let inode = match disk.names.get(path) {
            Some(Node::File(inode)) => *inode,
            _ => disk.make_file(path),
        };
        let modified_ms = now_ms;
        disk.inodes[inode] =
            Inode { path: path.to_path_buf(), synced: content.clone(), content, modified_ms };
        disk.synced_names = disk.names.clone();
    }

    /// Changes the bits `mask` of a byte, in what programs see and in what a power failure leaves.
    /// Answers the byte that is there now; none where the file has no such byte.
    pub fn flip(&self, path: &Path, at: usize, mask: u8) -> Option<u8> {
        let mut disk = lock(&self.disk);
        let Some(Node::File(inode)) = disk.names.get(path).copied() else { return None };
        let Inode { content, synced, .. } = &mut disk.inodes[inode];
        if let Some(byte) = synced.get_mut(at) {
            *byte ^= mask;
        }
        let byte = content.get_mut(at)?;
        *byte ^= mask;
        Some(*byte)
    }

    /// The power fails and comes back. Files that are open are dead from then on.
    pub fn power_loss(&self, seed: u64) {
        let mut random = SplitMix(seed);
        let mut disk = lock(&self.disk);
        for inode in &mut disk.inodes {
            let content = survivors(inode, &mut random);
            inode.content.clone_from(&content);
            inode.synced = content;
        }
        let mut dirs: Vec<PathBuf> =
            parents(&disk.names).chain(parents(&disk.synced_names)).collect();
        dirs.sort();
        dirs.dedup();
        for dir in dirs {
            if random.next().is_multiple_of(2) {
                disk.sync_names(&dir);
            }
        }
        // A folder that was lost takes with it what was in it.
        let names = disk.synced_names.clone();
        let reachable = |path: &Path| {
            path.ancestors().skip(1).all(|dir| {
                dir.parent().is_none() || dir.as_os_str().is_empty() || names.contains_key(dir)
            })
        };
        disk.names = names.iter().filter(|(path, _)| reachable(path)).map(own).collect();
        disk.synced_names = disk.names.clone();
        disk.locks.clear();
        disk.faults.clear();
        disk.boot += 1;
    }

    /// A copy of the disk as it is, to try several fates of one state.
    #[must_use]
    pub fn fork(&self) -> Self {
        let disk = lock(&self.disk);
        let copy = Disk {
            inodes: disk.inodes.clone(),
            names: disk.names.clone(),
            synced_names: disk.synced_names.clone(),
            capacity: disk.capacity,
            now_ms: disk.now_ms,
            boot: disk.boot,
            ..Disk::default()
        };
        Self { disk: Arc::new(Mutex::new(copy)) }
    }
}

fn own((path, node): (&PathBuf, &Node)) -> (PathBuf, Node) {
    (path.clone(), *node)
}

fn parents(names: &Names) -> impl Iterator<Item = PathBuf> {
    names.keys().filter_map(|path| path.parent().map(Path::to_path_buf))
}

/// What is left of a file: a length between the synced and the present one, and of each sector that
/// differs the old or the new state.
fn survivors(inode: &Inode, random: &mut SplitMix) -> Vec<u8> {
    let (old, new) = (&inode.synced, &inode.content);
    if old == new {
        return new.clone();
    }
    let (short, long) = (old.len().min(new.len()), old.len().max(new.len()));
    let len = match random.next() % 4 {
        0 => short,
        1 => long,
        _ => short + (random.next() as usize) % (long - short + 1),
    };
    let mut result = vec![0; len];
    for start in (0..len).step_by(SECTOR) {
        let end = (start + SECTOR).min(len);
        let from = if random.next().is_multiple_of(2) { old } else { new };
        let available = from.len().clamp(start, end);
        if start < available {
            result[start..available].copy_from_slice(&from[start..available]);
        }
    }
    result
}

/// A small generator: the same seed gives the same fate.
#[derive(Debug)]
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    fn used(&self) -> usize {
        let files = self.names.values().filter_map(|node| match node {
            Node::File(inode) => Some(self.inodes[*inode].content.len()),
            Node::Dir => None,
        });
        files.sum()
    }

    fn make_file(&mut self, path: &Path) -> usize {
        let inode =
            Inode { path: path.to_path_buf(), modified_ms: self.now_ms, ..Inode::default() };
        self.inodes.push(inode);
        self.names.insert(path.to_path_buf(), Node::File(self.inodes.len() - 1));
        self.inodes.len() - 1
    }

    /// Makes the names directly in `dir` what they are now.
    fn sync_names(&mut self, dir: &Path) {
        self.synced_names.retain(|path, _| path.parent() != Some(dir));
        let here = self.names.iter().filter(|(path, _)| path.parent() == Some(dir));
        self.synced_names.extend(here.map(own));
    }

    /// The fault that strikes this operation, if any does.
    fn strike(&mut self, operation: Operation, path: &Path) -> Option<Fault> {
        let path = path.to_string_lossy();
        let at = self.faults.iter_mut().position(|fault| {
            let here = fault.operation == operation && path.ends_with(&fault.path_suffix);
            let strikes = here && fault.after == 0;
            if here && !strikes {
                fault.after -= 1;
            }
            strikes
        })?;
        Some(self.faults.remove(at))
    }

    fn check(&mut self, operation: Operation, path: &Path) -> io::Result<()> {
        self.strike(operation, path).map_or(Ok(()), |fault| Err(fault.error.into()))
    }
}

impl FaultyFile {
    fn disk(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = lock(&self.disk);
        match disk.boot == self.boot {
            true => Ok(disk),
            false => Err(io::Error::other("the power failed since this file was opened")),
        }
    }
}

impl StorageFile for FaultyFile {
    fn read(&self, position: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut disk = self.disk()?;
        let path = disk.inodes[self.inode].path.clone();
        disk.check(Operation::Read, &path)?;
        let content = &disk.inodes[self.inode].content;
        let start = usize::try_from(position).unwrap_or(usize::MAX).min(content.len());
        Ok(content[start..start.saturating_add(len).min(content.len())].to_vec())
    }

    fn write(&self, position: u64, parts: &[&[u8]]) -> io::Result<()> {
        let mut disk = self.disk()?;
        let mut bytes = parts.concat();
        let path = disk.inodes[self.inode].path.clone();
        let start = usize::try_from(position).map_err(io::Error::other)?;
        let mut result = Ok(());
        if let Some(fault) = disk.strike(Operation::Write, &path) {
            bytes.truncate(fault.written);
            result = Err(fault.error.into());
        }
        if let Some(capacity) = disk.capacity {
            let len = disk.inodes[self.inode].content.len();
            let fits = len + capacity.saturating_sub(disk.used());
            if start + bytes.len() > fits {
                bytes.truncate(fits.saturating_sub(start));
                result = Err(io::ErrorKind::StorageFull.into());
            }
        }
        let now_ms = disk.now_ms;
        let inode = &mut disk.inodes[self.inode];
        let end = start + bytes.len();
        if inode.content.len() < end {
            inode.content.resize(end, 0);
        }
        inode.content[start..end].copy_from_slice(&bytes);
        inode.modified_ms = now_ms;
        result
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.disk()?.inodes[self.inode].content.resize(len, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk()?;
        let path = disk.inodes[self.inode].path.clone();
        disk.check(Operation::Sync, &path)?;
        let inode = &mut disk.inodes[self.inode];
        inode.synced.clone_from(&inode.content);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk()?.inodes[self.inode].content.len() as u64)
    }
}

impl Storage for FaultyStorage {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let mut disk = lock(&self.disk);
        disk.check(Operation::Open, path)?;
        let inode = match (disk.names.get(path), mode) {
            (Some(Node::Dir), _) => return Err(io::ErrorKind::IsADirectory.into()),
            (Some(Node::File(inode)), _) => *inode,
            (None, OpenMode::Read | OpenMode::ReadWrite) => {
                return Err(io::ErrorKind::NotFound.into());
            }
            (None, OpenMode::Create | OpenMode::CreateEmpty) => {
                let parent = path.parent().unwrap_or(Path::new(""));
                if disk.names.get(parent) != Some(&Node::Dir) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                disk.make_file(path)
            }
        };
        if mode == OpenMode::CreateEmpty {
            disk.inodes[inode].content.clear();
        }
        let boot = disk.boot;
        Ok(Arc::new(FaultyFile { disk: Arc::clone(&self.disk), inode, boot }))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let disk = lock(&self.disk);
        if disk.names.get(path) != Some(&Node::Dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let here = disk.names.iter().filter(|(name, _)| name.parent() == Some(path));
        let entries = here.map(|(name, node)| DirEntry {
            name: name.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            is_dir: *node == Node::Dir,
        });
        Ok(entries.collect())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        for dir in path.ancestors().filter(|dir| !dir.as_os_str().is_empty()) {
            disk.names.entry(dir.to_path_buf()).or_insert(Node::Dir);
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        disk.check(Operation::Rename, to)?;
        let moved: Vec<PathBuf> =
            disk.names.keys().filter(|path| path.starts_with(from)).cloned().collect();
        if moved.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        for path in moved {
            let node = disk.names.remove(&path).expect("invariant: listed just now");
            let rest = path.strip_prefix(from).expect("invariant: filtered by it");
            let target = if rest.as_os_str().is_empty() { to.to_path_buf() } else { to.join(rest) };
            if let Node::File(inode) = node {
                disk.inodes[inode].path.clone_from(&target);
            }
            disk.names.insert(target, node);
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        match disk.names.remove(path) {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        lock(&self.disk).names.retain(|name, _| !name.starts_with(path));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        disk.check(Operation::SyncDir, path)?;
        disk.sync_names(path);
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        lock(&self.disk).names.contains_key(path)
    }

    fn modified_ms(&self, path: &Path) -> io::Result<i64> {
        let disk = lock(&self.disk);
        match disk.names.get(path) {
            Some(Node::File(inode)) => Ok(disk.inodes[*inode].modified_ms),
            Some(Node::Dir) => Ok(disk.now_ms),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn space(&self, _: &Path) -> io::Result<(u64, u64)> {
        let disk = lock(&self.disk);
        let total = disk.capacity.map_or(i64::MAX as u64, |capacity| capacity as u64);
        Ok((total, total.saturating_sub(disk.used() as u64)))
    }

    fn now_ms(&self) -> i64 {
        lock(&self.disk).now_ms
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        let mut disk = lock(&self.disk);
        if disk.locks.iter().any(|held| held == path) {
            return Ok(None);
        }
        disk.locks.push(path.to_path_buf());
        let path = path.to_path_buf();
        Ok(Some(Box::new(FaultyLock { disk: Arc::clone(&self.disk), path })))
    }

    fn boot_id(&self) -> Option<String> {
        Some(format!("boot-{}", lock(&self.disk).boot))
    }
}
