//! What a scenario works with: nodes, the client's shim, and assertions that are counted.

use super::act::Act;
use super::cluster::{Cluster, Seen};
use super::shim::{Shim, ShimCommand, Trouble};
use super::words::listed;
use crate::findings::{Asserts, Findings};
use crate::verdict::{Stop, Verdict};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ottla_protocol::messages::ApiKey;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use crate::context::Step;

/// The topic of every scenario.
pub const TOPIC: &str = "played";

/// A running scenario's hands.
pub struct Play<'a> {
    shim: &'a ShimCommand,
    /// The scripted broker.
    pub cluster: Cluster,
    patience: Duration,
    /// Blamed where the shim dies, hangs, or does not tell what it has to.
    blamed: &'static str,
    pub(crate) findings: Findings,
}

impl Asserts for Play<'_> {
    fn findings(&mut self) -> &mut Findings {
        &mut self.findings
    }
}

impl<'a> Play<'a> {
    pub(crate) fn new(
        shim: &'a ShimCommand,
        cluster: Cluster,
        patience: Duration,
        blamed: &'static str,
    ) -> Self {
        Self { shim, cluster, patience, blamed, findings: Findings::default() }
    }

    /// Blames this statement from now on where the client does not go on.
    pub fn blame(&mut self, statement: &'static str) {
        self.blamed = statement;
    }

    /// When what is waited for must have come.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// Makes [`TOPIC`] with so many partitions that node 1 leads.
    pub fn topic(&self, partitions: usize) {
        self.cluster.with(|state| {
            state.topic(TOPIC, partitions);
        });
    }

    /// What is done with the first so many requests of an API, from now on.
    pub fn first(&self, api: ApiKey, count: usize, act: impl Fn() -> Act + Send + 'static) {
        let mut left = count;
        self.cluster.rule(move |seen, _| {
            if !seen.is(api) || left == 0 {
                return None;
            }
            left -= 1;
            Some(act())
        });
    }

    /// Puts batches into a partition of [`TOPIC`], at the offsets that they have.
    pub fn store(&self, partition: usize, batches: impl IntoIterator<Item = Vec<u8>>) {
        self.cluster.with(|state| {
            let log = state.partition(TOPIC, partition);
            batches.into_iter().for_each(|batch| log.store(batch));
        });
    }

    /// FAIL of a statement where a record was not written.
    ///
    /// # Errors
    ///
    /// FAIL, with the client's error.
    pub fn must_be_written(&mut self, statement: &'static str, sent: &[Sent]) -> Step {
        let failed = |(n, sent): (usize, &Sent)| {
            let failure = sent.end.as_ref().err()?;
            Some(format!("record {n} failed: {}", failure.shown()))
        };
        let shown = sent.iter().enumerate().find_map(failed);
        self.must(statement, shown.is_none(), || shown.unwrap_or_default())
    }

    /// Waits until the state holds a condition: FAIL of the statement where it never does.
    ///
    /// # Errors
    ///
    /// FAIL.
    pub fn must_see(
        &mut self,
        statement: &'static str,
        what: &str,
        holds: impl FnMut(&super::state::State) -> bool,
    ) -> Step {
        let came = self.cluster.wait(self.deadline(), holds);
        let seconds = self.patience.as_secs();
        self.must(statement, came, || format!("within {seconds} s there was no {what}"))
    }

    /// The requests of an API so far.
    pub fn seen(&self, api: ApiKey) -> Vec<Arc<Seen>> {
        self.cluster.seen().into_iter().filter(|seen| seen.is(api)).collect()
    }

    /// The highest version in which the client asked an API.
    pub fn version(&self, api: ApiKey) -> Option<i16> {
        self.seen(api).iter().map(|seen| seen.version).max()
    }

    /// UNSUPPORTED where the client did not ask an API in this version or a later one.
    ///
    /// # Errors
    ///
    /// UNSUPPORTED.
    pub fn needs(&self, api: ApiKey, since: i16) -> Step {
        let name = api.name();
        match self.version(api) {
            Some(version) if version >= since => Ok(()),
            Some(version) => {
                let text = format!("the client asks {name} in version {version}, not {since}+");
                Err(Stop::unsupported(text))
            }
            None => Err(Stop::unsupported(format!("the client does not ask {name}"))),
        }
    }

    /// A producer to [`TOPIC`] at node 1, with settings in place of the usual ones.
    ///
    /// # Errors
    ///
    /// BLOCKED where the shim cannot be started.
    pub fn producer(&self, settings: Value) -> Step<Running> {
        let usual = json!({
            "bootstrap": self.cluster.address(1), "topic": TOPIC, "acks": "all",
            "idempotence": null, "compression": "none", "linger_ms": 5,
            "request_timeout_ms": 3000, "delivery_timeout_ms": 15000, "wait_each": false,
            "config": {},
        });
        self.start("produce", usual, settings)
    }

