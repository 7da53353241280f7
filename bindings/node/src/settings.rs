//! Settings from JavaScript.

use crate::event_loop::JsSettings;
use napi::bindgen_prelude::Either4;
use ottla_bindings::{Failure, Settings, Value};

/// The settings by these names and values.
pub(crate) fn settings(config: JsSettings) -> Result<Settings, Failure> {
    let mut settings = Settings::new();
    for (name, value) in config {
        settings.insert(&name, &value_of(value))?;
    }
    Ok(settings)
}

fn value_of(value: Either4<String, bool, f64, Vec<String>>) -> Value {
    match value {
        Either4::A(text) => Value::Text(text),
        Either4::B(flag) => Value::Flag(flag),
        // JavaScript's own text form, for the table to judge: 0.5 stays 0.5.
        Either4::C(number) if number.fract() != 0.0 => Value::Text(number.to_string()),
        Either4::C(number) => Value::Integer(number as i64),
        Either4::D(items) => Value::List(items),
    }
}
