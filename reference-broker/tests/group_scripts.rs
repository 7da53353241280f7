//! Runs `tests/scripts/group_*.txt` through one shard of the group coordinator.
//!
//! A script is a sequence of commands, each followed by `----` and what the shard did: its appends
//! and replies, in order. `UPDATE_SCRIPTS=1 cargo test -p ottla-broker --test group_scripts`
//! writes the traces anew; read the difference before you commit it.
//!
//! Commands are a verb, a name for the request where there is one, and `key=value` pairs; what the
//! pairs mean is in [`Machine`]. Time stands still but for `advance MS`. Appends commit after the
//! command that asked for them, unless `hold` was given: then by `committed ID` or `failed ID
//! CODE`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ottla_broker::coordinator::GroupConfig;
use ottla_broker::coordinator::record::{Record, Update};
use ottla_broker::coordinator::shard::Shard;
use ottla_broker::coordinator::time::{Instant, Now};
use ottla_broker::coordinator::types::{
    AppendId, CommitPartition, CommitRequest, CommitTopic, HeartbeatRequest, JoinReply,
    JoinRequest, LeaveRequest, LeavingMember, Output, Reply, RequestId, SyncRequest,
};
use ottla_protocol::{ErrorCode, Uuid};

/// Noon of the first day, so that stored times are easy to tell from timer times.
const WALL_START_MS: i64 = 1_000_000;

struct Machine {
    shard: Shard,
    config: GroupConfig,
    now_ms: u64,
    names: BTreeMap<RequestId, String>,
    next_request: u64,
    next_member: u32,
    hold: bool,
    held: BTreeMap<AppendId, Vec<Record>>,
    disk: Vec<Record>,
    trace: String,
}

/// The `key=value` pairs of a command, and its bare words.
struct Args {
    pairs: BTreeMap<String, String>,
    words: Vec<String>,
}

impl Args {
    fn parse(words: &[&str]) -> Self {
        let mut args = Self { pairs: BTreeMap::new(), words: Vec::new() };
        for word in words {
            match word.split_once('=') {
                Some((key, value)) => {
                    args.pairs.insert(key.to_owned(), value.to_owned());
                }
                None => args.words.push((*word).to_owned()),
            }
        }
        args
    }

    fn text(&self, key: &str, default: &str) -> String {
        self.pairs.get(key).map_or(default, String::as_str).to_owned()
    }

    fn optional(&self, key: &str) -> Option<String> {
        self.pairs.get(key).cloned()
    }

    fn number<T: std::str::FromStr>(&self, key: &str, default: T) -> T {
        match self.pairs.get(key) {
            None => default,
            Some(text) => text.parse().unwrap_or_else(|_| panic!("{key}={text} is not a number")),
        }
    }

    /// `a:x,b:y`; what has no colon has an empty second half.
    fn list(&self, key: &str) -> Vec<(String, String)> {
        let text = self.text(key, "");
        let items = text.split(',').filter(|item| !item.is_empty());
        let halves = items.map(|item| item.split_once(':').unwrap_or((item, "")));
        halves.map(|(left, right)| (left.to_owned(), right.to_owned())).collect()
    }
}

