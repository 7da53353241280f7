//! The native library of the Swift package: types that uniffi takes across, the core's futures
//! behind tokens that end them, and four functions for what is hot ([`abi`]).
//!
//! Records never cross one by one. They come packed ([`packed`]), many in one call, and go as
//! batches: one region of bytes and an index of integers ([`batch`]), which Swift reads in place.
#![warn(missing_docs)]

pub mod abi;
pub mod admin;
pub mod batch;
pub mod consumer;
mod convert;
pub mod deliveries;
pub mod failure;
pub mod packed;
pub mod producer;
pub mod settings;
pub mod types;
pub mod wait;

uniffi::setup_scaffolding!("ottla");
