//! Finding the broker of a call, and its connection.

use super::connection::ConnectionHandle;
use super::{CallResult, Endpoint, Network, lock};
use ottla_engine::call::{CallError, Purpose};
use ottla_engine::cluster::BrokerAddress;
use ottla_engine::error::{Error, ErrorKind};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{FindCoordinatorRequest, Request, Response};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;

impl Network {
    /// One broker's address.
    pub(super) fn broker(&self, node_id: i32) -> Result<BrokerAddress, CallError> {
        let metadata = self.inner.metadata.load();
        metadata.broker(node_id).cloned().ok_or_else(|| {
            CallError::NoBroker(format!("broker {node_id} is not in the cluster's metadata"))
        })
    }

    /// The coordinator of a group, asked for where it is not known.
    pub(super) async fn coordinator(&self, group: &str) -> Result<BrokerAddress, CallError> {
        if let Some(broker) = lock(&self.inner.coordinators).get(group) {
            return Ok(broker.clone());
        }
        let body = FindCoordinatorRequest {
            key: group.to_owned(),
            coordinator_keys: vec![group.to_owned()],
            ..Default::default()
        };
        let request = Request::FindCoordinator(Box::new(body));
        let timeout = self.inner.config.request_timeout;
        let (response, _) = self.call_any(Purpose::General, request, timeout).await?;
        let Response::FindCoordinator(body) = response else {
            unreachable!("the connection decodes an answer as the API that was asked")
        };
        let Some(found) = body.coordinators.first() else {
            let reason = "the answer to FindCoordinator names no coordinator".to_owned();
            return Err(CallError::Decode(reason));
        };
        if found.error_code != 0 {
            let name = ErrorCode::from_code(found.error_code).map_or("unknown", |code| code.name());
            let reason = format!("no coordinator for group \"{group}\": {name}");
            return Err(CallError::NoBroker(reason));
        }
        let port = u16::try_from(found.port)
            .map_err(|_| CallError::Decode(format!("a coordinator's port is {}", found.port)))?;
        let (node_id, host) = (found.node_id, found.host.clone());
        let broker = BrokerAddress { node_id, host, port, rack: None };
        lock(&self.inner.coordinators).insert(group.to_owned(), broker.clone());
        Ok(broker)
    }

    /// Asks one broker.
    pub(super) async fn call_broker(
        &self,
        broker: &BrokerAddress,
        purpose: Purpose,
        request: Request,
        timeout: Duration,
    ) -> CallResult {
        let handle = self.connection(Endpoint::Node(broker.node_id), purpose, broker);
        handle.ask(request, timeout).await
    }

    /// Asks the brokers in turn, then the bootstrap servers, until one can be reached.
    ///
    /// What may be asked twice is asked of the next one as well where no answer comes for
    /// `retry.backoff.max.ms`: a process that is stopped, or cut off, keeps its connections.
    pub(super) async fn call_any(
        &self,
        purpose: Purpose,
        request: Request,
        timeout: Duration,
    ) -> CallResult {
        let may_repeat = may_be_asked_twice(&request);
        let mut last = CallError::NoBroker("no broker is known".to_owned());
        let mut candidates = self.candidates().into_iter().peekable();
        let mut asked = JoinSet::new();
        loop {
            if let Some((endpoint, broker)) = candidates.next() {
                let handle = self.connection(endpoint, purpose, &broker);
                asked.spawn(handle.ask(request.clone(), timeout));
            }
            let goes_on = may_repeat && candidates.peek().is_some();
            let wait = if goes_on { self.inner.config.retry_backoff.1 } else { Duration::MAX };
            match tokio::time::timeout(wait, asked.join_next()).await {
                Err(_) => {}
                Ok(Some(Ok(Err(error))))
                    if error.is_retriable() && (may_repeat || !error.possibly_sent()) =>
                {
                    last = error;
                }
                Ok(Some(Ok(result))) => return result,
                // The task ends before its time only with the runtime.
                Ok(Some(Err(_))) => return Err(CallError::Closed { possibly_sent: true }),
                Ok(None) => return Err(last),
            }
        }
    }

