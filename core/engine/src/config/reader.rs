//! Reads checked values out of a [`Config`] as the types that the engine uses.

use std::time::Duration;

use super::value::Value;
use super::{Assignor, CompressionType, Config, ConfigError};

/// Every method panics for a name whose setting is of another type: a fault of this crate, which
/// the test that builds each typed struct would show.
pub(super) struct Reader<'a>(pub(super) &'a Config);

impl Reader<'_> {
    pub(super) fn integer(&self, name: &'static str) -> i64 {
        match self.0.value(name) {
            Some(Value::Integer(value)) => value,
            other => unreachable!("{name} is a number with a default, not {other:?}"),
        }
    }

    /// A number that the setting's range keeps within the type.
    pub(super) fn bounded<T: TryFrom<i64>>(&self, name: &'static str) -> T {
        let value = T::try_from(self.integer(name));
        value.unwrap_or_else(|_| unreachable!("the range of {name} fits its type"))
    }

    pub(super) fn millis(&self, name: &'static str) -> Duration {
        Duration::from_millis(self.integer(name).max(0).unsigned_abs())
    }

    pub(super) fn flag(&self, name: &'static str) -> bool {
        match self.0.value(name) {
            Some(Value::Flag(value)) => value,
            other => unreachable!("{name} is a flag with a default, not {other:?}"),
        }
    }

    pub(super) fn text(&self, name: &'static str) -> Option<String> {
        match self.0.value(name) {
            None => None,
            Some(Value::Text(value)) => Some(value),
            other => unreachable!("{name} is text, not {other:?}"),
        }
    }

    pub(super) fn required_text(&self, name: &'static str) -> String {
        self.text(name).unwrap_or_else(|| unreachable!("{name} has a default"))
    }

    /// A wait and the longest that it grows to. A wait that is longer than the other's default
    /// raises it; two values of the user's that contradict each other are refused.
    pub(super) fn growing(
        &self,
        first: &'static str,
        longest: &'static str,
    ) -> Result<(Duration, Duration), ConfigError> {
        let (from, to) = (self.millis(first), self.millis(longest));
        if from <= to {
            return Ok((from, to));
        }
        match (self.0.is_set(first), self.0.is_set(longest)) {
            (true, false) => Ok((from, from)),
            (false, true) => Ok((to, to)),
            _ => Err(ConfigError::Conflict {
                message: format!(
                    "{first} is {} ms: it must be at most {longest}, {} ms",
                    from.as_millis(),
                    to.as_millis()
                ),
            }),
        }
    }

    pub(super) fn compression(&self) -> CompressionType {
        match self.required_text("compression.type").as_str() {
            "gzip" => CompressionType::Gzip,
            "snappy" => CompressionType::Snappy,
            "lz4" => CompressionType::Lz4,
            "zstd" => CompressionType::Zstd,
            _ => CompressionType::None,
        }
    }

    /// The chosen codec's level; gzip's -1 is its own default.
    pub(super) fn compression_level(&self, compression: CompressionType) -> Option<i32> {
        let level = match compression {
            CompressionType::None | CompressionType::Snappy => return None,
            CompressionType::Gzip => self.bounded("compression.gzip.level"),
            CompressionType::Lz4 => self.bounded("compression.lz4.level"),
            CompressionType::Zstd => self.bounded("compression.zstd.level"),
        };
        (compression != CompressionType::Gzip || level >= 0).then_some(level)
    }

    pub(super) fn assignors(&self) -> Vec<Assignor> {
        let Some(Value::List(names)) = self.0.value("partition.assignment.strategy") else {
            unreachable!("partition.assignment.strategy is a list with a default");
        };
        let assignor = |name: &String| match name.as_str() {
            "roundrobin" => Assignor::RoundRobin,
            "sticky" => Assignor::Sticky,
            "cooperative-sticky" => Assignor::CooperativeSticky,
            _ => Assignor::Range,
        };
        names.iter().map(assignor).collect()
    }
}
