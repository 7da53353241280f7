//! A cluster, the load on it, and what a scenario does to both.

use crate::cluster::Cluster;
use crate::history::{Figures, History, Stored};
use crate::load::{self, Load, PARTITIONS, TOPIC};
use crate::{Failure, network, wire};
use ottla::{Admin, NewTopic, TopicMetadata};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::time::sleep;

/// How long a cluster may take to become whole again.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of each node's log that are shown when a scenario has failed.
const LOG_LINES: usize = 12;

/// What a scenario works on.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    load: Option<Load>,
    /// Whether the replicas' files shall be the same at the end.
    compares_files: bool,
    folder: TempDir,
    keep: bool,
}

/// What came of a scenario.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Figures,
    violations: Vec<String>,
    note: String,
    elsewhere: Option<&'static str>,
}

impl Report {
    /// It is shown by something else.
    pub(crate) fn elsewhere(why: &'static str) -> Self {
        Self { elsewhere: Some(why), ..Self::default() }
    }

    /// With a remark for the table.
    pub(crate) fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// No producer waited longer than this for a partition: a client that waits for a former leader
    /// does so for all of `request.timeout.ms`.
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        let gap = self.figures.longest_gap;
        if gap > limit {
            let (gap, limit) = (gap.as_millis(), limit.as_millis());
            let text =
                format!("a partition acknowledged nothing for {gap} ms, {limit} are allowed");
            self.violations.push(text);
        }
        self
    }

    pub(crate) fn was_run(&self) -> bool {
        self.elsewhere.is_none()
    }

    /// Nothing was lost, and nothing else was wrong.
    pub(crate) fn is_kept(&self) -> bool {
        self.violations.is_empty()
    }

    pub(crate) fn lost(&self) -> usize {
        self.figures.lost
    }

    /// What is lost here is out of the contract, and was told: that is not a violation.
    pub(crate) fn excuse(&mut self) {
        self.violations.clear();
    }

    pub(crate) fn cells(&self) -> [String; 4] {
        if !self.was_run() {
            return Default::default();
        }
        let Figures { acknowledged, lost, twice, longest_gap } = &self.figures;
        let gap = longest_gap.as_millis().to_string();
        [acknowledged.to_string(), lost.to_string(), twice.to_string(), gap]
    }

    pub(crate) fn outcome(&self) -> String {
        match self.elsewhere {
            Some(why) => format!("not run: {why}"),
            None if self.is_kept() && self.note.is_empty() => "kept".to_owned(),
            None if self.is_kept() => format!("kept; {}", self.note),
            None => format!("BROKEN: {}", self.violations.join("; ")),
        }
    }
}