    /// The bootstrap servers in turn; which of them can be reached, and why the others cannot.
    pub(super) async fn bootstrap(&self) -> Result<(), Error> {
        let mut reasons = Vec::new();
        let first = self.inner.rotation.fetch_add(1, Ordering::Relaxed);
        let servers = self.bootstrap_servers();
        for step in 0..servers.len() {
            let (endpoint, broker) = &servers[(first.wrapping_add(step)) % servers.len()];
            match self.ask_metadata(Some((*endpoint, broker.clone()))).await {
                Ok(()) => return Ok(()),
                Err(error) => reasons.push(error.to_string()),
            }
        }
        self.close();
        let text = if servers.is_empty() {
            return Err(Error::new(
                ErrorKind::Config,
                "bootstrap.servers is empty: set it to the address of a broker, \
                 for example \"127.0.0.1:9092\"",
            ));
        } else {
            reasons.join("; ")
        };
        Err(Error::new(
            ErrorKind::Unreachable,
            format!(
                "cannot reach the cluster: {text}; check that bootstrap.servers names a broker's \
                 address and that the broker is running"
            ),
        ))
    }

    pub(super) fn bootstrap_servers(&self) -> Vec<(Endpoint, BrokerAddress)> {
        let address = |(index, (host, port)): (usize, &(String, u16))| {
            let broker = BrokerAddress { node_id: -1, host: host.clone(), port: *port, rack: None };
            (Endpoint::Bootstrap(index), broker)
        };
        self.inner.config.bootstrap.iter().enumerate().map(address).collect()
    }

    /// Known brokers first, those in trouble last; then the bootstrap servers, in case all known
    /// ones are gone (KIP-899).
    ///
    /// A broker that did not answer another purpose's call is in trouble too, for
    /// `retry.backoff.max.ms`: a leader that is cut off from the others still says that it leads.
    fn candidates(&self) -> Vec<(Endpoint, BrokerAddress)> {
        let metadata = self.metadata();
        let mut brokers: Vec<_> = metadata
            .brokers()
            .map(|broker| (Endpoint::Node(broker.node_id), broker.clone()))
            .collect();
        if !brokers.is_empty() {
            let first = self.inner.rotation.fetch_add(1, Ordering::Relaxed) % brokers.len();
            brokers.rotate_left(first);
        }
        let while_in_trouble = self.inner.config.retry_backoff.1;
        let (mut in_use, mut in_trouble) = (BTreeSet::new(), BTreeSet::new());
        for ((endpoint, _), handle) in lock(&self.inner.connections).iter() {
            in_use.insert(*endpoint);
            if handle.has_failed_within(while_in_trouble) {
                in_trouble.insert(*endpoint);
            }
        }
        // One that is talked to already is the likeliest to answer; the sort is stable.
        brokers.sort_by_key(|(endpoint, _)| {
            (in_trouble.contains(endpoint), !in_use.contains(endpoint))
        });
        brokers.extend(self.bootstrap_servers());
        brokers
    }

    /// The connection to an endpoint, made where there is none or where the broker has moved.
    pub(super) fn connection(
        &self,
        endpoint: Endpoint,
        purpose: Purpose,
        broker: &BrokerAddress,
    ) -> ConnectionHandle {
        let address = (broker.host.clone(), broker.port);
        let mut connections = lock(&self.inner.connections);
        if let Some(handle) = connections.get(&(endpoint, purpose))
            && handle.address == address
        {
            return handle.clone();
        }
        let (inner, closed) = (&self.inner, self.inner.is_closed.subscribe());
        let handle = ConnectionHandle::spawn(&inner.config, address, purpose, inner.start, closed);
        // After close() nothing is kept: the handle ends with this call.
        if !*self.inner.is_closed.borrow() {
            connections.insert((endpoint, purpose), handle.clone());
        }
        handle
    }

    /// Drops the bootstrap connections and those to brokers that are gone; what they were sent may
    /// still be answered.
    pub(super) fn prune_connections(&self) {
        let metadata = self.metadata();
        let coordinators = lock(&self.inner.coordinators).clone();
        lock(&self.inner.connections).retain(|(endpoint, _), _| match endpoint {
            Endpoint::Node(id) => {
                metadata.broker(*id).is_some()
                    || coordinators.values().any(|broker| broker.node_id == *id)
            }
            Endpoint::Bootstrap(_) => metadata.brokers().len() == 0,
        });
    }
}

/// Whether it does no harm when two brokers are asked the same.
fn may_be_asked_twice(request: &Request) -> bool {
    matches!(
        request,
        Request::Metadata(_)
            | Request::FindCoordinator(_)
            | Request::DescribeCluster(_)
            | Request::InitProducerId(_)
    )
}
