//! Faults by hand, by area.

pub(crate) mod admin;
pub(crate) mod basics;
pub(crate) mod change;
pub(crate) mod groups;
pub(crate) mod robustness;

use change::Change;
use ottla_protocol::messages::ApiKey;

/// A fault: the test that meets it, the statement that must be named, what is changed and where.
pub(crate) struct Planted {
    pub(crate) test: &'static str,
    pub(crate) statement: &'static str,
    pub(crate) api: ApiKey,
    pub(crate) version: Option<i16>,
    pub(crate) change: Change,
}

macro_rules! planted {
    ($test:literal, $statement:literal, $api:ident, $version:expr, raw $change:expr) => {
        planted!(@ $test, $statement, $api, $version, Change::Raw($change))
    };
    ($test:literal, $statement:literal, $api:ident, $version:expr, swap) => {
        planted!(@ $test, $statement, $api, $version, Change::Swap)
    };
    ($test:literal, $statement:literal, $api:ident, $version:expr, open) => {
        planted!(@ $test, $statement, $api, $version, Change::StaysOpen)
    };
    ($test:literal, $statement:literal, $api:ident, $version:expr, answer $change:expr) => {
        planted!(@ $test, $statement, $api, $version, Change::Answer($change))
    };
    ($test:literal, $statement:literal, $api:ident, $version:expr, $change:expr) => {
        planted!(@ $test, $statement, $api, $version, Change::Body(|answer| {
            if let Response::$api(answer) = answer {
                $change(&mut **answer);
            }
        }))
    };
    (@ $test:literal, $statement:literal, $api:ident, $version:expr, $change:expr) => {
        Planted {
            test: $test,
            statement: $statement,
            api: ApiKey::$api,
            version: $version,
            change: $change,
        }
    };
}
pub(crate) use planted;

/// Turns one error code into another.
pub(crate) fn instead(code: &mut i16, of: i16, other: i16) {
    if *code == of {
        *code = other;
    }
}
