//! Every client's records, read by every client: `ottla-conformance pairs`.
//!
//! Each shim writes the same records with each codec, once; every shim reads all of them, in one
//! group. What a client cannot express is found out first and left out of its records. Whether a
//! codec was used is looked up in the log, by a Fetch of the suite's own.

mod process;
mod records;
mod report;
mod topics;

pub use process::Shim;
pub use records::CODECS;
pub use report::{Cell, PairsReport, ShimOfReport};

use super::shim::Trouble;
use crate::target::Target;
use crate::verdict::Verdict;
use records::{FEATURES, Feature, Given, Read};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The longest that a shim may say nothing while there is something to say.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The same where only one topic is left to be read.
const SILENCE_OF_ONE_MAX: Duration = Duration::from_secs(15);

/// A matrix to be made.
pub struct Pairs<'a> {
    /// The broker.
    pub target: &'a Target,
    /// As the shims are told it.
    pub bootstrap: &'a str,
    /// The clients, each of a name of its own.
    pub shims: &'a [Shim],
    /// The first part of all names that it makes.
    pub run: &'a str,
    /// Shims at a time.
    pub parallel: usize,
}

/// What one client wrote with one codec.
struct Written {
    topic: String,
    /// By offset; or why it is of no use.
    records: Result<BTreeMap<i64, Given>, (Verdict, String)>,
}

/// What a client made of one topic.
#[derive(Default)]
struct ReadTopic {
    records: Vec<Read>,
    /// What it told of failures, and how it ended if not as asked.
    trouble: Option<String>,
    /// Whether it has no such operation.
    unimplemented: Option<String>,
}

