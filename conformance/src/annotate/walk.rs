//! Messages, by their schemas: `protocol/schemas/GRAMMAR.md`, part 4.

use super::schema;
use super::sheet::{Read, Sheet};
use super::value::{bytes, counted, meaning, quoted};
use ottla_codegen::ast::{Base, Field, Kind, Message};
use ottla_codegen::library::snake_case;
use ottla_protocol::Uuid;
use ottla_protocol::primitives::STRING_LEN_MAX;
use serde_json::Number;

/// A message in one of its versions.
pub(super) struct Form {
    message: Option<&'static Message>,
    name: String,
    version: i16,
    flexible: bool,
}

impl Form {
    fn new(name: &str, version: i16) -> Self {
        let message = schema::message(name);
        let flexible = message.and_then(|message| message.flexible.as_ref());
        let flexible = flexible.is_some_and(|flexible| flexible.value.contains(version));
        Self { message, name: name.to_owned(), version, flexible }
    }

    /// A header.
    pub(super) fn header(name: &str, version: i16) -> Self {
        Self::new(name, version)
    }

    /// A struct's members: its own, or those of the struct that several fields use.
    fn members(&self, field: &'static Field) -> &'static [Field] {
        if !field.fields.is_empty() {
            return &field.fields;
        }
        let structs = self.message.map_or(&[][..], |message| &message.structs);
        let wanted = field.ty.value.base.name();
        structs.iter().find(|one| one.name.value == wanted).map_or(&[], |one| &one.fields)
    }
}

impl Sheet {
    /// A message of this name under a heading.
    pub(super) fn named(&mut self, name: &str, version: i16) -> Read {
        self.headed(&Form::new(name, version))
    }

    /// A message under a heading.
    pub(super) fn headed(&mut self, form: &Form) -> Read {
        let Some(message) = form.message else {
            return self.stop(format!("no message is named {}", form.name));
        };
        self.heading("", format!("{} v{}", form.name, form.version));
        if !message.versions.value.contains(form.version) {
            return self.stop(format!("{} has no version {}", form.name, form.version));
        }
        self.members(form, &message.fields)
    }

    fn members(&mut self, form: &Form, fields: &'static [Field]) -> Read {
        let version = form.version;
        for field in fields {
            let tagged = field.tag.as_ref().is_some_and(|t| t.versions.value.contains(version));
            if field.versions.value.contains(version) && !tagged {
                self.one(form, field, false)?;
            }
        }
        if form.flexible { self.tags(form, fields) } else { Ok(()) }
    }

    fn one(&mut self, form: &Form, field: &'static Field, tagged: bool) -> Read {
        let name = snake_case(&field.name.value);
        if field.ty.value.array {
            self.array(form, field, &name)
        } else {
            self.single(form, field, &name, tagged)
        }
    }

    /// A length or count; `None` is null, which is refused where the field cannot be null.
    fn length(&mut self, form: &Form, field: &Field, width: usize) -> Read<Option<usize>> {
        let length = if form.flexible && field.inflexible.is_none() {
            (self.uvarint()? as usize).checked_sub(1)
        } else {
            usize::try_from(self.int(width)?).ok()
        };
        if length.is_none() && !is_nullable(form, field) {
            return self.stop("null in a field that cannot be null in this version");
        }
        Ok(length)
    }

    fn array(&mut self, form: &Form, field: &'static Field, name: &str) -> Read {
        let start = self.at;
        let ty = match &field.ty.value.base {
            Base::Struct(_) => "[]struct".to_owned(),
            _ => field.ty.value.to_string(),
        };
        let Some(count) = self.length(form, field, 4)? else {
            self.field(name, &ty, start, "null").note = null_meaning(field);
            return Ok(());
        };
        if count > self.promised() {
            let left = self.left();
            return self.stop(format!("an array of {count} elements where {left} bytes remain"));
        }
        self.field(name, &ty, start, counted(count, "element"));
        self.elements(count, |sheet, index| {
            let name = format!("{name}[{index}]");
            match &field.ty.value.base {
                Base::Struct(_) => {
                    sheet.heading(&name, "");
                    sheet.below(&name, |sheet| sheet.members(form, form.members(field)))
                }
                _ => sheet.below("", |sheet| sheet.primitive(form, field, &name, false)),
            }
        })
    }

