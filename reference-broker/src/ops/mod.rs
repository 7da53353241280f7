//! What operators look at, over HTTP: metrics for Prometheus at `/metrics`, and at `/health`
//! whether a produce would work. Nothing is served unless `ops.listener` says where.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use serde_json::json;

use crate::broker::Broker;

mod cluster;
mod events;
mod http;
mod metrics;

pub(crate) use events::observe;
pub(crate) use http::serve;
pub(crate) use metrics::Metrics;

/// What the two paths are answered from, from the moment at which the port is open.
#[derive(Debug, Default)]
pub(crate) struct Ops {
    /// Set when the broker serves.
    broker: OnceLock<Weak<Broker>>,
    /// What a broker that starts waits for.
    waits_for: Mutex<&'static str>,
}

/// How the broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Health {
    /// It is not in service yet, and what it waits for.
    Starting(&'static str),
    /// A produce would work.
    Ready,
    /// It answers what is under way and ends.
    Stopping,
    /// It serves less than it should, and why.
    Failing(Vec<String>),
}

impl Ops {
    /// What the broker waits for from now on.
    pub(crate) fn starting(&self, waits_for: &'static str) {
        *self.waits_for.lock().unwrap_or_else(PoisonError::into_inner) = waits_for;
    }

    /// From now on the broker serves.
    pub(crate) fn ready(&self, broker: &Arc<Broker>) {
        let first = self.broker.set(Arc::downgrade(broker));
        debug_assert!(first.is_ok(), "a broker starts once");
    }

    fn broker(&self) -> Option<Arc<Broker>> {
        self.broker.get()?.upgrade()
    }

    fn health(&self) -> Health {
        match (self.broker.get(), self.broker()) {
            (None, _) => {
                Health::Starting(*self.waits_for.lock().unwrap_or_else(PoisonError::into_inner))
            }
            (Some(_), None) => Health::Stopping,
            (Some(_), Some(broker)) => broker.health(),
        }
    }

    /// The metrics in OpenMetrics' text form; those of the process alone while the broker starts.
    fn metrics(&self) -> Result<String, fmt::Error> {
        metrics::text(self.broker().as_ref(), self.health() == Health::Ready)
    }
}

impl Health {
    /// 200 for ready, else 503.
    fn status(&self) -> u16 {
        if *self == Self::Ready { 200 } else { 503 }
    }

    fn json(&self) -> String {
        let (status, reasons) = match self {
            Self::Starting(waits_for) => ("starting", vec![(*waits_for).to_owned()]),
            Self::Ready => ("ready", Vec::new()),
            Self::Stopping => ("stopping", Vec::new()),
            Self::Failing(reasons) => ("failing", reasons.clone()),
        };
        format!("{}\n", json!({"status": status, "reasons": reasons}))
    }
}

impl Broker {
    /// Whether a produce would work, as far as this node can tell.
    pub(crate) fn health(&self) -> Health {
        if *self.parts.stop.borrow() {
            return Health::Stopping;
        }
        let mut reasons = Vec::new();
        for (folder, cause) in self.partitions().failed_dirs() {
            reasons.push(format!("{} is out of service: {cause}", folder.display()));
        }
        let offline = self.partitions().counts().offline;
        if offline > 0 {
            reasons.push(format!("{offline} partitions are offline, their logs are damaged"));
        }
        let own = self.image().brokers.get(&self.node_id()).cloned();
        match own {
            None => reasons.push("the controller has unregistered this broker".into()),
            Some(own) if own.epoch != self.parts.broker_epoch => {
                reasons.push("another process has registered with this node.id".into());
            }
            Some(own) if own.fenced => reasons.push(
                "fenced: the controller has not heard of this broker for \
                 broker.session.timeout.ms, or all its data folders have failed"
                    .into(),
            ),
            Some(_) => {}
        }
        if self.parts.metadata.controller().is_none() {
            reasons
                .push("no controller: the metadata quorum has no leader that reaches here".into());
        }
        if reasons.is_empty() { Health::Ready } else { Health::Failing(reasons) }
    }
}

#[cfg(test)]
mod tests;
