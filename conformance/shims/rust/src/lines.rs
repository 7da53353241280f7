//! Lines of JSON, in and out, and what they have in common.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ottla::{Error, ErrorKind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

/// Settings by Kafka's names, as the suite gives them.
pub(crate) type Config = Map<String, Value>;

/// Standard input.
pub(crate) struct Input(Lines<BufReader<Stdin>>);

impl Default for Input {
    fn default() -> Self {
        Self(BufReader::new(tokio::io::stdin()).lines())
    }
}

impl Input {
    /// The next line; none at the end.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        while let Some(line) = self.0.next_line().await? {
            if !line.trim().is_empty() {
                return Ok(Some(serde_json::from_str(&line)?));
            }
        }
        Ok(None)
    }

    /// The first line, which says what is wanted.
    pub(crate) async fn task<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let missing = || io::Error::other("the input ends before its first line");
        self.next().await?.ok_or_else(missing)
    }
}

/// Writes a line at once.
pub(crate) fn say(line: &impl Serialize) {
    let mut output = io::stdout().lock();
    let text = serde_json::to_string(line).expect("lines are plain data");
    // Where nobody reads any more there is nobody to tell.
    let _ = writeln!(output, "{text}").and_then(|()| output.flush());
}

/// Bytes as base64.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Blob(pub(crate) Vec<u8>);

impl TryFrom<String> for Blob {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        STANDARD.decode(text).map(Self)
    }
}

/// Bytes, or null, as base64.
pub(crate) fn encode(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| STANDARD.encode(bytes))
}

/// What the client tells of a failure.
pub(crate) fn failure(error: &Error) -> Value {
    let code = error.code();
    json!({
        "code": code.map(ottla::ErrorCode::code),
        "name": code.map_or_else(|| format!("{:?}", error.kind()), |code| code.name().to_owned()),
        "retriable": error.is_retriable(),
        "message": error.to_string(),
    })
}

/// Puts settings into a builder by its own `set`; those that the client does not have are left out.
pub(crate) fn configure<B: Default>(
    config: &Config,
    set: impl Fn(B, &str, &str) -> Result<B, Error>,
) -> Result<B, Error> {
    let mut known: Vec<(&str, String)> = Vec::new();
    for (name, value) in config {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match set(B::default(), name, &text) {
            Ok(_) => known.push((name, text)),
            Err(error) if error.kind() == ErrorKind::Config => {}
            Err(error) => return Err(error),
        }
    }
    known.iter().try_fold(B::default(), |builder, (name, value)| set(builder, name, value))
}
