//! A schema file as the parser gives it: what is written, with its places.

use crate::diagnostic::Span;
use crate::range::Range;
use crate::release::Release;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

/// One schema file.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// The path below the schema folder, with `/`: `00_produce.schema`,
    /// `records/consumer_offsets.schema`.
    pub file: String,
    /// The text.
    pub source: String,
    /// Prose at the top of the file, before the first item.
    pub prose: Vec<String>,
    /// What the file defines, in order.
    pub items: Vec<Item>,
}

/// A definition at the left margin.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// An API with its request and response.
    Api(Box<Api>),
    /// A message that is neither request nor response.
    Message(Box<Message>),
    /// An error code.
    Error(Box<ErrorCode>),
    /// A rule that selects a header's version.
    HeaderVersion(HeaderVersion),
}

/// Who a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Any broker.
    AnyBroker,
    /// The broker that the connection leads to; it is about the connection itself.
    Connection,
    /// The leader of the partition; a request for several leaders is split.
    PartitionLeader,
    /// The coordinator of the group.
    GroupCoordinator,
    /// The coordinator of the transactional id; any broker when there is none.
    TransactionCoordinator,
    /// The active controller (a broker forwards to it).
    Controller,
    /// The broker that a resource names; any broker for other resources.
    ResourceBroker,
}

/// What limits a client that is over its quota.
#[derive(Debug, Clone, PartialEq)]
pub struct Throttle {
    /// The response's field with the delay.
    pub field: Spanned<String>,
    /// The versions whose response comes at once, the client waiting by itself (KIP-219).
    pub after_response: Option<Spanned<Range>>,
}

/// An error that an API answers with.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorUse {
    /// The error's name.
    pub name: Spanned<String>,
    /// The versions that may answer with it; all when none is written.
    pub versions: Option<Spanned<Range>>,
    /// When it is answered.
    pub prose: Vec<String>,
}

/// Versions that some releases do not have: `since 4.4 5`, `until 4.0 0-2`, `unstable 1 until 4.2`.
#[derive(Debug, Clone, PartialEq)]
pub struct Lifetime {
    /// What it says of them.
    pub bound: Bound,
    /// The release at which that begins or ends.
    pub release: Spanned<Release>,
    /// The versions.
    pub versions: Spanned<Range>,
}

impl Lifetime {
    /// Whether a release has these versions, as far as this line says.
    pub fn allows(&self, release: Release) -> bool {
        match self.bound {
            Bound::Since => self.release.value <= release,
            Bound::Until => release < self.release.value,
            Bound::UnstableUntil => true,
        }
    }
}

/// What a lifetime says of its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// They came with the release.
    Since,
    /// They are gone in the release.
    Until,
    /// They were there before the release, but not released.
    UnstableUntil,
}

/// A name that was another before a release: `formerly ListClientMetricsResources 4.1`.
pub type Former = (Spanned<String>, Spanned<Release>);

/// What was otherwise in the releases before one, of a field: `before 4.1 Topics.Name key`.
#[derive(Debug, Clone, PartialEq)]
pub struct Before {
    /// The first release in which it is as the field's line says.
    pub release: Spanned<Release>,
    /// The field, with those around it: `Topics`, `Name`.
    pub path: Spanned<Vec<String>>,
    /// How it was.
    pub was: Spanned<Was>,
}

/// How a field was.
#[derive(Debug, Clone, PartialEq)]
pub enum Was {
    /// It was not there, although the version was.
    Absent,
    /// Of another type.
    Type(Type),
    /// With another default.
    Default(Literal),
    /// Ignorable, or not.
    Ignorable(bool),
    /// A key of its array's elements, or not.
    Key(bool),
    /// It was said to identify something else, or nothing.
    Entity(Option<String>),
}

/// What a version changed.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionNote {
    /// The version.
    pub version: Spanned<i16>,
    /// The proposal, as `KIP-482` or `KAFKA-9577`.
    pub sources: Vec<String>,
    /// What changed.
    pub prose: Vec<String>,
}

