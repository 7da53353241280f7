//! Failures on their way to Swift.

use ottla_bindings::Failure;
use std::fmt;

/// What Swift turns into its `OttlaError`.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct FailureDetails {
    /// The class's stem: `NotFound`.
    pub kind: String,
    /// The broker's error name, or the class's code.
    pub code: String,
    /// What was wrong, where, and what to do.
    pub message: String,
    /// Whether the same call may succeed later.
    pub is_retriable: bool,
    /// Whether the client is of no further use.
    pub is_fatal: bool,
    /// Whether the record may be in the log all the same.
    pub possibly_written: bool,
}

/// The one error of this library's functions.
#[derive(Debug, Clone, PartialEq, uniffi::Error)]
pub enum NativeError {
    /// Something failed.
    Failed {
        /// What and why.
        details: FailureDetails,
    },
}

impl From<Failure> for FailureDetails {
    fn from(failure: Failure) -> Self {
        Self {
            kind: failure.class.stem().to_owned(),
            code: failure.code.to_owned(),
            message: failure.message,
            is_retriable: failure.is_retriable,
            is_fatal: failure.is_fatal,
            possibly_written: failure.possibly_written,
        }
    }
}

impl From<ottla::Error> for FailureDetails {
    fn from(error: ottla::Error) -> Self {
        Failure::from(error).into()
    }
}

impl From<Failure> for NativeError {
    fn from(failure: Failure) -> Self {
        Self::Failed { details: failure.into() }
    }
}

impl From<ottla::Error> for NativeError {
    fn from(error: ottla::Error) -> Self {
        Failure::from(error).into()
    }
}

impl fmt::Display for NativeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Failed { details } = self;
        f.write_str(&details.message)
    }
}

impl std::error::Error for NativeError {}
