//! Faults on demand, for the tests of client authors: error answers, delays, dropped connections,
//! throttling, a pause, and counters of what the clients sent.
//!
//! A broker has no [`Faults`] until [`RunningBroker::faults`](crate::RunningBroker::faults) asks
//! for them (`ottla-broker dev --chaos` does); until then they cost one branch a request.
//! [`fault`] has the types, `places` which entries of a message a filter names, `answers` how a
//! code gets into an answer, [`admin`] the port.
//!
//! Of several nodes each has its own; its [`Links`] to the others are at fault on demand as well.
//! [`nodes`] has what is said to all of them together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{ApiKey, Request};
use tokio::sync::watch;

use crate::api::{self, Answer, RequestContext};
use crate::broker::Broker;
use crate::internal::Links;
use crate::quorum::Image;

pub mod admin;
mod answers;
pub mod fault;
pub mod nodes;
mod places;
mod temporary;

pub use fault::{Cut, Effect, Fault, FaultError, Filter, Status};
pub use temporary::Temporary;

/// The faults of one broker, and what it has seen of its clients since there are any.
#[derive(Debug)]
pub struct Faults {
    state: Mutex<State>,
    paused: watch::Sender<bool>,
    broker: Weak<Broker>,
    links: Arc<Links>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which they were added.
    faults: Vec<Status>,
    last_id: u64,
    requests: BTreeMap<(i16, i16), u64>,
}

/// What happens to one request.
#[derive(Debug, Default)]
struct Plan {
    delay: Option<(Duration, bool)>,
    error: Option<(ErrorCode, bool, Filter)>,
    throttle_ms: Option<i32>,
    cut: Option<Cut>,
}

/// What a request led to, and how much of it is told.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) answer: Answer,
    /// The connection ends after this many bytes of the answer's frame.
    pub(crate) cut_after: Option<usize>,
    /// The version that the answer is written in, if not the request's.
    pub(crate) version: Option<i16>,
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        Self { answer, cut_after: None, version: None }
    }
}

impl Faults {
    /// No faults yet.
    pub(crate) fn of(broker: &Arc<Broker>, links: Arc<Links>) -> Self {
        let (state, paused) = (Mutex::default(), watch::Sender::new(false));
        Self { state, paused, broker: Arc::downgrade(broker), links }
    }

