//! Other people's clients as processes: what each is told, and what it says.

use crate::Failure;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The words of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    /// A shim of `conformance/shims`: lines of JSON both ways.
    Shim,
    /// Kafka's VerifiableProducer and VerifiableConsumer, which need no input.
    Verifiable,
    /// Kafka's console tools: a value a line; nothing is said of what was acknowledged.
    Console,
}

/// A client.
pub(crate) struct Program {
    /// Its name in tables.
    pub(crate) name: String,
    pub(crate) speech: Speech,
    /// The shim's command, or that which runs a class of Kafka's tools.
    command: String,
}

/// What a client said.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    /// A record was acknowledged; by its value, with partition and offset where it tells them.
    Acknowledged(u64, Option<(i32, i64)>),
    /// The client gave a record up.
    Refused(String),
    /// A record came.
    Delivered(u64),
    /// The group's member has partitions.
    Assigned,
    /// Something else.
    Other,
}

/// A running process; killed, with those that it started, when dropped.
pub(crate) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
    speech: Speech,
}

/// Where and how much.
pub(crate) struct Work<'a> {
    pub(crate) bootstrap: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) group: &'a str,
    pub(crate) records: u64,
    pub(crate) every: Duration,
}

impl Program {
    /// From `NAME=COMMAND`: a shim, or with the names `verifiable` and `console` what runs a class.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let (name, command) = text.split_once('=').ok_or("--client takes NAME=COMMAND")?;
        let (name, speech) = match name {
            "verifiable" => ("Java, verifiable tools", Speech::Verifiable),
            "console" => ("Java, console tools", Speech::Console),
            name => (name, Speech::Shim),
        };
        Ok(Self { name: name.to_owned(), speech, command: command.to_owned() })
    }

    /// Starts to produce.
    pub(crate) fn produce(&self, work: &Work<'_>) -> Result<Process, Failure> {
        let (bootstrap, topic) = (work.bootstrap, work.topic);
        let per_second = 1000 / work.every.as_millis().max(1);
        let arguments = match self.speech {
            Speech::Shim => "produce".to_owned(),
            Speech::Verifiable => format!(
                "org.apache.kafka.tools.VerifiableProducer --bootstrap-server {bootstrap} --topic \
                 {topic} --acks -1 --max-messages {} --throughput {per_second}",
                work.records
            ),
            Speech::Console => format!(
                "org.apache.kafka.tools.ConsoleProducer --bootstrap-server {bootstrap} --topic \
                 {topic} --timeout 5 --command-property acks=all"
            ),
        };
        let mut process = self.start(&arguments)?;
        if self.speech == Speech::Shim {
            process.write(&json!({
                "bootstrap": bootstrap, "topic": topic, "acks": "all", "request_timeout_ms": 5000,
                "delivery_timeout_ms": 30_000,
            }));
        }
        Ok(process)
    }

    /// Starts to consume as the only member of a group.
    pub(crate) fn consume(&self, work: &Work<'_>) -> Result<Process, Failure> {
        let (bootstrap, topic, group) = (work.bootstrap, work.topic, work.group);
        let arguments = match self.speech {
            Speech::Shim => "consume-group".to_owned(),
            Speech::Verifiable => format!(
                "org.apache.kafka.tools.VerifiableConsumer --bootstrap-server {bootstrap} --topic \
                 {topic} --group-id {group} --reset-policy earliest --verbose"
            ),
            Speech::Console => format!(
                "org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server {bootstrap} \
                 --topic {topic} --group {group} --from-beginning"
            ),
        };
        let mut process = self.start(&arguments)?;
        if self.speech == Speech::Shim {
            let topics = [topic];
            process.write(&json!({ "bootstrap": bootstrap, "topics": topics, "group": group }));
        }
        Ok(process)
    }

    fn start(&self, arguments: &str) -> Result<Process, Failure> {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec {} {arguments}", self.command)]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (lines, errors) = (lines(child.stdout.take()), lines(child.stderr.take()));
        let input = child.stdin.take();
        Ok(Process { child, input, lines, errors, speech: self.speech })
    }
}

