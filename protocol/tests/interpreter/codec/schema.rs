//! The exported schema as a tree.

use super::value::{Data, zero};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::collections::BTreeMap;

/// Versions from the first to the last; none where the last is below the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Versions {
    /// The first.
    pub(crate) first: i16,
    /// The last.
    pub(crate) last: i16,
}

impl Versions {
    const NONE: Self = Self { first: 0, last: -1 };

    /// `none`, `3`, `3-13` or `9+`; what is absent is none.
    fn of(text: Option<&Value>) -> Self {
        let Some(text) = text.filter(|text| !text.is_null()) else { return Self::NONE };
        let text = text.as_str().expect("versions are a text");
        let number = |digits: &str| -> i16 { digits.parse().expect("a version") };
        match (text, text.strip_suffix('+'), text.split_once('-')) {
            ("none", ..) => Self::NONE,
            (_, Some(first), _) => Self { first: number(first), last: i16::MAX },
            (_, _, Some((first, last))) => Self { first: number(first), last: number(last) },
            _ => Self { first: number(text), last: number(text) },
        }
    }

    /// Whether the version is one of them.
    pub(crate) fn contains(self, version: i16) -> bool {
        self.first <= version && version <= self.last
    }
}

/// A field's type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    /// `bool`
    Bool,
    /// An integer of so many bytes.
    Int {
        /// 1, 2, 4 or 8.
        bytes: usize,
        /// Whether it has a sign.
        signed: bool,
    },
    /// `float64`
    Float64,
    /// `uuid`
    Uuid,
    /// `string`
    String,
    /// `bytes`
    Bytes,
    /// `records`
    Records,
    /// `[]` and the type of the elements
    Array(Box<Self>),
    /// A struct and its fields.
    Struct(Vec<Field>),
}

/// A field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    /// Its name in the schema.
    pub(crate) name: String,
    /// The name that releases before the latest know it by.
    pub(crate) former: Option<String>,
    /// Its type.
    pub(crate) ty: Type,
    /// The versions that have it.
    pub(crate) versions: Versions,
    /// The versions in which it may be null.
    pub(crate) nullable: Versions,
    /// Its default.
    pub(crate) default: Data,
    /// The number of its tag, and the versions in which it is tagged.
    pub(crate) tag: Option<(u32, Versions)>,
    /// Whether its lengths are classic in every version.
    pub(crate) classic: bool,
    /// Whether its value may be dropped where a version lacks it.
    pub(crate) ignorable: bool,
}

impl Field {
    /// The number of its tag, where it is tagged in that version.
    pub(crate) fn tag_in(&self, version: i16) -> Option<u32> {
        self.tag.filter(|(_, tagged)| tagged.contains(version)).map(|(number, _)| number)
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    /// Its name.
    pub(crate) name: String,
    /// The number of a stored record's type.
    pub(crate) number: Option<i16>,
    /// Its versions.
    pub(crate) versions: Versions,
    /// Those of them that are flexible.
    pub(crate) flexible: Versions,
    /// Its fields.
    pub(crate) fields: Vec<Field>,
}

/// All messages by name.
pub(crate) struct Schemas(BTreeMap<String, Message>);

impl Schemas {
    /// The messages of an export.
    pub(crate) fn of(export: &Value) -> Self {
        let mut all = BTreeMap::new();
        let mut add = |name: String, value: &Value| {
            let message = message(&name, value);
            assert!(all.insert(name.clone(), message).is_none(), "{name} is exported twice");
        };
        for api in list(export, "apis") {
            for (key, suffix) in [("request", "Request"), ("response", "Response")] {
                add(format!("{}{suffix}", text(api, "name")), &api[key]);
            }
        }
        for other in list(export, "headers").iter().chain(list(export, "records")) {
            add(text(other, "name").to_owned(), other);
        }
        Self(all)
    }

    /// The message of this name.
    pub(crate) fn get(&self, name: &str) -> &Message {
        self.0.get(name).unwrap_or_else(|| panic!("the export lacks {name}"))
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Message> {
        self.0.values()
    }
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("`{key}` is a list: {value}"))
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("`{key}` is a text: {value}"))
}

