//! Sockets: accept connections, cut frames, serve one request of a connection at a time, in order
//! (FRM-04).
//!
//! A connection is one task. It never reads the next request before the last one was answered (as
//! Apache Kafka mutes a channel meanwhile), so order needs no queue, and what a client can have in
//! memory here is one frame. Large frames pay for their bytes from a common `budget`, which bounds
//! the rest.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    open: AtomicUsize,
}

/// Accepts connections until `stop` turns true, then lets the requests under way end.
pub(crate) async fn serve(
    listener: TcpListener,
    broker: Arc<Broker>,
    mut stop: watch::Receiver<bool>,
) {
    let config = broker.config();
    let connections_max = usize::try_from(config.int("max.connections")).unwrap_or(usize::MAX);
    let shared = Arc::new(Shared {
        budget: Budget::new(config.long("queued.max.request.bytes")),
        frame_len_max: usize::try_from(config.int("socket.request.max.bytes"))
            .unwrap_or(usize::MAX),
        idle_max: config.duration_ms("connections.max.idle.ms"),
        open: AtomicUsize::new(0),
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
                if shared.open.load(Ordering::Relaxed) >= connections_max {
                    broker.metrics().on_refused();
                    tracing::warn!(%peer, connections_max, "closed: max.connections is reached");
                    continue;
                }
                shared.open.fetch_add(1, Ordering::Relaxed);
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
        tracing::info!(open = shared.open.load(Ordering::Relaxed), "closing busy connections");
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
    shared.open.fetch_sub(1, Ordering::Relaxed);
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