/// A thread that reads lines as they come: a pipe that is full would stop the client.
fn lines(stream: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    let stream = stream.expect("it is a pipe");
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Process {
    /// Sends a record with this number as its value.
    pub(crate) fn send(&mut self, number: u64, partitions: u64) {
        match self.speech {
            Speech::Shim => {
                let value = BASE64_STANDARD.encode(number.to_string());
                self.write(&json!({ "partition": number % partitions, "value": value }));
            }
            Speech::Console => {
                if let Some(input) = &mut self.input {
                    // One that has ended is told by what it said.
                    let _ = writeln!(input, "{number}").and_then(|()| input.flush());
                }
            }
            Speech::Verifiable => {}
        }
    }

    fn write(&mut self, line: &Value) {
        if let Some(input) = &mut self.input {
            // One that has ended is told by what it said.
            let _ = writeln!(input, "{line}").and_then(|()| input.flush());
        }
    }

    /// What it has said since the last call.
    pub(crate) fn said(&mut self) -> Vec<Said> {
        self.lines.try_iter().map(|line| understand(self.speech, &line)).collect()
    }

    /// What standard error ends with.
    pub(crate) fn trouble(&mut self) -> String {
        let lines: Vec<String> = self.errors.try_iter().collect();
        lines[lines.len().saturating_sub(3)..].join(" | ")
    }

    /// No more input: it finishes.
    pub(crate) fn end_input(&mut self) {
        self.input = None;
    }

    /// Asks it to end.
    pub(crate) fn interrupt(&self) {
        self.signal(libc::SIGTERM);
    }

    fn signal(&self, signal: i32) {
        let group = i32::try_from(self.child.id()).unwrap_or_default();
        // SAFETY: a plain system call; the process group is that of a child of this program.
        if group > 0 {
            unsafe { libc::kill(-group, signal) };
        }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.signal(libc::SIGKILL);
            // It has been killed.
            let _ = self.child.wait();
        }
    }
}

fn understand(speech: Speech, line: &str) -> Said {
    if speech == Speech::Console {
        return line.trim().parse().map_or(Said::Other, Said::Delivered);
    }
    let Ok(line) = serde_json::from_str::<Value>(line) else { return Said::Other };
    let place = || {
        let partition = i32::try_from(line["partition"].as_i64()?).ok()?;
        line["offset"].as_i64().filter(|offset| *offset >= 0).map(|offset| (partition, offset))
    };
    if speech == Speech::Verifiable {
        let number = || line["value"].as_str().and_then(|value| value.parse().ok());
        return match line["name"].as_str() {
            Some("producer_send_success") => {
                number().map_or(Said::Other, |number| Said::Acknowledged(number, place()))
            }
            Some("producer_send_error") => Said::Refused(line["message"].to_string()),
            Some("record_data") => number().map_or(Said::Other, Said::Delivered),
            Some("partitions_assigned") => Said::Assigned,
            _ => Said::Other,
        };
    }
    if let Some(error) = line["error"].as_object() {
        let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
        return Said::Refused(format!("{} {}", text("name"), text("message")));
    }
    if let Some(record) = line["record"].as_u64() {
        return Said::Acknowledged(record, place());
    }
    if line["assigned"].as_array().is_some_and(|partitions| !partitions.is_empty()) {
        return Said::Assigned;
    }
    let value = line["value"].as_str().and_then(|value| BASE64_STANDARD.decode(value).ok());
    let number = value.and_then(|value| String::from_utf8(value).ok()?.parse().ok());
    number.map_or(Said::Other, Said::Delivered)
}

#[cfg(test)]
mod tests {
    use super::{Said, Speech, understand};

    #[test]
    fn each_client_is_understood() {
        let acknowledged = Said::Acknowledged(7, Some((2, 40)));
        let shim = r#"{"record": 7, "partition": 2, "offset": 40}"#;
        assert_eq!(understand(Speech::Shim, shim), acknowledged);
        let refused = r#"{"record": 7, "error": {"name": "X", "message": "gone"}}"#;
        assert_eq!(understand(Speech::Shim, refused), Said::Refused("X gone".to_owned()));
        let record = r#"{"topic": "t", "partition": 0, "offset": 1, "value": "MTI="}"#;
        assert_eq!(understand(Speech::Shim, record), Said::Delivered(12));
        assert_eq!(understand(Speech::Shim, r#"{"assigned": [["t", 0]]}"#), Said::Assigned);
        assert_eq!(understand(Speech::Shim, r#"{"assigned": []}"#), Said::Other);
        let sent = r#"{"name":"producer_send_success","value":"7","partition":2,"offset":40}"#;
        assert_eq!(understand(Speech::Verifiable, sent), acknowledged);
        let data = r#"{"name":"record_data","value":"12","partition":0,"offset":1}"#;
        assert_eq!(understand(Speech::Verifiable, data), Said::Delivered(12));
        assert_eq!(understand(Speech::Console, "12"), Said::Delivered(12));
        assert_eq!(understand(Speech::Console, ">"), Said::Other);
    }
}
