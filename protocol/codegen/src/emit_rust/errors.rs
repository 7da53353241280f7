//! `error_code.rs`.

use super::prose::{doc, flat, literal};
use crate::ast::ErrorCode;
use crate::library::Library;

/// `NOT_LEADER_OR_FOLLOWER` as `NotLeaderOrFollower`.
fn variant(name: &str) -> String {
    let mut out = String::new();
    for word in name.split('_') {
        let mut chars = word.chars();
        out.extend(chars.next());
        out.extend(chars.map(|c| c.to_ascii_lowercase()));
    }
    out
}

/// The arms of a `match` from the code to a text.
fn arms(errors: &[&ErrorCode], text: impl Fn(&ErrorCode) -> String) -> String {
    errors
        .iter()
        .map(|error| {
            let text = literal(&text(error), "                ");
            format!("            Self::{} => \"{text}\",\n", variant(&error.name.value))
        })
        .collect()
}

fn any_of(errors: &[&ErrorCode], chosen: impl Fn(&ErrorCode) -> bool) -> String {
    let names: Vec<String> = errors
        .iter()
        .filter(|error| chosen(error))
        .map(|error| format!("Self::{}", variant(&error.name.value)))
        .collect();
    names.join(" | ")
}

pub(super) fn error_code(library: &Library) -> String {
    let errors: Vec<&ErrorCode> = library.errors().map(|(_, error)| error).collect();
    let mut variants = String::new();
    let mut all = String::new();
    for error in &errors {
        doc(&mut variants, "///", "    ", &error.prose);
        let name = variant(&error.name.value);
        variants.push_str(&format!("    {name} = {},\n", error.code.value));
        all.push_str(&format!("        Self::{name},\n"));
    }
    let names = arms(&errors, |error| error.name.value.clone());
    let descriptions = arms(&errors, |error| flat(&error.prose));
    let advice = arms(&errors, |error| flat(&error.advice));
    let retriable = any_of(&errors, |error| error.retriable);
    let refresh = any_of(&errors, |error| error.refresh_metadata);
    TEMPLATE
        .replace("{variants}", &variants)
        .replace("{all}", &all)
        .replace("{names}", &names)
        .replace("{descriptions}", &descriptions)
        .replace("{advice}", &advice)
        .replace("{retriable}", &retriable)
        .replace("{refresh}", &refresh)
}

const TEMPLATE: &str = r#"//! The error codes of the protocol, from `schemas/errors.schema`.

use core::fmt;

/// An error code of the protocol, as it stands in an `error_code` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i16)]
pub enum ErrorCode {
{variants}}

impl ErrorCode {
    /// Every error code, by number.
    pub const ALL: &'static [Self] = &[
{all}    ];

    /// The error code of this number, if it is known.
    pub fn from_code(code: i16) -> Option<Self> {
        let index = Self::ALL.binary_search_by_key(&code, |error| error.code()).ok()?;
        Some(Self::ALL[index])
    }

    /// The error code of this name, for example `NOT_LEADER_OR_FOLLOWER`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|error| error.name() == name)
    }

    /// The number on the wire.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// The name, for example `NOT_LEADER_OR_FOLLOWER`.
    pub fn name(self) -> &'static str {
        match self {
{names}        }
    }

    /// Whether the same request may succeed later, possibly elsewhere.
    pub fn is_retriable(self) -> bool {
        matches!(self, {retriable})
    }

    /// Whether it says that the client's metadata is out of date, to be asked for before the retry.
    pub fn refreshes_metadata(self) -> bool {
        matches!(self, {refresh})
    }

    /// What went wrong.
    pub fn description(self) -> &'static str {
        match self {
{descriptions}        }
    }

    /// What a client does next.
    pub fn advice(self) -> &'static str {
        match self {
{advice}        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.code())
    }
}
"#;
