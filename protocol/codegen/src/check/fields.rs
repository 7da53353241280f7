//! Rules about one message and its fields: S1 to S19.

use super::releases::{
    Around, Life, absences, check_before, check_lifetimes, check_siblings, since,
};
use super::{check_notes, is_numbered};
use crate::ast::{Base, CommonStruct, Field, Kind, Literal, Message, Schema, Spanned};
use crate::diagnostic::{Diagnostic, Span};
use crate::library::{Found, Library, snake_case};
use crate::range::Range;
use crate::release::Release;

/// What a field may identify, and the type that it then has.
const ENTITIES: &[(&str, Base)] = &[
    ("topicName", Base::String),
    ("groupId", Base::String),
    ("brokerId", Base::Int32),
    ("transactionalId", Base::String),
    ("producerId", Base::Int64),
];

/// What bytes may hold besides a message of the library.
const HELD: &[&str] =
    &["request", "response", "record-batch", "record-batches", "sasl-token", OPEN_TELEMETRY];

const OPEN_TELEMETRY: &str = "OpenTelemetry-MetricsData";

/// What the rules of one message look at.
pub(super) struct Context<'a> {
    pub(super) library: &'a Library,
    pub(super) schema: &'a Schema,
    pub(super) message: &'a Message,
    /// What the releases have of it.
    pub(super) life: Life,
    /// The fields that earlier releases lacked, and the first release with each.
    pub(super) absences: Vec<(&'a Field, Release)>,
    pub(super) flexible: Option<Range>,
    pub(super) findings: Vec<Diagnostic>,
}

pub(super) fn check_message(library: &Library, found: Found<'_>, findings: &mut Vec<Diagnostic>) {
    let Found { schema, message, .. } = found;
    let mut context = Context {
        library,
        schema,
        message,
        life: Life::of(found),
        absences: absences(message),
        flexible: message.flexible.as_ref().map(|flexible| flexible.value),
        findings: Vec::new(),
    };
    let versions = message.versions.value;
    context.head();
    context.structs();
    let since = Release::ALL[0];
    context.siblings(&message.fields, Around { versions, in_array: false, since });
    for common in &message.structs {
        if let Some(versions) = common.versions.value.intersect(versions) {
            context.siblings(&common.fields, Around { versions, in_array: true, since });
        } else {
            let text = format!("no version of the message has struct `{}`", common.name.value);
            context.find("S5", common.versions.span, text);
        }
    }
    check_before(&mut context);
    if !matches!(message.kind, Kind::Request | Kind::Response) {
        check_lifetimes(schema, &message.lifetimes, versions, &mut context.findings);
        check_notes(schema, &message.name, &message.notes, versions, &mut context.findings);
    }
    findings.append(&mut context.findings);
}

