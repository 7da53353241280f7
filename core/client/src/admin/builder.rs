//! The admin client's configuration.

use super::Admin;
use crate::network::{Network, NetworkConfig};
use crate::settings::{Settings, settings_methods};
use ottla_engine::config::Config;
use ottla_engine::error::Error;
use std::fmt::Display;
use std::time::Duration;

/// Configures an [`Admin`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct AdminBuilder {
    settings: Settings,
}

impl AdminBuilder {
    settings_methods!();

    /// How long an operation may take with all its tries.
    pub fn default_api_timeout(self, timeout: Duration) -> Self {
        self.with("default.api.timeout.ms", timeout.as_millis())
    }

    /// Connects to one of the bootstrap servers.
    ///
    /// # Errors
    ///
    /// A setting that is missing or refused; no server that could be reached.
    pub async fn build(self) -> Result<Admin, Error> {
        let config = self.settings.finish()?.admin()?;
        let network = Network::connect(NetworkConfig::new(&config.common)).await?;
        Ok(Admin { network, config })
    }
}