impl Pairs<'_> {
    /// Makes the matrix; `told` hears of every step.
    ///
    /// # Errors
    ///
    /// A shim that does not tell its version, and topics that cannot be made.
    pub fn run(&self, told: impl Fn(&str) + Sync) -> Result<PairsReport, String> {
        let mut shims = Vec::new();
        for shim in self.shims {
            shims.push(self.version(shim)?);
        }
        let names: Vec<String> = self.shims.iter().flat_map(|shim| self.topics_of(shim)).collect();
        topics::create(self.target, &names)?;
        let produced = self.each(|shim| {
            told(&format!("{} writes", shim.name));
            let cannot = self.cannot(shim);
            let written: Vec<Written> =
                CODECS.iter().map(|codec| self.produce(shim, codec, &cannot)).collect();
            (cannot, written)
        });
        let mut written = Vec::new();
        for (shim, (cannot, records)) in shims.iter_mut().zip(produced) {
            shim.cannot = cannot;
            written.push(records);
        }
        let read = self.each(|shim| {
            told(&format!("{} reads", shim.name));
            self.consume(shim, &written)
        });
        let cells = self.cells(&written, &read);
        Ok(PairsReport { shims, cells })
    }

    /// Does the work for all shims, some at a time; answers in their order.
    fn each<T: Send>(&self, work: impl Fn(&Shim) -> T + Sync) -> Vec<T> {
        let next = AtomicUsize::new(0);
        let done: Mutex<BTreeMap<usize, T>> = Mutex::default();
        std::thread::scope(|scope| {
            for _ in 0..self.parallel.max(1) {
                scope.spawn(|| {
                    while let Some(shim) = {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        self.shims.get(at).map(|shim| (at, shim))
                    } {
                        let (at, shim) = shim;
                        let result = work(shim);
                        done.lock().expect("no holder panics").insert(at, result);
                    }
                });
            }
        });
        done.into_inner().expect("no holder panics").into_values().collect()
    }

    fn version(&self, shim: &Shim) -> Result<ShimOfReport, String> {
        let lines = shim.run("version", &[], SILENCE_MAX, |_| true);
        let lines = lines.map_err(|trouble| format!("{}: {trouble}", shim.name))?;
        let text = |name: &str| {
            let value = lines.first().and_then(|line| line.get(name)).and_then(Value::as_str);
            value.unwrap_or("unknown").to_owned()
        };
        Ok(ShimOfReport {
            name: shim.name.clone(),
            client: text("client"),
            version: text("version"),
            cannot: BTreeMap::new(),
        })
    }

    fn topic(&self, shim: &Shim, what: &str) -> String {
        format!("{}-{}-{what}", self.run, shim.name)
    }

    fn topics_of(&self, shim: &Shim) -> Vec<String> {
        CODECS.iter().chain(&["trial"]).map(|what| self.topic(shim, what)).collect()
    }

    /// What the client has no way to write, and why.
    fn cannot(&self, shim: &Shim) -> BTreeMap<String, String> {
        let topic = self.topic(shim, "trial");
        let refusal = |features: &[Feature]| {
            let records: Vec<Given> = features.iter().map(|(_, record)| record()).collect();
            match shim
                .run("produce", &self.to_write(&topic, "none", &records), SILENCE_MAX, |_| true)
            {
                Err(Trouble::Unimplemented(why)) => Some(why),
                // Whatever else goes wrong shows with the records that count.
                _ => None,
            }
        };
        if refusal(&FEATURES).is_none() {
            return BTreeMap::new();
        }
        let each = FEATURES.iter().filter_map(|feature| {
            let why = refusal(std::slice::from_ref(feature))?;
            Some((feature.0.to_owned(), why))
        });
        each.collect()
    }

    fn to_write(&self, topic: &str, codec: &str, records: &[Given]) -> Vec<Value> {
        let task = json!({
            "bootstrap": self.bootstrap, "topic": topic, "acks": "all", "idempotence": null,
            "compression": codec, "linger_ms": 100, "request_timeout_ms": 10_000,
            "delivery_timeout_ms": 20_000, "wait_each": false, "config": {},
        });
        let records = records.iter().map(|record| json!(record));
        std::iter::once(task).chain(records).collect()
    }

    fn produce(&self, shim: &Shim, codec: &str, cannot: &BTreeMap<String, String>) -> Written {
        let topic = self.topic(shim, codec);
        let features = FEATURES.iter().filter(|(name, _)| !cannot.contains_key(*name));
        let given: Vec<Given> =
            records::base().into_iter().chain(features.map(|(_, record)| record())).collect();
        let said =
            shim.run("produce", &self.to_write(&topic, codec, &given), SILENCE_MAX, |_| true);
        let fail = |why: String| Err((Verdict::Fail, format!("{}: {why}", shim.name)));
        let records = match said {
            Err(Trouble::Unimplemented(why)) => Err((Verdict::Unsupported, why)),
            Err(trouble) => fail(trouble.to_string()),
            Ok(lines) => match acknowledged(&lines, given) {
                Err(why) => fail(why),
                Ok(records) => match topics::has_codec(self.target, &topic, codec) {
                    Ok(true) => Ok(records),
                    Ok(false) => fail(format!("no batch in the log is of the codec {codec}")),
                    Err(why) => fail(format!("the log cannot be looked at: {why}")),
                },
            },
        };
        Written { topic, records }
    }

    /// Reads all topics at once; those that are not complete then, one by one.
    fn consume(&self, shim: &Shim, written: &[Vec<Written>]) -> BTreeMap<String, ReadTopic> {
        let readable = |written: &Written| {
            let offsets = written.records.as_ref().ok()?.keys().copied();
            Some((written.topic.clone(), offsets.collect::<BTreeSet<i64>>()))
        };
        let wanted: BTreeMap<String, BTreeSet<i64>> =
            written.iter().flatten().filter_map(readable).collect();
        let mut read = self.consume_topics(shim, &wanted, SILENCE_MAX, "all");
        if read.values().any(|topic| topic.unimplemented.is_some()) {
            return read;
        }
        let is_complete = |topic: &String, read: &BTreeMap<String, ReadTopic>| {
            let seen: BTreeSet<i64> =
                read[topic].records.iter().map(|record| record.offset).collect();
            wanted[topic].is_subset(&seen)
        };
        let missing: Vec<String> =
            wanted.keys().filter(|topic| !is_complete(topic, &read)).cloned().collect();
        for (number, topic) in missing.into_iter().enumerate() {
            let one = BTreeMap::from([(topic.clone(), wanted[&topic].clone())]);
            let group = format!("one-{number}");
            read.extend(self.consume_topics(shim, &one, SILENCE_OF_ONE_MAX, &group));
        }
        read
    }

    fn consume_topics(
        &self,
        shim: &Shim,
        wanted: &BTreeMap<String, BTreeSet<i64>>,
        silence_max: Duration,
        group: &str,
    ) -> BTreeMap<String, ReadTopic> {
        let topics: Vec<&String> = wanted.keys().collect();
        let task = json!({
            "bootstrap": self.bootstrap, "topics": topics,
            "group": format!("{}-{}-{group}", self.run, shim.name), "offset_reset": "earliest",
            "isolation": "read_uncommitted", "count": null, "commit": false,
            "session_timeout_ms": 10_000, "config": {},
        });
        let mut left: BTreeSet<(String, i64)> = wanted
            .iter()
            .flat_map(|(topic, offsets)| offsets.iter().map(|offset| (topic.clone(), *offset)))
            .collect();
        let mut lines = Vec::new();
        let ended = shim.run("consume-group", &[task], silence_max, |line| {
            if let Some(line) = line {
                if let Some(read) = Read::of(line) {
                    left.remove(&(read.topic, read.offset));
                }
                lines.push(line.clone());
            }
            left.is_empty()
        });
        let mut read: BTreeMap<String, ReadTopic> =
            wanted.keys().map(|topic| (topic.clone(), ReadTopic::default())).collect();
        let mut trouble = Vec::new();
        for line in &lines {
            if let Some(record) = Read::of(line) {
                if let Some(topic) = read.get_mut(&record.topic) {
                    topic.records.push(record);
                }
            } else if let Some(error) = line.get("error") {
                trouble.push(error.to_string());
            }
        }
        let unimplemented = match ended {
            Err(Trouble::Unimplemented(why)) => Some(why),
            Err(why) => {
                trouble.push(why.to_string());
                None
            }
            Ok(_) => None,
        };
        let trouble = trouble.pop();
        for topic in read.values_mut() {
            topic.trouble.clone_from(&trouble);
            topic.unimplemented.clone_from(&unimplemented);
        }
        read
    }

    fn cells(&self, written: &[Vec<Written>], read: &[BTreeMap<String, ReadTopic>]) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (producer, of_producer) in self.shims.iter().zip(written) {
            for (consumer, of_consumer) in self.shims.iter().zip(read) {
                for (codec, written) in CODECS.iter().zip(of_producer) {
                    let (verdict, message) = judge(consumer, written, of_consumer);
                    cells.push(Cell {
                        producer: producer.name.clone(),
                        consumer: consumer.name.clone(),
                        codec: (*codec).to_owned(),
                        verdict,
                        message,
                    });
                }
            }
        }
        cells
    }
}

