//! The Kafka wire protocol: specification, messages, record batches.
//!
//! Reading order: [`frame`] (length-prefixed frames), [`header`], [`primitives`] and [`varint`],
//! [`wire`] (how a value of each type is written), [`messages`] (generated from
//! `protocol/schemas`), [`records`] (record batches).
//!
//! Nothing here trusts a length: every count and size is bounded by the bytes that remain before
//! anything is allocated, and every error names the byte and the field.
//!
//! Without the feature `std` (`default-features = false`) the crate needs `core` and `alloc` only;
//! what is left out are the codecs of compressed records and the JSON form, which need `std`.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[macro_use]
extern crate alloc;
extern crate self as ottla_protocol;
#[cfg(any(feature = "std", test))]
extern crate std;

pub mod encoder;
pub mod error;
pub mod error_code;
pub mod frame;
pub mod header;
pub mod messages;
pub mod primitives;
pub mod records;
pub mod uuid;
pub mod varint;
pub mod wire;

pub use bytes::{Bytes, BytesMut};
pub use encoder::Encoder;
pub use error::{DecodeError, EncodeError};
pub use error_code::ErrorCode;
pub use uuid::Uuid;
pub use wire::Message;

/// Compiles and runs the example in the crate's README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
