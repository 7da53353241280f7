//! A second codec: `schemas/GRAMMAR.md`, part 4, applied to the exported schema at run time.
//!
//! It knows the schema from the export's JSON alone and shares nothing with `ottla_protocol`: what
//! both say of the same bytes is said twice. It is written to be compared with the rules, not to
//! be fast; the numbers in its comments are those of the rules.

mod json;
mod read;
mod schema;
mod value;
mod write;

pub(crate) use read::read_seen;
pub(crate) use schema::{Field, Message, Schemas, Type};
pub(crate) use value::{Data, Struct, zero};

/// Bytes or a value that a version of a message does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The first byte that does not fit, from the message's first. Of a value, 0.
    pub(crate) at: usize,
    /// The field: `topics[0].name`, `topics[0]<tag 3>`; names as the schema has them.
    pub(crate) path: String,
    /// Why.
    pub(crate) reason: String,
}

impl Refusal {
    fn new(at: usize, reason: impl Into<String>) -> Self {
        Self { at, path: String::new(), reason: reason.into() }
    }

    /// Puts a step in front of the path.
    fn below(mut self, step: &str) -> Self {
        let joint = match self.path.chars().next() {
            None | Some('[' | '<') => "",
            Some(_) => ".",
        };
        self.path = format!("{step}{joint}{}", self.path);
        self
    }
}

/// What reading or writing gives.
pub(crate) type Outcome<T> = Result<T, Refusal>;

impl Message {
    /// Reads a value of this version from all of the bytes.
    pub(crate) fn read(&self, version: i16, bytes: &[u8]) -> Outcome<Struct> {
        read::read(self, version, bytes)
    }

    /// The bytes of a value in this version.
    pub(crate) fn write(&self, version: i16, value: &Struct) -> Outcome<Vec<u8>> {
        write::write(self, version, value)
    }
}
