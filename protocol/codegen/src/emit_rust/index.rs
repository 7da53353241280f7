//! `messages/mod.rs`, `dispatch.rs` and `convert.rs`: all messages together.

use super::gate;
use super::module::messages;
use crate::ast::{Api, Schema};
use crate::library::{Library, snake_case};
use std::fmt::Write;

pub(super) fn index(library: &Library) -> String {
    let mut modules: Vec<(&str, Vec<&str>, &str)> = Vec::new();
    for schema in &library.schemas {
        let names: Vec<&str> = messages(schema).iter().map(|m| m.name.value.as_str()).collect();
        if !names.is_empty() {
            modules.push((schema.stem(), names, gate(schema)));
        }
    }
    modules.sort();
    let mut out = String::from(
        "//! Every message of the protocol, one module per file in `protocol/schemas`, and the \
         enums\n\
         //! that dispatch on the API key.\n\n\
         mod api_key;\n#[cfg(feature = \"json\")]\npub mod convert;\nmod dispatch;\n\n",
    );
    for (stem, _, gate) in &modules {
        writeln!(out, "{gate}pub mod {stem};").expect("into a String");
    }
    out.push_str(
        "\npub use api_key::{ApiKey, Release, Route};\n\
         pub use dispatch::{Request, Response};\n\n",
    );
    for (stem, names, gate) in &modules {
        writeln!(out, "{gate}pub use {stem}::{{{}}};", names.join(", ")).expect("into a String");
    }
    out
}

pub(super) fn dispatch(library: &Library) -> String {
    let apis: Vec<(&str, &str)> =
        library.apis().map(|(schema, api)| (gate(schema), api.name.value.as_str())).collect();
    let list = |entry: &dyn Fn(&str) -> String| -> String {
        apis.iter().map(|(gate, api)| format!("{gate}{}", entry(api))).collect()
    };
    let half = |suffix: &str| {
        let variants =
            list(&|api| format!("    /// [`{api}{suffix}`].\n    {api}(Box<{api}{suffix}>),\n"));
        HALF.replace("{half}", suffix)
            .replace("{lower}", &suffix.to_lowercase())
            .replace("{variants}", &variants)
    };
    let arms = list(&|api| format!("            Self::{api}($message) => $body,\n"));
    let read = list(&|api| format!("            ApiKey::{api} => Self::{api}(Box::new($read)),\n"));
    let keys = list(&|api| format!("            Self::{api}(_) => ApiKey::{api},\n"));
    let wrapped = |suffix: &str| {
        let entries: Vec<String> =
            apis.iter().map(|(gate, api)| format!("{gate}    {api}({api}{suffix})")).collect();
        format!("\n{}\n", entries.join(",\n"))
    };
    let throttle = |(schema, api): (&Schema, &Api)| match &api.throttle {
        Some(throttle) => {
            let (name, field) = (&api.name.value, snake_case(&throttle.field.value));
            format!("{}            Self::{name}(message) => message.{field},\n", gate(schema))
        }
        None => format!("{}            Self::{}(_) => 0,\n", gate(schema), api.name.value),
    };
    DISPATCH
        .replace("{arms}", &arms)
        .replace("{read}", &read)
        .replace("{keys}", &keys)
        .replace("{requests}", &wrapped("Request"))
        .replace("{responses}", &wrapped("Response"))
        .replace("{request}", &half("Request"))
        .replace("{response}", &half("Response"))
        .replace("{throttles}", &library.apis().map(throttle).collect::<String>())
}

const DISPATCH: &str = r#"//! Enums over all requests and all responses.

use super::*;
use crate::encoder::Encoder;
use crate::error::{DecodeError, EncodeError};
use crate::wire::Message;
use alloc::boxed::Box;
use bytes::Bytes;

/// Does the same with the message of any variant.
macro_rules! each {
    ($self:ident, $message:ident => $body:expr) => {
        match $self {
{arms}        }
    };
}

/// Reads the message of an API.
macro_rules! read {
    ($api:ident, $read:expr) => {
        match $api {
{read}        }
    };
}

/// The API of a variant.
macro_rules! key {
    ($self:ident) => {
        match $self {
{keys}        }
    };
}
{request}
{response}
impl Response {
    /// How long the broker holds back a client that is over its quota (ms); 0 for an API that is
    /// never throttled. [`ApiKey::throttled_after_response_since`] says who waits.
    pub fn throttle_time_ms(&self) -> i32 {
        match self {
{throttles}        }
    }
}

