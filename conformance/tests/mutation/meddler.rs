//! The mutation in the relay.

use super::{Change, FrameOp, Mutation, Selector, candidates};
use crate::relay::{Asked, Meddle, Passage, Told, encoded};
use ottla_conformance::wire;
use ottla_protocol::Bytes;
use ottla_protocol::messages::{ApiKey, Response};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// An answer of the broker, before it was changed.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    /// Which request to the API.
    pub(crate) number: usize,
    pub(crate) json: Value,
}

/// Changes answers, or only writes them down.
pub(crate) struct Meddler {
    mutation: Option<Mutation>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: BTreeMap<i16, usize>,
    answered: Vec<Answered>,
    changed: usize,
}

impl Meddler {
    pub(crate) fn new(mutation: Option<Mutation>) -> Self {
        Self { mutation, state: Mutex::default() }
    }

    /// What was answered.
    pub(crate) fn answered(&self) -> Vec<Answered> {
        self.state().answered.clone()
    }

    /// How many frames were changed.
    pub(crate) fn changed(&self) -> usize {
        self.state().changed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with it")
    }

    fn change_of(&self, asked: &Asked) -> Option<&Change> {
        let mutation = self.mutation.as_ref()?;
        let applies = match mutation.selector {
            Selector::Target => asked.api == Some(ApiKey::ApiVersions),
            Selector::Answers(api, number) => {
                (api.is_none() || api == asked.api)
                    && number.is_none_or(|number| number == asked.number)
            }
        };
        applies.then_some(&mutation.change)
    }

    fn is_early(&self, asked: &Asked) -> bool {
        matches!(self.change_of(asked), Some(Change::Frame(FrameOp::Early)))
    }
}

impl Meddle for Meddler {
    fn request(&self, asked: &mut Asked, _: &Bytes) -> Passage {
        let key = asked.api.map_or(-1, ApiKey::code);
        let mut state = self.state();
        let count = state.asked.entry(key).or_insert(0);
        asked.number = *count;
        *count += 1;
        if !self.is_early(asked) {
            return Passage::default();
        }
        state.changed += 1;
        let id = asked.correlation_id.to_be_bytes();
        let default = asked.api.and_then(|api| encoded(asked, &Response::default_of(api)));
        let at_once = default.unwrap_or_else(|| [&id[..], &[0; 16]].concat());
        Passage { at_once: Some(at_once), is_kept: false }
    }

    fn answer(&self, asked: &Asked, frame: Vec<u8>, held: &mut Vec<Vec<u8>>) -> Told {
        let answered = decoded(asked, &frame);
        let told = match self.change_of(asked) {
            None => None,
            Some(Change::Frame(op)) => Some(on_frame(*op, &frame, held)),
            Some(Change::Place(place, op)) => answered
                .as_ref()
                .and_then(|answered| candidates::applied(answered, place, op))
                .map(Told::from),
            Some(Change::Random(seed)) => answered.as_ref().and_then(|answered| {
                let mixed = mixed(seed ^ ((answered.number as u64) << 16) ^ key_of(answered.api));
                let change = || candidates::one_of(answered, mixed >> 6).map(Told::from);
                // Where every answer is wrong, tests end before they begin.
                mixed.is_multiple_of(1 << (seed % 4)).then(change).flatten()
            }),
        };
        let mut state = self.state();
        if self.mutation.is_none() {
            state.answered.extend(answered);
        }
        state.changed += usize::from(told.is_some());
        told.unwrap_or_else(|| frame.into())
    }

    fn stays_open(&self) -> bool {
        let change = self.mutation.as_ref().map(|mutation| &mutation.change);
        change == Some(&Change::Frame(FrameOp::StaysOpen))
    }
}

fn key_of(api: ApiKey) -> u64 {
    api.code() as u64
}

/// Splitmix64: numbers that look like random ones.
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn decoded(asked: &Asked, frame: &[u8]) -> Option<Answered> {
    let (api, version, correlation_id) = (asked.api?, asked.version, asked.correlation_id);
    let bytes = Bytes::copy_from_slice(frame);
    let answer = wire::response(api, version, correlation_id, &bytes).ok()?;
    let json = answer.to_json(version).ok()?;
    Some(Answered { api, version, correlation_id, number: asked.number, json })
}

fn on_frame(op: FrameOp, frame: &[u8], held: &mut Vec<Vec<u8>>) -> Told {
    let mut frame = frame.to_vec();
    let mut told = Told::default();
    match op {
        FrameOp::Id => frame[3] ^= 1,
        FrameOp::TagIn => frame.insert(4, 0),
        FrameOp::TagOut => drop((frame.len() > 4).then(|| frame.remove(4))),
        FrameOp::Cut => drop(frame.pop()),
        FrameOp::Longer => frame.push(0),
        FrameOp::Twice => told.frames.push(frame.clone()),
        FrameOp::Swap => match held.pop() {
            None => {
                held.push(frame);
                return told;
            }
            Some(first) => {
                told.frames = vec![frame, first];
                return told;
            }
        },
        FrameOp::Close => return Told { closes: true, ..told },
        FrameOp::CloseAfter => told.closes = true,
        FrameOp::Never | FrameOp::Early => return told,
        FrameOp::StaysOpen => {}
    }
    told.frames.push(frame);
    told
}
