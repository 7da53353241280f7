//! `ottla-broker rebalance`: plans moves of replicas, has them made, and watches them.
//!
//! The plan is a file that Kafka's own `kafka-reassign-partitions` takes as well, and the moves
//! are asked for with Kafka's own AlterPartitionReassignments: the cluster goes on with them when
//! this process ends, and another run takes up the watch.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgGroup, Args};
use serde::{Deserialize, Serialize};

pub(crate) use cluster::Cluster;
use plan::{Assignment, describe, plan};

mod cluster;
pub(crate) mod plan;

/// How often the cluster is asked how far it is.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// What the command line asks for.
#[derive(Args)]
#[command(group = ArgGroup::new("what").required(true).args(["plan", "execute", "cancel"]))]
pub(crate) struct Rebalance {
    /// Brokers of the cluster, as host:port with commas between them.
    #[arg(long, value_name = "HOST:PORT,..")]
    bootstrap_server: String,
    /// Write a plan to this file, or with - to the standard output: JSON as
    /// kafka-reassign-partitions takes it. Nothing is moved.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Plan no replica on this broker; may be given several times.
    #[arg(long, value_name = "ID", requires = "plan")]
    drain: Vec<i32>,
    /// Make the moves of this plan and wait for their end. After an interruption the same command
    /// goes on.
    #[arg(long, value_name = "FILE")]
    execute: Option<PathBuf>,
    /// With --execute: copy no more than so many bytes a second from and to each broker.
    #[arg(long, value_name = "BYTES", requires = "execute",
          value_parser = clap::value_parser!(u64).range(1..))]
    throttle: Option<u64>,
    /// End the moves of this plan that are under way; replicas go back to where they were.
    #[arg(long, value_name = "FILE")]
    cancel: Option<PathBuf>,
}

/// The form of a plan, which is Kafka's.
#[derive(Serialize, Deserialize)]
struct File {
    #[serde(default = "version")]
    version: u32,
    partitions: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    topic: String,
    partition: i32,
    replicas: Vec<i32>,
}

fn version() -> u32 {
    1
}

impl Rebalance {
    /// Does it.
    ///
    /// # Errors
    /// A sentence for the user: what was wrong, and what to do.
    pub(crate) async fn run(self) -> Result<(), String> {
        let cluster = Cluster::new(&self.bootstrap_server)?;
        if let Some(path) = &self.plan {
            return write_plan(&cluster, path, &self.drain.iter().copied().collect()).await;
        }
        if let Some(path) = &self.cancel {
            return cancel(&cluster, &read(path)?).await;
        }
        let path = self.execute.expect("one of the three is required");
        execute(&cluster, &read(&path)?, self.throttle).await
    }
}

async fn write_plan(cluster: &Cluster, path: &Path, drained: &BTreeSet<i32>) -> Result<(), String> {
    let moving = cluster.moving(None).await?;
    if !moving.is_empty() {
        return Err(format!(
            "{} partitions are being moved: wait for them, or end that with --cancel FILE",
            moving.len()
        ));
    }
    let layout = cluster.layout().await?;
    let known = |id: &&i32| {
        layout.brokers.contains_key(id) || layout.assignment.values().flatten().any(|at| at == *id)
    };
    if let Some(id) = drained.iter().find(|id| !known(id)) {
        return Err(format!(
            "--drain {id}: there is no such broker, known are {:?}",
            layout.brokers.keys()
        ));
    }
    let changes = plan(&layout, drained)?;
    let entry = |((topic, partition), replicas): (&(String, i32), &Vec<i32>)| Entry {
        topic: topic.clone(),
        partition: *partition,
        replicas: replicas.clone(),
    };
    let file = File { version: 1, partitions: changes.iter().map(entry).collect() };
    let json = serde_json::to_string(&file).expect("a plan has a form in JSON") + "\n";
    let text = describe(&layout, &changes);
    if path == Path::new("-") {
        eprint!("{text}");
        say(&json);
        return Ok(());
    }
    let written = std::fs::write(path, json);
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    say(&format!("{text}the plan is in {}\n", path.display()));
    Ok(())
}