fn message(name: &str, value: &Value) -> Message {
    let mut rows = list(value, "fields").iter().peekable();
    let fields = members(&mut rows, "");
    assert!(rows.next().is_none(), "{name}: a field stands below no other");
    Message {
        name: name.to_owned(),
        number: value.get("key").and_then(Value::as_i64).map(|key| key as i16),
        versions: Versions::of(value.get("valid")),
        flexible: Versions::of(value.get("flexible")),
        fields,
    }
}

type Rows<'v> = std::iter::Peekable<std::slice::Iter<'v, Value>>;

/// The fields whose path is that prefix and a name.
fn members(rows: &mut Rows<'_>, prefix: &str) -> Vec<Field> {
    let mut fields = Vec::new();
    while let Some(row) = rows.peek() {
        let path = text(row, "path");
        let Some(name) = path.strip_prefix(prefix).filter(|name| !name.contains('.')) else {
            break;
        };
        let row = rows.next().expect("it was peeked at");
        fields.push(field(name, path, row, rows));
    }
    fields
}

fn field(name: &str, path: &str, row: &Value, rows: &mut Rows<'_>) -> Field {
    let ty = match text(row, "type").strip_prefix("[]") {
        Some(element) => {
            let element = type_of(element, &format!("{path}[]."), rows);
            Type::Array(Box::new(element))
        }
        None => type_of(text(row, "type"), &format!("{path}."), rows),
    };
    let default = match row.get("default") {
        Some(default) => literal(default, &ty),
        None if ty == Type::Records => Data::Null,
        None => zero(&ty),
    };
    let tag = row.get("tag").and_then(Value::as_u64);
    let tag = tag.map(|tag| (tag as u32, Versions::of(row.get("tagged"))));
    Field {
        name: name.to_owned(),
        former: row.get("formerly").and_then(Value::as_str).map(str::to_owned),
        versions: Versions::of(row.get("versions")),
        nullable: Versions::of(row.get("nullable")),
        default,
        tag,
        classic: row.get("flexible").is_some_and(|flexible| flexible == "none"),
        ignorable: row.get("ignorable").is_some_and(|ignorable| ignorable == true),
        ty,
    }
}

fn type_of(name: &str, prefix: &str, rows: &mut Rows<'_>) -> Type {
    let int = |bytes, signed| Type::Int { bytes, signed };
    match name {
        "bool" => Type::Bool,
        "int8" => int(1, true),
        "int16" => int(2, true),
        "uint16" => int(2, false),
        "int32" => int(4, true),
        "uint32" => int(4, false),
        "int64" => int(8, true),
        "float64" => Type::Float64,
        "uuid" => Type::Uuid,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "records" => Type::Records,
        "struct" => Type::Struct(members(rows, prefix)),
        other => panic!("the export has a type `{other}`"),
    }
}

/// A default as the export writes it.
fn literal(value: &Value, ty: &Type) -> Data {
    let text = value.as_str();
    match ty {
        _ if value.is_null() => Data::Null,
        Type::Bool => Data::Bool(value == &Value::Bool(true) || text == Some("true")),
        Type::Int { .. } => Data::Int(value.as_i64().unwrap_or_else(|| {
            let text = text.expect("an integer is a number or a text");
            match text.strip_prefix("0x") {
                Some(digits) => i64::from_str_radix(digits, 16).expect("hexadecimal digits"),
                None => text.parse().expect("a decimal number"),
            }
        })),
        Type::Float64 => Data::Float(value.as_f64().expect("a number").to_bits()),
        Type::Uuid => Data::Uuid(uuid(text.expect("a uuid is a text"))),
        Type::String => Data::Text(text.expect("a text").to_owned()),
        Type::Bytes | Type::Records => {
            assert_eq!(text, Some(""), "only empty bytes are a default");
            Data::Bytes(Vec::new())
        }
        // Of arrays and structs only the empty ones are defaults.
        Type::Array(_) | Type::Struct(_) => zero(ty),
    }
}

/// 22 characters of URL-safe base64.
pub(crate) fn uuid(text: &str) -> [u8; 16] {
    let bytes = URL_SAFE_NO_PAD.decode(text).expect("base64");
    bytes.try_into().expect("16 bytes")
}