impl Context<'_> {
    pub(super) fn find(&mut self, rule: &'static str, span: Span, text: impl Into<String>) {
        self.findings.push(self.schema.finding(rule, span, text));
    }

    /// S1: versions have an end, flexible versions have none and begin among them. S2: `type` fits
    /// the kind.
    fn head(&mut self) {
        let Message { versions, flexible, .. } = self.message;
        if versions.value.last.is_none() {
            self.find("S1", versions.span, "a message's versions have an end, such as 0-4");
        }
        if let Some(flexible) = flexible
            && (flexible.value.last.is_some() || !versions.value.contains(flexible.value.first))
        {
            let text = format!(
                "flexible versions begin with one of {} and have no end, such as {}+",
                versions.value, versions.value.first
            );
            self.find("S1", flexible.span, text);
        }
        let numbered = is_numbered(self.message.kind);
        if numbered != self.message.number.is_some() {
            let text = if numbered {
                "this kind of message has a `type` and its number"
            } else {
                "only coordinator and metadata records have a `type`"
            };
            let span = self.message.number.as_ref().map_or(self.message.name.span, |n| n.span);
            self.find("S2", span, text);
        }
        if let Some(number) = self.message.number.as_ref().filter(|number| number.value < 0) {
            self.find("S2", number.span, "a record's type is not negative");
        }
        let prose = &self.message.prose;
        if prose.is_empty() {
            let text = format!(
                "`{}` lacks prose: say in `|` lines what it is for",
                self.message.name.value
            );
            self.find("S19", self.message.name.span, text);
        }
    }

    /// S3: a common struct is defined once and used, and not by itself. S6: it has members.
    fn structs(&mut self) {
        let structs = &self.message.structs;
        for (index, common) in structs.iter().enumerate() {
            let Spanned { value: name, span } = &common.name;
            if structs[..index].iter().any(|other| other.name.value == *name) {
                self.find("S3", *span, format!("struct `{name}` is defined twice in this message"));
            }
            let others = structs.iter().filter(|other| other.name.value != *name);
            let mut lists = std::iter::once(&self.message.fields).chain(others.map(|o| &o.fields));
            if !lists.any(|fields| uses(fields, name)) {
                self.find("S3", *span, format!("struct `{name}` is used by no field"));
            }
            if reaches(structs, &common.fields, name, &mut Vec::new()) {
                self.find("S3", *span, format!("struct `{name}` contains itself"));
            }
            if common.fields.is_empty() {
                self.find("S6", *span, format!("struct `{name}` has no members"));
            }
        }
    }

    /// Rules about the fields of one struct.
    fn siblings(&mut self, fields: &[Field], around: Around) {
        for (index, field) in fields.iter().enumerate() {
            let name = &field.name.value;
            let same = |other: &&Field| snake_case(&other.name.value) == snake_case(name);
            if let Some(other) = fields[..index].iter().find(same) {
                let text = if other.name.value == *name {
                    format!("field `{name}` is defined twice in this struct")
                } else {
                    format!("`{name}` is `{}` in another spelling", other.name.value)
                };
                self.find("S4", field.name.span, text);
            }
            self.field(field, around);
        }
        self.tags(fields, around.versions);
        check_siblings(self, fields, around);
    }

    fn field(&mut self, field: &Field, around: Around) {
        let name = &field.name.value;
        let (in_array, parent) = (around.in_array, around.versions);
        let Some(versions) = field.versions.value.intersect(parent) else {
            let text = format!("no version has `{name}`: the struct around it has {parent}");
            return self.find("S5", field.versions.span, text);
        };
        self.form(field, in_array);
        if let (Some(span), Some(flexible)) = (field.inflexible, self.flexible)
            && versions.intersect(flexible).is_none()
        {
            let text = format!("`inflexible` in versions that are not flexible: {flexible} are");
            self.find("S14", span, text);
        }
        self.members(field, versions);
        if let Some(nullable) = &field.nullable
            && nullable.value.within(field.versions.value)
            && nullable.value.intersect(versions).is_none()
        {
            self.find("S9", nullable.span, format!("nullable in no version: it is in {versions}"));
        }
        if field.prose.is_empty() {
            self.find(
                "S19",
                field.name.span,
                format!("`{name}` lacks prose: say in `|` lines what it means"),
            );
        }
        self.values(field);
        let since = since(&self.absences, field).max(around.since);
        self.siblings(&field.fields, Around { versions, in_array: field.ty.value.array, since });
    }

    /// Rules about a field by itself: S6 to S9, S12 to S14.
    pub(super) fn form(&mut self, field: &Field, in_array: bool) {
        self.field_type(field);
        self.nullable(field);
        self.default(field);
        self.entity(field);
        if let (Some(span), false) = (field.key, in_array) {
            self.find("S13", span, "only a member of an array's struct can be its key");
        }
        self.bytes_attributes(field);
    }

    /// S12: a value that is told of fits the type, and is told of once.
    fn values(&mut self, field: &Field) {
        for (index, note) in field.values.iter().enumerate() {
            let Spanned { value, span } = &note.value;
            if let Err(text) = fits(value, &field.ty.value.base) {
                self.find("S12", *span, text);
            } else if *value == Literal::Null && field.nullable.is_none() {
                self.find("S12", *span, "null is a value of nullable fields only");
            } else if field.values[..index].iter().any(|other| is_same(&other.value.value, value)) {
                self.find("S12", *span, "this value has a line above already");
            }
        }
    }

    /// S5: a common struct has the versions of the fields that use it. S6: an element of an array
    /// takes at least a byte, or a count of them would say nothing about what follows.
    fn members(&mut self, field: &Field, versions: Range) {
        let message = self.message;
        let Base::Struct(name) = &field.ty.value.base else { return };
        let common = message.structs.iter().find(|common| common.name.value == *name);
        if let Some(of) = common.and_then(|c| c.versions.value.intersect(message.versions.value))
            && !versions.within(of)
        {
            let text = format!("struct `{name}` is in versions {of}, this field in {versions}");
            self.find("S5", field.versions.span, text);
        }
        let members = message.members(field);
        let is_inline = !field.fields.is_empty();
        let is_lone = |member: &Field| member.versions.value.intersect(versions).is_none();
        if !field.ty.value.array || members.is_empty() || is_inline && members.iter().any(is_lone) {
            return;
        }
        let flexible = self.flexible;
        // Where a first version without members can be: at the start, or behind a member's last.
        let behind = members.iter().filter_map(|member| member.versions.value.last);
        let empty =
            std::iter::once(versions.first).chain(behind.map(|last| last.saturating_add(1)));
        let is_empty = |version: &i16| {
            versions.contains(*version)
                && !flexible.is_some_and(|flexible| flexible.contains(*version))
                && !members.iter().any(|member| member.versions.value.contains(*version))
        };
        if let Some(version) = empty.filter(is_empty).min() {
            let text = format!("an element of `{name}` would take no byte in version {version}");
            self.find("S6", field.ty.span, text);
        }
    }

    /// S14: what a field identifies is known, and has the type of such.
    fn entity(&mut self, field: &Field) {
        let Some(Spanned { value: entity, span }) = &field.entity else { return };
        let known = ENTITIES.iter().find(|(name, _)| name == entity);
        let text = match known {
            None => {
                let names: Vec<&str> = ENTITIES.iter().map(|(name, _)| *name).collect();
                format!("unknown entity `{entity}`: expected {}", names.join(", "))
            }
            Some((_, base)) if field.ty.value.base != *base => {
                format!("`{entity}` is for fields of type {}", base.name())
            }
            Some(_) => return,
        };
        self.find("S14", *span, text);
    }

    /// S6: a struct type has members here or is a common struct; S7: other types have none.
    fn field_type(&mut self, field: &Field) {
        let ty = &field.ty.value;
        match &ty.base {
            Base::Struct(name) => {
                let common = self.message.structs.iter().any(|s| s.name.value == *name);
                if field.fields.is_empty() && !common {
                    let text = format!(
                        "unknown struct `{name}`: give it members below the field or define it \
                         with `struct {name}`"
                    );
                    self.find("S6", field.ty.span, text);
                }
                if !field.fields.is_empty() && common {
                    let text = format!("`{name}` has members here and as a struct of the message");
                    self.find("S6", field.ty.span, text);
                }
            }
            base => {
                if !field.fields.is_empty() {
                    let text = format!("`{ty}` has no members, but fields stand below it");
                    self.find("S7", field.ty.span, text);
                }
                if ty.array && *base == Base::Records {
                    self.find("S7", field.ty.span, "records cannot be an array's elements");
                }
            }
        }
    }

    /// S8: what may be null. S9: when.
    fn nullable(&mut self, field: &Field) {
        let Some(nullable) = &field.nullable else { return };
        let ty = &field.ty.value;
        let base = matches!(ty.base, Base::String | Base::Bytes | Base::Records | Base::Struct(_));
        if !ty.array && !base {
            let text =
                format!("`{ty}` has no null: only strings, bytes, records, arrays and structs do");
            self.find("S8", nullable.span, text);
        }
        if !nullable.value.within(field.versions.value) {
            let text = format!(
                "nullable in versions that do not have the field: it has {}",
                field.versions.value
            );
            self.find("S9", nullable.span, text);
        }
    }

    /// S12: the default fits the type; null needs a nullable field.
    fn default(&mut self, field: &Field) {
        let Some(default) = &field.default else { return };
        let ty = &field.ty.value;
        let found = match (&default.value, ty.array) {
            (Literal::Null, _) if field.nullable.is_none() => {
                Err("null is the default of nullable fields only".to_owned())
            }
            (Literal::Null, _) => Ok(()),
            (_, true) => Err("an array's default is null or, when none is given, empty".to_owned()),
            (literal, false) => fits(literal, &ty.base),
        };
        if let Err(text) = found {
            self.find("S12", default.span, text);
        }
    }

    /// S14: attributes about lengths, secrets and content are on fields that have them.
    fn bytes_attributes(&mut self, field: &Field) {
        let ty = &field.ty.value;
        let opaque = matches!(ty.base, Base::Bytes | Base::Records) && !ty.array;
        if let Some(span) = field.inflexible {
            let text = matches!(ty.base, Base::String) && !ty.array && self.flexible.is_some();
            if !text {
                self.find(
                    "S14",
                    span,
                    "`inflexible` is for strings of messages with flexible versions",
                );
            }
        }
        if let Some(span) = field.sensitive
            && !(opaque || ty.base == Base::String)
        {
            self.find("S14", span, "`sensitive` is for strings and bytes");
        }
        if let Some(Spanned { value: holds, span }) = &field.holds {
            let is_message = || {
                let messages = self.library.messages();
                messages.iter().any(|found| found.message.name.value == *holds)
            };
            if !opaque {
                self.find("S14", *span, "`holds` is for bytes and records");
            } else if !HELD.contains(&&**holds) && !is_message() {
                let known = HELD.join(", ");
                let text = format!("unknown form `{holds}`: expected a message's name, {known}");
                self.find("S14", *span, text);
            }
        }
    }

    /// S15: tags need flexible versions, and at least one of the field's. S16: they are within the
    /// field's versions. S17: unique. S18: contiguous.
    fn tags(&mut self, fields: &[Field], around: Range) {
        let mut seen: Vec<(u32, Range)> = Vec::new();
        for field in fields {
            let Some(tag) = &field.tag else { continue };
            let (number, versions) = (tag.number.value, tag.versions.value);
            if !self.flexible.is_some_and(|flexible| versions.within(flexible)) {
                let text = match self.flexible {
                    Some(flexible) => {
                        format!("tagged in versions that are not flexible: {flexible} are")
                    }
                    None => "the message has no flexible versions, so no tags".to_owned(),
                };
                self.find("S15", tag.versions.span, text);
            }
            if !versions.within(field.versions.value) || versions.last != field.versions.value.last
            {
                let text = format!(
                    "tagged versions are the last of the field's versions, which are {}",
                    field.versions.value
                );
                self.find("S16", tag.versions.span, text);
            } else if versions.intersect(around).is_none() {
                let text = format!("tagged in no version: the struct around it has {around}");
                self.find("S15", tag.versions.span, text);
            }
            let clash = |(other, range): &(u32, Range)| {
                *other == number && range.intersect(versions).is_some()
            };
            if seen.iter().any(clash) {
                let text = format!("tag {number} is taken by another field in these versions");
                self.find("S17", tag.number.span, text);
            }
            seen.push((number, versions));
        }
        for field in fields {
            let Some(tag) = &field.tag else { continue };
            let number = tag.number.value;
            if number > 0 && !seen.iter().any(|(other, _)| *other == number - 1) {
                let text = format!("tag {number} without a tag {}: tags count from 0", number - 1);
                self.find("S18", tag.number.span, text);
            }
        }
    }
}

