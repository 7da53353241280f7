//! The broker's configuration under Kafka's names: one table, one check, typed access.
//!
//! [`Config`] is what the broker was started with. What a topic sets for itself is kept in the
//! metadata image and resolved over this by [`TopicConfig::resolve`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

mod file;
mod listener;
mod property;
mod quorum;
pub mod table;
mod topic;

pub use listener::Listener;
pub use property::{ConfigError, Kind, Property};
pub(crate) use property::{has_replica, nearest, split_list};
pub use quorum::QuorumConfig;
pub(crate) use topic::broker_value;
pub use topic::{TopicConfig, check_topic_config, retention_ms, roll_ms};

/// What was set explicitly, by Kafka's names; everything else has the table's default.
///
/// ```
/// let config = ottla_broker::Config::new().set("num.partitions", "6").unwrap();
/// assert_eq!(config.int("num.partitions"), 6);
/// assert_eq!(config.int("min.insync.replicas"), 1);
/// assert!(config.set("num.partition", "6").is_err());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    values: BTreeMap<&'static str, String>,
    /// Kafka properties that were set and have no meaning here.
    ignored: Vec<String>,
}

impl Config {
    /// All defaults: one node on 127.0.0.1:9092.
    pub fn new() -> Self {
        Self::default()
    }

    /// The settings of `ottla-broker dev`: fast groups, few offsets partitions, quick failover.
    pub fn dev() -> Self {
        let mut config = Self::new();
        for (name, value) in [
            ("group.initial.rebalance.delay.ms", "0"),
            ("group.min.session.timeout.ms", "100"),
            ("offsets.topic.num.partitions", "5"),
            ("broker.session.timeout.ms", "500"),
            ("broker.heartbeat.interval.ms", "100"),
            ("controller.quorum.auto.join.enable", "true"),
            ("controller.quorum.election.timeout.ms", "150"),
            ("controller.quorum.request.timeout.ms", "500"),
            ("replica.fetch.backoff.ms", "50"),
        ] {
            config = config.set(name, value).expect("the dev settings pass the table's checks");
        }
        config
    }

    /// Sets a property; an unknown name is refused with the nearest known one.
    pub fn set(mut self, name: &str, value: &str) -> Result<Self, ConfigError> {
        let name = if name == "log.dir" { "log.dirs" } else { name };
        let Some(property) = table::broker(name) else {
            if table::BROKER_IGNORED.contains(&name) {
                self.ignored.push(name.to_owned());
                return Ok(self);
            }
            return Err(unknown_property(name));
        };
        property.check(value)?;
        match name {
            "listeners" => drop(Listener::parse_list(name, value)?),
            "advertised.listeners" if !value.is_empty() => drop(Listener::parse_list(name, value)?),
            "ops.listener" if !value.is_empty() && Listener::parse_address(value).is_none() => {
                return Err(ConfigError(format!(
                    "invalid value '{value}' for ops.listener: expected host:port"
                )));
            }
            "log.dirs" if split_list(value).next().is_none() => {
                return Err(ConfigError(format!(
                    "invalid value '{value}' for log.dirs: name one folder at least"
                )));
            }
            _ => quorum::check(name, value)?,
        }
        self.values.insert(property.name, value.trim().to_owned());
        Ok(self)
    }

    /// These settings with others laid over them that were checked before (the dynamic ones of the
    /// metadata image).
    pub(crate) fn overlaid(&self, settings: &BTreeMap<String, String>) -> Self {
        let mut config = self.clone();
        for (name, value) in settings {
            if let Some(property) = table::broker(name) {
                config.values.insert(property.name, value.clone());
            }
        }
        config
    }

    /// Names that were set and are ignored on purpose.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// What was set explicitly under this name.
    pub fn explicit(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The value in force, as text; empty where unset.
    pub fn text(&self, name: &str) -> &str {
        self.explicit(name).unwrap_or_else(|| {
            table::broker(name).expect("code asks only for names of the table").default
        })
    }

    /// The value in force, as a number.
    pub fn long(&self, name: &str) -> i64 {
        self.text(name).parse().expect("numbers were checked against the table")
    }

    /// The value in force, as a 32-bit number.
    pub fn int(&self, name: &str) -> i32 {
        i32::try_from(self.long(name)).expect("the table bounds 32-bit numbers")
    }

    /// The value in force, as a truth value.
    pub fn bool(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    /// The value in force, in milliseconds.
    pub fn duration_ms(&self, name: &str) -> Duration {
        Duration::from_millis(u64::try_from(self.long(name)).unwrap_or(0))
    }

    /// Where to listen for clients.
    pub fn listener(&self) -> Listener {
        self.listener_named("listeners", listener::CLIENTS).expect("checked when it was set")
    }

    /// Where clients are told to connect; unset stands for the bound address.
    pub fn advertised_listener(&self) -> Option<Listener> {
        self.listener_named("advertised.listeners", listener::CLIENTS)
    }

    fn listener_named(&self, property: &str, wanted: &str) -> Option<Listener> {
        let text = self.text(property);
        if text.is_empty() {
            return None;
        }
        let mut listeners =
            Listener::parse_list(property, text).expect("checked when set").into_iter();
        listeners.find(|(name, _)| *name == wanted).map(|(_, listener)| listener)
    }

    /// The data folders; the first one has the metadata.
    pub fn data_dirs(&self) -> Vec<PathBuf> {
        split_list(self.text("log.dirs")).map(PathBuf::from).collect()
    }

    /// Where operators look.
    pub fn ops_listener(&self) -> Option<Listener> {
        Listener::parse_address(self.text("ops.listener"))
    }

    /// The first data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dirs().swap_remove(0)
    }

    /// This broker's id.
    pub fn node_id(&self) -> i32 {
        self.int("node.id")
    }
}

fn unknown_property(name: &str) -> ConfigError {
    let hint = match nearest(name, table::BROKER.iter().map(|property| property.name)) {
        Some(near) => format!("did you mean '{near}'?"),
        None => "README.md lists all properties".to_owned(),
    };
    ConfigError(format!("unknown property '{name}': {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_property_is_refused_with_the_nearest() {
        let error = Config::new().set("num.partition", "3").unwrap_err().to_string();
        assert_eq!(error, "unknown property 'num.partition': did you mean 'num.partitions'?");
    }

    #[test]
    fn kafka_property_without_meaning_here_is_remembered_as_ignored() {
        let config = Config::new().set("num.io.threads", "8").unwrap();
        assert_eq!(config.ignored(), ["num.io.threads"]);
    }

    #[test]
    fn another_compression_type_than_the_producers_is_refused() {
        let error = Config::new().set("compression.type", "zstd").unwrap_err().to_string();
        assert!(error.contains("must be one of producer"), "{error}");
    }

    #[test]
    fn log_dir_is_another_name_of_log_dirs() {
        assert_eq!(Config::new().set("log.dir", "/d").unwrap().data_dir(), PathBuf::from("/d"));
        let two = Config::new().set("log.dirs", "/a, /b").unwrap();
        assert_eq!(two.data_dirs(), [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert!(Config::new().set("log.dirs", " , ").is_err());
    }
}
