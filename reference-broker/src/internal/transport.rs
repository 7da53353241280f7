//! The ways to all other nodes, for one purpose: requests of one purpose never wait for those of
//! another.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ottla_raft::{Node, Transport};

use super::{Hello, Links, Peer, RAFT};
use crate::config::Listener;

/// The other nodes by id.
#[derive(Debug)]
pub struct Peers {
    own: Hello,
    /// Addresses that the configuration gives; they win over what the quorum has noted, so that a
    /// cluster may move.
    configured: BTreeMap<i32, Listener>,
    links: Arc<Links>,
    peers: Mutex<BTreeMap<i32, (Listener, Arc<Peer>)>>,
}

impl Peers {
    /// Peers that are told `own`, at the addresses that are configured for them.
    pub fn new(
        own: Hello,
        configured: impl IntoIterator<Item = (i32, Listener)>,
        links: Arc<Links>,
    ) -> Self {
        Self { own, configured: configured.into_iter().collect(), links, peers: Mutex::default() }
    }

    /// The way to a node whose address is `host` and `port` as far as the caller knows.
    pub fn to(&self, node_id: i32, host: &str, port: u16) -> Arc<Peer> {
        let (host, port) = match self.configured.get(&node_id) {
            Some(listener) => (listener.host.as_str(), listener.port),
            None => (host, port),
        };
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, peer)) = peers.get(&node_id)
            && (at.host.as_str(), at.port) == (host, port)
        {
            return Arc::clone(peer);
        }
        let peer = Arc::new(Peer::new(self.own.to(node_id), host, port).over(&self.links, node_id));
        let at = Listener { host: host.to_owned(), port };
        peers.insert(node_id, (at, Arc::clone(&peer)));
        peer
    }
}

impl Transport for Peers {
    fn call(
        &self,
        to: &Node,
        request: Bytes,
        deadline: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, String>> + Send + '_>> {
        let peer = self.to(to.id, &to.host, to.port);
        Box::pin(async move {
            peer.call(RAFT, 0, &request, deadline).await.map_err(|error| error.to_string())
        })
    }
}
