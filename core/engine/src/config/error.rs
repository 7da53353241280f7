//! What can be wrong with a configuration; always the user's to mend.

use std::fmt;

use super::{Role, Roles};

/// Why a configuration was refused. Never retriable: the configuration has to change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no setting of this name.
    Unknown {
        /// The name as given.
        name: String,
        /// The known name that is most like it, if one is.
        nearest: Option<&'static str>,
    },
    /// Other Kafka clients have this setting and Ottla has not.
    Elsewhere {
        /// The name as given.
        name: String,
        /// What to do instead.
        instead: &'static str,
    },
    /// The value is not of the setting's type.
    Malformed {
        /// The setting.
        name: &'static str,
        /// The value as given.
        value: String,
        /// What would be allowed.
        allowed: String,
    },
    /// The value is a number, but not an allowed one.
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// The value as given.
        value: i64,
        /// The range with its unit.
        allowed: String,
    },
    /// The setting belongs to other kinds of client.
    Role {
        /// The setting.
        name: &'static str,
        /// The client that was to be built.
        role: Role,
        /// The clients that have it.
        roles: Roles,
    },
    /// A setting without a default was not given.
    Missing {
        /// The setting.
        name: &'static str,
        /// An example of a value.
        example: &'static str,
    },
    /// Two settings exclude each other.
    Conflict {
        /// What is wrong and what to do.
        message: String,
    },
    /// A line of a properties file is not `name=value`.
    Line {
        /// Counted from 1.
        line: usize,
        /// The line.
        text: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, nearest: Some(nearest) } => {
                write!(f, "unknown setting {name:?}: did you mean {nearest:?}?")
            }
            Self::Unknown { name, nearest: None } => {
                write!(f, "unknown setting {name:?}: docs/guide/configuration.md lists all")
            }
            Self::Elsewhere { name, instead } => write!(f, "no setting {name:?} here: {instead}"),
            Self::Malformed { name, value, allowed } => {
                write!(f, "{name} is {value:?}: expected {allowed}")
            }
            Self::OutOfRange { name, value, allowed } => {
                write!(f, "{name} is {value}: out of range, expected {allowed}")
            }
            Self::Role { name, role, roles } => {
                write!(f, "{name} is a setting of the {roles}, not of the {role}: remove it")
            }
            Self::Missing { name, example } => {
                write!(f, "{name} is not set: give it, for example {name}={example}")
            }
            Self::Conflict { message } => f.write_str(message),
            Self::Line { line, text } => {
                write!(f, "line {line} is {text:?}: expected name=value")
            }
        }
    }
}

impl std::error::Error for ConfigError {}