    fn single(&mut self, form: &Form, field: &'static Field, name: &str, tagged: bool) -> Read {
        if !matches!(field.ty.value.base, Base::Struct(_)) {
            return self.primitive(form, field, name, true);
        }
        if is_nullable(form, field) {
            let start = self.at;
            let there = if tagged { self.uvarint()? != 0 } else { self.int(1)? >= 0 };
            self.field(name, "struct", start, if there { "there" } else { "null" });
            if !there {
                return Ok(());
            }
        } else {
            self.heading(name, "");
        }
        self.below(name, |sheet| sheet.members(form, form.members(field)))
    }

    /// A value that is no struct. Elements of an array cannot be null: `may_be_null` is for fields.
    fn primitive(&mut self, form: &Form, field: &Field, name: &str, may_be_null: bool) -> Read {
        let (start, base) = (self.at, &field.ty.value.base);
        let ty = base.name();
        match base {
            Base::Bool => {
                let value = self.int(1)? != 0;
                self.field(name, ty, start, value.to_string());
            }
            Base::Int8 => self.number(field, name, 1)?,
            Base::Int16 => self.number(field, name, 2)?,
            Base::Int32 => self.number(field, name, 4)?,
            Base::Int64 => self.number(field, name, 8)?,
            Base::Uint16 | Base::Uint32 => {
                let width = if *base == Base::Uint16 { 2 } else { 4 };
                let value = self.int(width)? & ((1 << (8 * width)) - 1);
                self.field(name, ty, start, value.to_string());
            }
            Base::Float64 => {
                let value = f64::from_bits(self.int(8)? as u64);
                // As JSON says it: the largest would be 309 digits.
                let told = Number::from_f64(value).map_or(value.to_string(), |n| n.to_string());
                self.field(name, ty, start, told);
            }
            Base::Uuid => {
                let taken = self.take(16)?;
                let uuid = Uuid(taken[..].try_into().expect("16 bytes were taken"));
                let line = self.field(name, ty, start, uuid.to_string());
                if uuid.is_zero() {
                    line.note = "none".to_owned();
                }
            }
            Base::String => self.string(form, field, name, may_be_null)?,
            Base::Bytes | Base::Records => self.blob(form, field, name)?,
            Base::Struct(_) => unreachable!("structs are read by their members"),
        }
        Ok(())
    }

    fn number(&mut self, field: &Field, name: &str, width: usize) -> Read {
        let start = self.at;
        let value = self.int(width)?;
        let ty = field.ty.value.base.name();
        self.field(name, ty, start, value.to_string()).note = meaning(field, value);
        Ok(())
    }

    fn string(&mut self, form: &Form, field: &Field, name: &str, may_be_null: bool) -> Read {
        let start = self.at;
        let Some(len) = self.length(form, field, 2)? else {
            if !may_be_null {
                return self.stop("null in a field that cannot be null in this version");
            }
            self.field(name, "string", start, "null").note = null_meaning(field);
            return Ok(());
        };
        if len > STRING_LEN_MAX {
            return self.stop(format!("a string of {len} bytes (at most {STRING_LEN_MAX})"));
        }
        let text = self.take(len)?;
        let Ok(text) = std::str::from_utf8(&text) else {
            return self.stop("a string that is not UTF-8");
        };
        self.field(name, "string", start, quoted(text));
        Ok(())
    }

