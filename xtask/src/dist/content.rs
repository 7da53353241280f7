//! What is in the packages: nothing newer than glibc 2.28, no path of this machine, a licence.

use std::fs;
use std::path::{Path, PathBuf};

use super::build::{GLIBC, folders_of_this_machine};
use super::{Dist, unpack};
use crate::task::Failure;

/// Looks into every package.
pub(super) fn check(dist: &Dist) -> Result<(), Failure> {
    let folder = dist.fresh("content")?;
    let mut faults = Vec::new();
    for package in dist.files()? {
        let name = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let inside = folder.join(&name);
        unpack(&package, &inside)?;
        let files = files_in(&inside)?;
        if !files.iter().any(|file| file.ends_with("LICENSE")) {
            faults.push(format!("{name}: no LICENSE"));
        }
        for file in &files {
            let shown = file.strip_prefix(&folder).unwrap_or(file).display().to_string();
            let bytes = fs::read(file)?;
            faults.extend(faults_of(&bytes).into_iter().map(|fault| format!("{shown}: {fault}")));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::new(faults.join("\n    "))) }
}

fn faults_of(bytes: &[u8]) -> Vec<String> {
    let mut faults = Vec::new();
    for folder in folders_of_this_machine() {
        let path = folder.display().to_string();
        if find(bytes, path.as_bytes()).is_some() {
            faults.push(format!("it holds the path {path}"));
        }
    }
    if bytes.starts_with(b"\x7fELF") {
        let newest = glibc_needed(bytes);
        if newest > GLIBC {
            faults.push(format!("it needs glibc {}.{}", newest.0, newest.1));
        }
    }
    faults
}

/// The newest version of the C library that a library or program names.
fn glibc_needed(bytes: &[u8]) -> (u32, u32) {
    const MARK: &[u8] = b"GLIBC_";
    let mut newest = (0, 0);
    let mut rest = bytes;
    while let Some(at) = find(rest, MARK) {
        rest = &rest[at + MARK.len()..];
        let end = rest.iter().position(|byte| *byte != b'.' && !byte.is_ascii_digit());
        let version = String::from_utf8_lossy(&rest[..end.unwrap_or(rest.len())]).into_owned();
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        newest = newest.max(version);
    }
    newest
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    let first = *part.first()?;
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
        from += at;
        if bytes[from..].starts_with(part) {
            return Some(from);
        }
        from += 1;
    }
    None
}

/// All files below a folder.
pub(super) fn files_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(files_in(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_that_is_named_counts() {
        let bytes = b"\x7fELF..GLIBC_2.2.5\0GLIBC_2.28\0GLIBC_2.9\0GLIBC_PRIVATE";
        assert_eq!(glibc_needed(bytes), (2, 28));
        assert_eq!(faults_of(bytes), [""; 0]);
        assert_eq!(faults_of(b"\x7fELF GLIBC_2.34\0"), ["it needs glibc 2.34"]);
        assert_eq!(faults_of(b"text about GLIBC_2.34"), [""; 0]);
    }

    #[test]
    fn paths_of_the_machine_are_faults() {
        let path = crate::task::root().join("core/client/src/lib.rs").display().to_string();
        assert_eq!(faults_of(path.as_bytes()).len(), 1);
    }
}
