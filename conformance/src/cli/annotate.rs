//! `annotate`.

use super::CannotRun;
use clap::Args;
use ottla_conformance::annotate::{Options, Subject, annotate};
use ottla_conformance::codec::unhex;
use ottla_protocol::messages::ApiKey;
use std::io::{Read, Write};
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct Annotate {
    /// The bytes as hex, with the length in front of a frame; from standard input without this.
    hex: Option<String>,
    /// It is the response to a request of this API and version, such as Fetch:12. Without this it
    /// is a request, which says itself what it is.
    #[arg(long, value_name = "API:VERSION", group = "subject")]
    response: Option<String>,
    /// It is this message without header and length, such as FetchRequest:12.
    #[arg(long, value_name = "NAME:VERSION", group = "subject")]
    message: Option<String>,
    /// It is what a records field holds.
    #[arg(long, group = "subject")]
    records: bool,
    /// Elements of an array that are shown.
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    elements: usize,
}

pub(super) fn run(arguments: &Annotate) -> Result<ExitCode, CannotRun> {
    let subject = subject(arguments)?;
    let text = match &arguments.hex {
        Some(text) => text.clone(),
        None => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| CannotRun(format!("standard input: {error}")))?;
            text
        }
    };
    let bytes = unhex(&text).map_err(|error| CannotRun(error.to_string()))?;
    let options = Options { elements: arguments.elements, missing: 0 };
    let annotated = annotate(&bytes, &subject, options);
    say!("{}, {} bytes", annotated.title, bytes.len());
    let _ = write!(std::io::stdout(), "{}", annotated.text(usize::MAX));
    Ok(ExitCode::from(u8::from(annotated.error.is_some())))
}

fn subject(arguments: &Annotate) -> Result<Subject, CannotRun> {
    if let Some(text) = &arguments.response {
        let (name, version) = pair(text)?;
        let is_named =
            |api: &&ApiKey| api.name().eq_ignore_ascii_case(name) || name.parse() == Ok(api.code());
        let api = ApiKey::ALL.iter().find(is_named);
        let api = api.ok_or_else(|| CannotRun(format!("no API is named {name}")))?;
        return Ok(Subject::Response(*api, version));
    }
    if let Some(text) = &arguments.message {
        let (name, version) = pair(text)?;
        return Ok(Subject::Message(name.to_owned(), version));
    }
    Ok(if arguments.records { Subject::Records } else { Subject::Request })
}

fn pair(text: &str) -> Result<(&str, i16), CannotRun> {
    let pair = text.split_once(':').and_then(|(name, version)| Some((name, version.parse().ok()?)));
    pair.ok_or_else(|| CannotRun(format!("{text:?}: expected a name and a version, as Fetch:12")))
}
