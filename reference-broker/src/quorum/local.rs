//! The metadata log of a single node: checksummed commands in a file, synced before the answer, and
//! a snapshot beside it.
//!
//! A record is `length: u32, crc32c: u32, payload`, the payload is JSON with the command's index.
//! Only the last record can be torn, because each one is synced before the next is written: a bad
//! record with a good one behind it is corruption.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use crc_fast::{CrcAlgorithm, checksum};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::apply::apply;
use super::command::{Command, Outcome};
use super::image::Image;
use super::{MetadataError, MetadataLog, Proposal};
use crate::runtime::spawn_blocking;

const LOG_FILE: &str = "cluster-metadata.log";
const SNAPSHOT_FILE: &str = "cluster-metadata.snapshot";
const RECORD_HEADER_LEN: usize = 8;
/// A longer log is replaced by a snapshot.
const LOG_LEN_MAX: u64 = 4 << 20;

/// The metadata log of a single node.
#[derive(Debug, Clone)]
pub struct LocalLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    image: ArcSwap<Image>,
    applied: watch::Sender<u64>,
    /// Held from the append to the publication of the image, so that commands apply in log order.
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    file: File,
    len: u64,
    /// A sync failed: what is on disk is unknown, so nothing more is appended.
    failed: bool,
}

#[derive(Serialize, Deserialize)]
struct Record {
    index: u64,
    command: Command,
}

impl LocalLog {
    /// Reads snapshot and log of `directory`, cuts a torn last record, and is ready to append.
    pub fn open(directory: &Path) -> Result<Self, MetadataError> {
        let mut image = read_snapshot(&directory.join(SNAPSHOT_FILE))?;
        let path = directory.join(LOG_FILE);
        let failed = io_error("open", &path);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io_error("read", &path))?;
        let len = replay(&bytes, &path, &mut image)?;
        if len < bytes.len() as u64 {
            tracing::warn!(?path, len, "cut a torn last record of the metadata log");
            file.set_len(len).map_err(io_error("truncate", &path))?;
        }
        file.seek(SeekFrom::Start(len)).map_err(io_error("seek in", &path))?;
        sync_directory(directory)?;
        Ok(Self(Arc::new(Inner {
            directory: directory.to_owned(),
            applied: watch::Sender::new(image.applied),
            image: ArcSwap::from_pointee(image),
            writer: Mutex::new(Writer { file, len, failed: false }),
        })))
    }

    /// [`MetadataLog::propose`] for a caller that may block.
    pub fn propose_blocking(&self, command: Command) -> Result<Outcome, MetadataError> {
        self.0.propose(command)
    }
}

impl MetadataLog for LocalLog {
    fn propose(&self, command: Command) -> Proposal<'_> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            spawn_blocking(move || inner.propose(command))
                .await
                .expect("applying a command does not panic")
        })
    }

    fn image(&self) -> Arc<Image> {
        self.0.image.load_full()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.applied.subscribe()
    }

    /// The one node.
    fn controller(&self) -> Option<i32> {
        self.0.image.load().brokers.keys().next().copied()
    }

    fn snapshot(&self) -> Result<(), MetadataError> {
        let mut writer = self.0.writer.lock().expect("no holder of the metadata log panics");
        self.0.write_snapshot(&mut writer)
    }
}

impl Writer {
    /// Appends and syncs. A write that failed (a full disk) is taken back and may be tried again; a
    /// sync that failed is never tried again, because the kernel may have dropped the pages and
    /// would report success.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            let taken_back = self
                .file
                .set_len(self.len)
                .and_then(|()| self.file.seek(SeekFrom::Start(self.len)));
            self.failed = taken_back.is_err();
            return Err(error);
        }
        if let Err(error) = self.file.sync_data() {
            self.failed = true;
            return Err(error);
        }
        self.len += bytes.len() as u64;
        Ok(())
    }
}

impl Inner {
    fn path(&self) -> PathBuf {
        self.directory.join(LOG_FILE)
    }

    fn propose(&self, command: Command) -> Result<Outcome, MetadataError> {
        let mut writer = self.writer.lock().expect("no holder of the metadata log panics");
        if writer.failed {
            return Err(MetadataError::Failed { path: self.path().display().to_string() });
        }
        let mut image = Image::clone(&self.image.load());
        let record = Record { index: image.applied + 1, command };
        let bytes = encode_record(&record);
        writer.append(&bytes).map_err(io_error("write", &self.path()))?;
        let outcome = apply(&mut image, record.index, &record.command);
        self.image.store(Arc::new(image));
        self.applied.send_replace(record.index);
        if writer.len > LOG_LEN_MAX {
            // The command is durable and applied: what is left to do can be done after the next
            // one.
            if let Err(error) = self.write_snapshot(&mut writer) {
                tracing::warn!(%error, "cannot write a metadata snapshot");
            }
        }
        Ok(outcome)
    }