impl Machine {
    fn new() -> Self {
        let config = GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() };
        let mut machine = Self {
            shard: Shard::new(config.clone()),
            config,
            now_ms: 0,
            names: BTreeMap::new(),
            next_request: 0,
            next_member: 0,
            hold: false,
            held: BTreeMap::new(),
            disk: Vec::new(),
            trace: String::new(),
        };
        machine.load(0);
        machine
    }

    fn now(&self) -> Now {
        let wall_ms = WALL_START_MS + i64::try_from(self.now_ms).expect("small");
        Now { instant: Instant::from_millis(self.now_ms), wall_ms }
    }

    fn run(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (verb, rest) = words.split_first().expect("a command is not empty");
        let args = Args::parse(rest);
        self.trace.clear();
        match *verb {
            "config" => self.configure(&args),
            "hold" => self.hold = true,
            "restart" => self.load(args.number("epoch", 0)),
            "begin-load" => self.shard.begin_load(self.now(), args.number("epoch", 0)),
            "finish-load" => self.shard.finish_load(self.now(), args.number("epoch", 0)),
            "resign" => self.shard.resign(self.now()),
            "advance" => self.advance(args.words[0].parse().expect("milliseconds")),
            "join" => self.join(&args),
            "sync" => self.sync(&args),
            "heartbeat" => self.heartbeat(&args),
            "leave" => self.leave(&args),
            "commit" => self.commit(&args),
            "delete" => {
                let groups: Vec<String> = args.words[1..].to_vec();
                let id = self.request(&args);
                self.shard.handle_delete(self.now(), id, &groups);
            }
            "partitions-deleted" => {
                let gone = args.list("partitions").into_iter();
                let gone = gone.map(|(topic, index)| (topic, index.parse().expect("a partition")));
                let gone: Vec<(String, i32)> = gone.collect();
                self.shard.handle_partitions_deleted(self.now(), &gone);
            }
            "committed" | "failed" => self.report(verb, &args),
            "describe" => self.describe(&args),
            "offsets" => self.offsets(&args),
            "list" => self.list(),
            other => panic!("unknown command {other}"),
        }
        self.drain();
        std::mem::take(&mut self.trace)
    }

    fn request(&mut self, args: &Args) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.names.insert(id, args.words.first().expect("a name for the request").clone());
        id
    }

    fn configure(&mut self, args: &Args) {
        let config = &mut self.config;
        config.initial_rebalance_delay_ms = args.number("initial-delay", 0);
        config.max_size = args.number("max-size", config.max_size);
        config.offsets_retention_ms = args.number("retention", config.offsets_retention_ms);
        config.offset_metadata_max_bytes =
            args.number("metadata-max", config.offset_metadata_max_bytes);
        self.load(0);
    }

    /// A new process with the old disk.
    fn load(&mut self, epoch: i32) {
        self.shard = Shard::new(self.config.clone());
        self.held.clear();
        let now = self.now();
        self.shard.begin_load(now, epoch);
        for record in &self.disk {
            self.shard.load_record(&record.key, record.value.as_ref()).expect("own records");
        }
        self.shard.finish_load(now, epoch);
    }

    /// Stops at each deadline on the way.
    fn advance(&mut self, by_ms: u64) {
        let end_ms = self.now_ms + by_ms;
        while let Some(next) = self.shard.poll_timeout() {
            if next.as_millis() > end_ms {
                break;
            }
            self.now_ms = self.now_ms.max(next.as_millis());
            self.shard.handle_timeout(self.now());
            let before = self.trace.len();
            self.drain();
            if self.trace.len() > before {
                self.trace.insert_str(before, &format!("at {} ms\n", self.now_ms));
            }
        }
        self.now_ms = end_ms;
        self.shard.handle_timeout(self.now());
    }

    /// `NAME [group] [member] [instance] [protocols=name:metadata,..] [type] [session] [rebalance]
    /// [v]`; member ids that are given out end in 1, 2, 3 ..
    fn join(&mut self, args: &Args) {
        let id = self.request(args);
        let version: i16 = args.number("v", 9);
        let default_protocols = [("range".to_owned(), String::new())];
        let mut protocols = args.list("protocols");
        if protocols.is_empty() && !args.pairs.contains_key("protocols") {
            protocols.extend(default_protocols);
        }
        self.next_member += 1;
        let session_timeout_ms = args.number("session", 10_000);
        let request = JoinRequest {
            group_id: args.text("group", "g"),
            member_id: args.text("member", ""),
            instance_id: args.optional("instance"),
            client_id: args.text("client", &args.words[0]),
            client_host: "/127.0.0.1".into(),
            protocol_type: args.text("type", "consumer"),
            protocols: protocols.into_iter().map(|(name, data)| (name, data.into())).collect(),
            session_timeout_ms,
            rebalance_timeout_ms: args.number("rebalance", 30_000),
            reason: None,
            new_id_suffix: self.next_member.to_string(),
            requires_known_member_id: version >= 4,
            supports_skipping_assignment: version >= 9,
        };
        self.shard.handle_join(self.now(), id, request);
    }

    /// `NAME member generation [group] [instance] [type] [protocol] [assign=member:share,..]`
    fn sync(&mut self, args: &Args) {
        let id = self.request(args);
        let shares = args.list("assign").into_iter();
        let request = SyncRequest {
            group_id: args.text("group", "g"),
            member_id: args.text("member", &args.words[0]),
            instance_id: args.optional("instance"),
            generation: args.number("generation", 1),
            protocol_type: args.optional("type"),
            protocol_name: args.optional("protocol"),
            assignments: shares.map(|(member, share)| (member, Bytes::from(share))).collect(),
        };
        self.shard.handle_sync(self.now(), id, request);
    }

    fn heartbeat(&mut self, args: &Args) {
        let id = self.request(args);
        let request = HeartbeatRequest {
            group_id: args.text("group", "g"),
            member_id: args.text("member", &args.words[0]),
            instance_id: args.optional("instance"),
            generation: args.number("generation", 1),
        };
        self.shard.handle_heartbeat(self.now(), id, &request);
    }

    /// `NAME members=id:instance,..`
    fn leave(&mut self, args: &Args) {
        let id = self.request(args);
        let member = |(member_id, instance): (String, String)| LeavingMember {
            member_id,
            instance_id: (!instance.is_empty()).then_some(instance),
        };
        let request = LeaveRequest {
            group_id: args.text("group", "g"),
            members: args.list("members").into_iter().map(member).collect(),
        };
        self.shard.handle_leave(self.now(), id, &request);
    }

    /// `NAME [member] [generation] [v] [retention] [epoch] [metadata] offsets=partition:offset,..`
    fn commit(&mut self, args: &Args) {
        let id = self.request(args);
        let version: i16 = args.number("v", 9);
        let partition = |(index, offset): (String, String)| CommitPartition {
            index: index.parse().expect("a partition"),
            offset: offset.parse().expect("an offset"),
            leader_epoch: args.number("epoch", -1),
            metadata: args.text("metadata", ""),
        };
        let topic = CommitTopic {
            name: args.text("topic", "t"),
            topic_id: Uuid::ZERO,
            partitions: args.list("offsets").into_iter().map(partition).collect(),
        };
        let request = CommitRequest {
            group_id: args.text("group", "g"),
            member_id: args.text("member", ""),
            instance_id: args.optional("instance"),
            generation: args.number("generation", -1),
            missing_group_error: if version >= 9 {
                ErrorCode::GroupIdNotFound
            } else {
                ErrorCode::IllegalGeneration
            },
            retention_ms: args.optional("retention").map(|text| text.parse().expect("ms")),
            topics: vec![topic],
        };
        self.shard.handle_commit(self.now(), id, &request);
    }

    fn report(&mut self, verb: &str, args: &Args) {
        let id = AppendId(args.words[0].parse().expect("an append's number"));
        let records = self.held.remove(&id).expect("an append that is held");
        let result = if verb == "committed" {
            self.disk.extend(records);
            Ok(i64::try_from(self.disk.len()).expect("small"))
        } else {
            Err(ErrorCode::from_name(&args.words[1]).expect("an error's name"))
        };
        self.shard.handle_append_done(self.now(), id, result);
    }

    fn describe(&mut self, args: &Args) {
        match self.shard.describe(&args.text("group", "g")) {
            Err(error) => writeln!(self.trace, "{}", error.name()),
            Ok(group) => {
                let mut text = format!("{} [{}]", group.state, group.protocol_name);
                for member in group.members {
                    let share = String::from_utf8_lossy(&member.assignment).into_owned();
                    let metadata = String::from_utf8_lossy(&member.metadata).into_owned();
                    write!(text, " {}={share}", member.member_id).expect("a string");
                    if !metadata.is_empty() {
                        write!(text, "({metadata})").expect("a string");
                    }
                    if let Some(instance) = member.instance_id {
                        write!(text, "@{instance}").expect("a string");
                    }
                }
                writeln!(self.trace, "{text}")
            }
        }
        .expect("a string");
    }

    fn offsets(&mut self, args: &Args) {
        let topics = match self.shard.all_committed(&args.text("group", "g")) {
            Ok(topics) => topics,
            Err(error) => return writeln!(self.trace, "{}", error.name()).expect("a string"),
        };
        for (topic, partitions) in topics {
            for (index, value) in partitions {
                let (offset, epoch, note) = (value.offset, value.leader_epoch, value.metadata);
                writeln!(self.trace, "{topic}-{index}: {offset} epoch={epoch} {note:?}")
                    .expect("a string");
            }
        }
    }

    fn list(&mut self) {
        match self.shard.list() {
            Err(error) => writeln!(self.trace, "{}", error.name()).expect("a string"),
            Ok(groups) => {
                for group in groups {
                    let (id, state, kind) = (group.group_id, group.state, group.protocol_type);
                    writeln!(self.trace, "{id} {state} {kind:?}").expect("a string");
                }
            }
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.shard.poll_output() {
            match output {
                Output::Reply { id, reply } => {
                    let name = self.names.remove(&id).expect("a request is answered once");
                    writeln!(self.trace, "{name} <- {}", show_reply(&reply)).expect("a string");
                }
                Output::Append { id, records, .. } => {
                    for record in &records {
                        let text = show_record(record);
                        writeln!(self.trace, "append {}: {text}", id.0).expect("a string");
                    }
                    if self.hold {
                        self.held.insert(id, records);
                    } else {
                        self.disk.extend(records);
                        let end = i64::try_from(self.disk.len()).expect("small");
                        self.shard.handle_append_done(self.now(), id, Ok(end));
                    }
                }
            }
        }
    }
}