/// Wraps the message of an API.
macro_rules! from {
    ($half:ident: $($(#[$gate:meta])* $api:ident($message:ident)),*) => {
        $(
            $(#[$gate])*
            impl From<$message> for $half {
                fn from(message: $message) -> Self {
                    Self::$api(Box::new(message))
                }
            }
        )*
    };
}

from!(Request: {requests});
from!(Response: {responses});
"#;

const HALF: &str = r#"
/// A {lower} of any API. There are more with the feature `all-messages`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum {half} {
{variants}}

impl {half} {
    /// Reads the body that starts at `offset` of the frame and ends with it.
    pub fn decode(
        api: ApiKey,
        version: i16,
        frame: &Bytes,
        offset: usize,
    ) -> Result<Self, DecodeError> {
        Ok(read!(api, Message::decode(frame, offset, version)?))
    }

    /// A message of this API with every field at its default.
    pub fn default_of(api: ApiKey) -> Self {
        read!(api, Default::default())
    }

    /// Writes the body.
    pub fn encode(&self, out: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        each!(self, message => message.encode(out, version))
    }

    /// The API that the message belongs to.
    pub fn api_key(&self) -> ApiKey {
        key!(self)
    }

    /// The body in the shape of Apache Kafka's JsonConverter.
    #[cfg(feature = "json")]
    pub fn to_json(&self, version: i16) -> Result<serde_json::Value, EncodeError> {
        each!(self, message => message.to_json(version))
    }

    /// The message that the JSON describes.
    #[cfg(feature = "json")]
    pub fn from_json(
        api: ApiKey,
        version: i16,
        value: &serde_json::Value,
    ) -> Result<Self, EncodeError> {
        Ok(read!(api, Message::from_json(value, version)?))
    }
}
"#;

pub(super) fn convert(library: &Library) -> String {
    let mut names: Vec<(&str, &str)> = library
        .messages()
        .iter()
        .map(|found| (found.message.name.value.as_str(), gate(found.schema)))
        .collect();
    names.sort_unstable();
    let list: String =
        names.iter().map(|(name, gate)| format!("{gate}    \"{name}\",\n")).collect();
    let arm = |(name, gate): &(&str, &str)| {
        format!("{gate}            \"{name}\" => $function::<{name}>($version, $value),\n")
    };
    let arms: String = names.iter().map(arm).collect();
    CONVERT.replace("{names}", &list).replace("{arms}", &arms)
}

const CONVERT: &str = r#"//! Conversion between bytes and JSON by a message's name.

use super::*;
use crate::encoder::Encoder;
use crate::wire::Message;
use alloc::string::{String, ToString};
use bytes::Bytes;
use core::fmt;
use serde_json::Value;

/// The names of all messages.
pub const NAMES: &[&str] = &[
{names}];

/// Why a conversion failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertError(String);

impl fmt::Display for ConvertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for ConvertError {}

fn failed(error: impl fmt::Display) -> ConvertError {
    ConvertError(error.to_string())
}

fn decode<M: Message>(version: i16, body: &Bytes) -> Result<Value, ConvertError> {
    M::decode(body, 0, version).map_err(failed)?.to_json(version).map_err(failed)
}

fn encode<M: Message>(version: i16, value: &Value) -> Result<Bytes, ConvertError> {
    let mut out = Encoder::new();
    let message = M::from_json(value, version).map_err(failed)?;
    message.encode(&mut out, version).map_err(failed)?;
    Ok(out.into_bytes())
}

fn check<M: Message>(version: i16, body: &Bytes) -> Result<(), ConvertError> {
    M::decode(body, 0, version).map(drop).map_err(failed)
}

fn recode<M: Message>(version: i16, body: &Bytes) -> Result<Bytes, ConvertError> {
    let mut out = Encoder::new();
    M::decode(body, 0, version).map_err(failed)?.encode(&mut out, version).map_err(failed)?;
    Ok(out.into_bytes())
}

macro_rules! by_name {
    ($name:ident, $function:ident, $version:ident, $value:ident) => {
        match $name {
{arms}            _ => Err(ConvertError(format!("no message is named {:?}, see `NAMES`", $name))),
        }
    };
}

/// Reads a body and gives it as JSON.
pub fn decode_named(name: &str, version: i16, body: &Bytes) -> Result<Value, ConvertError> {
    by_name!(name, decode, version, body)
}

/// Writes the body that the JSON describes.
pub fn encode_named(name: &str, version: i16, value: &Value) -> Result<Bytes, ConvertError> {
    by_name!(name, encode, version, value)
}

/// Reads a body, and says what is wrong with it.
pub fn check_named(name: &str, version: i16, body: &Bytes) -> Result<(), ConvertError> {
    by_name!(name, check, version, body)
}

/// Reads a body and writes it again.
pub fn recode_named(name: &str, version: i16, body: &Bytes) -> Result<Bytes, ConvertError> {
    by_name!(name, recode, version, body)
}
"#;
