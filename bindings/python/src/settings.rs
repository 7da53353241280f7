//! Settings from a dict and from keyword arguments.

use crate::errors::{to_py, wrong_type};
use crate::values::text;
use ottla::Config;
use ottla_bindings::{Settings, Value};
use ottla_engine::config::{Kind, SETTINGS};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyMapping, PyString};

/// The settings of a client's constructor; a keyword wins over the mapping.
pub(crate) fn config(
    mapping: Option<&Bound<'_, PyAny>>,
    keywords: Option<&Bound<'_, PyDict>>,
) -> PyResult<Config> {
    let mut settings = Settings::new();
    if let Some(mapping) = mapping.filter(|mapping| !mapping.is_none()) {
        let Ok(mapping) = mapping.cast::<PyMapping>() else {
            return Err(wrong_type("config", "a mapping from names to values, or None", mapping));
        };
        for pair in mapping.items()?.iter() {
            let (name, value) = pair.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
            insert(&mut settings, text("a setting's name", &name)?, &value)?;
        }
    }
    for (name, value) in keywords.into_iter().flatten() {
        insert(&mut settings, text("a setting's name", &name)?, &value)?;
    }
    Ok(settings.into_config())
}

fn insert(settings: &mut Settings, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    // None is "not set": the default holds.
    if value.is_none() {
        return Ok(());
    }
    settings.insert(name, &self::value(name, value)?).map_err(to_py)
}

fn value(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Value> {
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Value::Flag(flag.is_true()));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Value::Text(text.to_str()?.to_owned()));
    }
    if value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>() {
        // What is no 64-bit integer is for the table to judge.
        let integer = value.extract().map(Value::Integer);
        return integer.or_else(|_| Ok(Value::Text(value.str()?.to_string())));
    }
    let expected = "str, int, bool or a list of str";
    let items = value.try_iter().map_err(|_| wrong_type(name, expected, value))?;
    let items = items.map(|item| Ok(text(name, &item?)?.to_owned()));
    Ok(Value::List(items.collect::<PyResult<_>>()?))
}

/// A row of the configuration table: name, kinds of clients, Python's type, default, prose.
type Row = (String, Vec<String>, String, Option<&'static str>, &'static str);

/// The configuration table, for `ottla/_settings.py`, which repeats it for type checkers.
#[pyfunction]
pub(crate) fn _settings() -> Vec<Row> {
    let kind = |kind| match kind {
        Kind::Flag => "bool".to_owned(),
        Kind::Integer { .. } => "int".to_owned(),
        Kind::Addresses | Kind::Choices(_) => "str | Sequence[str]".to_owned(),
        Kind::Choice(choices) => {
            let texts = choices.iter().map(|choice| format!("\"{choice}\""));
            let numbers = choices.iter().filter(|choice| choice.parse::<i64>().is_ok());
            let all: Vec<_> = texts.chain(numbers.map(|number| (*number).to_owned())).collect();
            format!("Literal[{}]", all.join(", "))
        }
        Kind::Text | Kind::OffsetReset => "str".to_owned(),
    };
    let row = |setting: &ottla_engine::config::Setting| {
        let roles = setting.roles.iter().map(|role| role.to_string()).collect();
        (setting.snake_case(), roles, kind(setting.kind), setting.default, setting.doc)
    };
    SETTINGS.iter().map(row).collect()
}