fn show_reply(reply: &Reply) -> String {
    match reply {
        Reply::Join(reply) => show_join(reply),
        Reply::Sync(reply) if reply.error == ErrorCode::None => {
            let share = String::from_utf8_lossy(&reply.assignment).into_owned();
            let protocol = reply.protocol_name.as_deref().unwrap_or("?");
            format!("share {share:?} by {protocol}")
        }
        Reply::Sync(reply) => reply.error.name().to_owned(),
        Reply::Heartbeat(error) => error.name().to_owned(),
        Reply::Leave(Err(error)) | Reply::Commit(Err(error)) => format!("all {}", error.name()),
        Reply::Leave(Ok(results)) => {
            let one = results.iter().map(|result| {
                let instance = result.instance_id.as_deref().unwrap_or("");
                format!("{}:{instance} {}", result.member_id, result.error.name())
            });
            one.collect::<Vec<_>>().join(", ")
        }
        Reply::Commit(Ok(results)) => {
            let one = results.iter();
            let one = one.map(|result| format!("{} {}", result.partition, result.error.name()));
            one.collect::<Vec<_>>().join(", ")
        }
        Reply::Delete(results) => {
            let one = results.iter().map(|(group, error)| format!("{group} {}", error.name()));
            one.collect::<Vec<_>>().join(", ")
        }
    }
}

