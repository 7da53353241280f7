//! What a row of the configuration table says.

use std::fmt;

use super::table::SETTINGS;

/// A kind of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sends records.
    Producer,
    /// Receives records.
    Consumer,
    /// Manages topics, groups and configurations.
    Admin,
}

impl Role {
    const ALL: [Self; 3] = [Self::Producer, Self::Consumer, Self::Admin];

    fn bit(self) -> u8 {
        match self {
            Self::Producer => 1,
            Self::Consumer => 2,
            Self::Admin => 4,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
            Self::Admin => "admin client",
        })
    }
}

/// The kinds of client that have a setting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    /// Producers only.
    pub const PRODUCER: Self = Self(1);
    /// Consumers only.
    pub const CONSUMER: Self = Self(2);
    /// Producers and admin clients.
    pub const PRODUCER_AND_ADMIN: Self = Self(1 | 4);
    /// Consumers and admin clients.
    pub const CONSUMER_AND_ADMIN: Self = Self(2 | 4);
    /// Every client.
    pub const ALL: Self = Self(1 | 2 | 4);

    /// Whether a client of this kind has the setting.
    pub fn has(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// The roles one by one: producer, consumer, admin.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.iter().map(|role| role.to_string()).collect();
        f.write_str(&names.join(" and "))
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The type of a setting's value, with what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number from `min` to `max`, both included.
    Integer {
        /// The smallest value allowed.
        min: i64,
        /// The largest value allowed.
        max: i64,
    },
    /// Any text.
    Text,
    /// `host:port` pairs separated by commas, at least one.
    Addresses,
    /// One of these.
    Choice(&'static [&'static str]),
    /// Some of these, separated by commas, in order of preference.
    Choices(&'static [&'static str]),
    /// `earliest`, `latest`, `none`, `by_duration:PT…` (KIP-1106) or `timestamp:MILLISECONDS`.
    OffsetReset,
}

/// The unit of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A plain number, or no number at all.
    None,
    /// Milliseconds.
    Milliseconds,
    /// Bytes.
    Bytes,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "",
            Self::Milliseconds => "ms",
            Self::Bytes => "bytes",
        })
    }
}

/// One row of the configuration table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Kafka's dotted name, or one in its style where Kafka has none.
    pub name: &'static str,
    /// The kinds of client that have it.
    pub roles: Roles,
    /// Type and range.
    pub kind: Kind,
    /// The unit of the number.
    pub unit: Unit,
    /// The value in force where the user gives none; `None` if there is then no value.
    pub default: Option<&'static str>,
    /// What it does, for people.
    pub doc: &'static str,
}

impl Setting {
    /// The row of a dotted name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// The row of a name as bindings write it, in snake case or camel case.
    pub fn of_binding_name(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.snake_case() == name || setting.camel_case() == name)
    }

    /// The name for Python and Rust: `linger.ms` is `linger_ms`.
    pub fn snake_case(&self) -> String {
        self.name.replace('.', "_")
    }

    /// The name for Node and Swift: `linger.ms` is `lingerMs`.
    pub fn camel_case(&self) -> String {
        let mut parts = self.name.split('.');
        let mut name = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let mut letters = part.chars();
            name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            name.push_str(letters.as_str());
        }
        name
    }

    /// What values are allowed, as a phrase that fits "expected …".
    pub fn allowed(&self) -> String {
        match self.kind {
            Kind::Flag => "true or false".to_owned(),
            Kind::Integer { min, max } => {
                let unit = self.unit.to_string();
                let space = if unit.is_empty() { "" } else { " " };
                format!("{min} to {max}{space}{unit}")
            }
            Kind::Text => "text".to_owned(),
            Kind::Addresses => "host:port, more of them separated by commas".to_owned(),
            Kind::Choice(choices) => format!("one of {}", choices.join(", ")),
            Kind::Choices(choices) => {
                format!("a list, separated by commas, of {}", choices.join(", "))
            }
            Kind::OffsetReset => {
                "earliest, latest, none, by_duration:PT… or timestamp:MILLISECONDS".to_owned()
            }
        }
    }
}
