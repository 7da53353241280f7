//! The commands of the consumer's traces.

mod answers;
mod show;

use ottla_engine::call::{CallError, CallId};
use ottla_engine::cluster::Metadata;
use ottla_engine::config::{Config, OffsetReset};
use ottla_engine::consumer::{Consumer, ConsumerOutput, Next, Position};
use ottla_engine::group::TopicPartition;
use ottla_engine::time::Instant;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{Request, Response};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// A consumer under test, its clock, and the calls that wait for an answer.
#[derive(Default)]
pub(crate) struct Env {
    consumer: Option<Consumer>,
    now_ms: u64,
    metadata: Metadata,
    calls: BTreeMap<u64, (CallId, Request)>,
    /// Calls are numbered in the order in which they are made.
    numbers: u64,
    output: String,
    last_batch: Option<ottla_engine::consumer::HandedOut>,
}

impl Env {
    /// Everything that happened since the last time.
    pub(crate) fn take_output(&mut self) -> String {
        let output = std::mem::take(&mut self.output);
        if output.is_empty() { "(nothing)\n".to_string() } else { output }
    }

    /// Runs one command line.
    pub(crate) fn run(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let command = words.next().expect("a command");
        let args: Vec<&str> = words.collect();
        match command {
            "new" => self.create(&args),
            "metadata" => self.take_metadata(&args),
            "advance" => self.advance(args[0]),
            "subscribe" => {
                let topics = args.iter().map(|&topic| Arc::from(topic)).collect();
                self.act(|consumer, now| consumer.subscribe(now, topics));
            }
            "assign" => {
                let partitions = args.iter().map(|p| partition(p)).collect();
                self.act(|consumer, now| consumer.assign(now, partitions));
            }
            "next" => self.next_batch(),
            "unreadable" => self.give_back(),
            "stop-waiting" => self.act(|consumer, now| consumer.user_left(now)),
            "seek" | "seek-to-end" | "pause" | "resume" => self.move_partition(command, &args),
            "finish-up-to" | "return-rest" | "commit" => self.finish(command, &args),
            "close" => self.act(|consumer, now| consumer.close(now)),
            "positions" => self.show_positions(),
            "lost" => {
                let error =
                    CallError::Disconnected { possibly_sent: true, reason: "reset".to_string() };
                self.answer(args[0], &[], |_, _| Err(error));
            }
            "unsupported" => {
                let api_key = ottla_protocol::messages::ApiKey::OffsetForLeaderEpoch;
                let error = CallError::UnsupportedVersion { api_key, offered: None };
                self.answer(args[0], &[], |_, _| Err(error));
            }
            "answer" => {
                let words = &args[1..];
                self.answer(args[0], words, |metadata, request| {
                    Ok(answers::answer(metadata, request, words))
                });
            }
            other => panic!("unknown command '{other}' in: {line}"),
        }
    }

    fn move_partition(&mut self, command: &str, args: &[&str]) {
        let of = partition(args[0]);
        self.act(|consumer, now| {
            let known = match command {
                "seek" => consumer.seek(now, &of, Position::at(number(args[1]))),
                "seek-to-end" => consumer.seek_by(now, &of, OffsetReset::Latest),
                command => consumer.pause(now, &of, command == "pause"),
            };
            assert!(known, "{of} is assigned");
        });
    }

    fn finish(&mut self, command: &str, args: &[&str]) {
        self.act(|consumer, now| match (command, args) {
            ("finish-up-to", _) => consumer.finish_up_to(number(args[0])),
            ("return-rest", _) => consumer.return_rest(now, number(args[0])),
            (_, []) => drop(consumer.commit(now)),
            (_, offsets) => {
                let offsets = offsets.iter().map(|arg| {
                    let (of, offset) = arg.split_once('=').expect("partition=offset");
                    (partition(of), number(offset).into())
                });
                let _ = consumer.commit_offsets(now, offsets.collect());
            }
        });
    }

    fn create(&mut self, args: &[&str]) {
        let mut config = Config::new();
        let defaults = ["bootstrap.servers=b:1", "retry.backoff.ms=100"];
        for arg in defaults.iter().chain(args) {
            let (name, value) = arg.split_once('=').expect("name=value");
            config.insert(name, value).expect("a valid setting");
        }
        let config = config.consumer().expect("a valid configuration");
        self.consumer = Some(Consumer::new(config, 1_000_000, 7));
    }

    fn consumer(&mut self) -> &mut Consumer {
        self.consumer.as_mut().expect("'new' comes first")
    }

