//! The port by which tests in other languages set faults: JSON objects, one a line; each is
//! answered by one line. The README has the commands.
//!
//! Every line is checked before anything is done, so a command that is refused has no effect. What
//! is no JSON object ends the connection: a browser that was tricked into posting here sends
//! nothing that counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::ApiKey;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::{Cut, Effect, Fault, FaultError, Faults, Filter, Status};
use crate::config::nearest;
use crate::internal::Link;

/// No command is longer.
const LINE_LEN_MAX: u64 = 64 << 10;

/// Where `drop` can end a connection.
const CUTS: &[&str] = &["before", "after", "bytes"];

/// Each command with the fields that it takes.
const COMMANDS: &[(&str, &[&str])] = &[
    ("inject", &["api", "error", "times", "topic", "partition", "group", "after"]),
    ("delay", &["api", "ms", "times", "topic", "partition", "group", "after"]),
    ("drop", &["api", "when", "bytes", "times", "topic", "partition", "group"]),
    ("throttle", &["api", "ms", "times", "topic", "partition", "group"]),
    ("link", &["to", "cut", "ms"]),
    ("heal", &[]),
    ("evict", &[]),
    ("wait", &["ms"]),
    ("stop", &[]),
    ("pause", &[]),
    ("resume", &[]),
    ("faults", &[]),
    ("clear", &["id"]),
    ("requests", &[]),
];

/// What a line asks of one node.
enum Asked {
    Fault(Fault),
    Link(i32, Link),
    Wait(u64),
    Other { name: &'static str, id: Option<u64> },
}

/// Serves the port of one broker until the future is dropped. The listener should be on a loopback
/// address; `stop` is told when the broker shall stop.
pub async fn serve(listener: TcpListener, faults: Arc<Faults>, stop: Arc<Notify>) {
    serve_lines(listener, stop, move |command| obey(Arc::clone(&faults), command)).await;
}

/// Does what a command says; the answer has `"ok": true`.
///
/// # Errors
/// When it is none; nothing is done then.
pub async fn obey(faults: Arc<Faults>, command: Map<String, Value>) -> Result<Value, FaultError> {
    match parse(&command)? {
        Asked::Fault(fault) => Ok(json!({"ok": true, "id": faults.add(fault)?})),
        Asked::Link(to, link) => {
            faults.links().set(to, link);
            Ok(json!({"ok": true}))
        }
        Asked::Wait(ms) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(json!({"ok": true}))
        }
        Asked::Other { name, id } => Ok(other(&faults, name, id)),
    }
}

/// Serves a port by whose lines `answer` acts, until the future is dropped. An answer with `stops`
/// tells `stop`.
pub async fn serve_lines<A, F>(listener: TcpListener, stop: Arc<Notify>, answer: A)
where
    A: Fn(Map<String, Value>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Value, FaultError>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, answer.clone(), Arc::clone(&stop)));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the faults");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse<A, F>(mut stream: TcpStream, answer: A, stop: Arc<Notify>)
where
    A: Fn(Map<String, Value>) -> F,
    F: Future<Output = Result<Value, FaultError>>,
{
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        match (&mut lines).take(LINE_LEN_MAX).read_until(b'\n', &mut line).await {
            Ok(1..) if line.ends_with(b"\n") => {}
            _ => return,
        }
        let command = serde_json::from_slice::<Map<String, Value>>(&line);
        let (answer, goes_on) = match command {
            Ok(command) => (answer(command).await, true),
            Err(error) => (Err(refusal(format!("a line is no JSON object: {error}"))), false),
        };
        let answer = answer.unwrap_or_else(|error| json!({"ok": false, "error": error.0}));
        let written = write.write_all(format!("{answer}\n").as_bytes()).await;
        // After the answer, which the end would overtake.
        if answer["stops"] == true {
            stop.notify_one();
        }
        if written.is_err() || !goes_on {
            return;
        }
    }
}

/// Reads a script: the lines of the port, and in between empty ones and some that begin with `#`.
/// Each is given to `check` before any is obeyed.
///
/// # Errors
/// The first line that cannot be obeyed, with its number and the reason.
pub fn read_script(
    text: &str,
    check: impl Fn(&Map<String, Value>) -> Result<(), FaultError>,
) -> Result<Vec<Map<String, Value>>, FaultError> {
    let is_command = |(_, line): &(usize, &str)| !line.is_empty() && !line.starts_with('#');
    let lines = (1..).zip(text.lines().map(str::trim)).filter(is_command);
    let read = |(number, line): (usize, &str)| {
        let no_object = |error| refusal(format!("a line is no JSON object: {error}"));
        let command = serde_json::from_str(line).map_err(no_object);
        let checked = command.and_then(|command| check(&command).map(|()| command));
        checked.map_err(|error| refusal(format!("line {number}: {error}")))
    };
    lines.map(read).collect()
}