impl World {
    pub(crate) fn new(program: &Path, keep: bool) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("ottla-chaos-").tempdir()?;
        let cluster = Cluster::new(program, folder.path());
        Ok(Self { cluster, load: None, compares_files: true, folder, keep })
    }

    /// Starts three nodes and the load.
    pub(crate) async fn begin(&mut self) -> Result<(), Failure> {
        self.begin_with(3, &[]).await
    }

    /// Starts so many nodes and the load, on a topic with these settings.
    pub(crate) async fn begin_with(
        &mut self,
        nodes: i32,
        configs: &[(&str, &str)],
    ) -> Result<(), Failure> {
        self.cluster.prepare(nodes)?;
        self.begin_prepared(configs).await
    }

    /// Starts the nodes that have been prepared, and the load.
    pub(crate) async fn begin_prepared(&mut self, configs: &[(&str, &str)]) -> Result<(), Failure> {
        self.cluster.start_all().await?;
        self.create(TOPIC, configs).await?;
        self.put_load_on().await
    }

    /// Starts three nodes, without load.
    pub(crate) async fn prepare(&mut self) -> Result<(), Failure> {
        self.cluster.prepare(3)?;
        self.cluster.start_all().await?;
        self.create(TOPIC, &[]).await
    }

    pub(crate) async fn put_load_on(&mut self) -> Result<(), Failure> {
        self.load = Some(Load::start(&self.cluster.bootstrap()).await?);
        Ok(())
    }

    /// Creates a topic whose partitions have replicas on nodes 1 to 3, each led by another.
    pub(crate) async fn create(&self, name: &str, configs: &[(&str, &str)]) -> Result<(), Failure> {
        let replicas = |first: i32| (0..3).map(|next| (first + next) % 3 + 1).collect();
        let topic = NewTopic::assigned(name, (0..PARTITIONS).map(replicas).collect());
        let topic = topic.config("min.insync.replicas", 2);
        let topic = configs.iter().fold(topic, |topic, (name, value)| topic.config(*name, value));
        let admin = self.admin().await?;
        admin.create_topic(topic).await?;
        admin.close().await;
        self.whole(name).await
    }

    pub(crate) async fn admin(&self) -> Result<Admin, Failure> {
        Ok(Admin::builder().bootstrap_servers(self.cluster.bootstrap()).build().await?)
    }

    pub(crate) fn load(&self) -> &Load {
        self.load.as_ref().expect("invariant: a scenario begins before it acts")
    }

    /// Waits until every producer and the group get on, then so much longer.
    pub(crate) async fn progress(&self, millis: u64) -> Result<(), Failure> {
        self.load().progress(Duration::from_millis(millis)).await
    }

    pub(crate) async fn describe(&self, topic: &str) -> Result<Option<TopicMetadata>, Failure> {
        let admin = self.admin().await?;
        let described = admin.describe_topics([topic]).await;
        admin.close().await;
        Ok(described?.remove(topic).and_then(Result::ok))
    }

    /// Waits for something about a topic.
    pub(crate) async fn until(
        &self,
        topic: &str,
        what: &str,
        is_so: impl Fn(&TopicMetadata) -> bool,
    ) -> Result<(), Failure> {
        let until = Instant::now() + PATIENCE;
        while !self.describe(topic).await.is_ok_and(|topic| topic.is_some_and(|t| is_so(&t))) {
            if Instant::now() > until {
                let found = self.describe(topic).await;
                let seconds = PATIENCE.as_secs();
                return Err(format!("not so after {seconds} s: {what} ({found:?})").into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until all replicas of a topic are in sync and led.
    pub(crate) async fn whole(&self, topic: &str) -> Result<(), Failure> {
        let is_whole = |topic: &TopicMetadata| {
            let led = |p: &ottla::PartitionMetadata| {
                p.leader.is_some() && p.isr.len() == p.replicas.len()
            };
            topic.partitions.iter().all(led)
        };
        self.until(topic, "every replica is in sync", is_whole).await
    }

    /// Who leads a partition of the load's topic.
    pub(crate) async fn leader(&self, partition: usize) -> Result<i32, Failure> {
        let until = Instant::now() + PATIENCE;
        loop {
            let topic = self.describe(TOPIC).await?;
            if let Some(leader) = topic.and_then(|topic| topic.partitions[partition].leader) {
                return Ok(leader);
            }
            if Instant::now() > until {
                return Err(format!("partition {partition} has no leader").into());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The active controller.
    pub(crate) async fn controller(&self) -> Result<i32, Failure> {
        let until = Instant::now() + PATIENCE;
        loop {
            for id in self.cluster.ids() {
                let known = wire::controller(&self.cluster.address(id)).await;
                if let Ok(Some(controller)) = known {
                    return Ok(controller);
                }
            }
            if Instant::now() > until {
                return Err("nobody knows a controller".into());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Cuts a node off from other nodes, in both directions; clients still reach it.
    pub(crate) fn isolate(&self, id: i32) -> Result<(), Failure> {
        for other in self.cluster.ids().into_iter().filter(|other| *other != id) {
            network::cut(id, other)?;
            network::cut(other, id)?;
        }
        Ok(())
    }

    /// Mends everything, ends the load, and compares what clients saw with what is there.
    pub(crate) async fn finish(&mut self) -> Result<Report, Failure> {
        self.cluster.heal().await?;
        self.whole(TOPIC).await?;
        self.progress(200).await?;
        let load = self.load.take().expect("invariant: a scenario begins before it ends");
        let mut history = load.end().await?;
        let bootstrap = self.cluster.bootstrap();
        let (stored, starts) = load::read_all(&bootstrap).await?;
        self.whole(TOPIC).await?;
        self.report(&mut history, &stored, &starts).await
    }

    async fn report(
        &mut self,
        history: &mut History,
        stored: &Stored,
        starts: &BTreeMap<i32, i64>,
    ) -> Result<Report, Failure> {
        let figures = history.check(stored, starts);
        if self.keep && !history.violations.is_empty() {
            fs::write(self.cluster.folder.join("history.txt"), history.tell(stored))?;
        }
        for id in self.cluster.ids() {
            self.cluster.stop(id).await?;
        }
        if self.compares_files {
            self.compare_files(history)?;
        }
        let refused: u64 = history.refused.values().sum();
        let note = match history.refused.keys().next() {
            Some(why) => format!("{refused} refused ({why})"),
            None => String::new(),
        };
        let violations = std::mem::take(&mut history.violations);
        Ok(Report { figures, violations, note, elsewhere: None })
    }

    /// Replicas need not have the same files at the end.
    pub(crate) fn does_not_compare_files(&mut self) {
        self.compares_files = false;
    }

    /// All replicas of a partition have the same bytes.
    fn compare_files(&self, history: &mut History) -> Result<(), Failure> {
        for partition in 0..PARTITIONS {
            let mut contents: BTreeMap<Vec<u8>, Vec<i32>> = BTreeMap::new();
            for id in self.cluster.ids() {
                let folder = self.cluster.data_dir(id).join(format!("{TOPIC}-{partition}"));
                if folder.exists() {
                    contents.entry(log_bytes(&folder)?).or_default().push(id);
                }
            }
            if contents.len() > 1 {
                let sizes = contents.iter().map(|(bytes, ids)| format!("{ids:?}: {}", bytes.len()));
                let sizes = sizes.collect::<Vec<_>>().join(", ");
                let message =
                    format!("the replicas of partition {partition} differ, bytes {sizes}");
                history.violations.push(message);
            }
        }
        Ok(())
    }

    /// A node's log must say that records may be lost; a scenario is out of the contract only then.
    pub(crate) fn must_have_told(&self) -> Result<(), Failure> {
        let says = |id: i32| {
            let log = fs::read_to_string(self.cluster.log_file(id));
            log.is_ok_and(|text| text.contains("may lack acknowledged records"))
        };
        let told = self.cluster.ids().into_iter().any(says);
        if told { Ok(()) } else { Err("no node's log says that records may be lost".into()) }
    }

    /// Shows the ends of the nodes' logs; with `--keep`, where the rest of them is.
    pub(crate) fn tell_failure(&mut self) {
        for id in self.cluster.ids() {
            let Ok(text) = fs::read_to_string(self.cluster.log_file(id)) else { continue };
            let lines: Vec<&str> = text.lines().collect();
            for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
                eprintln!("    node {id} | {line}");
            }
        }
        let folder = self.folder.path().display();
        if self.keep {
            eprintln!("    logs, data and what clients saw are in {folder}");
            self.folder.disable_cleanup(true);
        } else {
            eprintln!("    with --keep, logs, data and what clients saw would be kept");
        }
    }
}

/// The segments of a partition, one after the other.
pub(crate) fn log_bytes(folder: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    for file in segments(folder, "log")? {
        bytes.extend(fs::read(file)?);
    }
    Ok(bytes)
}

/// The files of a partition with this ending, by their offsets.
pub(crate) fn segments(folder: &Path, ending: &str) -> Result<Vec<std::path::PathBuf>, Failure> {
    let mut files: Vec<_> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|found| found == ending));
    files.sort();
    Ok(files)
}
