//! The fields of a message as a table: one row each, members below their struct.

use crate::html::{Place, Table, anchor, code, escape, mark};
use ottla_codegen::ast::{Base, Field, Literal, Message, ValueNote};
use ottla_codegen::range::Range;
use std::fmt::Write as _;

const COLUMNS: [&str; 7] = ["Field", "Type", "Versions", "Null", "Default", "Tag", "Meaning"];
/// Columns that are left out where no field has anything to say in them.
const OPTIONAL: [usize; 3] = [3, 4, 5];

/// Ranges as they are read: `0–4`.
pub(crate) fn range(range: Range) -> String {
    range.to_string().replace('-', "–")
}

/// A literal as a schema has it.
pub(crate) fn literal(literal: &Literal) -> String {
    match literal {
        Literal::Null => "null".to_owned(),
        Literal::Bool(value) => value.to_string(),
        Literal::Int(_, text) | Literal::Float(text) => text.clone(),
        Literal::String(text) => format!("\"{text}\""),
    }
}

/// The tables of a message: its own fields, then each struct that several of them use. `prefix`
/// begins the anchors.
pub(crate) fn tables(place: Place<'_>, message: &Message, prefix: &str) -> String {
    let mut out = String::new();
    if message.fields.is_empty() {
        out.push_str("It has no fields.\n\n");
    } else {
        out.push_str(&table(place, message, &message.fields, prefix));
    }
    for one in &message.structs {
        let name = escape(&one.name.value);
        let id = format!("{prefix}-{}", anchor(&one.name.value));
        let versions = range(one.versions.value);
        // A String takes everything, here and below.
        let _ = writeln!(out, "<h3 id=\"{id}\">{name} <small>versions {versions}</small></h3>\n");
        let _ = writeln!(out, "<p>{}</p>\n", place.prose(&one.prose));
        out.push_str(&table(place, message, &one.fields, &id));
    }
    out
}

fn table(place: Place<'_>, message: &Message, fields: &[Field], prefix: &str) -> String {
    let mut rows = Rows { place, message, rows: Vec::new(), root: prefix };
    rows.all(fields, prefix, 0);
    let is_empty = |column: &usize| rows.rows.iter().all(|row| row.cells[*column].is_empty());
    let left_out: Vec<usize> = OPTIONAL.into_iter().filter(is_empty).collect();
    let kept = |column: &usize| !left_out.contains(column);
    let columns: Vec<&str> = (0..COLUMNS.len()).filter(kept).map(|at| COLUMNS[at]).collect();
    let mut table = Table::new("fields", &columns);
    for row in &rows.rows {
        let cells: Vec<String> =
            (0..COLUMNS.len()).filter(kept).map(|at| row.cells[at].clone()).collect();
        table.row_of(row.class, &row.id, &cells);
    }
    table.finish()
}

struct Row {
    class: &'static str,
    id: String,
    cells: [String; COLUMNS.len()],
}

struct Rows<'a> {
    place: Place<'a>,
    message: &'a Message,
    rows: Vec<Row>,
    /// What anchors of the message begin with, for links to its structs.
    root: &'a str,
}

impl Rows<'_> {
    fn all(&mut self, fields: &[Field], prefix: &str, depth: usize) {
        for field in fields {
            let id = format!("{prefix}.{}", anchor(&field.name.value));
            let name = escape(&field.name.value);
            let cells = [
                format!("<span class=\"name\" style=\"--depth:{depth}\">{name}</span>"),
                self.ty(field),
                range(field.versions.value),
                field.nullable.as_ref().map_or_else(String::new, |null| range(null.value)),
                field.default.as_ref().map_or_else(String::new, |d| code(&literal(&d.value))),
                tag(field),
                self.meaning(field),
            ];
            let class = if field.fields.is_empty() { "" } else { "parent" };
            self.rows.push(Row { class, id: id.clone(), cells });
            self.all(&field.fields, &id, depth + 1);
        }
    }

    /// The type, with a link to the struct where that is defined apart.
    fn ty(&self, field: &Field) -> String {
        let name = escape(&field.ty.value.to_string());
        let Base::Struct(base) = &field.ty.value.base else {
            return format!("<code>{name}</code>");
        };
        if !self.message.structs.iter().any(|one| one.name.value == *base) {
            return format!("<code>{name}</code>");
        }
        let start = self.root.split('-').next().unwrap_or_default();
        format!("<a href=\"#{start}-{}\"><code>{name}</code></a>", anchor(base))
    }

    fn meaning(&self, field: &Field) -> String {
        let mut out = self.place.prose(&field.prose);
        if !field.values.is_empty() {
            out.push_str(&values(self.place, &field.values));
        }
        let marks = marks(field);
        if !marks.is_empty() {
            let _ = write!(out, "<span class=\"marks\">{marks}</span>");
        }
        out
    }
}

fn values(place: Place<'_>, notes: &[ValueNote]) -> String {
    let item = |note: &ValueNote| {
        let value = code(&literal(&note.value.value));
        format!("<li>{value} {}</li>", place.prose(&[&note.prose]))
    };
    format!("<ul class=\"values\">{}</ul>", notes.iter().map(item).collect::<String>())
}

/// The number, and the versions where those are fewer than the field's.
fn tag(field: &Field) -> String {
    let Some(tag) = &field.tag else { return String::new() };
    let (number, versions) = (tag.number.value, tag.versions.value);
    if versions == field.versions.value {
        return number.to_string();
    }
    format!("{number} <small>in {}</small>", range(versions))
}

/// What the schema says of the field besides, in its own words.
fn marks(field: &Field) -> String {
    let mut out = String::new();
    if field.sensitive.is_some() {
        out.push_str(&mark("sensitive", "sensitive"));
    }
    for (is_set, word) in [
        (field.key.is_some(), "key"),
        (field.ignorable, "ignorable"),
        (field.inflexible.is_some(), "inflexible"),
    ] {
        if is_set {
            out.push_str(&mark("", word));
        }
    }
    if let Some(entity) = &field.entity {
        out.push_str(&mark("", &entity.value));
    }
    if let Some(holds) = &field.holds {
        out.push_str(&mark("", &format!("holds {}", holds.value)));
    }
    if let Some((name, release)) = &field.former {
        out.push_str(&mark("", &format!("{} before {}", name.value, release.value)));
    }
    out
}
