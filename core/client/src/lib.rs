//! A Kafka client: the driver of [`ottla_engine`] over tokio, and the public Rust API.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod network;

pub use ottla_engine::error::{Error, ErrorKind};
