//! Java's properties files, as far as `server.properties` uses them: `name=value` lines, `#` and
//! `!` comments, a backslash at the end of a line continues it.

use std::path::Path;

use super::{Config, ConfigError};

impl Config {
    /// Reads a `server.properties` file over these settings.
    pub fn read_file(self, path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            ConfigError(format!("cannot read configuration file {}: {error}", path.display()))
        })?;
        self.read_text(&text).map_err(|error| ConfigError(format!("{}: {error}", path.display())))
    }

    /// Reads the text of a `server.properties` file over these settings.
    pub fn read_text(mut self, text: &str) -> Result<Self, ConfigError> {
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let mut line = line.trim().to_owned();
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            while line.ends_with('\\') {
                line.pop();
                let Some((_, next)) = lines.next() else { break };
                line.push_str(next.trim());
            }
            let at = |error: ConfigError| ConfigError(format!("line {}: {error}", index + 1));
            let Some((name, value)) = line.split_once(['=', ':']) else {
                return Err(at(ConfigError(format!("expected name=value, found '{line}'"))));
            };
            self = self.set(name.trim(), value.trim()).map_err(at)?;
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_continuations_and_blank_lines_are_read_as_java_does() {
        let config = Config::new()
            .read_text("# one\n\n! two\nnode.id = 7\nlisteners=\\\n  PLAINTEXT://127.0.0.1:0\n")
            .unwrap();
        assert_eq!(config.node_id(), 7);
        assert_eq!(config.listener().port, 0);
    }

    #[test]
    fn an_error_names_the_line() {
        let error = Config::new().read_text("node.id=1\nnum.partitions=0\n").unwrap_err();
        assert!(error.to_string().starts_with("line 2: invalid value '0' for num.partitions"));
        assert!(Config::new().read_text("just words").is_err());
    }
}
