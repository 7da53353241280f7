//! Tests as data, and their axes.

use crate::context::{Context, Step};
use crate::target::Target;
use ottla_protocol::messages::ApiKey;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A group of tests that a target is scored by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Framing, negotiation, metadata, produce, fetch, offsets by time, leader epochs.
    Core,
    /// Committed offsets and classic groups.
    Groups,
    /// Topics and configurations.
    Admin,
    /// Malformed input.
    Robustness,
    /// What clients do, against a scripted broker.
    Client,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Core, Self::Groups, Self::Admin, Self::Robustness, Self::Client];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Groups => "groups",
            Self::Admin => "admin",
            Self::Robustness => "robustness",
            Self::Client => "client",
        }
    }

    /// The profile of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A test, before its axes are unfolded.
#[derive(Clone, Copy)]
pub struct Case {
    /// `suite/what-it-tests`; never reused.
    pub name: &'static str,
    /// The profile that it counts for.
    pub profile: Profile,
    /// The statements that it may decide.
    pub statements: &'static [&'static str],
    /// The API whose versions are the axis, and the first version that the test applies to.
    pub axis: Option<(ApiKey, i16)>,
    /// The test itself.
    pub run: fn(&mut Context<'_>) -> Step,
}

impl Case {
    /// A test that is run once.
    pub const fn once(
        name: &'static str,
        profile: Profile,
        run: fn(&mut Context<'_>) -> Step,
        statements: &'static [&'static str],
    ) -> Self {
        Self { name, profile, statements, axis: None, run }
    }

    /// A test that is run in each version of an API, from one on.
    pub const fn each(
        name: &'static str,
        profile: Profile,
        axis: (ApiKey, i16),
        run: fn(&mut Context<'_>) -> Step,
        statements: &'static [&'static str],
    ) -> Self {
        Self { name, profile, statements, axis: Some(axis), run }
    }
}

/// A test of one target: a case and its version.
#[derive(Clone, Copy)]
pub struct Test {
    /// The case.
    pub case: &'static Case,
    /// The version under test, where the case has an axis.
    pub version: Option<i16>,
}

impl Test {
    /// `suite/what-it-tests@v7`.
    pub fn id(&self) -> String {
        match self.version {
            Some(version) => format!("{}@v{version}", self.case.name),
            None => self.case.name.to_owned(),
        }
    }

    /// Unfolds the axes of a case, for all versions that our codec has; those that the target does
    /// not list end as UNSUPPORTED.
    pub fn of(case: &'static Case) -> Vec<Self> {
        match case.axis {
            None => vec![Self { case, version: None }],
            Some((api, since)) => {
                let versions = api.stable_versions();
                (since.max(*versions.start())..=*versions.end())
                    .map(|version| Self { case, version: Some(version) })
                    .collect()
            }
        }
    }

    /// Why the target need not pass it, if so.
    pub fn unsupported(&self, target: &Target) -> Option<String> {
        let ((api, _), version) = (self.case.axis?, self.version?);
        let name = api.name();
        match target.advertised.get(&api.code()) {
            None => Some(format!("ApiVersions does not list {name}")),
            Some((first, last)) if version < *first || version > *last => {
                Some(format!("ApiVersions lists {name} {first} to {last}"))
            }
            Some(_) => None,
        }
    }
}

/// Whether `text` matches a pattern of letters, `*` (anything without a slash) and `**`.
pub fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            let Some(rest) = text.strip_prefix(before) else { return false };
            let (after, crosses) = match after.strip_prefix('*') {
                Some(after) => (after, true),
                None => (after, false),
            };
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.take_while(|at| crosses || !rest[..*at].contains('/'))
                .any(|at| matches(after, &rest[at..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, holds) in [
            ("fetch/*", "fetch/long-poll@v4", true),
            ("fetch/*@v4", "fetch/long-poll@v4", true),
            ("fetch/*@v4", "fetch/long-poll@v14", false),
            ("*", "fetch/long-poll", false),
            ("**", "fetch/long-poll", true),
            ("**poll**", "fetch/long-poll@v4", true),
            ("fetch/long-poll", "fetch/long-poll@v4", false),
        ] {
            assert_eq!(matches(pattern, text), holds, "{pattern} {text}");
        }
    }
}
