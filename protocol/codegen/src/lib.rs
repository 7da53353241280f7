//! The schema language of ottla-protocol: parser, static checks, code generation.
//!
//! [`parse`] reads one schema file, [`check`] holds a [`Library`] of files against the static
//! semantics of `protocol/schemas/GRAMMAR.md`, [`emit_rust`] writes the message modules, and
//! [`export`] says the same as JSON, for any release of Apache Kafka. A schema that is not well
//! formed gives [`Diagnostic`]s that show the line with a caret under the place.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod ast;
pub mod check;
pub mod diagnostic;
pub mod emit_rust;
pub mod export;
pub mod library;
pub mod parse;
pub mod range;
pub mod release;

pub use diagnostic::Diagnostic;
pub use library::Library;
