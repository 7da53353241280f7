//! One use of a shim, from its first line to its end.

use crate::client::shim::{ShimCommand, Trouble};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long a shim may take to end after its last line.
const END_MAX: Duration = Duration::from_secs(30);

/// A client, by the command of its shim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shim {
    /// What reports call it.
    pub name: String,
    command: ShimCommand,
}

impl Shim {
    /// A shim by `NAME=CMD`; the command is split at spaces as a shell would, quotes included.
    ///
    /// # Errors
    ///
    /// No name, no command, and a quote that is not closed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || format!("shim {text:?}: expected NAME=CMD");
        let (name, command) = text.split_once('=').ok_or_else(form)?;
        if name.is_empty() {
            return Err(form());
        }
        Ok(Self { name: name.to_owned(), command: ShimCommand::parse(command)? })
    }

    /// Starts an operation, writes `input`, and hands over every line as it comes; `enough` says
    /// when the input is to end (it is asked once before the first line, with none).
    ///
    /// # Errors
    ///
    /// How it ended, if not as asked.
    pub(super) fn run(
        &self,
        operation: &str,
        input: &[Value],
        silence_max: Duration,
        mut enough: impl FnMut(Option<&Value>) -> bool,
    ) -> Result<Vec<Value>, Trouble> {
        let mut process = self.command.start(operation).map_err(Trouble::Died)?;
        for line in input {
            process.write(line);
        }
        let mut is_open = true;
        let mut said = Vec::new();
        if enough(None) {
            process.end_input();
            is_open = false;
        }
        loop {
            let patience = if is_open { silence_max } else { END_MAX };
            match process.next(Instant::now() + patience) {
                Ok(Some(line)) => {
                    if enough(Some(&line)) {
                        process.end_input();
                        is_open = false;
                    }
                    let is_last = line.get("done").is_some() || line.get("version").is_some();
                    said.push(line);
                    if is_last {
                        process.exited(Instant::now() + END_MAX)?;
                        return Ok(said);
                    }
                }
                // Once more without input: what it then tells is worth having.
                Ok(None) if is_open => {
                    process.end_input();
                    is_open = false;
                }
                Ok(None) => {
                    let (limit, stderr) = (patience.as_secs(), process.stderr());
                    let text = format!("nothing for {limit} s; its standard error: {stderr:?}");
                    return Err(Trouble::Hangs(text));
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }
}
