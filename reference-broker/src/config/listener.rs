//! A listener as Kafka writes it: `PLAINTEXT://host:port`.

use super::property::ConfigError;

/// Where to listen, or where clients are told to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// A host name or address; empty listens on every interface.
    pub host: String,
    /// The port; 0 takes a free one.
    pub port: u16,
}

impl Listener {
    /// Reads `[NAME://]host:port`; an IPv6 address is in brackets.
    pub(super) fn parse(property: &str, text: &str) -> Result<Self, ConfigError> {
        let fail = |reason: &str| {
            Err(ConfigError(format!("invalid value '{text}' for {property}: {reason}")))
        };
        if text.contains(',') {
            return fail("this broker has one listener, name one");
        }
        let (name, address) = text.split_once("://").unwrap_or(("PLAINTEXT", text));
        if name != "PLAINTEXT" {
            return fail("only PLAINTEXT listeners are supported, write PLAINTEXT://host:port");
        }
        let Some((host, port)) = address.rsplit_once(':') else {
            return fail("expected PLAINTEXT://host:port");
        };
        let Ok(port) = port.parse() else {
            return fail("the port must be between 0 and 65535");
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port })
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
        let parse = |text| Listener::parse("listeners", text);
        let listener = |host: &str, port| Ok(Listener { host: host.into(), port });
        assert_eq!(parse("PLAINTEXT://127.0.0.1:0"), listener("127.0.0.1", 0));
        assert_eq!(parse("PLAINTEXT://[::1]:9092"), listener("::1", 9092));
        assert_eq!(parse("PLAINTEXT://:9092"), listener("", 9092));
        assert!(parse("SSL://h:1").unwrap_err().to_string().contains("only PLAINTEXT"));
        assert!(parse("PLAINTEXT://h:99999").is_err());
        assert!(parse("PLAINTEXT://h").is_err());
    }
}
