//! Plain data on its way to JavaScript.

use napi::bindgen_prelude::{BigInt, Null, Object, ToNapiValue};
use napi::{Env, sys};
use ottla_bindings::Failure;

/// A value that becomes a JavaScript value of its own kind.
#[derive(Debug)]
pub enum Tree {
    Null,
    Flag(bool),
    Number(f64),
    Big(i64),
    Text(String),
    List(Vec<Self>),
    Map(Vec<(&'static str, Self)>),
}

impl Tree {
    /// A list of what these become.
    pub(crate) fn list<T>(items: impl IntoIterator<Item = T>, to: impl Fn(T) -> Self) -> Self {
        Self::List(items.into_iter().map(to).collect())
    }
}

impl From<bool> for Tree {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<i32> for Tree {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<String> for Tree {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Tree {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<T: Into<Self>> From<Option<T>> for Tree {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<Failure> for Tree {
    fn from(failure: Failure) -> Self {
        Self::Map(vec![
            ("class", failure.class.stem().into()),
            ("code", failure.code.into()),
            ("message", failure.message.into()),
            ("retriable", failure.is_retriable.into()),
            ("fatal", failure.is_fatal.into()),
            ("possiblyWritten", failure.possibly_written.into()),
        ])
    }
}

impl ToNapiValue for Tree {
    unsafe fn to_napi_value(env: sys::napi_env, tree: Self) -> napi::Result<sys::napi_value> {
        // SAFETY: the environment is the caller's, who vouches for it.
        unsafe {
            match tree {
                Self::Null => Null::to_napi_value(env, Null),
                Self::Flag(flag) => bool::to_napi_value(env, flag),
                Self::Number(number) => f64::to_napi_value(env, number),
                Self::Big(number) => BigInt::to_napi_value(env, number.into()),
                Self::Text(text) => String::to_napi_value(env, text),
                Self::List(items) => Vec::to_napi_value(env, items),
                Self::Map(fields) => {
                    let mut object = Object::new(&Env::from_raw(env))?;
                    for (name, value) in fields {
                        object.set(name, value)?;
                    }
                    Object::to_napi_value(env, object)
                }
            }
        }
    }
}

/// What a call that does not wait answers: nothing, or the failure that JavaScript throws.
pub(crate) fn thrown(result: Result<(), impl Into<Failure>>) -> Option<Tree> {
    result.err().map(|failure| failure.into().into())
}
