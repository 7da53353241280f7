//! Values of any message.

use super::schema::{Field, Type};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    /// No value.
    Null,
    /// `bool`
    Bool(bool),
    /// Every integer type.
    Int(i64),
    /// The bits of a `float64`: two of the same bits are the same.
    Float(u64),
    /// `uuid`
    Uuid([u8; 16]),
    /// `string`
    Text(String),
    /// `bytes` and `records`
    Bytes(Vec<u8>),
    /// An array.
    Array(Vec<Self>),
    /// A struct.
    Struct(Struct),
}

/// A struct, or a message.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Struct {
    /// The fields of all versions, in the order of the schema.
    pub(crate) fields: Vec<Data>,
    /// Tagged fields that the version does not know.
    pub(crate) unknown: Vec<(u32, Vec<u8>)>,
}

/// A struct in which every field has its default.
pub(crate) fn defaults(fields: &[Field]) -> Struct {
    Struct { fields: fields.iter().map(|field| field.default.clone()).collect(), unknown: vec![] }
}

/// The value that fields of this type have where nothing else is said.
pub(crate) fn zero(of: &Type) -> Data {
    match of {
        Type::Bool => Data::Bool(false),
        Type::Int { .. } => Data::Int(0),
        Type::Float64 => Data::Float(0),
        Type::Uuid => Data::Uuid([0; 16]),
        Type::String => Data::Text(String::new()),
        Type::Bytes | Type::Records => Data::Bytes(Vec::new()),
        Type::Array(_) => Data::Array(Vec::new()),
        Type::Struct(fields) => Data::Struct(defaults(fields)),
    }
}