/// An API: what holds for its request and response together.
#[derive(Debug, Clone, PartialEq)]
pub struct Api {
    /// The number.
    pub key: Spanned<i16>,
    /// The name, without `Request` and `Response`.
    pub name: Spanned<String>,
    /// The name that it had, and the first release in which it has its present one.
    pub former: Option<Former>,
    /// What it is for.
    pub prose: Vec<String>,
    /// Where it is served: `broker`, `controller`, `zk-broker`.
    pub listeners: Vec<Spanned<String>>,
    /// Who it goes to.
    pub route: Option<Spanned<Route>>,
    /// How a client over its quota is held back.
    pub throttle: Option<Throttle>,
    /// The condition under which there is no response.
    pub no_response: Option<Spanned<String>>,
    /// The version that is not released yet.
    pub unstable: Option<Spanned<i16>>,
    /// The versions that some releases do not have.
    pub lifetimes: Vec<Lifetime>,
    /// The versions that a later release removes.
    pub deprecated: Option<Spanned<Range>>,
    /// The errors it answers with.
    pub errors: Vec<ErrorUse>,
    /// What each version changed.
    pub versions: Vec<VersionNote>,
    /// The request.
    pub request: Option<Message>,
    /// The response.
    pub response: Option<Message>,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An API's request.
    Request,
    /// An API's response.
    Response,
    /// What stands in front of a request or response.
    Header,
    /// Bytes inside a field or file.
    Data,
    /// The key of a record that a coordinator stores.
    CoordinatorKey,
    /// The value of a record that a coordinator stores.
    CoordinatorValue,
    /// A record of the controllers' log.
    Metadata,
}

/// A message: a struct with versions of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// The name, `ProduceRequest`.
    pub name: Spanned<String>,
    /// A record's type number.
    pub number: Option<Spanned<i16>>,
    /// The versions that exist.
    pub versions: Spanned<Range>,
    /// The versions with compact lengths and tagged fields.
    pub flexible: Option<Spanned<Range>>,
    /// What it is for.
    pub prose: Vec<String>,
    /// The versions that some releases do not have (of messages without an API).
    pub lifetimes: Vec<Lifetime>,
    /// The name that it had (of messages without an API).
    pub former: Option<Former>,
    /// What was otherwise in earlier releases.
    pub before: Vec<Before>,
    /// What each version changed (of messages without an API).
    pub notes: Vec<VersionNote>,
    /// The fields, in wire order.
    pub fields: Vec<Field>,
    /// Structs that several fields of this message use.
    pub structs: Vec<CommonStruct>,
}

impl Message {
    /// The members of a field's struct, which stand below the field or are a struct of the message;
    /// none where the field is no struct.
    pub fn members<'a>(&'a self, field: &'a Field) -> &'a [Field] {
        let Base::Struct(name) = &field.ty.value.base else { return &[] };
        let common = self.structs.iter().find(|common| common.name.value == *name);
        match common {
            Some(common) if field.fields.is_empty() => &common.fields,
            _ => &field.fields,
        }
    }
}

/// A struct that several fields of one message use.
#[derive(Debug, Clone, PartialEq)]
pub struct CommonStruct {
    /// The name.
    pub name: Spanned<String>,
    /// The versions that have it.
    pub versions: Spanned<Range>,
    /// What it is.
    pub prose: Vec<String>,
    /// The members, in wire order.
    pub fields: Vec<Field>,
}

