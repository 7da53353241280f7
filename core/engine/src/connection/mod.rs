//! One connection to one broker: version negotiation, pipelining, correlation, timeouts.
//!
//! [`Connection`] owns no socket. Its driver makes one, then moves bytes: what
//! [`Connection::poll_transmit`] yields is written, what is read goes to
//! [`Connection::receive_buffer`] followed by [`Connection::handle_received`]. Answers come out of
//! [`Connection::poll_event`]. After [`Event::Closed`] the socket is dropped and a new machine is
//! made.
//!
//! A connection that lost step with its peer cannot be mended: a wrong correlation id, bytes left
//! over after a response, a response that did not come in time, all end it (traps 4 and 14).

mod machine;
mod negotiation;
mod reshape;
mod versions;

pub use machine::{Connection, Event};
pub use reshape::{reshape_request, reshape_response, version_cap};
pub use versions::{VersionTable, stable_versions};

use std::time::Duration;

/// What a connection needs to know.
#[derive(Debug, Clone)]
pub struct ConnectionConfig {
    /// `client.id`, sent with every request.
    pub client_id: Option<String>,
    /// The broker's address, for messages.
    pub address: String,
    /// Requests that may be on the way at once.
    pub in_flight_max: usize,
    /// The largest response that is accepted, in bytes.
    pub frame_len_max: usize,
    /// How long the version negotiation may take.
    pub negotiation_timeout: Duration,
    /// The version of ApiVersions to begin with. 0 after a broker closed the connection on a higher
    /// one.
    pub api_versions_start: i16,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            client_id: None,
            address: String::new(),
            in_flight_max: 64,
            frame_len_max: 256 << 20,
            negotiation_timeout: Duration::from_secs(10),
            api_versions_start: *stable_versions(ottla_protocol::messages::ApiKey::ApiVersions)
                .end(),
        }
    }
}