fn show_join(reply: &JoinReply) -> String {
    if reply.error != ErrorCode::None {
        return format!("{} member={:?}", reply.error.name(), reply.member_id);
    }
    let mut text = format!(
        "generation {} member={} leader={} protocol={}",
        reply.generation,
        reply.member_id,
        reply.leader,
        reply.protocol_name.as_deref().unwrap_or("?"),
    );
    if reply.skip_assignment {
        text.push_str(" skip");
    }
    if !reply.members.is_empty() {
        let names = reply.members.iter().map(|member| member.member_id.clone());
        write!(text, " members={}", names.collect::<Vec<_>>().join(",")).expect("a string");
    }
    text
}

fn show_record(record: &Record) -> String {
    let update = Update::from_record(&record.key, record.value.as_ref()).expect("own record");
    match update.expect("a kind of this coordinator") {
        Update::Group(id, None) => format!("{id} deleted"),
        Update::Group(id, Some(value)) => {
            let members = value.members.iter().map(|member| {
                let share = String::from_utf8_lossy(&member.assignment).into_owned();
                format!("{}={share}", member.member_id)
            });
            let members = members.collect::<Vec<_>>().join(" ");
            let protocol = value.protocol.unwrap_or_default();
            format!("{id} generation {} [{protocol}] {members}", value.generation)
                .trim_end()
                .to_owned()
        }
        Update::Offset(key, None) => {
            format!("{} {}-{} deleted", key.group, key.topic, key.partition)
        }
        Update::Offset(key, Some(value)) => {
            format!("{} {}-{} = {}", key.group, key.topic, key.partition, value.offset)
        }
    }
}

/// Runs a script and returns it with the traces that came out.
fn replay(script: &str) -> String {
    let mut machine = Machine::new();
    let mut out = String::new();
    let mut lines = script.lines();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() || line.starts_with('#') {
            writeln!(out, "{line}").expect("a string");
            continue;
        }
        // Skip the old trace: it ends with an empty line or with the file.
        assert_eq!(lines.next(), Some("----"), "after the command: {line}");
        for old in lines.by_ref() {
            if old.is_empty() {
                break;
            }
        }
        let trace = machine.run(line);
        let trace = if trace.is_empty() { "ok\n".to_owned() } else { trace };
        writeln!(out, "{line}\n----\n{trace}").expect("a string");
    }
    format!("{}\n", out.trim_end())
}

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let entries = std::fs::read_dir(&folder).expect("the folder of scripts");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("group_") && name.ends_with(".txt")
    });
    paths.sort();
    paths
}

#[test]
fn group_coordinator_follows_its_scripts() {
    let paths = scripts();
    assert!(paths.len() >= 10, "only {} scripts were found", paths.len());
    let mut wrong = Vec::new();
    for path in paths {
        let script = std::fs::read_to_string(&path).expect("a script");
        let actual = replay(&script);
        if std::env::var_os("UPDATE_SCRIPTS").is_some() {
            std::fs::write(&path, actual).expect("a script can be written");
        } else if actual != script {
            wrong.push(first_difference(&path, &script, &actual));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn first_difference(path: &Path, expected: &str, actual: &str) -> String {
    let mut pairs = expected.lines().zip(actual.lines()).enumerate();
    let differing = pairs.find(|(_, (expected, actual))| expected != actual);
    let (line, (expected, actual)) =
        differing.unwrap_or((0, ("(one trace is longer than the other)", "")));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    format!("{name}:{}\n  expected: {expected}\n  actual:   {actual}", line + 1)
}
