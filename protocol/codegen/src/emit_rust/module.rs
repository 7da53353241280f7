//! A module of message structs: one per schema file that defines messages.

use super::prose::doc;
use crate::ast::{
    Api, Base, Bound, Field, Item, Kind, Literal, Message, Schema, Spanned, VersionNote,
};
use crate::library::snake_case;
use crate::range::Range;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Rust keywords that are field names in some message.
const KEYWORDS: &[&str] = &["type", "match", "use", "move", "ref", "self", "where", "loop", "fn"];

/// The module of a schema file, or none when it defines no message.
pub(super) fn module(schema: &Schema) -> Option<String> {
    let messages = messages(schema);
    if messages.is_empty() {
        return None;
    }
    let mut out = String::new();
    match schema.items.iter().find_map(api_of) {
        Some(api) => api_docs(&mut out, api),
        None => doc(&mut out, "//!", "", &schema.prose),
    }
    out.push_str("\nuse crate::wire::prelude::*;\n");
    let names = Names::of(&messages);
    for message in messages {
        let mut emitter = Emitter { out: &mut out, message, names: &names };
        emitter.message();
    }
    Some(out)
}

fn api_of(item: &Item) -> Option<&Api> {
    match item {
        Item::Api(api) => Some(api),
        _ => None,
    }
}

/// The messages that a file defines, in order.
pub(super) fn messages(schema: &Schema) -> Vec<&Message> {
    let mut found = Vec::new();
    for item in &schema.items {
        match item {
            Item::Api(api) => found.extend(api.request.iter().chain(&api.response)),
            Item::Message(message) => found.push(&**message),
            _ => {}
        }
    }
    found
}

fn notes(lines: &mut Vec<String>, notes: &[VersionNote]) {
    for note in notes {
        let sources = match note.sources.is_empty() {
            true => String::new(),
            false => format!(" ({})", note.sources.join(", ")),
        };
        lines.push(format!("- Version {}{sources}: ", note.version.value));
        lines.extend(note.prose.iter().cloned());
    }
}

fn api_docs(out: &mut String, api: &Api) {
    let mut lines = api.prose.clone();
    lines.push(String::new());
    let listeners: Vec<&str> = api.listeners.iter().map(|l| l.value.as_str()).collect();
    lines.push(format!("- API key {}, served by: {}.", api.key.value, listeners.join(", ")));
    if let Some(condition) = &api.no_response {
        lines.push(format!("- No response when {}.", condition.value));
    }
    if let Some(unstable) = &api.unstable {
        lines.push(format!("- Version {} is unstable: not released.", unstable.value));
    }
    for lifetime in &api.lifetimes {
        let (versions, release) = (lifetime.versions.value, lifetime.release.value);
        lines.push(match lifetime.bound {
            Bound::Since => {
                format!("- Versions {versions} are there since Apache Kafka {release}.")
            }
            Bound::Until => format!("- Versions {versions} are gone since Apache Kafka {release}."),
            Bound::UnstableUntil => {
                format!("- Version {versions} was not released before Apache Kafka {release}.")
            }
        });
    }
    if let Some(deprecated) = &api.deprecated {
        lines.push(format!("- Versions {} are deprecated.", deprecated.value));
    }
    if !api.versions.is_empty() {
        lines.extend([String::new(), "# Versions".to_owned(), String::new()]);
        notes(&mut lines, &api.versions);
    }
    if !api.errors.is_empty() {
        lines.extend([String::new(), "# Errors".to_owned(), String::new()]);
        for used in &api.errors {
            let versions = match &used.versions {
                Some(versions) => format!(" (versions {})", versions.value),
                None => String::new(),
            };
            lines.push(format!("- `{}`{versions}: ", used.name.value));
            lines.extend(used.prose.iter().cloned());
        }
    }
    doc(out, "//!", "", &lines);
}

/// The Rust names of nested structs; those that several messages of a file use get the message's in
/// front.
struct Names<'a> {
    uses: BTreeMap<&'a str, usize>,
}

