//! The reference broker as a process of its own, on a folder of its own.

use crate::Failure;
use ottla::Compression;
use ottla_protocol::records::BatchHeader;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running broker; killed when dropped.
pub(crate) struct Broker {
    process: Child,
    ready: String,
    /// Where clients connect.
    pub(crate) bootstrap: String,
    data: PathBuf,
    _temporary: Option<TempDir>,
}

/// What a topic's log holds.
pub(crate) struct Stored {
    /// Bytes of all segments.
    pub(crate) bytes: u64,
    /// Batches in them.
    pub(crate) batches: u64,
    /// Whether every batch has the codec that its producer was given.
    pub(crate) codec_as_asked: bool,
}

impl Broker {
    /// Starts `program` and waits until it says that produce works.
    pub(crate) fn start(program: &Path, data_dir: Option<&Path>) -> Result<Self, Failure> {
        let temporary = match data_dir {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("ottla-quickstart-").tempdir()?),
        };
        let data = match (&temporary, data_dir) {
            (Some(folder), _) => folder.path().to_owned(),
            (None, Some(folder)) => folder.to_owned(),
            (None, None) => unreachable!("a temporary folder stands in for a missing one"),
        };
        let mut process = Command::new(program)
            .args(["dev", "--port", "0", "--data-dir"])
            .arg(&data)
            .env("OTTLA_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let mut ready = String::new();
        let stdout = process.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut ready)?;
        let ready = ready.trim().to_owned();
        let bootstrap = ready.split(" on ").nth(1).and_then(|rest| rest.split(' ').next());
        let Some(bootstrap) = bootstrap.map(str::to_owned) else {
            let status = process.wait()?;
            return Err(format!("the broker did not start ({status}); its words are above").into());
        };
        Ok(Self { process, ready, bootstrap, data, _temporary: temporary })
    }

    /// The broker's own words.
    pub(crate) fn describe(&self) -> String {
        format!("broker    {}", self.ready)
    }

    /// Reads the topic's segments from disk.
    pub(crate) fn stored(&self, topic: &str, codec: Compression) -> Result<Stored, Failure> {
        let mut stored = Stored { bytes: 0, batches: 0, codec_as_asked: true };
        for folder in fs::read_dir(&self.data)? {
            let folder = folder?;
            let name = folder.file_name().to_string_lossy().into_owned();
            if name.rsplit_once('-').is_none_or(|(name, _)| name != topic) {
                continue;
            }
            for file in fs::read_dir(folder.path())? {
                let file = file?.path();
                if file.extension().is_some_and(|extension| extension == "log") {
                    read_segment(&fs::read(&file)?, codec, &mut stored)
                        .map_err(|error| format!("{}: {error}", file.display()))?;
                }
            }
        }
        Ok(stored)
    }

    /// Asks the broker to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        let pid = self.process.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status()?;
        let status = self.process.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("the broker ended with {status}").into())
        }
    }
}

fn read_segment(mut bytes: &[u8], codec: Compression, stored: &mut Stored) -> Result<(), Failure> {
    stored.bytes += bytes.len() as u64;
    while !bytes.is_empty() {
        let header = BatchHeader::parse(bytes)?;
        stored.batches += 1;
        stored.codec_as_asked &= header.compression()? == codec;
        bytes = bytes.get(header.size_in_bytes()..).ok_or("the last batch is cut")?;
    }
    Ok(())
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Already ended after `stop`; both calls are harmless then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
