//! A shim's process: lines of JSON in and out. It never outlives its scenario.

use serde_json::Value;
use std::collections::VecDeque;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Exit status of an operation or option that the client does not have.
pub const UNIMPLEMENTED: i32 = 89;
/// No line of a shim is longer.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// Lines that are read ahead; behind them the shim has to wait.
const LINES_AHEAD: usize = 32;
/// How much of standard error is kept.
const STDERR_KEPT: usize = 4 << 10;

/// How a shim is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShimCommand {
    program: String,
    arguments: Vec<String>,
}

impl ShimCommand {
    /// Splits a command at spaces, as a shell does; quotes hold together.
    ///
    /// # Errors
    ///
    /// Where it is empty or a quote is open.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words: Vec<String> = Vec::new();
        let (mut word, mut quote) = (None::<String>, None);
        for letter in text.chars() {
            match (quote, letter) {
                (Some(open), _) if open == letter => quote = None,
                (None, '"' | '\'') => {
                    quote = Some(letter);
                    word.get_or_insert_default();
                }
                (None, _) if letter.is_whitespace() => words.extend(word.take()),
                _ => word.get_or_insert_default().push(letter),
            }
        }
        words.extend(word);
        if quote.is_some() {
            return Err(format!("shim {text:?}: a quote is not closed"));
        }
        let mut words = VecDeque::from(words);
        let program = words.pop_front().ok_or("the shim's command is empty")?;
        Ok(Self { program, arguments: words.into() })
    }

    /// Starts an operation.
    ///
    /// # Errors
    ///
    /// Where the program cannot be started.
    pub fn start(&self, operation: &str) -> Result<Shim, String> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(operation);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| format!("the shim {:?} cannot be started: {error}", self.program))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stderr = child.stderr.take();
        let (sender, lines) = sync_channel(LINES_AHEAD);
        std::thread::spawn(move || {
            if let Some(stdout) = stdout {
                read_lines(stdout, &sender);
            }
        });
        let said = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&said);
        std::thread::spawn(move || {
            if let Some(stderr) = stderr {
                keep(stderr, &kept);
            }
        });
        Ok(Shim { child, stdin, lines, stderr: said, ended: None })
    }
}

fn read_lines(stdout: impl Read, sender: &SyncSender<Vec<u8>>) {
    let mut stdout = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        match stdout.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if sender.send(line).is_err() => return,
            Ok(_) => {}
        }
    }
}

fn keep(mut stderr: impl Read, kept: &Mutex<Vec<u8>>) {
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut chunk) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&chunk[..count]);
        let surplus = kept.len().saturating_sub(STDERR_KEPT);
        kept.drain(..surplus);
    }
}

/// Why a shim does not go on.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// It does not have what was asked for, with its reason.
    Unimplemented(String),
    /// It said what is no JSON object.
    Garbage(String),
    /// It ended in another way than it was asked to.
    Died(String),
    /// It did not end in time.
    Hangs(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unimplemented(why) => write!(f, "the client does not have it: {why}"),
            Self::Garbage(what) => write!(f, "the shim said what is no JSON object: {what}"),
            Self::Died(how) => write!(f, "the shim does not go on: {how}"),
            Self::Hangs(what) => write!(f, "the shim hangs: {what}"),
        }
    }
}

/// A running shim; killed when dropped.
pub struct Shim {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    ended: Option<ExitStatus>,
}

impl Shim {
    /// The process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line. A shim that has ended is told by what is read.
    pub fn write(&mut self, line: &Value) {
        if let Some(stdin) = &mut self.stdin {
            let _ = writeln!(stdin, "{line}").and_then(|()| stdin.flush());
        }
    }

    /// Ends its input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// The next line; `None` where none came before the deadline.
    ///
    /// # Errors
    ///
    /// Where it said no JSON object, or its output ended: see [`exited`](Self::exited).
    pub fn next(&mut self, deadline: Instant) -> Result<Option<Value>, Trouble> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => {
                let text = String::from_utf8_lossy(&line);
                match serde_json::from_slice::<Value>(&line) {
                    Ok(value) if value.is_object() => match &value["unimplemented"] {
                        Value::Null => Ok(Some(value)),
                        why => {
                            let why = why.as_str().unwrap_or_default().to_owned();
                            Err(Trouble::Unimplemented(why))
                        }
                    },
                    _ => Err(Trouble::Garbage(text.trim().chars().take(200).collect())),
                }
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.how_it_ended()),
        }
    }

    /// What standard error ends with; paths below the working folder are relative to it.
    pub fn stderr(&self) -> String {
        let kept = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept).trim().to_owned();
        // Reports are kept: where the project lies on this machine says nothing.
        let here = std::env::current_dir().unwrap_or_default();
        match here.to_str() {
            Some(here) if here.len() > 1 => text.replace(here, "."),
            _ => text,
        }
    }

    /// Waits for the process's end, and says whether it was a good one.
    ///
    /// # Errors
    ///
    /// Where it does not end by the deadline, or not with status 0.
    pub fn exited(&mut self, deadline: Instant) -> Result<(), Trouble> {
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                self.ended = Some(status);
                return if status.success() { Ok(()) } else { Err(self.how_it_ended()) };
            }
            if Instant::now() >= deadline {
                return Err(Trouble::Hangs("its process does not end".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(5)); // std has no wait with a limit
        }
    }

    fn how_it_ended(&mut self) -> Trouble {
        let deadline = Instant::now() + Duration::from_secs(2);
        while self.ended.is_none() && Instant::now() < deadline {
            self.ended = self.child.try_wait().ok().flatten();
            std::thread::sleep(Duration::from_millis(2)); // std has no wait with a limit
        }
        let stderr = self.stderr();
        match self.ended {
            Some(status) if status.code() == Some(UNIMPLEMENTED) => {
                Trouble::Unimplemented("exit status 89 without a reason".to_owned())
            }
            Some(status) if status.success() => {
                let what = "it ended without telling what was waited for; its standard error";
                Trouble::Died(format!("{what}: {stderr:?}"))
            }
            Some(status) => Trouble::Died(format!("{status}; its standard error: {stderr:?}")),
            None => Trouble::Hangs(format!("its output has ended; standard error: {stderr:?}")),
        }
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_as_a_shell_does() {
        let words = |text: &str| {
            ShimCommand::parse(text).map(|command| {
                let mut words = vec![command.program];
                words.extend(command.arguments);
                words
            })
        };
        assert_eq!(words("a b  c").unwrap(), ["a", "b", "c"]);
        assert_eq!(words("a 'b c' \"\" d\"e f\"").unwrap(), ["a", "b c", "", "de f"]);
        assert!(words("  ").is_err());
        assert!(words("a 'b").is_err());
    }
}
