//! The JSON form of messages, as Apache Kafka's `JsonConverter` writes it: camelCase names, bytes
//! in base64, ids in unpadded URL-safe base64, tagged fields left out where they have their
//! default.

use super::PutCx;
use crate::error::{EncodeError, Step};
use crate::uuid::Uuid;
use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};

/// A value that has a JSON form.
pub trait Json: Sized {
    /// The JSON form.
    ///
    /// # Errors
    ///
    /// When the version cannot carry the value.
    fn json(&self, cx: PutCx) -> Result<Value, EncodeError>;

    /// Reads the JSON form.
    ///
    /// # Errors
    ///
    /// When the value has another type, or a field is not one of the version's.
    fn parse_json(value: &Value, cx: PutCx) -> Result<Self, EncodeError>;
}

fn mismatch(value: &Value, expected: &str, cx: PutCx) -> EncodeError {
    EncodeError::new(cx.version, format!("{expected} was expected, not {value}"))
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Json for $type {
            fn json(&self, _: PutCx) -> Result<Value, EncodeError> {
                Ok(Value::from(*self))
            }

            fn parse_json(value: &Value, cx: PutCx) -> Result<Self, EncodeError> {
                value.as_i64().and_then(|wide| Self::try_from(wide).ok()).ok_or_else(|| {
                    let expected =
                        format!("an integer from {} to {}", Self::MIN, Self::MAX);
                    mismatch(value, &expected, cx)
                })
            }
        }
    )*};
}

integers!(i8, i16, u16, i32, u32, i64);

/// What JSON has no number for is a string, as Jackson writes it for Kafka.
const NOT_FINITE: [(&str, f64); 3] =
    [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)];

impl Json for f64 {
    fn json(&self, _: PutCx) -> Result<Value, EncodeError> {
        let is_this = |of: Self| of == *self || of.is_nan() && self.is_nan();
        let named = NOT_FINITE.iter().find(|(_, of)| is_this(*of));
        Ok(named.map_or_else(|| Value::from(*self), |(name, _)| Value::from(*name)))
    }

    fn parse_json(value: &Value, cx: PutCx) -> Result<Self, EncodeError> {
        let named = NOT_FINITE.iter().find(|(name, _)| value.as_str() == Some(name));
        let parsed = named.map(|(_, of)| *of).or_else(|| value.as_f64());
        parsed.ok_or_else(|| mismatch(value, "a number", cx))
    }
}

impl Json for bool {
    fn json(&self, _: PutCx) -> Result<Value, EncodeError> {
        Ok(Value::from(*self))
    }

    fn parse_json(value: &Value, cx: PutCx) -> Result<Self, EncodeError> {
        value.as_bool().ok_or_else(|| mismatch(value, "true or false", cx))
    }
}

impl Json for String {
    fn json(&self, _: PutCx) -> Result<Value, EncodeError> {
        Ok(Value::from(self.as_str()))
    }

    fn parse_json(value: &Value, cx: PutCx) -> Result<Self, EncodeError> {
        value.as_str().map(str::to_owned).ok_or_else(|| mismatch(value, "a string", cx))
    }
}

impl Json for Uuid {
    fn json(&self, _: PutCx) -> Result<Value, EncodeError> {
        Ok(Value::from(self.to_string()))
    }

    fn parse_json(value: &Value, cx: PutCx) -> Result<Self, EncodeError> {
        value
            .as_str()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| mismatch(value, "an id of 22 characters of URL-safe base64", cx))
    }
}

impl Json for Bytes {
    fn json(&self, _: PutCx) -> Result<Value, EncodeError> {
        Ok(Value::from(STANDARD.encode(self)))
    }

    fn parse_json(value: &Value, cx: PutCx) -> Result<Self, EncodeError> {
        value
            .as_str()
            .and_then(|text| STANDARD.decode(text).ok())
            .map(Self::from)
            .ok_or_else(|| mismatch(value, "bytes in base64", cx))
    }
}

impl<T: Json> Json for Option<T> {
    fn json(&self, cx: PutCx) -> Result<Value, EncodeError> {
        self.as_ref().map_or(Ok(Value::Null), |value| value.json(cx))
    }

    fn parse_json(value: &Value, cx: PutCx) -> Result<Self, EncodeError> {
        if value.is_null() { Ok(None) } else { T::parse_json(value, cx).map(Some) }
    }
}

impl<T: Json> Json for Vec<T> {
    fn json(&self, cx: PutCx) -> Result<Value, EncodeError> {
        self.iter()
            .enumerate()
            .map(|(index, element)| {
                element.json(cx).map_err(|error| error.push(Step::Index(index)))
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Value::from)
    }

    fn parse_json(value: &Value, cx: PutCx) -> Result<Self, EncodeError> {
        let elements = value.as_array().ok_or_else(|| mismatch(value, "an array", cx))?;
        elements
            .iter()
            .enumerate()
            .map(|(index, element)| {
                T::parse_json(element, cx).map_err(|error| error.push(Step::Index(index)))
            })
            .collect()
    }
}

/// Takes the fields of a struct out of a JSON object; called by derived code.
#[doc(hidden)]
pub struct Fields<'v> {
    object: &'v Map<String, Value>,
    taken: usize,
    cx: PutCx,
}

impl<'v> Fields<'v> {
    /// The object's fields.
    pub fn new(value: &'v Value, cx: PutCx) -> Result<Self, EncodeError> {
        let object = value.as_object().ok_or_else(|| mismatch(value, "an object", cx))?;
        Ok(Self { object, taken: 0, cx })
    }

    /// The field of this name, or its default where it is absent.
    pub fn take<T: Json>(
        &mut self,
        name: &'static str,
        default: impl FnOnce() -> T,
    ) -> Result<T, EncodeError> {
        match self.object.get(name) {
            None => Ok(default()),
            Some(value) => {
                self.taken += 1;
                T::parse_json(value, self.cx).map_err(|error| error.push(Step::Field(name)))
            }
        }
    }

    /// The same of a field that had another name in earlier releases.
    pub fn take_either<T: Json>(
        &mut self,
        name: &'static str,
        former: &'static str,
        default: impl FnOnce() -> T,
    ) -> Result<T, EncodeError> {
        let found = if self.object.contains_key(name) { name } else { former };
        self.take(found, default)
    }

    /// Refuses fields that were not taken.
    pub fn finish(self, known: &[&str]) -> Result<(), EncodeError> {
        if self.taken == self.object.len() {
            return Ok(());
        }
        let stranger = self.object.keys().find(|name| !known.contains(&name.as_str()));
        let name = stranger.or_else(|| self.object.keys().next()).map_or("", String::as_str);
        Err(EncodeError::new(
            self.cx.version,
            format!("{name:?} is not a field of this struct in this version"),
        ))
    }
}

/// Adds a field to the object under construction; called by derived code.
#[doc(hidden)]
pub fn put_json<T: Json>(
    object: &mut Map<String, Value>,
    name: &'static str,
    value: &T,
    cx: PutCx,
) -> Result<(), EncodeError> {
    let value = value.json(cx).map_err(|error| error.push(Step::Field(name)))?;
    object.insert(name.to_owned(), value);
    Ok(())
}

/// An empty object; called by derived code.
#[doc(hidden)]
pub fn object() -> Map<String, Value> {
    Map::new()
}

#[doc(hidden)]
pub use serde_json::Value as JsonValue;
