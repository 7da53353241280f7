//! Whose data folder it is: `meta.properties`, as Kafka writes it.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::{StartError, random_id};
use crate::config::Config;

const FILE: &str = "meta.properties";

/// What a data folder says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) cluster_id: String,
}

impl Identity {
    /// Reads the folder's identity and holds it against the configuration; a new folder gets one.
    pub(super) fn load_or_make(dir: &Path, config: &Config) -> Result<Self, StartError> {
        let path = dir.join(FILE);
        let shown = path.display();
        let failed = |action: &str, error: std::io::Error| {
            StartError::Identity(format!("cannot {action} {shown}: {error}"))
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, config)
                .map_err(|reason| StartError::Identity(format!("{shown}: {reason}"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Self::make(dir, config).map_err(|error| failed("write", error))
            }
            Err(error) => Err(failed("read", error)),
        }
    }

    fn parse(text: &str, config: &Config) -> Result<Self, String> {
        let value = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix('='))
        };
        let Some(cluster_id) = value("cluster.id").map(str::trim) else {
            return Err(
                "cluster.id is missing; restore the file or name an empty folder in log.dirs"
                    .into(),
            );
        };
        let node_id = config.node_id();
        let found = value("node.id").or_else(|| value("broker.id")).map(str::trim);
        if found != Some(&node_id.to_string()) {
            return Err(format!(
                "the folder belongs to node.id {}, this broker has node.id {node_id}; set the \
                 right \
                 node.id or name \
                 another folder in log.dirs",
                found.unwrap_or("(none)")
            ));
        }
        let wanted = config.text("cluster.id");
        if !wanted.is_empty() && wanted != cluster_id {
            return Err(format!(
                "the folder belongs to cluster.id {cluster_id}, this broker has cluster.id \
                 {wanted}; set the right \
                 cluster.id or name another folder in log.dirs"
            ));
        }
        Ok(Self { cluster_id: cluster_id.to_owned() })
    }

    fn make(dir: &Path, config: &Config) -> std::io::Result<Self> {
        let configured = config.text("cluster.id");
        let cluster_id = match configured.is_empty() {
            true => random_id().to_string(),
            false => configured.to_owned(),
        };
        let temporary = dir.join(format!("{FILE}.tmp"));
        let mut file = File::create(&temporary)?;
        writeln!(file, "version=1\ncluster.id={cluster_id}\nnode.id={}", config.node_id())?;
        writeln!(file, "directory.id={}", random_id())?;
        file.sync_all()?;
        std::fs::rename(&temporary, dir.join(FILE))?;
        File::open(dir)?.sync_all()?;
        Ok(Self { cluster_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_cluster_and_refuses_another_node() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::new();
        let made = Identity::load_or_make(folder.path(), &config).unwrap();
        assert_eq!(Identity::load_or_make(folder.path(), &config).unwrap(), made);
        let other = config.clone().set("node.id", "7").unwrap();
        let error = Identity::load_or_make(folder.path(), &other).unwrap_err().to_string();
        assert!(error.contains("belongs to node.id 1, this broker has node.id 7"), "{error}");
        let other = config.set("cluster.id", "elsewhere").unwrap();
        let error = Identity::load_or_make(folder.path(), &other).unwrap_err().to_string();
        assert!(error.contains("has cluster.id elsewhere"), "{error}");
    }
}
