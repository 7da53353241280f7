//! Rules about one message and its fields: S1 to S19.

use super::{check_before, check_lifetimes, check_notes, is_numbered};
use crate::ast::{Base, CommonStruct, Field, Kind, Literal, Message, Schema, Spanned};
use crate::diagnostic::{Diagnostic, Span};
use crate::range::Range;

/// What the rules of one message look at.
struct Context<'a> {
    schema: &'a Schema,
    message: &'a Message,
    flexible: Option<Range>,
    findings: &'a mut Vec<Diagnostic>,
}

pub(super) fn check_message(schema: &Schema, message: &Message, findings: &mut Vec<Diagnostic>) {
    let flexible = message.flexible.as_ref().map(|flexible| flexible.value);
    let mut context = Context { schema, message, flexible, findings };
    context.head();
    context.structs();
    context.siblings(&message.fields, message.versions.value, false);
    for common in &message.structs {
        if let Some(versions) = common.versions.value.intersect(message.versions.value) {
            context.siblings(&common.fields, versions, true);
        } else {
            let text = format!("no version of the message has struct `{}`", common.name.value);
            context.find("S5", common.versions.span, text);
        }
    }
    check_before(schema, message, context.findings);
    if !matches!(message.kind, Kind::Request | Kind::Response) {
        let versions = message.versions.value;
        check_lifetimes(schema, &message.lifetimes, versions, context.findings);
        check_notes(
            schema,
            &message.name,
            &message.notes,
            message.versions.value,
            context.findings,
        );
    }
}

impl Context<'_> {
    fn find(&mut self, rule: &'static str, span: Span, text: impl Into<String>) {
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
        let prose = &self.message.prose;
        if prose.is_empty() {
            let text = format!(
                "`{}` lacks prose: say in `|` lines what it is for",
                self.message.name.value
            );
            self.find("S19", self.message.name.span, text);
        }
    }

    /// S3: a common struct is defined once and used, and not by itself.
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
        }
    }

    /// Rules about the fields of one struct.
    fn siblings(&mut self, fields: &[Field], versions: Range, in_array: bool) {
        for (index, field) in fields.iter().enumerate() {
            if fields[..index].iter().any(|other| other.name.value == field.name.value) {
                let text = format!("field `{}` is defined twice in this struct", field.name.value);
                self.find("S4", field.name.span, text);
            }
            self.field(field, versions, in_array);
        }
        self.tags(fields);
    }

    fn field(&mut self, field: &Field, parent: Range, in_array: bool) {
        let name = &field.name.value;
        let Some(versions) = field.versions.value.intersect(parent) else {
            let text = format!("no version has `{name}`: the struct around it has {parent}");
            return self.find("S5", field.versions.span, text);
        };
        self.field_type(field);
        self.nullable(field);
        self.default(field);
        if let (Some(span), false) = (field.key, in_array) {
            self.find("S13", span, "only a member of an array's struct can be its key");
        }
        self.bytes_attributes(field);
        if field.prose.is_empty() {
            self.find(
                "S19",
                field.name.span,
                format!("`{name}` lacks prose: say in `|` lines what it means"),
            );
        }
        for note in &field.values {
            if let Err(text) = fits(&note.value.value, &field.ty.value.base) {
                self.find("S12", note.value.span, text);
            }
        }
        self.siblings(&field.fields, versions, field.ty.value.array);
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
        if let Some(holds) = &field.holds
            && !opaque
        {
            self.find("S14", holds.span, "`holds` is for bytes and records");
        }
    }

    /// S15: tags need flexible versions. S16: they are within the field's versions. S17: unique.
    /// S18: contiguous.
    fn tags(&mut self, fields: &[Field]) {
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
