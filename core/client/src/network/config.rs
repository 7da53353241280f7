//! What the driver needs of the configuration.

use std::time::Duration;

/// The settings of one client's network, out of its configuration.
#[derive(Debug, Clone)]
pub(crate) struct NetworkConfig {
    /// `bootstrap.servers`: host and port.
    pub(crate) bootstrap: Vec<(String, u16)>,
    /// `client.id`.
    pub(crate) client_id: Option<String>,
    /// `request.timeout.ms`.
    pub(crate) request_timeout: Duration,
    /// `socket.connection.setup.timeout.ms`.
    pub(crate) connect_timeout: Duration,
    /// `reconnect.backoff.ms` and `reconnect.backoff.max.ms`.
    pub(crate) reconnect_backoff: (Duration, Duration),
    /// `retry.backoff.ms` and `retry.backoff.max.ms`.
    pub(crate) retry_backoff: (Duration, Duration),
    /// `metadata.max.age.ms`.
    pub(crate) metadata_max_age: Duration,
    /// `connections.max.idle.ms`.
    pub(crate) idle_max: Duration,
    /// `send.buffer.bytes`; `None` leaves it to the system.
    pub(crate) send_buffer: Option<usize>,
    /// `receive.buffer.bytes`; `None` leaves it to the system.
    pub(crate) receive_buffer: Option<usize>,
    /// `allow.auto.create.topics`, as metadata requests carry it.
    pub(crate) allow_auto_create: bool,
    /// Feeds all jitter.
    pub(crate) seed: u64,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            bootstrap: Vec::new(),
            client_id: None,
            request_timeout: ms(30_000),
            connect_timeout: ms(10_000),
            reconnect_backoff: (ms(50), ms(1_000)),
            retry_backoff: (ms(100), ms(1_000)),
            metadata_max_age: ms(300_000),
            idle_max: ms(540_000),
            send_buffer: None,
            receive_buffer: None,
            allow_auto_create: true,
            seed: 0,
        }
    }
}

/// A seed from the system's randomness.
pub(crate) fn random_seed() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness the clients of one machine would share their jitter, no more.
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