    fn act(&mut self, act: impl FnOnce(&mut Consumer, Instant)) {
        let now = Instant::from_millis(self.now_ms);
        act(self.consumer(), now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.consumer().poll_output() {
            let line = match output {
                ConsumerOutput::Call(call) => {
                    let number = self.numbers;
                    self.numbers += 1;
                    let shown = show::call(number, &call);
                    self.calls.insert(number, (call.id, call.request));
                    shown
                }
                other => show::output(&other),
            };
            let _ = writeln!(self.output, "{line}");
        }
        if self.consumer().wakes_user() {
            let _ = writeln!(self.output, "wakes the user");
        }
    }

    /// `#7`, or the newest waiting call of an API about the first partition that is answered:
    /// `Fetch`.
    fn call_number(&self, word: &str, args: &[&str]) -> u64 {
        let first = args.first().and_then(|arg| arg.split_once('=')).map(|(name, _)| name);
        let first = first.filter(|name| name.contains('-'));
        let found = match word.strip_prefix('#') {
            Some(number) => self.calls.keys().find(|n| n.to_string() == number),
            None => self.calls.iter().rev().find_map(|(number, (_, request))| {
                let is_about = |p| show::request(request).1.contains(p);
                let is_it = request.api_key().name() == word && first.is_none_or(is_about);
                is_it.then_some(number)
            }),
        };
        *found.unwrap_or_else(|| panic!("no call {word} is waiting; so far:\n{}", self.output))
    }

    fn answer(
        &mut self,
        call: &str,
        args: &[&str],
        result: impl FnOnce(&Metadata, &Request) -> Result<Response, CallError>,
    ) {
        let number = self.call_number(call, args);
        let (id, request) = self.calls.remove(&number).expect("a call that is waiting");
        let result = result(&self.metadata, &request);
        self.act(|consumer, now| consumer.handle_response(now, id, result));
    }

    fn advance(&mut self, by: &str) {
        let by = match by.strip_suffix("ms") {
            Some(ms) => ms.parse().expect("milliseconds"),
            None => 1000 * by.strip_suffix('s').expect("s or ms").parse::<u64>().expect("seconds"),
        };
        let end = Instant::from_millis(self.now_ms) + Duration::from_millis(by);
        // Timers fire in their order, each at its time.
        while let Some(at) = self.consumer().poll_timeout().filter(|at| *at <= end) {
            let ms = at.as_millis() + u64::from(!at.as_nanos().is_multiple_of(1_000_000));
            self.now_ms = self.now_ms.max(ms);
            self.act(|consumer, now| consumer.handle_timeout(now));
            if self.consumer().poll_timeout().is_some_and(|next| next <= at) {
                panic!("a timer that was handled is still due");
            }
        }
        self.now_ms = end.as_millis();
    }

    fn take_metadata(&mut self, args: &[&str]) {
        let response = answers::metadata(args);
        self.metadata = self.metadata.updated(&response, false);
        let metadata = Arc::new(self.metadata.clone());
        self.act(|consumer, now| consumer.handle_metadata(now, metadata));
    }

    fn next_batch(&mut self) {
        let now = Instant::from_millis(self.now_ms);
        let (next, wakes_driver) = self.consumer().next_batch(now);
        let line = match next {
            Next::Batch(handed) => {
                let line = show::batch(&handed);
                self.last_batch = Some(handed);
                line
            }
            Next::Wait => "no batch yet".to_string(),
            Next::Closed => "closed for good".to_string(),
            Next::Failed(error) => format!("error {:?}: {error}", error.kind()),
        };
        let _ = writeln!(self.output, "{line}");
        if wakes_driver {
            self.act(Consumer::handle_user);
        }
    }

    fn give_back(&mut self) {
        let handed = self.last_batch.take().expect("a batch was handed out");
        let broken = ottla_protocol::records::RecordError::new(
            ottla_protocol::records::RecordErrorKind::Crc,
            17,
            "planted",
        );
        let now = Instant::from_millis(self.now_ms);
        let error = self.consumer().give_back(now, &handed, &broken);
        let _ = writeln!(self.output, "error {:?}: {error}", error.kind());
        self.drain();
    }

    fn show_positions(&mut self) {
        for of in self.consumer().assignment() {
            let position = self.consumer().position(&of);
            let lag = self.consumer().lag(&of);
            let shown = position.map_or("unknown".to_string(), |p| show::position(&p));
            let lag = lag.map_or(String::new(), |lag| format!(" lag {lag}"));
            let _ = writeln!(self.output, "{of} at {shown}{lag}");
        }
    }
}

/// `topic-3`
fn partition(word: &str) -> TopicPartition {
    let (topic, index) = word.rsplit_once('-').expect("topic-partition");
    TopicPartition::new(topic, index.parse().expect("a partition number"))
}

fn number(word: &str) -> i64 {
    word.parse().expect("a number")
}

/// `0`, or a name as `NOT_LEADER_OR_FOLLOWER`.
fn error_code(word: &str) -> i16 {
    word.parse().unwrap_or_else(|_| {
        ErrorCode::from_name(word).unwrap_or_else(|| panic!("no error code {word}")).code()
    })
}
