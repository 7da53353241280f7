//! What two nodes say to each other before anything else.
//!
//! A node of another cluster, a second node of the same id and an address that has gone to another
//! node are found here, before one of them can do harm.

use ottla_protocol::Uuid;
use serde::{Deserialize, Serialize};

/// The first request of every connection between nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The cluster of who connects.
    pub cluster_id: String,
    /// Its node id.
    pub node_id: i32,
    /// Its data folder (M15), as text.
    pub directory: String,
    /// The node that it expects to reach, where it knows its id.
    pub to: Option<i32>,
    /// The ids in its `controller.quorum.voters`, in order.
    #[serde(default)]
    pub voters: Vec<i32>,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// Its node id.
    pub node_id: i32,
    /// Its data folder (M15), as text.
    pub directory: String,
    /// Whether it knows the voters of a cluster that has formed.
    pub formed: bool,
    /// The ids in its `controller.quorum.voters`, in order.
    #[serde(default)]
    pub voters: Vec<i32>,
}

/// The answer to [`Hello`]; after a refusal the connection ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HelloAnswer {
    /// Who answers.
    Introduced(Introduction),
    /// Why not.
    Refused(String),
}

impl Hello {
    /// What this node says of itself to nobody in particular.
    pub fn new(cluster_id: &str, node_id: i32, directory: Uuid) -> Self {
        let (cluster_id, directory) = (cluster_id.to_owned(), directory.to_string());
        Self { cluster_id, node_id, directory, to: None, voters: Vec::new() }
    }

    /// The same, from a node with these `controller.quorum.voters`.
    #[must_use]
    pub fn of_voters(mut self, ids: impl Iterator<Item = i32>) -> Self {
        self.voters = ids.collect();
        self.voters.sort_unstable();
        self
    }

    /// The same, said to this node.
    #[must_use]
    pub fn to(&self, node_id: i32) -> Self {
        Self { to: Some(node_id), ..self.clone() }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers have a form in JSON")
    }

    /// Why the node that is `self` does not talk to who says `other`.
    pub(super) fn refuse(&self, other: &Self) -> Option<String> {
        let own = self.node_id;
        if other.cluster_id != self.cluster_id {
            return Some(format!(
                "node {own} is of cluster {}, not {}: check the addresses and cluster.id",
                self.cluster_id, other.cluster_id
            ));
        }
        if let Some(to) = other.to.filter(|to| *to != own) {
            return Some(format!("this is node {own}, not node {to}: check the addresses"));
        }
        (other.node_id == own && other.directory != self.directory)
            .then(|| format!("there are two nodes with node.id {own}: give one of them another"))
    }
}

impl HelloAnswer {
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers have a form in JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_node_that_was_meant_takes_a_connection() {
        let one = Hello::new("c", 1, Uuid([1; 16]));
        let two = Hello::new("c", 2, Uuid([2; 16]));
        assert_eq!(two.refuse(&one.to(2)), None);
        assert!(two.refuse(&one.to(3)).unwrap().contains("this is node 2, not node 3"));
        let elsewhere = Hello::new("d", 1, Uuid([1; 16]));
        assert!(two.refuse(&elsewhere).unwrap().contains("is of cluster c, not d"));
        let twin = Hello::new("c", 2, Uuid([3; 16]));
        assert!(two.refuse(&twin).unwrap().contains("two nodes with node.id 2"));
        assert_eq!(two.refuse(&two), None);
    }
}