    /// Bytes, opened where they have a form of their own.
    fn blob(&mut self, form: &Form, field: &Field, name: &str) -> Read {
        let (start, ty) = (self.at, field.ty.value.base.name());
        let Some(len) = self.length(form, field, 4)? else {
            self.field(name, ty, start, "null").note = null_meaning(field);
            return Ok(());
        };
        if len > self.promised() {
            return self.take(len).map(drop);
        }
        // Where the log kept less, what there is of it.
        let there = len.min(self.left());
        let holds = field.holds.as_ref().map_or("", |holds| holds.value.as_str());
        let inside = schema::message(holds).filter(|message| message.kind == Kind::Data);
        if field.ty.value.base == Base::Records {
            self.field(name, ty, start, counted(len, "byte"));
            self.below(name, |sheet| sheet.batches(there));
        } else {
            let taken = self.take(there)?;
            let secret = field.sensitive.is_some();
            let value = if secret { counted(len, "byte") } else { bytes(&taken) };
            self.field(name, ty, start, value);
            if let Some(inside) = inside.filter(|_| there == len && len > 0) {
                self.open_blob(inside, name, ty, (start, len));
            }
        }
        self.take(len - there).map(drop)
    }

    /// Puts a message of the consumer protocol in place of its bytes: its version, then itself.
    /// Bytes behind it are ignored, and of a version that is not known, the latest is read.
    fn open_blob(
        &mut self,
        message: &'static Message,
        name: &str,
        ty: &str,
        (start, len): (usize, usize),
    ) {
        let bytes = self.lines.pop().expect("the line of the bytes");
        let end = self.at;
        self.at = end - len;
        let line = self.field(name, ty, start, counted(len, "byte"));
        line.note.clone_from(&message.name.value);
        let opened = self.lines.len();
        let read = self.below(name, |sheet| sheet.within(len, |sheet| sheet.blob_message(message)));
        if let Err(stop) = read {
            self.lines.truncate(opened - 1);
            self.at = end;
            let value = bytes.value;
            let note = format!("not a {}: {}", message.name.value, stop.reason);
            self.field(name, ty, start, value).note = note;
        }
    }

    fn blob_message(&mut self, message: &'static Message) -> Read {
        let start = self.at;
        let version = self.int(2)?;
        self.field("version", "int16", start, version.to_string());
        let latest = message.versions.value.last.unwrap_or(i16::MAX);
        let version = i16::try_from(version).unwrap_or_default().min(latest);
        if version < message.versions.value.first {
            return self.stop(format!("version {version}"));
        }
        self.members(&Form::new(&message.name.value, version), &message.fields)?;
        self.unread("left over, which readers ignore");
        Ok(())
    }

    fn tags(&mut self, form: &Form, fields: &'static [Field]) -> Read {
        let start = self.at;
        let count = self.uvarint()? as usize;
        if count > self.promised() / 2 {
            let left = self.left();
            return self.stop(format!("{count} tagged fields where {left} bytes remain"));
        }
        let value = if count == 0 { "none".to_owned() } else { count.to_string() };
        self.field("tagged_fields", "uvarint", start, value);
        self.elements(count, |sheet, _| sheet.below("", |sheet| sheet.tag(form, fields)))
    }

    fn tag(&mut self, form: &Form, fields: &'static [Field]) -> Read {
        let start = self.at;
        let (tag, size) = (self.uvarint()?, self.uvarint()? as usize);
        let name = format!("<tag {tag}>");
        let known = fields.iter().find(|field| {
            field.tag.as_ref().is_some_and(|known| {
                known.number.value == tag && known.versions.value.contains(form.version)
            })
        });
        if size > self.promised() {
            let left = self.left();
            return self.stop(format!("a length of {size} bytes where {left} remain"));
        }
        let Some(field) = known else {
            self.take(size)?;
            let value = format!("unknown, {}", counted(size, "byte"));
            self.field(&name, "uvarint", start, value);
            return Ok(());
        };
        self.field(&name, "uvarint", start, counted(size, "byte"));
        self.within(size, |sheet| {
            sheet.one(form, field, true)?;
            match sheet.left() {
                0 => Ok(()),
                left => sheet.stop(format!("{left} bytes are left over in the field")),
            }
        })
    }
}

fn is_nullable(form: &Form, field: &Field) -> bool {
    field.nullable.as_ref().is_some_and(|range| range.value.contains(form.version))
}

/// What the schema says of null.
fn null_meaning(field: &Field) -> String {
    let null = ottla_codegen::ast::Literal::Null;
    let noted = field.values.iter().find(|note| note.value.value == null);
    noted.map_or_else(String::new, |note| note.prose.clone())
}
