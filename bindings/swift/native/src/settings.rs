//! Settings from Swift.

use crate::failure::NativeError;
use ottla::Config;
use ottla_bindings::{Settings, Value};

/// A setting's value.
#[derive(Debug, Clone, PartialEq, uniffi::Enum)]
pub enum SettingValue {
    /// Text.
    Text {
        /// As it is.
        text: String,
    },
    /// A flag.
    Flag {
        /// On or off.
        flag: bool,
    },
    /// A whole number.
    Integer {
        /// In the setting's unit.
        number: i64,
    },
    /// A list, such as addresses.
    List {
        /// In order.
        items: Vec<String>,
    },
}

/// A setting by any spelling of its name.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct NamedSetting {
    /// Kafka's dotted name, camel case or snake case.
    pub name: String,
    /// Its value.
    pub value: SettingValue,
}

/// The core's configuration of these settings; the last of a name wins.
///
/// # Errors
///
/// `Config`, as [`Settings::insert`].
pub fn config(settings: Vec<NamedSetting>) -> Result<Config, NativeError> {
    let mut all = Settings::new();
    for NamedSetting { name, value } in settings {
        let value = match value {
            SettingValue::Text { text } => Value::Text(text),
            SettingValue::Flag { flag } => Value::Flag(flag),
            SettingValue::Integer { number } => Value::Integer(number),
            SettingValue::List { items } => Value::List(items),
        };
        all.insert(&name, &value)?;
    }
    Ok(all.into_config())
}
