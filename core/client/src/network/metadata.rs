//! The task that keeps the metadata.

use super::{Endpoint, Inner, Network, lock};
use ottla_engine::call::{CallError, Purpose};
use ottla_engine::cluster::{BrokerAddress, Refresh, Seed};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::metadata::MetadataRequestTopic;
use ottla_protocol::messages::{MetadataRequest, Request, Response};
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

/// Starts the task. It holds no handle while it waits, and ends when the last one is dropped.
pub(super) fn spawn(network: &Network) {
    let config = &network.inner.config;
    let (retry, retry_max) = config.retry_backoff;
    let seed = Seed::new(config.seed).derive(1);
    let mut refresh = Refresh::new(config.metadata_max_age, retry, retry_max, seed);
    refresh.handle_asking();
    refresh.handle_success(network.now());
    let inner = Arc::downgrade(&network.inner);
    let wake = network.inner.wake_metadata.clone();
    tokio::spawn(async move { run(inner, wake, refresh).await });
}

async fn run(inner: Weak<Inner>, wake: Arc<Notify>, mut refresh: Refresh) {
    while let Some(network) = upgrade(&inner) {
        if let Some(urgency) = lock(&network.inner.wants).urgency.take() {
            refresh.handle_request(network.now(), urgency);
        }
        let due = refresh.poll_timeout().expect("invariant: no answer is on its way here");
        if due > network.now() {
            let deadline = network.deadline(due);
            drop(network);
            let _ = tokio::time::timeout_at(deadline, wake.notified()).await;
            continue;
        }
        refresh.handle_asking();
        lock(&network.inner.wants).urgency = None;
        match network.ask_metadata(None).await {
            Ok(()) => refresh.handle_success(network.now()),
            Err(error) => {
                tracing::warn!(%error, "cannot refresh the metadata");
                refresh.handle_failure(network.now());
            }
        }
    }
}

fn upgrade(inner: &Weak<Inner>) -> Option<Network> {
    let inner = inner.upgrade()?;
    let is_closed = *inner.is_closed.borrow();
    (!is_closed).then_some(Network { inner })
}

impl Network {
    /// Asks a bootstrap server, or any broker, and publishes the answer.
    pub(super) async fn ask_metadata(
        &self,
        server: Option<(Endpoint, BrokerAddress)>,
    ) -> Result<(), CallError> {
        let wanted: Vec<String> = lock(&self.inner.wants).topics.keys().cloned().collect();
        let topic = |name| MetadataRequestTopic { name: Some(name), ..Default::default() };
        let body = MetadataRequest {
            topics: Some(wanted.into_iter().map(topic).collect()),
            allow_auto_topic_creation: self.inner.config.allow_auto_create,
            ..Default::default()
        };
        let request = Request::Metadata(Box::new(body));
        let timeout = self.inner.config.request_timeout;
        let is_first_choice = server.is_none();
        let (response, _) = match server {
            None => self.call_any(Purpose::General, request, timeout).await?,
            Some((endpoint, broker)) => {
                let handle = self.connection(endpoint, Purpose::General, &broker);
                handle.ask(request, timeout).await?
            }
        };
        let Response::Metadata(body) = response else {
            unreachable!("the connection decodes an answer as the API that was asked")
        };
        if is_first_choice && body.error_code == ErrorCode::RebootstrapRequired.code() {
            return Box::pin(self.ask_bootstrap()).await;
        }
        if body.brokers.is_empty() {
            // An empty list with error 0 is no knowledge: keep what is known (trap 15).
            let reason = "the answer to Metadata names no broker".to_owned();
            return Err(CallError::NoBroker(reason));
        }
        self.publish(|current| current.updated(&body, false));
        self.prune_connections();
        Ok(())
    }

    /// Begins again with the bootstrap servers: no broker that is known knows the cluster any more
    /// (KIP-1102).
    async fn ask_bootstrap(&self) -> Result<(), CallError> {
        let mut last = CallError::NoBroker("bootstrap.servers is empty".to_owned());
        for server in self.bootstrap_servers() {
            match self.ask_metadata(Some(server)).await {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}
