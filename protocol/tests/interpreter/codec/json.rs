//! Values in the JSON of the vectors, which is that of Apache Kafka's `JsonConverter`.

use super::schema::{Field, Message, Type, uuid};
use super::value::{Data, Struct, defaults};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

/// `TopicName` as `topicName`.
fn camel(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().expect("a name has letters");
    first.to_ascii_lowercase().to_string() + chars.as_str()
}

impl Message {
    /// A value of this version as JSON.
    pub(crate) fn to_json(&self, version: i16, value: &Struct) -> Value {
        members(&self.fields, version, value)
    }

    /// The value that the JSON describes; what it does not name has its default.
    pub(crate) fn parse_json(&self, version: i16, json: &Value) -> Struct {
        parse_members(&self.fields, version, json)
    }
}

fn members(fields: &[Field], version: i16, value: &Struct) -> Value {
    let mut object = Map::new();
    for (field, value) in fields.iter().zip(&value.fields) {
        let tagged = field.tag_in(version).is_some();
        if !field.versions.contains(version) || tagged && *value == field.default {
            continue;
        }
        object.insert(camel(&field.name), one(&field.ty, version, value));
    }
    object.into()
}

fn one(ty: &Type, version: i16, value: &Data) -> Value {
    match (ty, value) {
        (_, Data::Null) => Value::Null,
        (_, Data::Bool(value)) => (*value).into(),
        (_, Data::Int(number)) => (*number).into(),
        (_, Data::Float(bits)) => match f64::from_bits(*bits) {
            number if number.is_nan() => "NaN".into(),
            f64::INFINITY => "Infinity".into(),
            f64::NEG_INFINITY => "-Infinity".into(),
            number => number.into(),
        },
        (_, Data::Uuid(uuid)) => URL_SAFE_NO_PAD.encode(uuid).into(),
        (_, Data::Text(text)) => text.as_str().into(),
        (_, Data::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (Type::Array(ty), Data::Array(elements)) => {
            elements.iter().map(|element| one(ty, version, element)).collect()
        }
        (Type::Struct(fields), Data::Struct(value)) => members(fields, version, value),
        (ty, value) => panic!("{value:?} is no {ty:?}"),
    }
}

fn parse_members(fields: &[Field], version: i16, json: &Value) -> Struct {
    let object = json.as_object().unwrap_or_else(|| panic!("an object: {json}"));
    let mut value = defaults(fields);
    let mut taken = 0;
    for (at, field) in fields.iter().enumerate() {
        if !field.versions.contains(version) {
            continue;
        }
        let former = field.former.as_ref().and_then(|former| object.get(&camel(former)));
        let Some(json) = object.get(&camel(&field.name)).or(former) else { continue };
        taken += 1;
        value.fields[at] = parse(&field.ty, version, json);
    }
    assert_eq!(taken, object.len(), "version {version} has no such field: {json}");
    value
}

fn parse(ty: &Type, version: i16, json: &Value) -> Data {
    let text = || json.as_str().unwrap_or_else(|| panic!("a text: {json}"));
    match ty {
        _ if json.is_null() => Data::Null,
        Type::Bool => Data::Bool(json.as_bool().expect("true or false")),
        Type::Int { .. } => Data::Int(json.as_i64().expect("an integer")),
        Type::Float64 => Data::Float(match json.as_f64() {
            Some(number) => number.to_bits(),
            None => match text() {
                "NaN" => f64::NAN.to_bits(),
                "Infinity" => f64::INFINITY.to_bits(),
                "-Infinity" => f64::NEG_INFINITY.to_bits(),
                other => panic!("a number: {other}"),
            },
        }),
        Type::Uuid => Data::Uuid(uuid(text())),
        Type::String => Data::Text(text().to_owned()),
        Type::Bytes | Type::Records => Data::Bytes(STANDARD.decode(text()).expect("base64")),
        Type::Array(ty) => {
            let elements = json.as_array().unwrap_or_else(|| panic!("an array: {json}"));
            Data::Array(elements.iter().map(|element| parse(ty, version, element)).collect())
        }
        Type::Struct(fields) => Data::Struct(parse_members(fields, version, json)),
    }
}
