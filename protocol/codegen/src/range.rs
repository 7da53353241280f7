//! Version ranges: `3`, `3-13`, `9+`.

use std::fmt;

/// A non-empty range of versions; without a last one it has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first version.
    pub first: i16,
    /// The last version, or none for `9+`.
    pub last: Option<i16>,
}

impl Range {
    /// `first-last`.
    pub fn closed(first: i16, last: i16) -> Self {
        Self { first, last: Some(last) }
    }

    /// Whether the version is in the range.
    pub fn contains(self, version: i16) -> bool {
        self.first <= version && self.last.is_none_or(|last| version <= last)
    }

    /// The versions in both, if there are any.
    pub fn intersect(self, other: Self) -> Option<Self> {
        let first = self.first.max(other.first);
        let last = match (self.last, other.last) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        last.is_none_or(|last| first <= last).then_some(Self { first, last })
    }

    /// Whether every version of `self` is in `other`.
    pub fn within(self, other: Self) -> bool {
        self.intersect(other) == Some(self)
    }

    /// Whether it begins with one of the versions, and ends with one or has no end.
    pub fn is_of(self, versions: Self) -> bool {
        versions.contains(self.first) && self.last.is_none_or(|last| versions.contains(last))
    }

    /// The range as a Rust range expression.
    pub fn rust(self) -> String {
        match self.last {
            None => format!("{}..", self.first),
            Some(last) => format!("{}..={last}", self.first),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            None => write!(f, "{}+", self.first),
            Some(last) if last == self.first => write!(f, "{last}"),
            Some(last) => write!(f, "{}-{last}", self.first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn open(first: i16) -> Range {
        Range { first, last: None }
    }

    #[test]
    fn ranges_intersect_where_they_share_a_version() {
        assert_eq!(open(3).intersect(Range::closed(0, 5)), Some(Range::closed(3, 5)));
        assert_eq!(open(6).intersect(Range::closed(0, 5)), None);
        assert_eq!(open(1).intersect(open(4)), Some(open(4)));
        assert_eq!(Range::closed(2, 2).intersect(open(2)), Some(Range::closed(2, 2)));
    }

    #[test]
    fn an_open_range_is_not_within_a_closed_one() {
        assert!(Range::closed(3, 5).within(open(3)));
        assert!(!open(3).within(Range::closed(3, 5)));
        assert!(!open(2).within(open(3)));
    }

    #[test]
    fn an_open_range_is_of_the_versions_in_which_it_begins() {
        let versions = Range::closed(1, 5);
        for (range, is) in [
            (open(1), true),
            (open(5), true),
            (Range::closed(2, 5), true),
            (open(0), false),
            (open(6), false),
            (Range::closed(4, 6), false),
        ] {
            assert_eq!(range.is_of(versions), is, "{range}");
        }
    }

    #[test]
    fn ranges_print_as_they_are_written() {
        for (range, text, rust) in [
            (open(9), "9+", "9.."),
            (Range::closed(3, 13), "3-13", "3..=13"),
            (Range::closed(4, 4), "4", "4..=4"),
        ] {
            assert_eq!(range.to_string(), text);
            assert_eq!(range.rust(), rust);
        }
    }
}
