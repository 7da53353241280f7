//! The producer id: asked for once, its epoch raised where a sequence number was lost.

use super::batch::Identity;
use super::{Output, Reason, Sender};
use crate::call::{Call, CallError, CallId, Purpose, Target};
use crate::error::{Error, ErrorKind};
use crate::time::Instant;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{InitProducerIdRequest, Request, Response};

/// What is known of the producer id.
#[derive(Debug)]
pub(super) enum IdentityState {
    /// The producer is not idempotent.
    NotNeeded,
    /// To be asked for, when the timer allows.
    Missing,
    Asking(CallId),
    Known(Identity),
}

impl IdentityState {
    pub(super) fn is_asking(&self, id: CallId) -> bool {
        matches!(self, Self::Asking(asked) if *asked == id)
    }

    pub(super) fn known(&self) -> Option<Identity> {
        match self {
            Self::Known(identity) => Some(*identity),
            Self::NotNeeded | Self::Missing | Self::Asking(_) => None,
        }
    }
}

impl Sender {
    pub(super) fn ask_for_identity(&mut self, now: Instant) {
        let waits = self.timers.get(Reason::Identity).is_some_and(|at| at > now);
        if !matches!(self.identity, IdentityState::Missing) || waits || self.fatal.is_some() {
            return;
        }
        let id = self.next_call_id();
        self.identity = IdentityState::Asking(id);
        let body = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            ..InitProducerIdRequest::default()
        };
        self.outputs.push_back(Output::Call(Call {
            id,
            target: Target::Any,
            purpose: Purpose::General,
            request: Request::InitProducerId(Box::new(body)),
            timeout: self.config.request_timeout,
        }));
    }

    pub(super) fn on_identity(&mut self, now: Instant, result: Result<(Response, i16), CallError>) {
        self.identity = IdentityState::Missing;
        let error = match result {
            Ok((Response::InitProducerId(body), _)) if body.error_code == 0 => {
                let (id, epoch) = (body.producer_id, body.producer_epoch);
                self.identity = IdentityState::Known(Identity { id, epoch });
                self.timers.stop(Reason::Identity);
                return self.enlist_all();
            }
            Ok((Response::InitProducerId(body), _)) => {
                Error::from_raw_code(body.error_code, "cannot get a producer id")
            }
            Ok(_) => unreachable!("the connection decodes an answer as the API that was asked"),
            Err(CallError::UnsupportedVersion { .. }) => Error::new(
                ErrorKind::Unsupported,
                "the broker knows no producer ids, which enable.idempotence needs: set \
                 enable.idempotence=false",
            )
            .into_fatal(),
            Err(error) => {
                let fatal = matches!(error, CallError::Closed { .. });
                let error = Error::from_call(&error, "cannot get a producer id");
                if fatal { error.into_fatal() } else { error }
            }
        };
        let not_ready = matches!(
            error.code(),
            Some(ErrorCode::CoordinatorLoadInProgress | ErrorCode::ConcurrentTransactions)
        );
        if error.is_fatal() || (error.code().is_some() && !error.is_retriable() && !not_ready) {
            self.fatal = Some(error.into_fatal());
            return;
        }
        let delay = self.retry_delay(0);
        self.timers.set(Reason::Identity, now + delay);
    }

    /// Begins a new epoch for a partition that lost a sequence number, without asking anybody: the
    /// broker takes a higher epoch whose numbers begin at 0 (KIP-360). `None` while a new producer
    /// id is being asked for.
    pub(super) fn raised_identity(&mut self, old: Option<Identity>) -> Option<Identity> {
        let known = self.identity.known()?;
        if old != Some(known) {
            // Another partition has raised it already.
            return Some(known);
        }
        if known.epoch == i16::MAX {
            self.identity = IdentityState::Missing;
            return None;
        }
        let raised = Identity { epoch: known.epoch + 1, ..known };
        self.identity = IdentityState::Known(raised);
        Some(raised)
    }

    /// The broker does not accept this identity any more: ask for another.
    pub(super) fn lose_identity(&mut self, lost: Option<Identity>) {
        if self.identity.known() == lost && lost.is_some() {
            self.identity = IdentityState::Missing;
        }
    }

    pub(super) fn next_call_id(&mut self) -> CallId {
        self.call_next += 1;
        CallId(self.call_next)
    }

    fn enlist_all(&mut self) {
        for slot in 0..self.slot_next() {
            self.enlist(slot);
        }
    }
}
