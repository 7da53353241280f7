//! A producer's configuration.

use super::Producer;
use crate::network::{Network, NetworkConfig};
use crate::settings::{Settings, settings_methods};
use ottla_engine::config::{Acks, Config};
use ottla_engine::error::Error;
use ottla_engine::producer::partitioner::Partitioner;
use ottla_protocol::records::Compression;
use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

/// Configures a [`Producer`]. What is not set has the default of the configuration table.
#[derive(Default)]
#[must_use]
pub struct ProducerBuilder {
    settings: Settings,
    partitioner: Option<Arc<dyn Partitioner>>,
}

impl fmt::Debug for ProducerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl ProducerBuilder {
    settings_methods!();

    /// Who must have a record before its delivery succeeds.
    pub fn acks(self, acks: Acks) -> Self {
        self.with("acks", acks.code())
    }

    /// Whether retries are told apart from new records, so that each is written once, in order. The
    /// default.
    pub fn enable_idempotence(self, enable: bool) -> Self {
        self.with("enable.idempotence", enable)
    }

    /// How batches are compressed.
    pub fn compression(self, compression: Compression) -> Self {
        self.with("compression.type", compression.name())
    }

    /// How long a batch that is not full waits for more records. At zero it goes at once when
    /// nothing is on its way to its broker.
    pub fn linger(self, linger: Duration) -> Self {
        self.with("linger.ms", linger.as_millis())
    }

    /// The size at which a batch is full, in bytes before compression.
    pub fn batch_size(self, bytes: usize) -> Self {
        self.with("batch.size", bytes)
    }

    /// The most memory for records that are not acknowledged yet, in bytes: when it is full, `send`
    /// waits.
    pub fn buffer_memory(self, bytes: u64) -> Self {
        self.with("buffer.memory", bytes)
    }

    /// The longest from `send` to success or failure of a record, retries included.
    pub fn delivery_timeout(self, timeout: Duration) -> Self {
        self.with("delivery.timeout.ms", timeout.as_millis())
    }

    /// The longest that an answer of a broker is waited for.
    pub fn request_timeout(self, timeout: Duration) -> Self {
        self.with("request.timeout.ms", timeout.as_millis())
    }

    /// The longest that `send` waits for memory or for the topic.
    pub fn max_block(self, timeout: Duration) -> Self {
        self.with("max.block.ms", timeout.as_millis())
    }

    /// Your own choice of partitions.
    pub fn partitioner(mut self, partitioner: impl Partitioner + 'static) -> Self {
        self.partitioner = Some(Arc::new(partitioner));
        self
    }

    /// Connects to one of the bootstrap servers and starts the producer. Call it within a tokio
    /// runtime, whose tasks do the work.
    ///
    /// # Errors
    ///
    /// `Config` for a setting that is missing or refused; `Unreachable` where no bootstrap server
    /// answers, naming each with the reason.
    pub async fn build(self) -> Result<Producer, Error> {
        let config = self.settings.finish()?.producer()?;
        let network = Network::connect(NetworkConfig::new(&config.common)).await?;
        Ok(Producer::start(network, &config, self.partitioner))
    }
}
