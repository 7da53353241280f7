//! Settings by any spelling of their names, for the core's one table.

use crate::Failure;
use ottla::Config;
use ottla_engine::config::Setting;
use std::fmt;

pub use ottla_engine::config::Role;

/// A setting's value as a language gives it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text, and what has a text form of its own.
    Text(String),
    /// A flag.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A list, such as addresses: joined by commas.
    List(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::List(items) => f.write_str(&items.join(",")),
        }
    }
}

/// What a user set, name by name.
///
/// ```
/// use ottla_bindings::{Settings, Value};
///
/// let mut settings = Settings::new();
/// settings.insert("bootstrap_servers", &Value::List(vec!["h:1".into(), "h:2".into()]))?;
/// settings.insert("lingerMs", &Value::Integer(5))?;
/// settings.insert("compression.type", &Value::Text("zstd".into()))?;
/// assert_eq!(settings.config().get("linger.ms").as_deref(), Some("5"));
/// # Ok::<(), ottla_bindings::Failure>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Settings {
    config: Config,
}

impl Settings {
    /// None: the table's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value by Kafka's dotted name, snake case or camel case; the last one wins.
    ///
    /// # Errors
    ///
    /// `Config` for a name that is not known, with the nearest that is in the spelling that was
    /// used, and for a value of the wrong type or out of its range.
    pub fn insert(&mut self, name: &str, value: &Value) -> Result<(), Failure> {
        let dotted = match Setting::of_binding_name(name) {
            Some(setting) => setting.name.to_owned(),
            None => dotted(name),
        };
        self.config.insert(&dotted, value).map_err(|error| {
            let mut failure = Failure::from(error);
            failure.message = spelt_as(name, &failure.message);
            failure
        })
    }

    /// What was set, for a client's builder.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The same, taken.
    pub fn into_config(self) -> Config {
        self.config
    }
}

/// `linger_ms` and `lingerMs` as `linger.ms`.
fn dotted(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        match letter {
            '_' => text.push('.'),
            letter if letter.is_ascii_uppercase() => {
                text.push('.');
                text.push(letter.to_ascii_lowercase());
            }
            letter => text.push(letter),
        }
    }
    text
}

/// Names of settings between quotation marks, in the spelling of `name`.
fn spelt_as(name: &str, message: &str) -> String {
    if name.contains('.') {
        return message.to_owned();
    }
    let respell = |setting: &Setting| match name.contains('_') {
        true => setting.snake_case(),
        false => setting.camel_case(),
    };
    let parts: Vec<String> = message
        .split('"')
        .map(|part| {
            if part == dotted(name) {
                return name.to_owned();
            }
            Setting::named(part).map_or_else(|| part.to_owned(), respell)
        })
        .collect();
    parts.join("\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn failure(name: &str, value: Value) -> Failure {
        Settings::new().insert(name, &value).expect_err("it is refused")
    }

    #[test]
    fn every_setting_is_known_in_all_three_spellings() {
        for setting in ottla_engine::config::SETTINGS {
            for name in [setting.name.to_owned(), setting.snake_case(), setting.camel_case()] {
                let Some(value) = setting.default else { continue };
                let set = Settings::new().insert(&name, &Value::Text(value.to_owned()));
                assert_eq!(set, Ok(()), "{name}");
            }
        }
    }

    #[test]
    fn an_unknown_name_is_answered_in_its_own_spelling() {
        for (name, nearest) in
            [("linger_m", "linger_ms"), ("lingerM", "lingerMs"), ("linger.m", "linger.ms")]
        {
            let failure = failure(name, Value::Integer(5));
            assert_eq!(failure.class, Class::Config);
            assert!(failure.message.contains(&format!("\"{name}\"")), "{failure}");
            assert!(failure.message.contains(&format!("\"{nearest}\"")), "{failure}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_type_or_range_is_refused() {
        assert_eq!(failure("linger_ms", Value::Text("soon".into())).class, Class::Config);
        assert_eq!(failure("lingerMs", Value::Integer(-1)).code, "CONFIG");
    }
}
