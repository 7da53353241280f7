//! Releases of Apache Kafka, by which a schema says where a version exists.

use std::fmt;

/// A release: 4.3 stands for 4.3.0, 4.3.1 and those that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// 4 of 4.3.
    pub major: u8,
    /// 3 of 4.3.
    pub minor: u8,
}

impl Release {
    /// The releases that schemas describe, in order.
    pub const ALL: &'static [Self] = &[
        Self { major: 3, minor: 9 },
        Self { major: 4, minor: 0 },
        Self { major: 4, minor: 1 },
        Self { major: 4, minor: 2 },
        Self { major: 4, minor: 3 },
        Self { major: 4, minor: 4 },
    ];

    /// The release whose behaviour the codec's users keep to: what they offer and use is its
    /// versions.
    pub const BASE: Self = Self { major: 4, minor: 3 };

    /// The release of this text, `4.3`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|release| release.to_string() == text)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
