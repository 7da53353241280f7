//! The admin client's configuration.

use super::Admin;
use crate::network::{Network, NetworkConfig};
use ottla_engine::config::{Config, ConfigError};
use ottla_engine::error::Error;
use std::fmt::Display;
use std::time::Duration;

/// Configures an [`Admin`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct AdminBuilder {
    config: Config,
    failure: Option<ConfigError>,
}

impl AdminBuilder {
    /// Where to find the cluster: `host:port`, several separated by commas.
    pub fn bootstrap_servers(self, servers: impl Display) -> Self {
        self.with("bootstrap.servers", servers)
    }

    /// The name that brokers log.
    pub fn client_id(self, id: impl Display) -> Self {
        self.with("client.id", id)
    }

    /// How long an operation may take with all its tries.
    pub fn default_api_timeout(self, timeout: Duration) -> Self {
        self.with("default.api.timeout.ms", timeout.as_millis())
    }

    /// Any setting by Kafka's dotted name.
    ///
    /// # Errors
    ///
    /// An unknown name, or a value that the setting does not take.
    pub fn set(mut self, name: &str, value: impl Display) -> Result<Self, Error> {
        self.config.insert(name, value)?;
        Ok(self)
    }

    /// Takes all settings of `config`; those made here before stay.
    pub fn config(mut self, config: Config) -> Self {
        let earlier = std::mem::replace(&mut self.config, config);
        self.config.merge(&earlier);
        self
    }

    /// A typed setter's value that the table refuses is reported by `build`.
    fn with(mut self, name: &str, value: impl Display) -> Self {
        if let Err(error) = self.config.insert(name, value) {
            self.failure.get_or_insert(error);
        }
        self
    }

    /// Connects to one of the bootstrap servers.
    ///
    /// # Errors
    ///
    /// A setting that is missing or refused; no server that could be reached.
    pub async fn build(self) -> Result<Admin, Error> {
        if let Some(failure) = self.failure {
            return Err(failure.into());
        }
        let config = self.config.admin()?;
        let network = Network::connect(NetworkConfig::new(&config.common)).await?;
        Ok(Admin { network, config })
    }
}