/// The records by the offsets that they were acknowledged with.
fn acknowledged(lines: &[Value], given: Vec<Given>) -> Result<BTreeMap<i64, Given>, String> {
    let mut offsets = BTreeMap::new();
    for line in lines {
        let Some(number) = line.get("record").and_then(Value::as_u64) else { continue };
        if let Some(error) = line.get("error") {
            return Err(format!("record {number} was not written: {error}"));
        }
        let Some(offset) = line.get("offset").and_then(Value::as_i64).filter(|at| *at >= 0) else {
            return Err(format!("record {number} was answered without an offset: {line}"));
        };
        offsets.insert(number, offset);
    }
    let mut records = BTreeMap::new();
    for (number, record) in given.into_iter().enumerate() {
        let Some(offset) = offsets.get(&(number as u64)) else {
            return Err(format!("record {number} was not answered"));
        };
        if records.insert(*offset, record).is_some() {
            return Err(format!("two records were acknowledged with offset {offset}"));
        }
    }
    Ok(records)
}

fn judge(
    consumer: &Shim,
    written: &Written,
    read: &BTreeMap<String, ReadTopic>,
) -> (Verdict, String) {
    let expected = match &written.records {
        Ok(expected) => expected,
        Err(why) => return why.clone(),
    };
    let Some(read) = read.get(&written.topic) else {
        return (Verdict::HarnessError, format!("{} was not asked to read", consumer.name));
    };
    if let Some(why) = &read.unimplemented {
        return (Verdict::Unsupported, why.clone());
    }
    let fail = |why: String| {
        let trouble = read.trouble.as_deref().map(|trouble| format!("; it told: {trouble}"));
        (Verdict::Fail, format!("{}: {why}{}", consumer.name, trouble.unwrap_or_default()))
    };
    let mut lapse = None;
    for (offset, record) in expected {
        let mut found = read.records.iter().filter(|read| read.offset == *offset);
        let Some(first) = found.next() else {
            return fail(format!("the record at offset {offset} was not read ({record})"));
        };
        if found.next().is_some() {
            return fail(format!("the record at offset {offset} was read more than once"));
        }
        match record.differs(first) {
            None => {}
            Some((Verdict::NonStrict, why)) => {
                lapse.get_or_insert(format!("{}: {why}", consumer.name));
            }
            Some((_, why)) => return fail(format!("at offset {offset} {why}")),
        }
    }
    if let Some(more) = read.records.iter().find(|read| !expected.contains_key(&read.offset)) {
        return fail(format!("a record that nobody wrote was read at offset {}", more.offset));
    }
    match lapse {
        Some(why) => (Verdict::NonStrict, why),
        None => (Verdict::Pass, String::new()),
    }
}

#[cfg(test)]
mod tests;
