//! A data folder that ends with its broker.

use std::path::{Path, PathBuf};

/// The file by which a folder of ours is known: nothing else is ever removed.
const MARK: &str = "ottla-temporary";

/// A data folder that is removed when this is dropped. A broker that was killed leaves it, and the
/// next one can take it over.
#[derive(Debug)]
pub struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// Makes a folder at `path`, or a new one among the temporary files, or takes one over that was
    /// made here before.
    ///
    /// # Errors
    /// When it cannot be made, or when it has files in it and was not made here.
    pub fn new(path: Option<&Path>) -> Result<Self, String> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => std::env::temp_dir().join(format!("ottla-broker-{:016x}", random()?)),
        };
        let failed =
            |error| format!("cannot make the temporary folder {}: {error}", path.display());
        std::fs::create_dir_all(&path).map_err(failed)?;
        let mut files = std::fs::read_dir(&path).map_err(failed)?;
        if files.next().is_some() && !path.join(MARK).exists() {
            return Err(format!(
                "{} has files in it and is not a folder that --temporary made: name another one, \
                 it would be removed at the end",
                path.display()
            ));
        }
        std::fs::write(path.join(MARK), "removed when the broker ends\n").map_err(failed)?;
        Ok(Self { path })
    }

    /// Leaves it to the next broker.
    pub fn keep(self) {
        std::mem::forget(self);
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove the data folder");
        }
    }
}

fn random() -> Result<u64, String> {
    getrandom::u64().map_err(|error| format!("cannot get a random number: {error}"))
}
