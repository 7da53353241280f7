//! What makes a node one of several: the quorum's voters and the listener between nodes.

use std::collections::BTreeSet;
use std::time::Duration;

use super::property::{ConfigError, split_list};
use super::{Config, Listener};

const VOTERS: &str = "controller.quorum.voters";
const SERVERS: &str = "controller.quorum.bootstrap.servers";

/// The configuration of a node that is one of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumConfig {
    /// Where it listens for the other nodes.
    pub listener: Listener,
    /// Where the other nodes are told to connect; unset stands for the bound address.
    pub advertised: Option<Listener>,
    /// The first voters: node ids and their listeners between nodes. A cluster that has formed
    /// keeps its own list.
    pub voters: Vec<(i32, Listener)>,
    /// Other nodes to ask when joining a cluster that has formed.
    pub servers: Vec<Listener>,
    /// The least time without a leader before an election; the most is twice that.
    pub election_timeout: Duration,
    /// The deadline of a request to the controller.
    pub request_timeout: Duration,
    /// Whether a node that lost its data folder takes its vote back by itself (M15).
    pub auto_join: bool,
}

impl Config {
    /// Which quorum this node belongs to; none for a cluster of one.
    ///
    /// # Errors
    /// When the properties that only make sense together do not.
    pub fn quorum(&self) -> Result<Option<QuorumConfig>, ConfigError> {
        let voters = parse_voters(self.text(VOTERS))?;
        let own = self.text("inter.broker.listener.name");
        let listener = self.listener_named("listeners", own);
        let mut servers = parse_servers(self.text(SERVERS))?;
        let advertised = self.listener_named("advertised.listeners", own);
        // Apache Kafka's own server.properties names itself as the server to ask.
        let is_own = |server: &Listener| {
            let own = listener.iter().chain(&advertised);
            let own = own.filter(|own| own.port == server.port).map(|own| own.host.as_str());
            let own: Vec<&str> = own.collect();
            own.contains(&server.host.as_str())
                || (!own.is_empty() && ["localhost", "127.0.0.1"].contains(&server.host.as_str()))
        };
        if voters.is_empty() && servers.iter().all(is_own) {
            return Ok(None);
        }
        servers.retain(|server| !is_own(server));
        if self.text("controller.listener.names") != own || own == "PLAINTEXT" {
            return Err(ConfigError(format!(
                "controller.listener.names is {} and inter.broker.listener.name is {own}: give \
                 both the name of one listener that is not PLAINTEXT",
                self.text("controller.listener.names")
            )));
        }
        let Some(listener) = listener else {
            return Err(ConfigError(format!(
                "{VOTERS} or {SERVERS} is set, but listeners has no {own} listener: add \
                 {own}://host:port"
            )));
        };
        let node_id = self.node_id();
        if let Some((_, voter)) = voters.iter().find(|(id, _)| *id == node_id)
            && voter.port != listener.port
        {
            return Err(ConfigError(format!(
                "node.id {node_id} has port {} in {VOTERS}, but its {own} listener has port {}: \
                 make them equal, or give the node its own node.id",
                voter.port, listener.port
            )));
        }
        Ok(Some(QuorumConfig {
            listener,
            advertised,
            voters,
            servers,
            election_timeout: self.duration_ms("controller.quorum.election.timeout.ms"),
            request_timeout: self.duration_ms("controller.quorum.request.timeout.ms"),
            auto_join: self.bool("controller.quorum.auto.join.enable"),
        }))
    }
}

/// Checks the text of one of the two lists when it is set.
pub(super) fn check(name: &str, value: &str) -> Result<(), ConfigError> {
    match name {
        VOTERS => parse_voters(value).map(drop),
        SERVERS => parse_servers(value).map(drop),
        _ => Ok(()),
    }
}