/// A field of a message or struct.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Kafka's name for it.
    pub name: Spanned<String>,
    /// Its type.
    pub ty: Spanned<Type>,
    /// The versions that have it.
    pub versions: Spanned<Range>,
    /// The versions in which it may be null.
    pub nullable: Option<Spanned<Range>>,
    /// The value it has where it is not written; the type's zero when none is given.
    pub default: Option<Spanned<Literal>>,
    /// The tag and the versions in which the field is tagged.
    pub tag: Option<Tag>,
    /// Whether a value may be dropped silently where the version has no such field.
    pub ignorable: bool,
    /// Whether it is (part of) the key by which the elements of the array are told apart.
    pub key: Option<Span>,
    /// What it identifies, for example `topicName`.
    pub entity: Option<Spanned<String>>,
    /// The name that it had, and the first release in which it has its present one.
    pub former: Option<Former>,
    /// Whether it keeps the classic length in flexible versions.
    pub inflexible: Option<Span>,
    /// Whether it must not be logged.
    pub sensitive: Option<Span>,
    /// What its bytes hold.
    pub holds: Option<Spanned<String>>,
    /// What it means.
    pub prose: Vec<String>,
    /// The meaning of particular values.
    pub values: Vec<ValueNote>,
    /// A struct's members.
    pub fields: Vec<Self>,
}

/// A tag number and the versions in which the field is tagged.
#[derive(Debug, Clone, PartialEq)]
pub struct Tag {
    /// The number.
    pub number: Spanned<u32>,
    /// The versions.
    pub versions: Spanned<Range>,
}

/// The meaning of one value of a field.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueNote {
    /// The value.
    pub value: Spanned<Literal>,
    /// Its meaning.
    pub prose: String,
}

/// A literal.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A decimal or hexadecimal integer, and how it is written.
    Int(i64, String),
    /// A decimal number with a point.
    Float(String),
    /// A string in double quotes.
    String(String),
}

/// A field's type.
#[derive(Debug, Clone, PartialEq)]
pub struct Type {
    /// Whether it is an array of the base.
    pub array: bool,
    /// The type, or that of the elements.
    pub base: Base,
}

/// A type that is not an array.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the type of the same name")]
pub enum Base {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Struct(String),
}

impl Base {
    /// The primitive types by name.
    pub const PRIMITIVES: &'static [(&'static str, Self)] = &[
        ("bool", Self::Bool),
        ("int8", Self::Int8),
        ("int16", Self::Int16),
        ("uint16", Self::Uint16),
        ("int32", Self::Int32),
        ("uint32", Self::Uint32),
        ("int64", Self::Int64),
        ("float64", Self::Float64),
        ("uuid", Self::Uuid),
        ("string", Self::String),
        ("bytes", Self::Bytes),
        ("records", Self::Records),
    ];

    /// The name in a schema.
    pub fn name(&self) -> &str {
        if let Self::Struct(name) = self {
            return name;
        }
        let found = Self::PRIMITIVES.iter().find(|(_, base)| base == self);
        found.expect("every base but a struct is in the table").0
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", if self.array { "[]" } else { "" }, self.base.name())
    }
}

/// An error code.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorCode {
    /// The number on the wire.
    pub code: Spanned<i16>,
    /// The name, `NOT_LEADER_OR_FOLLOWER`.
    pub name: Spanned<String>,
    /// Whether the same request may succeed later.
    pub retriable: bool,
    /// Whether it says that the client's metadata is out of date.
    pub refresh_metadata: bool,
    /// What went wrong.
    pub prose: Vec<String>,
    /// What a client does next.
    pub advice: Vec<String>,
}

/// Which header a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The request header.
    Request,
    /// The response header.
    Response,
}

/// When a header rule applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderCondition {
    /// To the API of this name, in these versions where they are written.
    Api(String, Option<Range>),
    /// To flexible versions.
    Flexible,
    /// To all that are left.
    Otherwise,
}

/// One rule of the function from (API, version, direction) to a header's version; the first that
/// applies wins.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderVersion {
    /// Which header.
    pub direction: Spanned<Direction>,
    /// The version it then has.
    pub version: Spanned<i16>,
    /// When.
    pub condition: Spanned<HeaderCondition>,
    /// Why.
    pub prose: Vec<String>,
}