/// Reads a plan and checks that it could be one.
fn read(path: &Path) -> Result<Assignment, String> {
    let at = path.display();
    let text = match path == Path::new("-") {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(path),
    };
    let text = text.map_err(|error| format!("cannot read {at}: {error}"))?;
    let file: File =
        serde_json::from_str(&text).map_err(|error| format!("{at} is no plan: {error}"))?;
    if file.version != 1 {
        return Err(format!("{at} has version {}, only version 1 is known", file.version));
    }
    let mut assignment = Assignment::new();
    for Entry { topic, partition, replicas } in file.partitions {
        let name = format!("{at}: partition {topic}-{partition}");
        if replicas.is_empty() || replicas.iter().collect::<BTreeSet<_>>().len() != replicas.len() {
            return Err(format!("{name} has replicas {replicas:?}: name one or more, each once"));
        }
        if assignment.insert((topic, partition), replicas).is_some() {
            return Err(format!("{name} is there twice"));
        }
    }
    Ok(assignment)
}

/// Has the moves made that are neither made nor under way, and waits for the end of all.
async fn execute(
    cluster: &Cluster,
    wanted: &Assignment,
    throttle: Option<u64>,
) -> Result<(), String> {
    let (layout, moving) = (cluster.layout().await?, cluster.moving(Some(wanted)).await?);
    let unknown = wanted.keys().find(|key| !layout.assignment.contains_key(*key));
    if let Some((topic, index)) = unknown {
        return Err(format!("there is no partition {topic}-{index}: make a new plan"));
    }
    let is_due = |(key, ids): &(_, &Vec<i32>)| match moving.get(*key) {
        Some(moving) => moving.target() != **ids,
        None => layout.assignment[*key] != **ids,
    };
    let due: BTreeMap<_, _> = wanted.iter().filter(is_due).collect();
    let begin = due.iter().map(|(key, ids)| ((*key).clone(), Some((*ids).clone()))).collect();
    let work = async {
        if let Some(rate) = throttle {
            cluster.throttle(wanted, &layout, &moving, rate).await?;
        }
        if !due.is_empty() {
            cluster.reassign(begin).await?;
        }
        watch(cluster, wanted).await
    };
    let watched = work.await;
    // Also where only some of the limits could be set.
    let unthrottled = match throttle {
        Some(_) => cluster.unthrottle(wanted).await,
        None => Ok(()),
    };
    watched.and(unthrottled)?;
    for failed in cluster.elect_preferred(wanted).await? {
        say(&format!("the preferred replica does not lead {failed}\n"));
    }
    say(&format!("all {} partitions are where the plan wants them\n", wanted.len()));
    Ok(())
}

/// Tells how far the cluster is, until nothing is moved any more.
async fn watch(cluster: &Cluster, wanted: &Assignment) -> Result<(), String> {
    let mut told = None;
    loop {
        let moving = cluster.moving(Some(wanted)).await?;
        if moving.is_empty() {
            let layout = cluster.layout().await?;
            let is_other = |(key, ids): &(&_, &_)| layout.assignment.get(*key) != Some(*ids);
            return match wanted.iter().find(is_other) {
                None => Ok(()),
                Some(((topic, index), _)) => Err(format!(
                    "partition {topic}-{index} is not where the plan wants it, and is not moved: \
                     somebody else has changed it"
                )),
            };
        }
        if told != Some(moving.len()) {
            told = Some(moving.len());
            let done = wanted.len() - moving.len();
            say(&format!("{done} of {} partitions are done\n", wanted.len()));
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

async fn cancel(cluster: &Cluster, wanted: &Assignment) -> Result<(), String> {
    let moving = cluster.moving(Some(wanted)).await?;
    let end: BTreeMap<_, _> = moving.into_keys().map(|key| (key, None)).collect();
    let count = end.len();
    if count > 0 {
        cluster.reassign(end).await?;
    }
    cluster.unthrottle(wanted).await?;
    say(&format!("{count} moves were ended, {} had ended before\n", wanted.len() - count));
    Ok(())
}

/// A reader who has gone away does not end what is under way.
fn say(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
