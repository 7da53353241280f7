//! Whose data folder it is: `meta.properties`, as Kafka writes it.

use std::path::{Path, PathBuf};

use ottla_protocol::Uuid;

use super::{StartError, random_id};
use crate::config::Config;
use crate::log::storage::{Storage, read_small, write_atomically};

const FILE: &str = "meta.properties";

/// Where a cluster of one keeps its metadata, and where a node of several does: a folder is one or
/// the other for ever.
const LOCAL_METADATA: &str = "cluster-metadata.log";
pub(super) const QUORUM_METADATA: &str = "__cluster_metadata";

/// What a data folder says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) cluster_id: String,
    /// The folder's own id: a node that comes back with another one has lost its data (M15).
    pub(super) directory_id: Uuid,
    /// All its folders with their ids, this one first.
    pub(super) log_dirs: Vec<(PathBuf, Uuid)>,
}

impl Identity {
    /// Reads the folder's identity and holds it against the configuration; a new folder gets one.
    /// With `of_several` the node belongs to a quorum.
    pub(super) fn load_or_make(
        storage: &dyn Storage,
        dir: &Path,
        config: &Config,
        of_several: bool,
    ) -> Result<Self, StartError> {
        let path = dir.join(FILE);
        let shown = path.display();
        let failed = |action: &str, error: std::io::Error| {
            StartError::Identity(format!("cannot {action} {shown}: {error}"))
        };
        let refused = |reason: String| StartError::Identity(format!("{shown}: {reason}"));
        let (other, was, is) = match of_several {
            true => (LOCAL_METADATA, "a cluster of one", "one of several"),
            false => (QUORUM_METADATA, "one of several", "a cluster of one"),
        };
        if storage.exists(&dir.join(other)) {
            return Err(refused(format!(
                "the folder belongs to a node that was {was}, this one is {is}: set \
                 controller.quorum.voters as it was, or name another folder in log.dirs"
            )));
        }
        match read_small(storage, &path) {
            Ok(Some(text)) => {
                let text = String::from_utf8_lossy(&text);
                Self::parse(dir, &text, config).map_err(refused)
            }
            Ok(None) => {
                if of_several && config.text("cluster.id").is_empty() {
                    return Err(refused(
                        "cluster.id is not set: give all nodes of the cluster the same".into(),
                    ));
                }
                Self::make(storage, dir, config).map_err(|error| failed("write", error))
            }
            Err(error) => Err(failed("read", error)),
        }
    }

    fn parse(dir: &Path, text: &str, config: &Config) -> Result<Self, String> {
        let value = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix('='))
        };
        let required = |name: &str| {
            value(name).map(str::trim).ok_or_else(|| {
                format!("{name} is missing; restore the file or name an empty folder in log.dirs")
            })
        };
        let cluster_id = required("cluster.id")?;
        let node_id = config.node_id();
        let found = value("node.id").or_else(|| value("broker.id")).map(str::trim);
        if found != Some(&node_id.to_string()) {
            return Err(format!(
                "the folder belongs to node.id {}, this broker has node.id {node_id}; set the \
                 right node.id or name another folder in log.dirs",
                found.unwrap_or("(none)")
            ));
        }
        let wanted = config.text("cluster.id");
        if !wanted.is_empty() && wanted != cluster_id {
            return Err(format!(
                "the folder belongs to cluster.id {cluster_id}, this broker has cluster.id \
                 {wanted}; set the right cluster.id or name another folder in log.dirs"
            ));
        }
        let directory_id = required("directory.id")?;
        let directory_id = directory_id
            .parse()
            .map_err(|_| format!("directory.id {directory_id} is not an id; restore the file"))?;
        Ok(Self::new(dir, cluster_id.to_owned(), directory_id))
    }

    fn make(storage: &dyn Storage, dir: &Path, config: &Config) -> std::io::Result<Self> {
        let configured = config.text("cluster.id");
        let cluster_id = match configured.is_empty() {
            true => random_id().to_string(),
            false => configured.to_owned(),
        };
        let directory_id = random_id();
        let text = format!(
            "version=1\ncluster.id={cluster_id}\nnode.id={}\ndirectory.id={directory_id}\n",
            config.node_id()
        );
        write_atomically(storage, &dir.join(FILE), text.as_bytes())?;
        Ok(Self::new(dir, cluster_id, directory_id))
    }

    fn new(dir: &Path, cluster_id: String, directory_id: Uuid) -> Self {
        Self { cluster_id, directory_id, log_dirs: vec![(dir.to_owned(), directory_id)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::RealStorage;

    #[test]
    fn a_folder_keeps_its_cluster_and_refuses_another_node() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::new();
        let made = Identity::load_or_make(&RealStorage, folder.path(), &config, false).unwrap();
        assert_eq!(
            Identity::load_or_make(&RealStorage, folder.path(), &config, false).unwrap(),
            made
        );
        let other = config.clone().set("node.id", "7").unwrap();
        let error = Identity::load_or_make(&RealStorage, folder.path(), &other, false)
            .unwrap_err()
            .to_string();
        assert!(error.contains("belongs to node.id 1, this broker has node.id 7"), "{error}");
        let other = config.set("cluster.id", "elsewhere").unwrap();
        let error = Identity::load_or_make(&RealStorage, folder.path(), &other, false)
            .unwrap_err()
            .to_string();
        assert!(error.contains("has cluster.id elsewhere"), "{error}");
    }
    #[test]
    fn a_node_of_several_needs_a_cluster_id_and_a_folder_that_was_not_a_cluster_of_one() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::new();
        let error = Identity::load_or_make(&RealStorage, folder.path(), &config, true)
            .unwrap_err()
            .to_string();
        assert!(error.contains("cluster.id is not set"), "{error}");
        let config = config.set("cluster.id", "c").unwrap();
        let made = Identity::load_or_make(&RealStorage, folder.path(), &config, true).unwrap();
        assert_eq!(made.cluster_id, "c");
        std::fs::write(folder.path().join(LOCAL_METADATA), "").unwrap();
        let error = Identity::load_or_make(&RealStorage, folder.path(), &config, true)
            .unwrap_err()
            .to_string();
        assert!(error.contains("was a cluster of one"), "{error}");
    }
}
