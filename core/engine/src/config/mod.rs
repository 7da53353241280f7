//! The client's configuration: one table, one validation, typed structs out of it.
//!
//! [`SETTINGS`] has every setting under Kafka's own dotted name with type, default, range, roles
//! and prose. [`Config`] holds what a user set, refusing at once what the table does not allow,
//! and turns into a [`ProducerConfig`], [`ConsumerConfig`] or [`AdminConfig`], where the rules
//! between settings are checked. Bindings derive their names from the table
//! ([`Setting::snake_case`], [`Setting::camel_case`]) and add neither defaults nor checks of
//! their own.

mod error;
#[cfg(test)]
mod guide;
mod names;
mod reader;
mod setting;
mod table;
mod typed;
mod value;

pub use error::ConfigError;
pub use setting::{Kind, Role, Roles, Setting, Unit};
pub use table::SETTINGS;
pub use typed::{
    Acks, AdminConfig, Assignor, CommonConfig, CompressionType, ConsumerConfig, IsolationLevel,
    OffsetReset, PartitionerKind, ProducerConfig,
};

use std::collections::BTreeMap;
use std::fmt::Display;

use value::Value;

/// What a user set, by Kafka's dotted names; everything else has the table's default.
///
/// ```
/// use ottla_engine::config::Config;
///
/// let config = Config::new().set("bootstrap.servers", "127.0.0.1:9092")?.set("linger.ms", 5)?;
/// assert_eq!(config.producer()?.linger.as_millis(), 5);
/// # Ok::<(), ottla_engine::config::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    values: BTreeMap<&'static str, Value>,
}

impl Config {
    /// Nothing set: the table's defaults everywhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one value and gives the configuration back, for chains.
    ///
    /// # Errors
    /// As [`Config::insert`].
    pub fn set(mut self, name: &str, value: impl Display) -> Result<Self, ConfigError> {
        self.insert(name, value)?;
        Ok(self)
    }

    /// Sets one value; the last one wins.
    ///
    /// # Errors
    /// An unknown name (with the nearest known one), a value of the wrong type or out of its range.
    pub fn insert(&mut self, name: &str, value: impl Display) -> Result<(), ConfigError> {
        let setting = Setting::named(name).ok_or_else(|| names::unknown(name))?;
        self.values.insert(setting.name, Value::parse(setting, &value.to_string())?);
        Ok(())
    }

    /// Takes over every value that was set in `other`; where both have one, that of `other` wins.
    pub fn merge(&mut self, other: &Self) {
        self.values.extend(other.values.iter().map(|(name, value)| (*name, value.clone())));
    }

    /// Whether the user gave this setting a value.
    pub fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The value in force, as text: the user's or the default. `None` for a setting that has
    /// neither, and for a name that the table does not have.
    pub fn get(&self, name: &str) -> Option<String> {
        let setting = Setting::named(name)?;
        self.values.get(setting.name).map(Value::to_text).or(setting.default.map(str::to_owned))
    }

    /// Reads the lines `name=value` of a Java properties file; `#` and `!` start a comment.
    ///
    /// # Errors
    /// As [`Config::insert`], and a line without `=`.
    pub fn from_properties(text: &str) -> Result<Self, ConfigError> {
        let mut config = Self::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let (name, value) = line
                .split_once('=')
                .ok_or_else(|| ConfigError::Line { line: index + 1, text: line.to_owned() })?;
            config.insert(name.trim(), value.trim())?;
        }
        Ok(config)
    }

    /// The producer's view.
    ///
    /// # Errors
    /// A setting that a producer has not, a missing one, or two that exclude each other.
    pub fn producer(&self) -> Result<ProducerConfig, ConfigError> {
        self.check_role(Role::Producer)?;
        ProducerConfig::read(self)
    }

    /// The consumer's view.
    ///
    /// # Errors
    /// A setting that a consumer has not, a missing one, or two that exclude each other.
    pub fn consumer(&self) -> Result<ConsumerConfig, ConfigError> {
        self.check_role(Role::Consumer)?;
        ConsumerConfig::read(self)
    }

    /// The admin client's view.
    ///
    /// # Errors
    /// A setting that an admin client has not, a missing one, or two that exclude each other.
    pub fn admin(&self) -> Result<AdminConfig, ConfigError> {
        self.check_role(Role::Admin)?;
        AdminConfig::read(self)
    }

    fn check_role(&self, role: Role) -> Result<(), ConfigError> {
        for name in self.values.keys() {
            let setting = Setting::named(name).expect("only names of the table are inserted");
            if !setting.roles.has(role) {
                return Err(ConfigError::Role { name: setting.name, role, roles: setting.roles });
            }
        }
        Ok(())
    }

    /// The value in force of a setting of the table.
    fn value(&self, name: &'static str) -> Option<Value> {
        if let Some(value) = self.values.get(name) {
            return Some(value.clone());
        }
        let setting = Setting::named(name).expect("typed structs read names of the table only");
        let default = setting.default?;
        Some(Value::parse(setting, default).expect("the table's defaults are valid (tested)"))
    }
}

#[cfg(test)]
mod tests;
