//! Other people's clients through a kill: each produces to three nodes and consumes from them as a
//! group, and the node that leads the partitions and coordinates the group is killed meanwhile.

use super::load::{create_topic, longest_gap, read_all};
use super::millis;
use super::program::{Process, Program, Said, Speech, Work};
use super::roles::{Case, Cast};
use crate::Failure;
use crate::cluster::{Cluster, Kind};
use crate::report::table;
use clap::Args;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const TOPIC: &str = "clients";
const PARTITIONS: i32 = 3;
const RECORDS: u64 = 1_000;
/// Between two records.
const EVERY: Duration = Duration::from_millis(10);
/// Records before the kill.
const BEFORE: u64 = 300;
/// How long a client may take for anything: some wait 30 s for an answer that does not come.
const PATIENCE: Duration = Duration::from_secs(75);

/// Which clients.
#[derive(Debug, Args)]
pub(crate) struct Clients {
    /// The reference broker's program
    #[arg(long)]
    broker: PathBuf,
    /// A client, NAME=COMMAND: a shim, or what runs a class of Kafka's tools for `verifiable` and
    /// `console`
    #[arg(long = "client", required = true, value_name = "NAME=COMMAND")]
    clients: Vec<String>,
    /// Who is killed, several separated by commas
    #[arg(long, value_delimiter = ',', default_value = "leader,all")]
    cases: Vec<Case>,
}

/// What became of one client's records, by their values: numbers from 0.
#[derive(Default)]
struct Fate {
    /// Where each is, as far as the client tells.
    acknowledged: BTreeMap<u64, Option<(i32, i64)>>,
    acknowledged_at: Vec<Instant>,
    refused: u64,
    delivered: BTreeSet<u64>,
    delivered_at: Vec<Instant>,
    delivered_again: u64,
    /// What the client said of its own accord, and what it did not do in time.
    troubles: BTreeSet<String>,
    stored: BTreeMap<(i32, i64), String>,
}

impl Clients {
    /// Runs all and prints a table; a client that loses something is a failure.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut rows = Vec::new();
        let mut bad = Vec::new();
        for client in &self.clients {
            let program = Program::parse(client)?;
            for case in &self.cases {
                let fate = self.once(&program, *case).await?;
                let row = fate.row(&program, *case);
                eprintln!("{}", row.join(" | "));
                for trouble in &fate.troubles {
                    eprintln!("    {trouble}");
                }
                if fate.lost() + fate.unseen() > 0 || !fate.troubles.is_empty() {
                    bad.push(format!("{} ({})", program.name, case.title()));
                }
                rows.push(row);
            }
        }
        let header = [
            "client",
            "killed",
            "acknowledged",
            "refused",
            "lost",
            "stored twice",
            "not delivered",
            "delivered again",
            "produce gap ms",
            "deliver gap ms",
        ];
        println!("{}", table(&header, &rows));
        if bad.is_empty() { Ok(()) } else { Err(bad.join(", ").into()) }
    }

    async fn once(&self, program: &Program, case: Case) -> Result<Fate, Failure> {
        loop {
            let mut cluster = Cluster::start(Kind::OttlaDev, &self.broker, &self.broker)?;
            let Some(cast) = Cast::choose(&cluster, case).await? else { continue };
            create_topic(&cluster, TOPIC, PARTITIONS, cast.leader).await?;
            let mut fate = tokio::task::block_in_place(|| drive(&mut cluster, program, &cast))?;
            fate.stored = read_all(&cluster, TOPIC, PARTITIONS).await?;
            return Ok(fate);
        }
    }
}

/// A client at work.
struct Run<'a> {
    program: &'a Program,
    producer: Option<Process>,
    consumer: Process,
    is_assigned: bool,
    sent: u64,
    fate: Fate,
}