    /// A crash between the two steps leaves a log whose records the snapshot already holds: replay
    /// skips them by index.
    fn write_snapshot(&self, writer: &mut Writer) -> Result<(), MetadataError> {
        let path = self.directory.join(SNAPSHOT_FILE);
        let temporary = self.directory.join(format!("{SNAPSHOT_FILE}.tmp"));
        let payload = serde_json::to_vec(&*self.image.load_full())
            .expect("an image has only text keys and no failing values");
        let write = || -> io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(&checksum_of(&payload).to_be_bytes())?;
            file.write_all(&payload)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)
        };
        write().map_err(io_error("write", &path))?;
        sync_directory(&self.directory)?;
        let truncate = writer
            .file
            .set_len(0)
            .and_then(|()| writer.file.seek(SeekFrom::Start(0)))
            .and_then(|_| writer.file.sync_data());
        if let Err(source) = truncate {
            writer.failed = true;
            return Err(io_error("truncate", &self.path())(source));
        }
        writer.len = 0;
        Ok(())
    }
}

fn checksum_of(payload: &[u8]) -> u32 {
    u32::try_from(checksum(CrcAlgorithm::Crc32Iscsi, payload)).expect("a CRC-32 has 32 bits")
}

fn encode_record(record: &Record) -> Vec<u8> {
    let payload = serde_json::to_vec(record).expect("a command has no failing values");
    let len = u32::try_from(payload.len()).expect("a command is smaller than 4 GiB");
    let mut bytes = Vec::with_capacity(RECORD_HEADER_LEN + payload.len());
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(&checksum_of(&payload).to_be_bytes());
    bytes.extend_from_slice(&payload);
    bytes
}

/// The payload of the record at the start of `bytes`, if it is whole and its checksum holds.
fn whole_record(bytes: &[u8]) -> Option<&[u8]> {
    let len = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let crc = u32::from_be_bytes(bytes.get(4..8)?.try_into().ok()?);
    let payload = bytes.get(RECORD_HEADER_LEN..RECORD_HEADER_LEN.checked_add(len)?)?;
    (len > 0 && checksum_of(payload) == crc).then_some(payload)
}

/// Applies the records of a log that the image has not yet; answers how many bytes hold whole
/// records.
fn replay(bytes: &[u8], path: &Path, image: &mut Image) -> Result<u64, MetadataError> {
    let mut at = 0;
    let corrupt = |at: usize, reason: String| MetadataError::Corrupt {
        path: path.display().to_string(),
        offset: at as u64,
        reason,
    };
    while at < bytes.len() {
        let Some(payload) = whole_record(&bytes[at..]) else {
            if later_record(&bytes[at..]) {
                return Err(corrupt(at, "a record's checksum does not match".into()));
            }
            break;
        };
        let record: Record = serde_json::from_slice(payload)
            .map_err(|error| corrupt(at, format!("unreadable command, {error}")))?;
        if record.index == image.applied + 1 {
            apply(image, record.index, &record.command);
        } else if record.index > image.applied {
            let reason = format!("command {} follows {}", record.index, image.applied);
            return Err(corrupt(at, reason));
        }
        at += RECORD_HEADER_LEN + payload.len();
    }
    Ok(at as u64)
}

/// Whether a whole record starts anywhere behind a bad one.
fn later_record(bytes: &[u8]) -> bool {
    (1..bytes.len()).any(|at| {
        bytes.get(at + RECORD_HEADER_LEN) == Some(&b'{') && whole_record(&bytes[at..]).is_some()
    })
}

fn read_snapshot(path: &Path) -> Result<Image, MetadataError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Image::default()),
        Err(error) => return Err(io_error("read", path)(error)),
    };
    let corrupt = |reason: String| MetadataError::Corrupt {
        path: path.display().to_string(),
        offset: 0,
        reason,
    };
    let Some((crc, payload)) = bytes.split_first_chunk::<4>() else {
        return Err(corrupt("the file is shorter than its checksum".into()));
    };
    if checksum_of(payload) != u32::from_be_bytes(*crc) {
        return Err(corrupt("the snapshot's checksum does not match".into()));
    }
    let mut image: Image = serde_json::from_slice(payload)
        .map_err(|error| corrupt(format!("unreadable snapshot, {error}")))?;
    image.reindex();
    Ok(image)
}

fn sync_directory(directory: &Path) -> Result<(), MetadataError> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(io_error("sync", directory))
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> MetadataError {
    let path = path.display().to_string();
    move |source| MetadataError::Io { action, path, source }
}

#[cfg(test)]
mod tests;