/// The names of all commands to one node.
pub(super) fn names() -> impl Iterator<Item = &'static str> + Clone {
    COMMANDS.iter().map(|(name, _)| *name)
}

/// Whether one node could be told this.
///
/// # Errors
/// When it could not.
pub fn check(command: &Map<String, Value>) -> Result<(), FaultError> {
    parse(command).map(drop)
}

/// Refuses fields that a command does not take.
pub(super) fn check_fields(
    command: &Map<String, Value>,
    name: &str,
    takes: &[&str],
) -> Result<(), FaultError> {
    let stray = command.keys().find(|key| *key != "command" && !takes.contains(&key.as_str()));
    match stray {
        Some(stray) => Err(unknown(&format!("field of {name}"), stray, takes.iter().copied())),
        None => Ok(()),
    }
}

fn parse(command: &Map<String, Value>) -> Result<Asked, FaultError> {
    let fields = Fields { command };
    let name = fields.text("command")?.ok_or_else(|| refusal("a line has no \"command\""))?;
    let Some((name, takes)) = COMMANDS.iter().find(|(known, _)| *known == name) else {
        return Err(unknown("command", name, names()));
    };
    check_fields(command, name, takes)?;
    let effect = match *name {
        "inject" => fields.error()?,
        "delay" => Effect::Delay {
            delay: Duration::from_millis(fields.needed("ms")?),
            after: fields.flag("after")?,
        },
        "drop" => Effect::Drop(fields.cut()?),
        "throttle" => Effect::Throttle { ms: fields.needed("ms")? },
        "link" => {
            let delay = Duration::from_millis(fields.number("ms")?.unwrap_or(0));
            return Ok(Asked::Link(fields.needed("to")?, Link { cut: fields.flag("cut")?, delay }));
        }
        "wait" => return Ok(Asked::Wait(fields.needed("ms")?)),
        name => return Ok(Asked::Other { name, id: fields.number("id")? }),
    };
    let fault = Fault {
        effect,
        api: fields.api()?,
        filter: Filter {
            topic: fields.text("topic")?.map(str::to_owned),
            partition: fields.number("partition")?,
            group: fields.text("group")?.map(str::to_owned),
        },
        times: fields.number("times")?,
    };
    fault.check()?;
    Ok(Asked::Fault(fault))
}

fn other(faults: &Faults, name: &str, id: Option<u64>) -> Value {
    match name {
        "stop" => return json!({"ok": true, "stops": true}),
        "pause" => faults.pause(),
        "resume" => faults.resume(),
        "heal" => faults.links().heal(),
        "evict" => return json!({"ok": true, "evicted": faults.evict_fetch_sessions()}),
        "clear" => return json!({"ok": true, "cleared": faults.clear(id)}),
        "requests" => return json!({"ok": true, "requests": requests(faults)}),
        _ => {
            let list: Vec<Value> = faults.list().iter().map(described).collect();
            let described = |link: &Link| json!({"cut": link.cut, "ms": link.delay.as_millis()});
            let links = faults.links().list();
            let links: BTreeMap<String, Value> =
                links.iter().map(|(to, link)| (to.to_string(), described(link))).collect();
            let paused = faults.is_paused();
            return json!({"ok": true, "paused": paused, "faults": list, "links": links});
        }
    }
    json!({"ok": true})
}

fn requests(faults: &Faults) -> BTreeMap<&'static str, Value> {
    let mut apis: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
    for ((api, version), count) in faults.requests() {
        apis.entry(api.name()).or_default().insert(version.to_string(), count);
    }
    let counted = |versions: BTreeMap<String, u64>| {
        let total: u64 = versions.values().sum();
        json!({"total": total, "versions": versions})
    };
    apis.into_iter().map(|(api, versions)| (api, counted(versions))).collect()
}

