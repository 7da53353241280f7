//! The clients that are compared, each behind the same command line.

use crate::Failure;
use crate::process::{self, Usage};
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One client.
#[derive(Debug, Clone)]
pub(crate) struct Driver {
    /// Its name in tables.
    pub(crate) name: &'static str,
    program: PathBuf,
    /// What stands in front of the common arguments: a script of an interpreter.
    script: Vec<OsString>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Common,
    Java,
}

/// One measured run of a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    /// Records.
    pub(crate) records: f64,
    /// The time that the client says they took.
    pub(crate) seconds: f64,
    /// The whole process.
    pub(crate) usage: Usage,
}

/// Quantiles of the time from send to acknowledgement, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quantiles {
    /// Median.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    pub p999: f64,
}

impl Driver {
    /// Ours (this program) and those peers whose programs are in `peers`; the Java tools through
    /// `kafka_script`.
    pub(crate) fn all(peers: &Path, kafka_script: &Path) -> Result<Vec<Self>, Failure> {
        let mut drivers = vec![Self::ours()?];
        for name in ["librdkafka", "franz-go", "kacrab", "krafka"] {
            let program = peers.join(name);
            if program.exists() {
                drivers.push(Self::of_script(name, program, Vec::new()));
            }
        }
        if kafka_script.exists() {
            let program = kafka_script.to_owned();
            drivers.push(Self { name: "java", program, script: Vec::new(), kind: Kind::Java });
        }
        Ok(drivers)
    }

    /// This program.
    pub(crate) fn ours() -> Result<Self, Failure> {
        Ok(Self::of_script("ottla", std::env::current_exe()?, Vec::new()))
    }

    /// A program whose arguments begin with these.
    pub(crate) fn of_script(name: &'static str, program: PathBuf, script: Vec<OsString>) -> Self {
        Self { name, program, script, kind: Kind::Common }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.script);
        command
    }

    /// Produces.
    pub(crate) fn produce(
        &self,
        bootstrap: &str,
        topic: &str,
        records: u64,
        payload: &Path,
        codec: &str,
    ) -> Result<Measured, Failure> {
        let count = records.to_string();
        let mut command = self.command();
        if self.kind == Kind::Java {
            let class = "org.apache.kafka.tools.ProducerPerformance";
            command.args(["tool", "--version", "4.3.1", class, "--topic", topic]);
            command.args(["--num-records", &count, "--throughput", "-1", "--payload-file"]);
            command.arg(payload).args(["--producer-props", "acks=all"]);
            command.arg(format!("bootstrap.servers={bootstrap}"));
            command.arg(format!("compression.type={codec}"));
        } else {
            command.args(["produce", "--bootstrap", bootstrap, "--topic", topic]);
            command.args(["--records", &count, "--codec", codec, "--payload"]).arg(payload);
        }
        let (output, usage) = process::run(&mut command)?;
        if self.kind == Kind::Java {
            return java_produced(&output, records, usage);
        }
        self.measured(&output, usage)
    }

    /// Consumes.
    pub(crate) fn consume(
        &self,
        bootstrap: &str,
        topic: &str,
        records: u64,
    ) -> Result<Measured, Failure> {
        let count = records.to_string();
        let mut command = self.command();
        if self.kind == Kind::Java {
            let class = "org.apache.kafka.tools.ConsumerPerformance";
            command.args(["tool", "--version", "4.3.1", class, "--topic", topic]);
            command.args(["--messages", &count, "--bootstrap-server", bootstrap]);
            command.args(["--timeout", "60000"]);
        } else {
            command.args(["consume", "--bootstrap", bootstrap, "--topic", topic]);
            command.args(["--records", &count]);
        }
        let (output, usage) = process::run(&mut command)?;
        if self.kind == Kind::Java {
            return java_consumed(&output, usage);
        }
        self.measured(&output, usage)
    }

    /// Consumes by record or by batch, where a client has both.
    pub(crate) fn consume_by(
        &self,
        by: &str,
        bootstrap: &str,
        topic: &str,
        records: u64,
    ) -> Result<Measured, Failure> {
        let mut command = self.command();
        command.args(["consume", "--bootstrap", bootstrap, "--topic", topic]);
        command.args(["--records", &records.to_string(), "--by", by]);
        let (output, usage) = process::run(&mut command)?;
        self.measured(&output, usage)
    }

    /// The time to acknowledgement at 1,000 records a second; `None` for a client whose program has
    /// no such mode.
    pub(crate) fn latency(
        &self,
        bootstrap: &str,
        topic: &str,
        payload: &Path,
    ) -> Result<Option<Quantiles>, Failure> {
        if self.kind == Kind::Java {
            return Ok(None);
        }
        let mut command = self.command();
        command.args(["latency", "--bootstrap", bootstrap, "--topic", topic, "--payload"]);
        let (output, _) = process::run(command.arg(payload))?;
        let line = self.json(&output)?;
        let micros = |name: &str| line[name].as_f64().ok_or("a quantile is missing");
        Ok(Some(Quantiles {
            p50: micros("p50_us")?,
            p99: micros("p99_us")?,
            p999: micros("p999_us")?,
        }))
    }

    fn json(&self, output: &str) -> Result<Value, Failure> {
        let line = output.lines().rev().find(|line| line.starts_with('{'));
        let line = line.ok_or_else(|| format!("{} printed no result: {output}", self.name))?;
        Ok(serde_json::from_str(line)?)
    }

    fn measured(&self, output: &str, usage: Usage) -> Result<Measured, Failure> {
        let line = self.json(output)?;
        let (records, seconds) = (line["records"].as_f64(), line["seconds"].as_f64());
        let (Some(records), Some(seconds)) = (records, seconds) else {
            return Err(format!("{} printed no result: {line}", self.name).into());
        };
        Ok(Measured { records, seconds, usage })
    }
}

/// The last line of ProducerPerformance: `4000000 records sent, 812345.6 records/sec (...`.
fn java_produced(output: &str, records: u64, usage: Usage) -> Result<Measured, Failure> {
    let rate = output
        .lines()
        .rev()
        .find_map(|line| {
            let rest = line.split("records sent, ").nth(1)?;
            rest.split(' ').next()?.parse::<f64>().ok()
        })
        .ok_or_else(|| format!("no rate in the Java tool's output: {output}"))?;
    Ok(Measured { records: records as f64, seconds: records as f64 / rate, usage })
}

/// ConsumerPerformance prints a CSV header and one line: `..., data.consumed.in.nMsg, nMsg.sec,
/// rebalance.time.ms, ...`.
fn java_consumed(output: &str, usage: Usage) -> Result<Measured, Failure> {
    let mut lines = output.lines().filter(|line| line.contains(','));
    let header: Vec<_> = lines.next().unwrap_or_default().split(',').map(str::trim).collect();
    let values: Vec<_> = lines.next_back().unwrap_or_default().split(',').map(str::trim).collect();
    let number = |name: &str| {
        let at = header.iter().position(|column| *column == name)?;
        values.get(at)?.parse::<f64>().ok()
    };
    let (records, rate) = (number("data.consumed.in.nMsg"), number("nMsg.sec"));
    let (Some(records), Some(rate)) = (records, rate) else {
        return Err(format!("no rate in the Java tool's output: {output}").into());
    };
    Ok(Measured { records, seconds: records / rate, usage })
}
