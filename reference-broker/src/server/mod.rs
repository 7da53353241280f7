//! Sockets: accept connections, cut frames, serve one request of a connection at a time, in order
//! (FRM-04).
//!
//! A connection is one task. It never reads the next request before the last one was answered (as
//! Apache Kafka mutes a channel meanwhile), so order needs no queue, and what a client can have in
//! memory here is one frame. Large frames pay for their bytes from a common `budget`, which bounds
//! the rest.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::broker::Broker;
use crate::runtime::{TcpListener, TcpStream};

mod budget;
mod connection;
mod request;

use budget::Budget;
pub(crate) use connection::write_all;

/// How long to wait after a failed accept: long enough not to spin while there are no file
/// descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// How long the requests under way at a shutdown may take.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    broker: Arc<Broker>,
    budget: Budget,
    /// Frames above this are refused.
    frame_len_max: usize,
    idle_max: Duration,
    open: Mutex<Open>,
}

/// The connections that are open.
#[derive(Debug, Default)]
struct Open {
    count: usize,
    by_ip: HashMap<IpAddr, usize>,
}

impl Shared {
    /// Counts a connection, or says which property forbids it. Both can be changed at run time.
    fn admit(&self, from: IpAddr) -> Result<(), &'static str> {
        let config = self.broker.effective_config();
        let limit = |name| usize::try_from(config.int(name)).unwrap_or(usize::MAX);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.count >= limit("max.connections") {
            return Err("max.connections");
        }
        if open.by_ip.get(&from).is_some_and(|count| *count >= limit("max.connections.per.ip")) {
            return Err("max.connections.per.ip");
        }
        open.count += 1;
        *open.by_ip.entry(from).or_default() += 1;
        Ok(())
    }

    fn forget(&self, from: IpAddr) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.count -= 1;
        if let Some(count) = open.by_ip.get_mut(&from) {
            *count -= 1;
            if *count == 0 {
                open.by_ip.remove(&from);
            }
        }
    }
}

/// Accepts connections until `stop` turns true, then lets the requests under way end.
pub(crate) async fn serve(
    listener: TcpListener,
    broker: Arc<Broker>,
    mut stop: watch::Receiver<bool>,
) {
    let config = broker.config();
    let shared = Arc::new(Shared {
        budget: Budget::new(config.long("queued.max.request.bytes")),
        frame_len_max: usize::try_from(config.int("socket.request.max.bytes"))
            .unwrap_or(usize::MAX),
        idle_max: config.duration_ms("connections.max.idle.ms"),
        open: Mutex::default(),
        broker: Arc::clone(&broker),
    });
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Err(limit) = shared.admit(peer.ip()) {
                    broker.metrics().on_refused();
                    tracing::warn!(%peer, "closed: {limit} is reached");
                    continue;
                }
                broker.metrics().on_connection();
                let task = run_connection(Arc::clone(&shared), stream, peer, stop.clone());
                connections.spawn(task);
            }
            Err(error) => {
                // EMFILE and ENFILE stay until a connection closes: accepting again at once would
                // spin.
                tracing::warn!(%error, "cannot accept a connection, trying again shortly");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_GRACE, drained).await.is_err() {
        let open = shared.open.lock().unwrap_or_else(PoisonError::into_inner).count;
        tracing::info!(open, "closing busy connections");
    }
    connections.shutdown().await;
}

async fn run_connection(
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
    stop: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
    }
    let reason = connection::run(&shared, stream, peer, stop).await;
    shared.forget(peer.ip());
    shared.broker.metrics().on_disconnection();
    match reason {
        connection::Closed::ByPeer => tracing::debug!(%peer, "closed by the client"),
        connection::Closed::Quietly(reason) => tracing::debug!(%peer, "closed: {reason}"),
        connection::Closed::Refused(reason) => {
            shared.broker.metrics().on_refused();
            tracing::warn!(%peer, "closed: {reason}");
        }
    }
}
