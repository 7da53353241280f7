//! Which release of Apache Kafka has which version.

use ottla_codegen::ast::{Bound, Lifetime};
use ottla_codegen::range::Range;
use ottla_codegen::release::Release;

/// What a release says of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It has it.
    There,
    /// It has it, but offers it only when it is told to.
    Unstable,
    /// It does not have it.
    Absent,
}

/// What the release says of the version. `unstable` is the version that is not released yet.
pub(crate) fn state(
    lifetimes: &[Lifetime],
    unstable: Option<i16>,
    version: i16,
    release: Release,
) -> State {
    let mut state = if unstable == Some(version) { State::Unstable } else { State::There };
    for lifetime in lifetimes.iter().filter(|one| one.versions.value.contains(version)) {
        let bound = lifetime.release.value;
        match lifetime.bound {
            Bound::Since if release < bound => return State::Absent,
            Bound::Until if release >= bound => return State::Absent,
            Bound::UnstableUntil if release < bound => state = State::Unstable,
            _ => {}
        }
    }
    state
}

/// The versions of a message, all of which have an end.
pub(crate) fn each(versions: Range) -> std::ops::RangeInclusive<i16> {
    versions.first..=versions.last.unwrap_or(versions.first)
}

/// A cell of a table of versions and releases.
pub(crate) fn cell(state: State) -> String {
    match state {
        State::There => "<span class=\"there\">✓</span>",
        State::Unstable => "<span class=\"unstable\">unstable</span>",
        State::Absent => "",
    }
    .to_owned()
}

/// The columns for releases.
pub(crate) const COLUMNS: [&str; 6] = ["3.9", "4.0", "4.1", "4.2", "4.3", "4.4"];

/// Versions as ranges: `0–2, 5`.
pub(crate) fn ranges(versions: impl IntoIterator<Item = i16>) -> String {
    let mut found: Vec<(i16, i16)> = Vec::new();
    for version in versions {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == version => *last = version,
            _ => found.push((version, version)),
        }
    }
    let shown: Vec<String> = found
        .iter()
        .map(
            |(first, last)| {
                if first == last { first.to_string() } else { format!("{first}–{last}") }
            },
        )
        .collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_the_releases() {
        let releases: Vec<String> = Release::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(releases, COLUMNS);
    }

    #[test]
    fn versions_are_told_as_ranges() {
        assert_eq!(ranges([0, 1, 2, 5, 7, 8]), "0–2, 5, 7–8");
        assert_eq!(ranges([]), "");
    }
}