fn parse_voters(text: &str) -> Result<Vec<(i32, Listener)>, ConfigError> {
    let mut ids = BTreeSet::new();
    let voter = |word: &str| {
        let fail = |reason: &str| {
            ConfigError(format!("invalid value '{text}' for {VOTERS}: {reason} in '{word}'"))
        };
        let (id, address) =
            word.split_once('@').ok_or_else(|| fail("expected id@host:port, found no @"))?;
        let id = id.parse().ok().filter(|id| *id >= 0);
        let id: i32 = id.ok_or_else(|| fail("the id must be between 0 and 2147483647"))?;
        if !ids.insert(id) {
            return Err(fail(&format!("node id {id} stands twice")));
        }
        Ok((id, address_of(address).ok_or_else(|| fail("expected host:port after the @"))?))
    };
    split_list(text).map(voter).collect()
}

fn parse_servers(text: &str) -> Result<Vec<Listener>, ConfigError> {
    let server = |word: &str| {
        address_of(word).ok_or_else(|| {
            ConfigError(format!(
                "invalid value '{text}' for {SERVERS}: expected host:port, found '{word}'"
            ))
        })
    };
    split_list(text).map(server).collect()
}

/// Another node's address: it has a host, and a port that is not 0.
fn address_of(text: &str) -> Option<Listener> {
    Listener::parse_address(text).filter(|address| !address.host.is_empty() && address.port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Config {
        Config::new()
            .set("listeners", "PLAINTEXT://127.0.0.1:0,INTERNAL://127.0.0.1:7001")
            .and_then(|config| config.set(VOTERS, "1@h:7001,2@h:7002,3@[::1]:7003"))
            .unwrap()
    }

    #[test]
    fn voters_are_read_with_their_ids_and_addresses() {
        let quorum = three().quorum().unwrap().unwrap();
        assert_eq!(quorum.listener.port, 7001);
        let ids: Vec<i32> = quorum.voters.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [1, 2, 3]);
        assert_eq!(quorum.voters[2].1, Listener { host: "::1".into(), port: 7003 });
        assert_eq!(Config::new().quorum(), Ok(None));
    }

    #[test]
    fn lists_that_cannot_be_meant_are_refused_with_the_word() {
        for (value, reason) in [
            ("h:1", "found no @ in 'h:1'"),
            ("x@h:1", "must be between 0"),
            ("1@h", "expected host:port"),
            ("1@h:0", "expected host:port"),
            ("1@h:1,1@h:2", "node id 1 stands twice in '1@h:2'"),
        ] {
            let error = Config::new().set(VOTERS, value).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(Config::new().set(SERVERS, "h").is_err());
    }

    #[test]
    fn a_quorum_needs_a_listener_between_nodes_that_fits_its_voter() {
        let refused =
            |config: Result<Config, ConfigError>| config.unwrap().quorum().unwrap_err().to_string();
        let error = refused(three().set("listeners", "PLAINTEXT://127.0.0.1:0"));
        assert!(error.contains("has no INTERNAL listener"), "{error}");
        let error = refused(three().set("node.id", "2"));
        assert!(error.contains("node.id 2 has port 7002"), "{error}");
        let error = refused(three().set("inter.broker.listener.name", "PLAINTEXT"));
        assert!(error.contains("not PLAINTEXT"), "{error}");
    }

    #[test]
    fn a_server_to_ask_that_is_the_node_itself_makes_a_cluster_of_one() {
        let config = Config::new()
            .set("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093")
            .and_then(|config| config.set("inter.broker.listener.name", "CONTROLLER"))
            .and_then(|config| config.set("controller.listener.names", "CONTROLLER"))
            .and_then(|config| config.set(SERVERS, "localhost:9093"))
            .unwrap();
        assert_eq!(config.quorum(), Ok(None));
        let joining = config.set(SERVERS, "localhost:9093,other:9093").unwrap();
        assert_eq!(joining.quorum().unwrap().unwrap().servers.len(), 1);
    }
}
