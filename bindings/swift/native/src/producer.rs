//! The producer.

use crate::deliveries::Deliveries;
use crate::failure::NativeError;
use crate::packed::Packed;
use crate::settings::{NamedSetting, config};
use crate::wait::{CancelToken, Home};
use ottla::ErrorKind;
use ottla_bindings::Failure;
use ottla_bindings::runtime;
use std::sync::Arc;
use std::time::Duration;

/// Sends records.
#[derive(Debug, uniffi::Object)]
pub struct NativeProducer {
    core: ottla::Producer,
    home: Home,
}

#[uniffi::export]
impl NativeProducer {
    /// Connects to one of the bootstrap servers.
    #[uniffi::constructor]
    pub async fn connect(
        settings: Vec<NamedSetting>,
        token: Arc<CancelToken>,
    ) -> Result<Arc<Self>, NativeError> {
        let home = Home::of("Producer");
        let config = config(settings)?;
        let core = home.run(&token, ottla::Producer::from_config(config)).await?;
        Ok(Arc::new(Self { core, home }))
    }

    /// Where this object is, for the functions of the C header. It is there as long as Swift's
    /// object.
    pub fn address(&self) -> u64 {
        std::ptr::from_ref(self) as u64
    }

    /// Deliveries of no records yet, for `enqueue_later`.
    pub fn no_deliveries(&self) -> Result<Arc<Deliveries>, NativeError> {
        self.home.check()?;
        Ok(Arc::new(Deliveries::new(self.home)))
    }

    /// Hands packed records over, waiting for memory and metadata where it must. Answers how many
    /// of these deliveries were refused.
    pub async fn enqueue_later(
        &self,
        packed: Vec<u8>,
        deliveries: Arc<Deliveries>,
        token: Arc<CancelToken>,
    ) -> Result<u64, NativeError> {
        let all = async {
            let mut records = Packed::new(&packed);
            while let Some(record) = records.next_record()? {
                let sent = self.core.send(record).await;
                deliveries.push(sent.map_err(Into::into));
            }
            Ok::<_, Failure>(())
        };
        self.home.run(&token, all).await?;
        Ok(deliveries.refused_count() as u64)
    }

    /// How many partitions a topic has.
    pub async fn partition_count(
        &self,
        topic: String,
        token: Arc<CancelToken>,
    ) -> Result<i32, NativeError> {
        let count = self.home.run(&token, self.core.partition_count(&topic)).await?;
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }

    /// Waits until every record that was sent before has ended.
    pub async fn flush(&self, token: Arc<CancelToken>) -> Result<(), NativeError> {
        self.home.run(&token, self.core.flush()).await
    }

    /// Refuses new records, waits for those on their way, and ends the connections.
    pub async fn close(
        &self,
        within_ms: Option<u64>,
        token: Arc<CancelToken>,
    ) -> Result<(), NativeError> {
        match within_ms.map(Duration::from_millis) {
            Some(limit) => self.home.run(&token, self.core.close_within(limit)).await,
            None => self.home.run(&token, self.core.close()).await,
        }
    }

    /// Bytes of `buffer.memory` that are in use.
    pub fn memory_used(&self) -> u64 {
        self.core.memory_used()
    }
}

impl NativeProducer {
    /// Hands packed records over until one would have to wait; answers the deliveries, and how many
    /// bytes were taken.
    ///
    /// # Errors
    ///
    /// As [`Home::check`], and for a buffer that is cut.
    pub fn enqueue_now(&self, packed: &[u8]) -> Result<(Deliveries, usize), NativeError> {
        self.home.check()?;
        let _inside = runtime::runtime()?.enter();
        let deliveries = Deliveries::new(self.home);
        let mut records = Packed::new(packed);
        let mut rest = packed;
        while let Some(record) = records.next_record()? {
            match self.core.try_send(record) {
                Err(error) if error.kind() == ErrorKind::Full => break,
                sent => deliveries.push(sent.map_err(Into::into)),
            }
            rest = records.rest();
        }
        Ok((deliveries, packed.len() - rest.len()))
    }
}