/// A fault as the command that sets it, and what became of it.
fn described(status: &Status) -> Value {
    let fault = &status.fault;
    let mut line = match fault.effect {
        Effect::Error { code, after } => {
            json!({"command": "inject", "error": code.name(), "after": after})
        }
        Effect::Delay { delay, after } => {
            json!({"command": "delay", "ms": delay.as_millis(), "after": after})
        }
        Effect::Drop(Cut::Before) => json!({"command": "drop", "when": "before"}),
        Effect::Drop(Cut::After) => json!({"command": "drop", "when": "after"}),
        Effect::Drop(Cut::Bytes(bytes)) => json!({"command": "drop", "bytes": bytes}),
        Effect::Throttle { ms } => json!({"command": "throttle", "ms": ms}),
    };
    line["id"] = json!(status.id);
    line["api"] = json!(fault.api.map(ApiKey::name));
    line["topic"] = json!(fault.filter.topic);
    line["partition"] = json!(fault.filter.partition);
    line["group"] = json!(fault.filter.group);
    line["times"] = json!(fault.times);
    line["applied"] = json!(status.applied);
    line["left"] = json!(status.left());
    line
}

/// The fields of a line; null is as good as not there.
pub(super) struct Fields<'a> {
    pub(super) command: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.command.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, FaultError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let text = value.as_str();
        text.map(Some).ok_or_else(|| refusal(format!("{name} must be a string, not {value}")))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, FaultError> {
        let Some(value) = self.get(name) else { return Ok(false) };
        let flag = value.as_bool();
        flag.ok_or_else(|| refusal(format!("{name} must be true or false, not {value}")))
    }

    fn number<T: TryFrom<u64>>(&self, name: &str) -> Result<Option<T>, FaultError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_u64().and_then(|number| T::try_from(number).ok());
        number.map(Some).ok_or_else(|| {
            refusal(format!("{name} must be a whole number that is not negative, not {value}"))
        })
    }

    pub(super) fn needed<T: TryFrom<u64>>(&self, name: &str) -> Result<T, FaultError> {
        self.number(name)?.ok_or_else(|| refusal(format!("{name} is missing")))
    }

    fn api(&self) -> Result<Option<ApiKey>, FaultError> {
        let Some(name) = self.text("api")? else { return Ok(None) };
        let api = ApiKey::ALL.iter().find(|api| api.name() == name);
        let names = || ApiKey::ALL.iter().map(|api| api.name());
        api.map(|api| Some(*api)).ok_or_else(|| unknown("api", name, names()))
    }

    fn error(&self) -> Result<Effect, FaultError> {
        let name = self.text("error")?.ok_or_else(|| refusal("error is missing"))?;
        let names = || ErrorCode::ALL.iter().map(|code| code.name());
        let code = ErrorCode::from_name(name).ok_or_else(|| unknown("error", name, names()))?;
        Ok(Effect::Error { code, after: self.flag("after")? })
    }

    fn cut(&self) -> Result<Cut, FaultError> {
        match (self.text("when")?, self.number("bytes")?) {
            (None | Some("before"), None) => Ok(Cut::Before),
            (Some("after"), None) => Ok(Cut::After),
            (None | Some("bytes"), Some(bytes)) => Ok(Cut::Bytes(bytes)),
            (Some("bytes"), None) => Err(refusal("bytes is missing")),
            (Some("before" | "after"), Some(_)) => {
                Err(refusal("bytes goes without when, or with \"bytes\""))
            }
            (Some(other), _) => Err(unknown("when", other, CUTS.iter().copied())),
        }
    }
}

pub(super) fn refusal(text: impl Into<String>) -> FaultError {
    FaultError(text.into())
}

/// Names the nearest: the same but for case and underlines, one that it is a part of, a typing
/// error.
pub(super) fn unknown<'a>(
    what: &str,
    name: &str,
    table: impl Iterator<Item = &'a str> + Clone,
) -> FaultError {
    let plain = |name: &str| name.replace(['_', '-', ' '], "").to_lowercase();
    let wanted = plain(name);
    let find = |fits: &dyn Fn(&str) -> bool| table.clone().find(|known| fits(&plain(known)));
    let near = find(&|known| known == wanted)
        .or_else(|| find(&|known| wanted.len() > 2 && known.contains(&wanted)))
        .or_else(|| nearest(&name.to_uppercase(), table.clone()))
        .or_else(|| nearest(name, table.clone()));
    let hint = match near {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if table.clone().count() > 40 => "it is none of the protocol's names".to_owned(),
        None => format!("known are {}", table.collect::<Vec<_>>().join(", ")),
    };
    refusal(format!("unknown {what} \"{name}\": {hint}"))
}
