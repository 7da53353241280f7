//! Faults by hand: what the relay does to the answers of one API.

use crate::relay::{Asked, Meddle, Passage, Told, encoded};
use ottla_conformance::wire;
use ottla_protocol::messages::{ApiKey, Request, Response};
use ottla_protocol::{Bytes, header};

/// What is done.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    /// Changes the answer.
    Body(fn(&mut Response)),
    /// Changes the answer's bytes, without the length, from the correlation id on.
    Raw(fn(&mut Vec<u8>)),
    /// Sends each second answer before the first.
    Swap,
    /// Answers in place of the broker.
    Answer(fn(&Request) -> Option<Response>),
    /// Keeps the connection open when the broker closes it; of every API.
    StaysOpen,
}

/// A change, the API and its version (`None`: all).
#[derive(Clone, Copy)]
pub(crate) struct Changed {
    pub(crate) api: ApiKey,
    pub(crate) version: Option<i16>,
    pub(crate) change: Change,
}

impl Changed {
    fn applies(&self, asked: &Asked) -> bool {
        Some(self.api) == asked.api && self.version.is_none_or(|version| version == asked.version)
    }

    fn answer_to(&self, asked: &Asked, frame: &Bytes) -> Option<Vec<u8>> {
        let Change::Answer(answer) = self.change else { return None };
        let (_, _, body_at) = header::decode_request_header(frame).ok()?;
        let request = Request::decode(asked.api?, asked.version, frame, body_at).ok()?;
        encoded(asked, &answer(&request)?)
    }
}

impl Meddle for Changed {
    fn request(&self, asked: &mut Asked, frame: &Bytes) -> Passage {
        let answer = self.applies(asked).then(|| self.answer_to(asked, frame)).flatten();
        let is_kept = answer.is_some();
        Passage { at_once: answer, is_kept }
    }

    fn answer(&self, asked: &Asked, mut frame: Vec<u8>, held: &mut Vec<Vec<u8>>) -> Told {
        if !self.applies(asked) {
            return frame.into();
        }
        match self.change {
            Change::Raw(change) => change(&mut frame),
            Change::Body(change) => {
                let bytes = Bytes::from(frame.clone());
                let id = asked.correlation_id;
                if let Ok(mut answer) = wire::response(self.api, asked.version, id, &bytes) {
                    change(&mut answer);
                    frame = encoded(asked, &answer).expect("it was decoded before");
                }
            }
            Change::Swap => match held.pop() {
                None => {
                    held.push(frame);
                    return Told::default();
                }
                Some(first) => return Told { frames: vec![frame, first], closes: false },
            },
            Change::Answer(_) | Change::StaysOpen => {}
        }
        frame.into()
    }

    fn stays_open(&self) -> bool {
        matches!(self.change, Change::StaysOpen)
    }
}
