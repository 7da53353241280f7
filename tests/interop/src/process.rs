//! A client's process: a task in, events out, one JSON object a line.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use serde::Deserialize;
use serde_json::Value;

use crate::DEADLINE;
use crate::record::{Consumed, Produced};

/// What a script reports; see `python/wire.py`.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Event {
    Produced(Produced),
    Record(Consumed),
    Assigned { partitions: Vec<i32> },
    Committed { partition: i32, offset: i64 },
    Left,
}

/// A running script. Killed when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    events: Receiver<Event>,
    errors: Receiver<String>,
}

impl Process {
    pub(crate) fn start(name: &str, command: &mut Command, task: &Value) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let mut stdin = child.stdin.take().expect("standard input is a pipe");
        writeln!(stdin, "{task}").unwrap_or_else(|error| panic!("{name} takes no task: {error}"));
        let (event_sender, events) = channel();
        let stdout = child.stdout.take().expect("standard output is a pipe");
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line)
                    .unwrap_or_else(|error| panic!("{line} is no event: {error}"));
                if event_sender.send(event).is_err() {
                    return; // the test is over
                }
            }
        });
        let (error_sender, errors) = channel();
        let mut stderr = child.stderr.take().expect("standard error is a pipe");
        thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text); // what was read until it broke is what there is
            let _ = error_sender.send(String::from_utf8_lossy(&text).into_owned());
        });
        Self { name: name.to_owned(), child, stdin: Some(stdin), events, errors }
    }

    pub(crate) fn command(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("commands are given before the end");
        // A process that is gone shows when its next event is waited for.
        let _ = writeln!(stdin, "{line}");
    }

    /// The next event; none when the process has closed its output.
    pub(crate) fn next(&mut self, until: Instant) -> Option<Event> {
        match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => self.fail("said nothing for too long"),
        }
    }

    /// The next event if there is one by then.
    pub(crate) fn next_within(&mut self, until: Instant) -> Option<Event> {
        self.events.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
    }

    /// All events up to the end, which must be a success.
    pub(crate) fn finish(mut self) -> Vec<Event> {
        let until = Instant::now() + DEADLINE;
        self.stdin = None;
        let events = std::iter::from_fn(|| self.next(until)).collect();
        let status = self.child.wait().expect("the process was started by this one");
        if !status.success() {
            self.fail(&format!("ended with {status}"));
        }
        events
    }

    /// Ends the test with what the process wrote to standard error.
    pub(crate) fn fail(&mut self, what: &str) -> ! {
        let _ = self.child.kill(); // it may be gone already
        let errors = self.errors.recv_timeout(DEADLINE).unwrap_or_default();
        panic!("{} {what}\n{errors}", self.name)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill(); // fails when it has ended by itself, which is as good
        let _ = self.child.wait();
    }
}
