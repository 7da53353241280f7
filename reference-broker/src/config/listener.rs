//! Listeners as Kafka writes them: `PLAINTEXT://host:port`, separated by commas.

use super::property::{ConfigError, split_list};

/// The listener of the clients.
pub(super) const CLIENTS: &str = "PLAINTEXT";
/// Names that a listener may have; all of them are without TLS and SASL.
const NAMES: [&str; 3] = [CLIENTS, "INTERNAL", "CONTROLLER"];

/// Where to listen, or where others are told to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// A host name or address; empty listens on every interface.
    pub host: String,
    /// The port; 0 takes a free one.
    pub port: u16,
}

impl Listener {
    /// Reads a list of `[NAME://]host:port`; an IPv6 address is in brackets. One of them is for
    /// clients, and no name stands twice.
    pub(super) fn parse_list(
        property: &str,
        text: &str,
    ) -> Result<Vec<(&'static str, Self)>, ConfigError> {
        let fail = |reason: &str| {
            Err(ConfigError(format!("invalid value '{text}' for {property}: {reason}")))
        };
        let mut found: Vec<(&'static str, Self)> = Vec::new();
        for word in split_list(text) {
            let (name, address) = word.split_once("://").unwrap_or((CLIENTS, word));
            let Some(name) = NAMES.into_iter().find(|known| *known == name) else {
                return fail(
                    "only PLAINTEXT listeners are supported, write PLAINTEXT://host:port for \
                     clients and INTERNAL://host:port for the other nodes",
                );
            };
            if found.iter().any(|(other, _)| *other == name) {
                return fail("a listener's name stands twice");
            }
            let Some((_, port)) = address.rsplit_once(':') else {
                return fail("expected PLAINTEXT://host:port");
            };
            if port.parse::<u16>().is_err() {
                return fail("the port must be between 0 and 65535");
            }
            found.extend(Self::parse_address(address).map(|listener| (name, listener)));
        }
        match found.iter().any(|(name, _)| *name == CLIENTS) {
            true => Ok(found),
            false => fail("there is no listener for clients, add PLAINTEXT://host:port"),
        }
    }

    /// Reads `host:port`.
    pub(super) fn parse_address(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { host, port: port.parse().ok()? })
    }

    /// The host to bind; every interface when it was left out.
    pub fn bind_host(&self) -> &str {
        if self.host.is_empty() { "0.0.0.0" } else { &self.host }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_with_and_without_protocol() {
        let parse = |text| Listener::parse_list("listeners", text);
        let clients = |host: &str, port| Ok(vec![(CLIENTS, Listener { host: host.into(), port })]);
        assert_eq!(parse("PLAINTEXT://127.0.0.1:0"), clients("127.0.0.1", 0));
        assert_eq!(parse("PLAINTEXT://[::1]:9092"), clients("::1", 9092));
        assert_eq!(parse("PLAINTEXT://:9092"), clients("", 9092));
        let two = parse("PLAINTEXT://a:1,INTERNAL://b:2").unwrap();
        assert_eq!(two[1], ("INTERNAL", Listener { host: "b".into(), port: 2 }));
        assert!(parse("SSL://h:1").unwrap_err().to_string().contains("only PLAINTEXT"));
        assert!(parse("INTERNAL://h:1").unwrap_err().to_string().contains("for clients"));
        assert!(parse("PLAINTEXT://h:1,PLAINTEXT://h:2").is_err());
        assert!(parse("PLAINTEXT://h:99999").is_err());
        assert!(parse("PLAINTEXT://h").is_err());
    }
}
