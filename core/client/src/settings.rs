//! What the builders of all clients have in common.

use ottla_engine::config::{Config, ConfigError};
use ottla_engine::error::Error;
use std::fmt::Display;

/// Settings as a builder gathers them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    config: Config,
    failure: Option<ConfigError>,
}

impl Settings {
    /// Takes a setting, or says why not.
    pub(crate) fn set(&mut self, name: &str, value: impl Display) -> Result<(), Error> {
        Ok(self.config.insert(name, value)?)
    }

    /// Takes the value of a typed setter; one that the table refuses is told by [`Self::finish`].
    pub(crate) fn note(&mut self, name: &str, value: impl Display) {
        if let Err(error) = self.config.insert(name, value) {
            self.failure.get_or_insert(error);
        }
    }

    /// Takes all settings of `config`; those made before stay.
    pub(crate) fn underlay(&mut self, config: Config) {
        let earlier = std::mem::replace(&mut self.config, config);
        self.config.merge(&earlier);
    }

    /// All settings, unless one was refused.
    pub(crate) fn finish(self) -> Result<Config, Error> {
        match self.failure {
            Some(failure) => Err(failure.into()),
            None => Ok(self.config),
        }
    }
}

/// The methods of a builder whose settings are in its field `settings`.
macro_rules! settings_methods {
    () => {
        /// Where to find the cluster: `host:port`, several separated by commas.
        pub fn bootstrap_servers(self, servers: impl Display) -> Self {
            self.with("bootstrap.servers", servers)
        }

        /// The name that brokers log.
        pub fn client_id(self, id: impl Display) -> Self {
            self.with("client.id", id)
        }

        /// Any setting by Kafka's dotted name.
        ///
        /// # Errors
        ///
        /// `Config` for a name that the table does not know, with the nearest that it does, and for
        /// a value that the setting does not take.
        pub fn set(mut self, name: &str, value: impl Display) -> Result<Self, Error> {
            self.settings.set(name, value)?;
            Ok(self)
        }

        /// Takes all settings of `config`; those made here before stay.
        pub fn config(mut self, config: Config) -> Self {
            self.settings.underlay(config);
            self
        }

        /// A typed setter's value that the table refuses is reported by `build`.
        fn with(mut self, name: &str, value: impl Display) -> Self {
            self.settings.note(name, value);
            self
        }
    };
}
pub(crate) use settings_methods;