    /// A consumer of [`TOPIC`] in a group at node 1, with settings in place of the usual ones.
    ///
    /// # Errors
    ///
    /// BLOCKED where the shim cannot be started.
    pub fn consumer(&self, settings: Value) -> Step<Running> {
        let usual = json!({
            "bootstrap": self.cluster.address(1), "topics": [TOPIC], "group": "played-by",
            "offset_reset": "earliest", "isolation": "read_uncommitted", "count": null,
            "commit": true, "session_timeout_ms": 10000,
            "config": {"heartbeat.interval.ms": 500},
        });
        self.start("consume-group", usual, settings)
    }

    /// An administrator at node 1.
    ///
    /// # Errors
    ///
    /// BLOCKED where the shim cannot be started.
    pub fn admin(&self) -> Step<Running> {
        let usual = json!({"bootstrap": self.cluster.address(1), "config": {
            "default.api.timeout.ms": 8000, "request.timeout.ms": 3000,
        }});
        self.start("admin", usual, json!({}))
    }

    fn start(&self, operation: &str, usual: Value, settings: Value) -> Step<Running> {
        let mut shim = self.shim.start(operation).map_err(Stop::blocked)?;
        let mut task: Map<String, Value> = serde_json::from_value(usual).unwrap_or_default();
        let settings: Map<String, Value> = serde_json::from_value(settings).unwrap_or_default();
        task.extend(settings);
        shim.write(&Value::Object(task));
        Ok(Running {
            shim,
            blamed: self.blamed,
            patience: self.patience,
            records: 0,
            told: Vec::new(),
        })
    }

    /// Produces records and waits for the end of each; the shim has ended then.
    ///
    /// # Errors
    ///
    /// FAIL of what is blamed where it hangs or dies.
    pub fn produce(&self, settings: Value, records: &[Value]) -> Step<Vec<Sent>> {
        let mut running = self.producer(settings)?;
        records.iter().for_each(|record| running.send(record));
        let sent = (0..records.len()).map(|record| running.sent(record)).collect::<Step<_>>()?;
        running.end()?;
        Ok(sent)
    }

    /// Consumes so many records and waits for the end of the shim.
    ///
    /// # Errors
    ///
    /// FAIL of what is blamed where it hangs or dies.
    pub fn consume(&self, settings: Value, count: usize) -> Step<Running> {
        let mut running = self.consumer(settings)?;
        running.deliver(count)?;
        running.end()?;
        Ok(running)
    }
}

/// What became of a record that was produced.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Partition and offset, or the failure.
    pub end: Result<(i32, i64), Failure>,
    /// When it was told.
    pub at: Instant,
}

impl Sent {
    /// `was written to partition 0 at offset 3`, or `failed: …`.
    pub fn ended(&self) -> String {
        match &self.end {
            Ok((partition, offset)) => {
                format!("was written to partition {partition} at offset {offset}")
            }
            Err(failure) => format!("failed: {}", failure.shown()),
        }
    }
}

/// An error as the client tells it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Failure {
    /// Kafka's number.
    pub code: Option<i64>,
    /// The client's name for it.
    pub name: String,
    /// The client's words.
    pub message: String,
}

impl Failure {
    fn of(error: &Value) -> Self {
        let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
        Self { code: error["code"].as_i64(), name: text("name"), message: text("message") }
    }

    /// All that is told, in one line.
    pub fn shown(&self) -> String {
        let code = self.code.map(|code| format!("{code} ")).unwrap_or_default();
        format!("{code}{}: {}", self.name, self.message)
    }
}

/// A record that was delivered.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    /// Where it is from.
    pub partition: i64,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp.
    pub timestamp: i64,
    /// Its value as text.
    pub value: String,
}

/// A shim at work.
pub struct Running {
    /// Its process.
    pub shim: Shim,
    blamed: &'static str,
    patience: Duration,
    records: usize,
    /// What it told, and when.
    pub told: Vec<(Instant, Value)>,
}

impl Running {
    /// Sends a record, or an operation.
    pub fn send(&mut self, record: &Value) {
        self.shim.write(record);
    }

    fn stop(&self, trouble: &Trouble) -> Stop {
        match trouble {
            Trouble::Unimplemented(why) => Stop::unsupported(why.clone()),
            Trouble::Garbage(_) => Stop::blocked(trouble.to_string()),
            Trouble::Died(_) | Trouble::Hangs(_) => {
                let errors: Vec<String> = self.errors().iter().map(Failure::shown).collect();
                let told = if errors.is_empty() {
                    String::new()
                } else {
                    format!("; it had told {}", errors.join("; "))
                };
                let (verdict, statement) = (Verdict::Fail, Some(self.blamed));
                Stop { verdict, statement, message: format!("{trouble}{told}") }
            }
        }
    }