impl<'a> Names<'a> {
    fn of(messages: &[&'a Message]) -> Self {
        let mut uses = BTreeMap::new();
        for message in messages {
            *uses.entry(message.name.value.as_str()).or_insert(0) += 1;
            Self::count(&message.fields, &mut uses);
            for common in &message.structs {
                *uses.entry(common.name.value.as_str()).or_insert(0) += 1;
                Self::count(&common.fields, &mut uses);
            }
        }
        Self { uses }
    }

    fn count(fields: &'a [Field], uses: &mut BTreeMap<&'a str, usize>) {
        for field in fields {
            if let Base::Struct(name) = &field.ty.value.base
                && !field.fields.is_empty()
            {
                *uses.entry(name).or_insert(0) += 1;
            }
            Self::count(&field.fields, uses);
        }
    }

    fn rust(&self, message: &Message, name: &str) -> String {
        if self.uses.get(name).is_some_and(|uses| *uses > 1) {
            format!("{}{name}", message.name.value)
        } else {
            name.to_owned()
        }
    }
}

struct Emitter<'a> {
    out: &'a mut String,
    message: &'a Message,
    names: &'a Names<'a>,
}

/// A struct that is still to be written.
struct Pending<'a> {
    name: String,
    fields: &'a [Field],
    versions: Range,
    docs: Vec<String>,
}

impl Emitter<'_> {
    fn message(&mut self) {
        let message = self.message;
        let versions = message.versions.value;
        let mut docs = message.prose.clone();
        docs.push(String::new());
        let flexible = match &message.flexible {
            Some(flexible) => format!("flexible from {}", flexible.value.first),
            None => "never flexible".to_owned(),
        };
        docs.push(format!("Versions {versions}, {flexible}."));
        if !matches!(message.kind, Kind::Request | Kind::Response) && !message.notes.is_empty() {
            docs.push(String::new());
            notes(&mut docs, &message.notes);
        }
        let name = message.name.value.clone();
        self.structs(Pending { name, fields: &message.fields, versions, docs });
        for common in &message.structs {
            let Some(versions) = common.versions.value.intersect(versions) else { continue };
            let name = self.names.rust(message, &common.name.value);
            let docs = match common.prose.is_empty() {
                true => vec![format!("Used by [`{}`].", message.name.value)],
                false => common.prose.clone(),
            };
            self.structs(Pending { name, fields: &common.fields, versions, docs });
        }
    }

    /// A struct and, after it, those of its members.
    fn structs(&mut self, pending: Pending<'_>) {
        let Pending { name, fields, versions, docs } = &pending;
        self.out.push('\n');
        doc(self.out, "///", "", docs);
        let secret = fields.iter().any(|field| field.sensitive.is_some());
        let debug = if secret { "" } else { "Debug, " };
        let mut attributes = format!("versions = {}", versions.rust());
        if let Some(flexible) = &self.message.flexible {
            write!(attributes, ", flexible = {}", flexible.value.rust()).expect("into a String");
        }
        writeln!(self.out, "#[derive({debug}Clone, PartialEq, Message)]").expect("into a String");
        writeln!(self.out, "#[wire({attributes})]\npub struct {name} {{").expect("into a String");
        for field in *fields {
            self.field(field);
        }
        if self.message.flexible.is_some() {
            self.out.push_str(
                "/// Tagged fields that the schema does not know, as they came.\n\
                 #[wire(unknown)]\npub unknown_tagged_fields: UnknownTags,\n",
            );
        }
        self.out.push_str("}\n");
        if secret {
            self.redacted_debug(name, fields);
        }
        for field in *fields {
            let Base::Struct(inner) = &field.ty.value.base else { continue };
            let Some(versions) = field.versions.value.intersect(*versions) else { continue };
            if field.fields.is_empty() {
                continue;
            }
            let what = if field.ty.value.array { "An element" } else { "The value" };
            let docs = vec![format!("{what} of [`{name}::{}`].", rust_field(&field.name.value))];
            let name = self.names.rust(self.message, inner);
            self.structs(Pending { name, fields: &field.fields, versions, docs });
        }
    }

    fn field(&mut self, field: &Field) {
        doc(self.out, "///", "    ", &field_docs(field));
        let attributes = attributes(field).join(", ");
        let name = rust_field(&field.name.value);
        let ty = self.rust_type(field);
        writeln!(self.out, "    #[wire({attributes})]\n    pub {name}: {ty},")
            .expect("into a String");
    }

    fn rust_type(&self, field: &Field) -> String {
        let ty = &field.ty.value;
        let mut rust = match &ty.base {
            Base::Bool => "bool".to_owned(),
            Base::Int8 => "i8".to_owned(),
            Base::Int16 => "i16".to_owned(),
            Base::Uint16 => "u16".to_owned(),
            Base::Int32 => "i32".to_owned(),
            Base::Uint32 => "u32".to_owned(),
            Base::Int64 => "i64".to_owned(),
            Base::Float64 => "f64".to_owned(),
            Base::Uuid => "Uuid".to_owned(),
            Base::String => "String".to_owned(),
            Base::Bytes | Base::Records => "Bytes".to_owned(),
            Base::Struct(name) => self.names.rust(self.message, name),
        };
        if ty.array {
            rust = format!("Vec<{rust}>");
        }
        if field.nullable.is_some() || ty.base == Base::Records {
            rust = format!("Option<{rust}>");
        }
        rust
    }

    /// A `Debug` that shows that a secret is there, and not what it is.
    fn redacted_debug(&mut self, name: &str, fields: &[Field]) {
        let mut calls = String::new();
        for field in fields {
            let rust = rust_field(&field.name.value);
            let shown = match field.sensitive {
                Some(_) => "&format_args!(\"(redacted)\")".to_owned(),
                None => format!("&self.{rust}"),
            };
            write!(calls, ".field(\"{rust}\", {shown})").expect("into a String");
        }
        if self.message.flexible.is_some() {
            calls.push_str(".field(\"unknown_tagged_fields\", &self.unknown_tagged_fields)");
        }
        writeln!(
            self.out,
            "\nimpl core::fmt::Debug for {name} {{\n    fn fmt(&self, f: &mut \
             core::fmt::Formatter<'_>) -> core::fmt::Result {{\n        \
             f.debug_struct(\"{name}\"){calls}.finish()\n    }}\n}}"
        )
        .expect("into a String");
    }
}

