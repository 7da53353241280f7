//! `decode` and `encode`.

use super::CannotRun;
use clap::Args;
use ottla_conformance::codec::{self, Direction, Subject};
use std::io::{BufReader, Write};
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct Convert {
    /// The API key; -1 for what belongs to no API.
    #[arg(allow_negative_numbers = true, requires = "payload")]
    api_key: Option<String>,
    /// The message's name, such as FetchRequest.
    name: Option<String>,
    /// request, response, header, record or batch.
    kind: Option<String>,
    /// The version; of a batch the magic.
    version: Option<String>,
    /// The bytes as hex, or the JSON.
    payload: Option<String>,
}

pub(super) fn convert(direction: Direction, arguments: Convert) -> Result<ExitCode, CannotRun> {
    let failed = |error: std::io::Error| CannotRun(format!("standard streams: {error}"));
    let Some(payload) = arguments.payload else {
        let input = BufReader::new(std::io::stdin().lock());
        codec::table(direction, input, std::io::stdout().lock()).map_err(failed)?;
        return Ok(ExitCode::SUCCESS);
    };
    let column = |text: Option<String>| text.unwrap_or_default();
    let (api_key, name) = (column(arguments.api_key), column(arguments.name));
    let (kind, version) = (column(arguments.kind), column(arguments.version));
    let done =
        Subject::parse([&api_key, &name, &kind, &version]).and_then(|subject| match direction {
            Direction::Decode => subject.decode(&payload).map(|value| {
                serde_json::to_string_pretty(&value).expect("a value has string keys only")
            }),
            Direction::Encode => subject.encode(&payload),
        });
    match done {
        Ok(text) => {
            say!("{text}");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(CannotRun(error.to_string())),
    }
}
