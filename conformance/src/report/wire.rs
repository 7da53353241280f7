//! Frames as reports keep them.

use crate::codec::hex;
use crate::wire::{Traced, Way};
use ottla_protocol::messages::ApiKey;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How much of a frame a report keeps, in bytes.
pub const KEPT_BYTES: usize = 512;

/// How many frames of a test a report keeps from its beginning, and as many from its end: one that
/// asks until a deadline has thousands.
pub const KEPT_FRAMES: usize = 16;

/// Leaves out what is neither near the beginning nor near the end.
pub fn shorten<F>(frames: &mut Vec<F>) {
    if frames.len() > KEPT_FRAMES * 2 {
        frames.drain(KEPT_FRAMES..frames.len() - KEPT_FRAMES);
    }
}

/// Bytes that went over a connection, with their length prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Which connection of the test, from 1.
    pub connection: usize,
    /// Which way, as seen from the suite.
    pub way: Way,
    /// Microseconds since the test began.
    pub at_us: u64,
    /// What it is, where that is known: `Produce v9`, of the request and of its answer.
    pub api: Option<String>,
    /// The bytes, of which a report keeps [`KEPT_BYTES`].
    pub hex: String,
    /// How many bytes there were.
    pub bytes: usize,
}

/// The frames of a trace, at most `kept` bytes of each. `requests` is the way that requests go;
/// what an answer is follows from the request of the same correlation id on the same connection.
pub fn frames(trace: &[Traced], requests: Way, kept: usize) -> Vec<Frame> {
    let mut asked = HashMap::new();
    let mut known = Vec::with_capacity(trace.len());
    for traced in trace {
        let api = if traced.way == requests {
            let api = traced.api.or_else(|| request_api(&traced.bytes));
            if let (Some(api), Some(id)) = (api, correlation_id(&traced.bytes, 8)) {
                asked.insert((traced.connection, id), api);
            }
            api
        } else {
            let id = correlation_id(&traced.bytes, 4);
            traced.api.or_else(|| asked.get(&(traced.connection, id?)).copied())
        };
        known.push(api);
    }
    trace.iter().zip(known).map(|(traced, api)| frame(traced, api, kept)).collect()
}

fn frame(traced: &Traced, api: Option<(ApiKey, i16)>, kept: usize) -> Frame {
    let kept = traced.bytes.len().min(kept);
    Frame {
        connection: traced.connection,
        way: traced.way,
        at_us: u64::try_from(traced.at.as_micros()).unwrap_or(u64::MAX),
        api: api.map(|(api, version)| format!("{} v{version}", api.name())),
        hex: hex(&traced.bytes[..kept]),
        bytes: traced.bytes.len(),
    }
}

/// What a request's header says, behind the length.
fn request_api(bytes: &[u8]) -> Option<(ApiKey, i16)> {
    let head: &[u8; 4] = bytes.get(4..8)?.first_chunk()?;
    let key = i16::from_be_bytes([head[0], head[1]]);
    Some((ApiKey::from_code(key)?, i16::from_be_bytes([head[2], head[3]])))
}

fn correlation_id(bytes: &[u8], at: usize) -> Option<i32> {
    let id: &[u8; 4] = bytes.get(at..at + 4)?.first_chunk()?;
    Some(i32::from_be_bytes(*id))
}
