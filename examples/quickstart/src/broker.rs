//! A cluster of the reference broker: processes of its own, on a folder of its own.

use crate::Failure;
use ottla::Compression;
use ottla_protocol::records::BatchHeader;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Processes of the cluster.
const NODES: usize = 3;
/// Replicas of each partition.
pub(crate) const REPLICAS: i16 = 3;

/// A running cluster; killed when dropped.
pub(crate) struct Cluster {
    process: Child,
    ready: String,
    /// Where clients connect.
    pub(crate) bootstrap: String,
    nodes: Vec<Node>,
    data: PathBuf,
    _temporary: Option<TempDir>,
}

/// A broker of it.
struct Node {
    id: i32,
    pid: String,
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

impl Cluster {
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
            .args(["dev", "--nodes", &NODES.to_string(), "--port", "0", "--data-dir"])
            .arg(&data)
            .env("OTTLA_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let stdout = process.stdout.take().expect("stdout is piped");
        let mut lines = BufReader::new(stdout).lines();
        let ready = lines.next().transpose()?.unwrap_or_default();
        let bootstrap = ready.split(" on ").nth(1).and_then(|rest| rest.split(' ').next());
        let Some(bootstrap) = bootstrap.map(str::to_owned) else {
            let status = process.wait()?;
            return Err(format!("the broker did not start ({status}); its words are above").into());
        };
        let nodes = lines.take(NODES).map(|line| Node::of_line(&line?)).collect();
        let nodes: Result<Vec<Node>, Failure> = nodes;
        Ok(Self { process, ready, bootstrap, nodes: nodes?, data, _temporary: temporary })
    }

    /// The broker's own words.
    pub(crate) fn describe(&self) -> String {
        format!("broker    {}", self.ready)
    }

    /// Ends a node as a crash does: nothing more is written, answered or handed over.
    pub(crate) fn kill(&mut self, id: i32) -> Result<(), Failure> {
        let at = self.nodes.iter().position(|node| node.id == id);
        let node = self.nodes.remove(at.ok_or_else(|| format!("no node {id} is running"))?);
        let status = Command::new("kill").args(["-KILL", &node.pid]).status()?;
        if status.success() { Ok(()) } else { Err(format!("kill ended with {status}").into()) }
    }

    /// Reads the topic's segments from the disk of a node that is running: each has all of them.
    pub(crate) fn stored(&self, topic: &str, codec: Compression) -> Result<Stored, Failure> {
        let mut stored = Stored { bytes: 0, batches: 0, codec_as_asked: true };
        let node = self.nodes.first().ok_or("no node is left")?;
        for folder in fs::read_dir(self.data.join(format!("node-{}", node.id)))? {
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

    /// Asks the cluster to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        let pid = self.process.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status()?;
        let status = self.process.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("the cluster ended with {status}").into())
        }
    }
}

impl Node {
    /// Of `ottla-broker node 1 on 127.0.0.1:9092 (pid 4711)`.
    fn of_line(line: &str) -> Result<Self, Failure> {
        let rest = line.strip_prefix("ottla-broker node ").and_then(|rest| rest.strip_suffix(')'));
        let parts =
            rest.and_then(|rest| Some((rest.split(' ').next()?, rest.split(" (pid ").nth(1)?)));
        let node =
            parts.and_then(|(id, pid)| Some(Self { id: id.parse().ok()?, pid: pid.to_owned() }));
        node.ok_or_else(|| format!("the broker did not say which node it is: {line:?}").into())
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

impl Drop for Cluster {
    fn drop(&mut self) {
        // Already ended after `stop`; both calls are harmless then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