    /// Reads what the shim tells until a condition holds; whether it came to hold.
    ///
    /// # Errors
    ///
    /// FAIL of what is blamed where the shim dies.
    pub fn read_until(
        &mut self,
        deadline: Instant,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> Step<bool> {
        while !holds(self) {
            match self.shim.next(deadline) {
                Ok(Some(line)) => {
                    self.records += usize::from(line["topic"].is_string());
                    self.told.push((Instant::now(), line));
                }
                Ok(None) => return Ok(false),
                Err(trouble) => return Err(self.stop(&trouble)),
            }
        }
        Ok(true)
    }

    /// What became of a record; waits for it.
    ///
    /// # Errors
    ///
    /// FAIL of what is blamed where it is not told.
    pub fn sent(&mut self, record: usize) -> Step<Sent> {
        let sent = self.sent_by(Instant::now() + self.patience, record)?;
        sent.ok_or_else(|| {
            let what = format!("nothing was told of record {record}");
            self.stop(&Trouble::Hangs(what))
        })
    }

    /// What became of a record; `None` where nothing was told of it before the deadline.
    ///
    /// # Errors
    ///
    /// FAIL of what is blamed where the shim dies.
    pub fn sent_by(&mut self, deadline: Instant, record: usize) -> Step<Option<Sent>> {
        let mine = |(_, line): &&(Instant, Value)| line["record"].as_u64() == Some(record as u64);
        let came = self.read_until(deadline, |running| running.told.iter().any(|l| mine(&l)))?;
        if !came {
            return Ok(None);
        }
        let (at, line) = self.told.iter().find(mine).expect("it was just seen");
        let end = match (&line["error"], line["partition"].as_i64(), line["offset"].as_i64()) {
            (Value::Null, Some(partition), Some(offset)) => Ok((partition as i32, offset)),
            (Value::Null, ..) => {
                return Err(Stop::blocked(format!("the shim tells no place of a record: {line}")));
            }
            (error, ..) => Err(Failure::of(error)),
        };
        Ok(Some(Sent { end, at: *at }))
    }

    /// The answer to an operation of an administrator, by its number from 0.
    ///
    /// # Errors
    ///
    /// FAIL of what is blamed where it is not told.
    pub fn answer(&mut self, number: usize) -> Step<Result<Value, Failure>> {
        let deadline = Instant::now() + self.patience;
        if !self.read_until(deadline, |running| running.told.len() > number)? {
            let what = format!("nothing was told of operation {number}");
            return Err(self.stop(&Trouble::Hangs(what)));
        }
        let line = &self.told[number].1;
        Ok(match &line["error"] {
            Value::Null => Ok(line.clone()),
            error => Err(Failure::of(error)),
        })
    }

    /// Waits for so many records in all.
    ///
    /// # Errors
    ///
    /// FAIL of what is blamed where they do not come.
    pub fn deliver(&mut self, count: usize) -> Step {
        let deadline = Instant::now() + self.patience;
        if self.read_until(deadline, |running| running.records >= count)? {
            return Ok(());
        }
        let (got, errors) = (self.records, self.errors());
        let errors = listed(errors.iter().map(Failure::shown));
        let message = format!("{got} of {count} records were delivered; errors: {errors}");
        Err(Stop { verdict: Verdict::Fail, statement: Some(self.blamed), message })
    }

    /// The records so far.
    pub fn delivered(&self) -> Vec<Delivered> {
        let record = |(_, line): &(Instant, Value)| {
            let value = line["value"].as_str().and_then(|text| STANDARD.decode(text).ok());
            Some(Delivered {
                partition: line["partition"].as_i64()?,
                offset: line["offset"].as_i64()?,
                timestamp: line["timestamp"].as_i64().unwrap_or(-1),
                value: String::from_utf8_lossy(&value.unwrap_or_default()).into_owned(),
            })
        };
        self.told.iter().filter_map(record).collect()
    }

    /// The offsets of the records so far.
    pub fn offsets(&self) -> Vec<i64> {
        self.delivered().iter().map(|record| record.offset).collect()
    }

    /// The errors so far.
    pub fn errors(&self) -> Vec<Failure> {
        let errors = self.told.iter().map(|(_, line)| &line["error"]);
        errors.filter(|error| !error.is_null()).map(Failure::of).collect()
    }

    /// Ends the input, reads the rest, and waits until the shim has ended.
    ///
    /// # Errors
    ///
    /// FAIL of what is blamed where it does not end well.
    pub fn end(&mut self) -> Step {
        self.shim.end_input();
        let deadline = Instant::now() + self.patience;
        let is_done = |(_, line): &(Instant, Value)| line["done"] == json!(true);
        if !self.read_until(deadline, |running| running.told.iter().any(is_done))? {
            let seconds = self.patience.as_secs();
            let what = format!("it did not end within {seconds} s of its input's end");
            return Err(self.stop(&Trouble::Hangs(what)));
        }
        self.shim.exited(deadline).map_err(|trouble| self.stop(&trouble))
    }
}

/// A record to a partition with this value.
pub fn record(partition: i32, value: &str) -> Value {
    json!({"partition": partition, "key": null, "value": STANDARD.encode(value), "headers": []})
}

/// A record with a key, to the partition that the client chooses.
pub fn keyed(key: &[u8], value: &str) -> Value {
    let (key, value) = (STANDARD.encode(key), STANDARD.encode(value));
    json!({"partition": null, "key": key, "value": value, "headers": []})
}