    /// The ways from this node to the others.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Forgets all fetch sessions (KIP-227), as a broker does that has no room for them: the next
    /// request of each gets FETCH_SESSION_ID_NOT_FOUND. Answers how many there were.
    pub fn evict_fetch_sessions(&self) -> usize {
        self.broker.upgrade().map_or(0, |broker| broker.fetch_sessions().clear())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a fault and answers its id. Of several of one kind that fit a request, the oldest that
    /// has times left applies.
    ///
    /// # Errors [`FaultError`] when the fault could never apply.
    pub fn add(&self, fault: Fault) -> Result<u64, FaultError> {
        fault.check()?;
        let mut state = self.state();
        state.last_id += 1;
        let id = state.last_id;
        state.faults.push(Status { id, fault, applied: 0 });
        Ok(id)
    }

    /// Every fault since the last [`clear`](Self::clear), also those that are used up, in the order
    /// in which they were added.
    pub fn list(&self) -> Vec<Status> {
        self.state().faults.clone()
    }

    /// Takes one fault away, or all; answers how many there were. A pause is not a fault.
    pub fn clear(&self, id: Option<u64>) -> usize {
        let mut state = self.state();
        let before = state.faults.len();
        state.faults.retain(|status| id.is_some_and(|id| id != status.id));
        before - state.faults.len()
    }

    /// Stops serving: requests wait, answers wait, connections stay open.
    pub fn pause(&self) {
        self.paused.send_replace(true);
    }

    /// Serves again what has waited.
    pub fn resume(&self) {
        self.paused.send_replace(false);
    }

    /// Whether the broker is paused.
    pub fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// How many requests were read since the faults are there, by API and version; also those that
    /// a fault kept from being served.
    pub fn requests(&self) -> BTreeMap<(ApiKey, i16), u64> {
        let known = |(&(api, version), &count): (&(i16, i16), &u64)| {
            let api = ApiKey::from_code(api).expect("only requests that were read are counted");
            ((api, version), count)
        };
        self.state().requests.iter().map(known).collect()
    }

    /// Serves a request as [`api::dispatch`] does, with the faults that fit it.
    pub(crate) async fn serve(&self, context: &RequestContext, mut request: Request) -> Outcome {
        let api = request.api_key();
        *self.state().requests.entry((api.code(), context.api_version)).or_insert(0) += 1;
        self.resumed(context).await;
        let image = context.broker.image();
        let plan = self.plan(&request, &image);
        let wait = |after: bool| match plan.delay {
            Some((delay, is_after)) if is_after == after => delay,
            _ => Duration::ZERO,
        };
        unless_stopped(context, tokio::time::sleep(wait(false))).await;
        if let Some(Cut::Before) = plan.cut {
            return Answer::Close("a fault drops the connection before the request".into()).into();
        }
        let refused = match &plan.error {
            Some((code, false, filter)) => answers::refuse(&mut request, *code, filter, &image),
            _ => None,
        };
        let mut answer = match refused {
            Some(response) => Answer::Response(response),
            None => api::dispatch(context, request).await,
        };
        if let Some((code, _, filter)) = &plan.error {
            // The image again: the request may have made the topic.
            answer = answers::put_into(answer, *code, filter, &context.broker.image());
        }
        if let (Answer::Response(response), Some(ms)) = (&mut answer, plan.throttle_ms) {
            answers::throttle(response, ms);
        }
        unless_stopped(context, tokio::time::sleep(wait(true))).await;
        self.resumed(context).await;
        let cut_after = match (plan.cut, &answer) {
            (Some(Cut::After), _) | (Some(Cut::Bytes(_)), Answer::Silence) => {
                let reason = "a fault drops the connection after the request";
                return Answer::Close(reason.into()).into();
            }
            (Some(Cut::Bytes(bytes)), _) => Some(bytes),
            _ => None,
        };
        // AV-02: who asks in a version that is not known is answered in version 0.
        let unsupported =
            plan.error.is_some_and(|(code, ..)| code == ErrorCode::UnsupportedVersion);
        let version = (unsupported && api == ApiKey::ApiVersions).then_some(0);
        Outcome { answer, cut_after, version }
    }

    /// Decides what happens to a request.
    fn plan(&self, request: &Request, image: &Image) -> Plan {
        let mut state = self.state();
        let mut take = |kind: fn(&Effect) -> bool| {
            let fits = |status: &&mut Status| {
                kind(&status.fault.effect) && status.is_live() && status.fault.fits(request, image)
            };
            let status = state.faults.iter_mut().find(fits)?;
            status.applied += 1;
            let (api, fault) = (request.api_key().name(), &status.fault);
            tracing::info!(id = status.id, api, effect = ?fault.effect, "a fault applies");
            Some(fault.clone())
        };
        let mut plan = Plan::default();
        if let Some(Effect::Delay { delay, after }) =
            take(|effect| matches!(effect, Effect::Delay { .. })).map(|fault| fault.effect)
        {
            plan.delay = Some((delay, after));
        }
        if let Some(Effect::Drop(cut)) =
            take(|effect| matches!(effect, Effect::Drop(_))).map(|fault| fault.effect)
        {
            plan.cut = Some(cut);
        }
        if plan.cut == Some(Cut::Before) {
            return plan;
        }
        if let Some(Fault { effect: Effect::Error { code, after }, filter, .. }) =
            take(|effect| matches!(effect, Effect::Error { .. }))
        {
            plan.error = Some((code, after, filter));
        }
        if let Some(Effect::Throttle { ms }) =
            take(|effect| matches!(effect, Effect::Throttle { .. })).map(|fault| fault.effect)
        {
            plan.throttle_ms = Some(ms);
        }
        plan
    }

    /// Waits while the broker is paused.
    async fn resumed(&self, context: &RequestContext) {
        let mut paused = self.paused.subscribe();
        let resumed = async { drop(paused.wait_for(|paused| !paused).await) };
        unless_stopped(context, resumed).await;
    }
}

/// Waits, but not longer than the broker runs.
async fn unless_stopped(context: &RequestContext, waiting: impl Future<Output = ()>) {
    let mut stop = context.broker.stop();
    tokio::select! {
        biased;
        () = waiting => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// The faults of a broker as its connections see them.
pub(crate) type Installed = std::sync::OnceLock<Arc<Faults>>;