fn field_docs(field: &Field) -> Vec<String> {
    let mut lines = field.prose.clone();
    if let Some(holds) = &field.holds {
        lines.extend([String::new(), format!("Holds: {}.", holds.value)]);
    }
    if field.sensitive.is_some() {
        lines.extend([String::new(), "Secret: not to be logged.".to_owned()]);
    }
    if !field.values.is_empty() {
        lines.push(String::new());
        for note in &field.values {
            lines.push(format!("- `{}`: {}", written(&note.value), note.prose));
        }
    }
    lines
}

fn written(literal: &Spanned<Literal>) -> String {
    match &literal.value {
        Literal::Null => "null".to_owned(),
        Literal::Bool(value) => value.to_string(),
        Literal::Int(_, text) | Literal::Float(text) => text.clone(),
        Literal::String(text) => format!("\"{text}\""),
    }
}

/// The facts of a field, as the derive reads them.
fn attributes(field: &Field) -> Vec<String> {
    let mut attributes = vec![format!("versions = {}", field.versions.value.rust())];
    if let Some(nullable) = &field.nullable {
        attributes.push(format!("nullable = {}", nullable.value.rust()));
    }
    if field.ty.value.base == Base::Records {
        attributes.push("default = null".to_owned());
    } else if let Some(default) = field.default.as_ref().filter(|d| !is_zero(&d.value)) {
        attributes.push(format!("default = {}", written(default)));
    }
    if let Some(tag) = &field.tag {
        attributes.push(format!("tag = {}", tag.number.value));
        attributes.push(format!("tagged = {}", tag.versions.value.rust()));
    }
    if field.ignorable {
        attributes.push("ignorable".to_owned());
    }
    if field.inflexible.is_some() {
        attributes.push("flexible = none".to_owned());
    }
    if let Some((former, _)) = &field.former {
        attributes.push(format!("alias = \"{}\"", lower_first(&former.value)));
    }
    let json = lower_first(&field.name.value);
    if json != camel_case(&snake_case(&field.name.value)) {
        attributes.push(format!("json = \"{json}\""));
    }
    attributes
}

fn is_zero(literal: &Literal) -> bool {
    match literal {
        Literal::Int(value, _) => *value == 0,
        Literal::Bool(value) => !value,
        Literal::String(text) => text.is_empty(),
        Literal::Float(text) => text.parse() == Ok(0.0),
        Literal::Null => false,
    }
}

fn rust_field(name: &str) -> String {
    let snake = snake_case(name);
    if KEYWORDS.contains(&snake.as_str()) { format!("r#{snake}") } else { snake }
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or(String::new(), |first| first.to_lowercase().chain(chars).collect())
}

fn camel_case(snake: &str) -> String {
    let mut out = String::new();
    for (index, word) in snake.split('_').enumerate() {
        let mut chars = word.chars();
        match chars.next() {
            Some(first) if index > 0 => out.extend(first.to_uppercase().chain(chars)),
            _ => out.push_str(word),
        }
    }
    out
}
