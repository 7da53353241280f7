//! What the driver needs of the configuration.

use ottla_engine::config::CommonConfig;
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

impl NetworkConfig {
    /// The network of a client with this configuration, with a seed of its own.
    pub(crate) fn new(common: &CommonConfig) -> Self {
        let bytes = |bytes: Option<u32>| bytes.map(|bytes| bytes as usize);
        Self {
            bootstrap: common.bootstrap_servers.iter().map(|server| split(server)).collect(),
            client_id: Some(common.client_id.clone()).filter(|id| !id.is_empty()),
            request_timeout: common.request_timeout,
            connect_timeout: common.socket_connection_setup_timeout,
            reconnect_backoff: (common.reconnect_backoff, common.reconnect_backoff_max),
            retry_backoff: (common.retry_backoff, common.retry_backoff_max),
            metadata_max_age: common.metadata_max_age,
            idle_max: common.connections_max_idle.unwrap_or(Duration::MAX),
            send_buffer: bytes(common.send_buffer_bytes),
            receive_buffer: bytes(common.receive_buffer_bytes),
            allow_auto_create: true,
            seed: random_seed(),
        }
    }
}

/// Host and port; an IPv6 address stands in brackets.
fn split(server: &str) -> (String, u16) {
    let (host, port) = server.rsplit_once(':').expect("the configuration checked host:port");
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (host.to_owned(), port.parse().expect("the configuration checked the port"))
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
