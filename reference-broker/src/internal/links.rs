//! Faults of the ways between nodes, for tests: what a node says to another one waits, or does not
//! arrive.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

/// What befalls messages to one node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Link {
    /// They do not arrive. Those that wait do when it ends, if their connection is still there.
    pub cut: bool,
    /// They wait so long.
    pub delay: Duration,
}

/// The links of one node to the others that are not as they should be.
#[derive(Debug, Default)]
pub struct Links {
    links: watch::Sender<BTreeMap<i32, Link>>,
}

impl Links {
    /// From now on it is so with requests and answers to the node `to`.
    pub fn set(&self, to: i32, link: Link) {
        self.links.send_modify(|links| _ = links.insert(to, link));
    }

    /// All are as they should be again.
    pub fn heal(&self) {
        self.links.send_modify(BTreeMap::clear);
    }

    /// Those that were set, by node.
    pub fn list(&self) -> BTreeMap<i32, Link> {
        self.links.borrow().clone()
    }

    /// Resolves when a message to this node is on its way.
    pub(crate) async fn pass(&self, to: i32) {
        let Some(delay) = self.links.borrow().get(&to).map(|link| link.delay) else { return };
        tokio::time::sleep(delay).await;
        let is_open = |links: &BTreeMap<i32, Link>| !links.get(&to).is_some_and(|link| link.cut);
        drop(self.links.subscribe().wait_for(is_open).await);
    }
}
