//! Bits that a disk has changed. One replica at a time is damaged, while all are in sync: what a
//! cluster of `min.insync.replicas=2` can repair from the others.

use std::path::{Path, PathBuf};

use ottla_protocol::records::BATCH_HEADER_LEN;
use rand::Rng;
use rand::seq::SliceRandom;

use super::super::{NODES, World};
use super::Faults;

const DATA: &str = "/data";
/// What of a batch stands before its CRC: nothing protects it before the log is scrubbed.
const UNPROTECTED_LEN: usize = 21;
/// Where a batch tells how many bytes follow, and how many precede those.
const LENGTH_AT: usize = 8;
const LENGTH_END: usize = 12;

/// A byte that is wrong.
#[derive(Debug)]
pub(super) struct Flip {
    node: usize,
    path: PathBuf,
    at: usize,
    byte: u8,
}

impl Faults {
    /// Whether a replica has lost something that it has not fetched again.
    pub(super) fn is_damaged(&mut self, world: &World<'_>) -> bool {
        let is_there = |flip: &Flip| {
            let content = world.nodes[flip.node].disk.content(&flip.path);
            content.is_some_and(|content| content.get(flip.at) == Some(&flip.byte))
        };
        self.flip = self.flip.take().filter(is_there);
        self.flip.is_some()
    }

    /// Changes a bit of a stored batch, where its CRC tells.
    pub(super) fn flip(&mut self, world: &World<'_>, node: usize) {
        if self.is_damaged(world) || !self.are_all_in_sync(world) {
            return;
        }
        let disk = &world.nodes[node].disk;
        let logs: Vec<PathBuf> =
            disk.paths(Path::new(DATA)).into_iter().filter(|path| is_log(path)).collect();
        let Some(path) = logs.choose(&mut self.random) else { return };
        let content = disk.content(path).unwrap_or_default();
        let batches = batches(&content);
        let Some((start, end)) = batches.choose(&mut self.random) else { return };
        let at = self.random.gen_range(start + UNPROTECTED_LEN..*end);
        let mask = 1 << self.random.gen_range(0..8);
        let byte = disk.flip(path, at, mask).expect("the byte was just there");
        let name = world.nodes[node].name();
        self.count("flipped bits", &format!("{name} {} {at}", path.display()));
        self.flip = Some(Flip { node, path: path.clone(), at, byte });
    }

    /// Whether every replica of every partition is in sync, and all brokers know it.
    pub(super) fn are_all_in_sync(&self, world: &World<'_>) -> bool {
        let brokers: Vec<_> = world.nodes.iter().filter_map(|node| node.broker()).collect();
        (0..NODES).all(|node| !self.is_down(node))
            && brokers.len() == NODES
            && brokers.iter().all(|broker| {
                let image = broker.image();
                let mut topics = image.topics.values();
                topics.all(|topic| {
                    topic.partitions.iter().all(|partition| partition.isr.len() == NODES)
                })
            })
    }
}

/// Whether it holds batches of a partition: its folder is named after one.
fn is_log(path: &Path) -> bool {
    let dir = path.parent().and_then(|dir| dir.file_name()).and_then(|dir| dir.to_str());
    let index = dir.and_then(|dir| dir.rsplit_once('-')).map(|(_, index)| index);
    let is_of_partition = index.is_some_and(|index| index.parse::<i32>().is_ok());
    is_of_partition && path.extension().is_some_and(|extension| extension == "log")
}

/// Where each batch of a log begins and ends.
fn batches(content: &[u8]) -> Vec<(usize, usize)> {
    let (mut found, mut start) = (Vec::new(), 0);
    while let Some(length) = content.get(start + LENGTH_AT..start + LENGTH_END) {
        let length = u32::from_be_bytes(length.try_into().expect("it has four bytes"));
        let end = start + LENGTH_END + usize::try_from(length).expect("it fits");
        if end > content.len() || end - start < BATCH_HEADER_LEN {
            break;
        }
        found.push((start, end));
        start = end;
    }
    found
}
