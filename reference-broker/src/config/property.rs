//! What a property is: name, type, range, default, documentation, and the check of a value against
//! it.

use std::fmt;

/// The type of a property's value, with its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A 16-bit number.
    Short { min: i64, max: i64 },
    /// A 32-bit number.
    Int { min: i64, max: i64 },
    /// A 64-bit number.
    Long { min: i64, max: i64 },
    /// A number with a fraction.
    Double { min: i64, max: i64 },
    /// Any text.
    Text,
    /// Texts separated by commas, each of them one of these (any, where the list is empty).
    List(&'static [&'static str]),
    /// Replicas as `partition:broker`, separated by commas, or `*` for all.
    Replicas,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// Whether a value can be appended to, and taken from.
    pub fn is_list(self) -> bool {
        matches!(self, Self::List(_) | Self::Replicas)
    }
}

/// A row of a configuration table.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    /// Kafka's dotted name.
    pub name: &'static str,
    /// Type and range.
    pub kind: Kind,
    /// What holds when nothing is set, as text; empty stands for "unset".
    pub default: &'static str,
    /// One sentence for `DescribeConfigs` and the guide.
    pub doc: &'static str,
    /// For a topic's property: the broker's property that holds where the topic sets nothing.
    pub broker_name: Option<&'static str>,
}

impl Property {
    /// A broker's property.
    pub(super) const fn new(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self { name, kind, default, doc, broker_name: None }
    }

    /// A topic's property that falls back to the broker's.
    pub(super) const fn topic(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        broker_name: &'static str,
        doc: &'static str,
    ) -> Self {
        Self { name, kind, default, doc, broker_name: Some(broker_name) }
    }

    /// Checks `value`; the message names the property, the value and what is allowed.
    pub fn check(&self, value: &str) -> Result<(), ConfigError> {
        let value = value.trim();
        let fail = |reason: String| {
            Err(ConfigError(format!("invalid value '{value}' for {}: {reason}", self.name)))
        };
        match self.kind {
            Kind::Bool if value == "true" || value == "false" => Ok(()),
            Kind::Bool => fail("expected true or false".into()),
            Kind::Short { min, max } | Kind::Int { min, max } | Kind::Long { min, max } => {
                match value.parse::<i64>() {
                    Ok(number) if (min..=max).contains(&number) => Ok(()),
                    Ok(_) => fail(format!("must be between {min} and {max}")),
                    Err(_) => fail(format!("expected a whole number between {min} and {max}")),
                }
            }
            Kind::Double { min, max } => match value.parse::<f64>() {
                Ok(number) if (min as f64..=max as f64).contains(&number) => Ok(()),
                _ => fail(format!("expected a number between {min} and {max}")),
            },
            Kind::Text => Ok(()),
            Kind::List(words) => {
                let bad = split_list(value).find(|word| !words.is_empty() && !words.contains(word));
                match bad {
                    Some(word) => fail(format!("'{word}' is not one of {}", words.join(", "))),
                    None => Ok(()),
                }
            }
            Kind::Replicas if value == "*" => Ok(()),
            Kind::Replicas => match split_list(value).find(|word| replica(word).is_none()) {
                Some(word) => fail(format!("'{word}' is not [partition]:[broker]; or give '*'")),
                None => Ok(()),
            },
            Kind::Choice(words) if words.contains(&value) => Ok(()),
            Kind::Choice(words) => fail(format!("must be one of {}", words.join(", "))),
        }
    }

    /// The type's number in `DescribeConfigs` v3 and later.
    pub fn wire_type(&self) -> i8 {
        match self.kind {
            Kind::Bool => 1,
            Kind::Text | Kind::Choice(_) => 2,
            Kind::Int { .. } => 3,
            Kind::Short { .. } => 4,
            Kind::Long { .. } => 5,
            Kind::Double { .. } => 6,
            Kind::List(_) | Kind::Replicas => 7,
        }
    }
}

/// The words of a list property.
pub(crate) fn split_list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// `partition:broker`
fn replica(word: &str) -> Option<(i32, i32)> {
    let (partition, broker) = word.split_once(':')?;
    let number = |text: &str| text.parse().ok().filter(|number| *number >= 0);
    Some((number(partition)?, number(broker)?))
}

/// Whether a list of [`Kind::Replicas`] has this replica.
pub(crate) fn has_replica(list: &str, partition: i32, broker: i32) -> bool {
    list == "*" || split_list(list).any(|word| replica(word) == Some((partition, broker)))
}

/// A configuration that cannot be used; the text says which name or value and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub(crate) String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// The name of `table` that is nearest to `name` by edit distance.
pub(crate) fn nearest<'a>(name: &str, table: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    table
        .map(|candidate| (distance(name, candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= name.len() / 2 + 1)
        .map(|(_, candidate)| candidate)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTION: Property =
        Property::new("a.portion", Kind::Int { min: 1, max: 9 }, "5", "A test's property.");

    #[test]
    fn values_out_of_range_name_the_property_and_the_range() {
        assert!(PORTION.check(" 9 ").is_ok());
        let error = PORTION.check("10").unwrap_err().to_string();
        assert_eq!(error, "invalid value '10' for a.portion: must be between 1 and 9");
        assert!(PORTION.check("many").unwrap_err().to_string().contains("whole number"));
    }

    #[test]
    fn nearest_finds_a_typing_error_and_refuses_what_is_far() {
        let names = ["log.dirs", "node.id", "num.partitions"];
        assert_eq!(nearest("log.dir", names.into_iter()), Some("log.dirs"));
        assert_eq!(nearest("num.partition", names.into_iter()), Some("num.partitions"));
        assert_eq!(nearest("x", names.into_iter()), None);
    }
}
