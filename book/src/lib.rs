//! The specification as pages: Markdown for mdBook, made from `protocol/schemas`, the statements
//! and the vectors.
//!
//! [`negative`] and [`captures`] make vectors: bytes with one fault, and frames from a wire.
//!
//! [`pages::all`] gives the pages and their order, [`pages::write`] puts them where mdBook finds
//! them, [`links`] looks whether every link of the finished site leads somewhere. Tables are HTML,
//! which Markdown lets through: a field's depth, and what a narrow screen does with a row, cannot
//! be said in Markdown.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod api;
pub mod captures;
mod changes;
mod document;
mod errors;
mod example;
mod fields;
mod headers;
mod html;
pub mod links;
pub mod negative;
pub mod pages;
mod records;
mod releases;
pub mod source;
mod statements;
