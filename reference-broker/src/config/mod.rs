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
pub mod table;
mod topic;

pub use listener::Listener;
pub use property::{ConfigError, Kind, Property};
pub(crate) use property::{nearest, split_list};
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

    /// The settings of `ottla-broker dev`: fast groups, few offsets partitions.
    pub fn dev() -> Self {
        let mut config = Self::new();
        for (name, value) in [
            ("group.initial.rebalance.delay.ms", "0"),
            ("group.min.session.timeout.ms", "100"),
            ("offsets.topic.num.partitions", "5"),
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
            "listeners" => drop(Listener::parse(name, value)?),
            "advertised.listeners" if !value.is_empty() => drop(Listener::parse(name, value)?),
            "ops.listener" if !value.is_empty() => drop(Listener::parse(name, value)?),
            "log.dirs" if value.contains(',') => {
                return Err(ConfigError(format!(
                    "invalid value '{value}' for log.dirs: this broker has one data \
                     folder, name one"
                )));
            }
            _ => {}
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

    /// Where to listen.
    pub fn listener(&self) -> Listener {
        Listener::parse("listeners", self.text("listeners")).expect("checked when it was set")
    }

    /// Where clients are told to connect; unset stands for the bound address.
    pub fn advertised_listener(&self) -> Option<Listener> {
        let text = self.text("advertised.listeners");
        (!text.is_empty())
            .then(|| Listener::parse("advertised.listeners", text).expect("checked when set"))
    }

    /// Where operators look.
    pub fn ops_listener(&self) -> Option<Listener> {
        let text = self.text("ops.listener");
        (!text.is_empty())
            .then(|| Listener::parse("ops.listener", text).expect("checked when it was set"))
    }

    /// The data folder.
    pub fn data_dir(&self) -> PathBuf {
        PathBuf::from(self.text("log.dirs"))
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
        assert!(Config::new().set("log.dirs", "/a,/b").is_err());
    }
}