/// Produces, consumes and kills.
fn drive(cluster: &mut Cluster, program: &Program, cast: &Cast) -> Result<Fate, Failure> {
    let bootstrap = cluster.bootstrap.clone();
    let group = &cast.group;
    let work = Work { bootstrap: &bootstrap, topic: TOPIC, group, records: RECORDS, every: EVERY };
    let consumer = program.consume(&work)?;
    let fate = Fate::default();
    let mut run = Run { program, producer: None, consumer, is_assigned: false, sent: 0, fate };
    if program.speech != Speech::Console {
        run.until("the group's member has no partitions", |run| run.is_assigned);
    }
    run.producer = Some(program.produce(&work)?);
    run.until("it did not get as far as the kill", |run| {
        run.send_up_to(BEFORE * 4 / 3);
        let done = match program.speech {
            Speech::Console => run.sent,
            _ => run.fate.acknowledged.len() as u64,
        };
        done >= BEFORE && run.fate.delivered.len() as u64 >= BEFORE / 2
    });
    cluster.kill(cast.victim)?;
    run.until("the producer does not take the records", |run| {
        run.send_up_to(RECORDS);
        run.sent == RECORDS || program.speech == Speech::Verifiable
    });
    if let Some(producer) = &mut run.producer {
        producer.end_input();
    }
    run.until("the producer does not end", |run| {
        run.producer.as_mut().is_none_or(Process::has_ended)
    });
    run.until("not everything is delivered", |run| {
        let fate = &run.fate;
        fate.delivered.len() >= fate.acknowledged.len() && fate.unseen() == 0
    });
    run.consumer.end_input();
    if program.speech != Speech::Shim {
        run.consumer.interrupt();
    }
    run.until("the consumer does not end", |run| run.consumer.has_ended());
    Ok(run.fate)
}

impl Run<'_> {
    /// Works until something is so; a trouble where that takes too long.
    fn until(&mut self, otherwise: &str, is_so: impl Fn(&mut Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let is_so = is_so(self);
            self.hear();
            if is_so {
                return;
            }
            let has_ended = self.consumer.has_ended();
            if Instant::now() > until || has_ended {
                let producer = self.producer.as_mut().map(Process::trouble).unwrap_or_default();
                let consumer = self.consumer.trouble();
                let trouble = format!("{otherwise} (standard error: {producer}; {consumer})");
                self.fate.troubles.insert(trouble);
                return;
            }
            std::thread::sleep(EVERY);
        }
    }

    /// Sends one more record, if there are not as many yet.
    fn send_up_to(&mut self, limit: u64) {
        if let Some(producer) = &mut self.producer
            && self.sent < limit
        {
            producer.send(self.sent, PARTITIONS as u64);
            if self.program.speech == Speech::Console {
                // It says nothing of its answers: all have to come, or it has to say so.
                self.fate.acknowledged.insert(self.sent, None);
            }
            self.sent += 1;
        }
    }

    fn hear(&mut self) {
        let now = Instant::now();
        let mut said = self.consumer.said();
        said.extend(self.producer.iter_mut().flat_map(Process::said));
        for said in said {
            match said {
                Said::Acknowledged(number, place) => {
                    self.fate.acknowledged.insert(number, place);
                    self.fate.acknowledged_at.push(now);
                }
                Said::Delivered(number) => {
                    self.fate.delivered_again += u64::from(!self.fate.delivered.insert(number));
                    self.fate.delivered_at.push(now);
                }
                Said::Refused(why) => {
                    self.fate.refused += 1;
                    eprintln!("    {}: {why}", self.program.name);
                }
                Said::Assigned => self.is_assigned = true,
                Said::Other => {}
            }
        }
    }
}

impl Fate {
    /// Acknowledged records that are not where they were said to be, or nowhere.
    fn lost(&self) -> u64 {
        let values: BTreeSet<u64> = self.stored.values().filter_map(|v| v.parse().ok()).collect();
        let is_lost = |(number, place): &(&u64, &Option<(i32, i64)>)| match place {
            Some(place) => self.stored.get(place) != Some(&number.to_string()),
            None => !values.contains(number),
        };
        self.acknowledged.iter().filter(is_lost).count() as u64
    }

    /// Acknowledged records that the group was not given.
    fn unseen(&self) -> u64 {
        let is_unseen = |number: &&u64| !self.delivered.contains(number);
        self.acknowledged.keys().filter(is_unseen).count() as u64
    }

    fn row(&self, program: &Program, case: Case) -> Vec<String> {
        let distinct: BTreeSet<&String> = self.stored.values().collect();
        let gap = |times: &[Instant]| match times.last() {
            Some(last) => millis(longest_gap(times.to_vec(), *last)).to_string(),
            None => "-".to_owned(),
        };
        vec![
            program.name.clone(),
            case.title().to_owned(),
            self.acknowledged.len().to_string(),
            self.refused.to_string(),
            self.lost().to_string(),
            (self.stored.len() - distinct.len()).to_string(),
            self.unseen().to_string(),
            self.delivered_again.to_string(),
            gap(&self.acknowledged_at),
            gap(&self.delivered_at),
        ]
    }
}
