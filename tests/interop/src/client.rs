//! Other people's clients, each by its script.

use std::collections::BTreeMap;
use std::process::Command;

use serde::Serialize;
use serde_json::{Value, json};

use crate::process::{Event, Process};
pub use crate::record::Produced;
use crate::record::{Consumed, Record};
use crate::tools;

/// A client that somebody else wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// librdkafka, by confluent-kafka for Python.
    ConfluentKafka,
    /// kafka-python.
    KafkaPython,
    /// aiokafka.
    Aiokafka,
    /// KafkaJS.
    KafkaJs,
}

/// Records for one topic, to be written with one codec.
#[derive(Debug, Clone, Serialize)]
pub struct Job {
    /// Made by the client's own admin call.
    pub topic: String,
    /// How many the topic gets.
    pub partitions: i32,
    /// One of [`crate::CODECS`].
    pub codec: &'static str,
    /// In the order of their writing.
    pub records: Vec<Record>,
}

impl Client {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::ConfluentKafka, Self::KafkaPython, Self::Aiokafka, Self::KafkaJs];

    /// The name of its package.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConfluentKafka => "confluent-kafka",
            Self::KafkaPython => "kafka-python",
            Self::Aiokafka => "aiokafka",
            Self::KafkaJs => "kafkajs",
        }
    }

    /// Whether it can write a header without a value; all can read one.
    pub fn writes_null_headers(self) -> bool {
        matches!(self, Self::ConfluentKafka | Self::Aiokafka)
    }

    /// Whether it can be run here. If not, the test is marked as skipped.
    pub fn is_here(self) -> bool {
        self.program("").is_some()
    }

    fn program(self, action: &str) -> Option<Command> {
        let script = |name: &str| tools::root().join("tests/interop").join(name);
        let python = |name: &str| {
            let python = tools::path("OTTLA_PYTHON", ".tools/python/bin/python")?;
            let mut command = Command::new(python);
            command.arg(script(name)).arg(action).env("PYTHONDONTWRITEBYTECODE", "1");
            Some(command)
        };
        match self {
            Self::ConfluentKafka => python("python/confluent.py"),
            Self::KafkaPython => python("python/kafka_python.py"),
            Self::Aiokafka => python("python/aio_kafka.py"),
            Self::KafkaJs => {
                let packages = tools::path("OTTLA_NODE_TOOLS", ".tools/node")?;
                let mut command = Command::new("node");
                command.arg(script("node/kafkajs.mjs")).arg(action);
                command.env("OTTLA_NODE_TOOLS", packages);
                Some(command)
            }
        }
    }

    pub(crate) fn start(self, action: &str, task: &Value) -> Process {
        let mut command = self.program(action).expect("the test asked whether the client is here");
        Process::start(&format!("{} ({action})", self.name()), &mut command, task)
    }

    /// Makes the jobs' topics and writes their records; answers in the order of writing.
    pub fn produce(self, bootstrap: &str, jobs: &[Job]) -> Vec<Produced> {
        let events = self.start("produce", &json!({"bootstrap": bootstrap, "jobs": jobs})).finish();
        let produced = |event| match event {
            Event::Produced(produced) => produced,
            other => panic!("{} did not produce but {other:?}", self.name()),
        };
        events.into_iter().map(produced).collect()
    }

    /// Reads that many records of each topic from the earliest offset on.
    pub fn consume(self, bootstrap: &str, counts: &BTreeMap<String, usize>) -> Vec<Consumed> {
        let task = json!({"bootstrap": bootstrap, "topics": counts});
        let read = |event| match event {
            Event::Record(record) => record,
            other => panic!("{} did not read a record but {other:?}", self.name()),
        };
        self.start("consume", &task).finish().into_iter().map(read).collect()
    }
}