fn uses(fields: &[Field], name: &str) -> bool {
    fields.iter().any(|field| {
        matches!(&field.ty.value.base, Base::Struct(other) if other == name)
            || uses(&field.fields, name)
    })
}

/// Whether the fields use a struct by name, or one that does.
fn reaches<'a>(
    structs: &'a [CommonStruct],
    fields: &[Field],
    name: &str,
    seen: &mut Vec<&'a str>,
) -> bool {
    if uses(fields, name) {
        return true;
    }
    structs.iter().any(|common| {
        let other = &*common.name.value;
        if seen.contains(&other) || !uses(fields, other) {
            return false;
        }
        seen.push(other);
        reaches(structs, &common.fields, name, seen)
    })
}

/// Whether two literals are the same value, however it is written.
pub(super) fn is_same(one: &Literal, other: &Literal) -> bool {
    match (one, other) {
        (Literal::Int(one, _), Literal::Int(other, _)) => one == other,
        (Literal::Float(one), Literal::Float(other)) => one.parse::<f64>() == other.parse(),
        _ => one == other,
    }
}

/// Whether a literal is a value of the type.
fn fits(literal: &Literal, base: &Base) -> Result<(), String> {
    let bounds = match base {
        Base::Int8 => Some((i64::from(i8::MIN), i64::from(i8::MAX))),
        Base::Int16 => Some((i64::from(i16::MIN), i64::from(i16::MAX))),
        Base::Uint16 => Some((0, i64::from(u16::MAX))),
        Base::Int32 => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
        Base::Uint32 => Some((0, i64::from(u32::MAX))),
        Base::Int64 => Some((i64::MIN, i64::MAX)),
        _ => None,
    };
    match (literal, base) {
        (Literal::Int(value, text), _) => match bounds {
            Some((low, high)) if *value < low || *value > high => {
                Err(format!("{text} does not fit {}: {low} to {high}", base.name()))
            }
            Some(_) => Ok(()),
            None => Err(format!("an integer is not a {}", base.name())),
        },
        (Literal::Bool(_), Base::Bool)
        | (Literal::Float(_), Base::Float64)
        | (Literal::String(_), Base::String)
        | (Literal::Null, Base::String | Base::Bytes | Base::Records | Base::Struct(_)) => Ok(()),
        _ => Err(format!("the value is not a {}", base.name())),
    }
}
