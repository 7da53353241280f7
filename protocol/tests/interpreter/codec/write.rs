//! W: from a value to bytes.

use super::schema::{Field, Message, Type};
use super::value::{Data, Struct};
use super::{Outcome, Refusal};

#[derive(Clone, Copy)]
struct Writer {
    version: i16,
    flexible: bool,
}

/// The bytes of a message.
pub(crate) fn write(message: &Message, version: i16, value: &Struct) -> Outcome<Vec<u8>> {
    if !message.versions.contains(version) {
        return Err(Refusal::new(0, "the message has no such version"));
    }
    let writer = Writer { version, flexible: message.flexible.contains(version) };
    let mut out = Vec::new();
    writer.members(&message.fields, value, &mut out)?;
    Ok(out)
}

fn refuse<T>(reason: impl Into<String>) -> Outcome<T> {
    Err(Refusal::new(0, reason))
}

/// W5
fn uvarint(mut number: u32, out: &mut Vec<u8>) {
    while number >> 7 != 0 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

impl Writer {
    /// W6, W7
    fn length(self, len: Option<usize>, width: usize, compact: bool, out: &mut Vec<u8>) {
        if compact {
            return uvarint(len.map_or(0, |len| len as u32 + 1), out);
        }
        let number = len.map_or(-1, |len| len as i64);
        out.extend_from_slice(&number.to_be_bytes()[8 - width..]);
    }

    /// W12, W13
    fn members(self, fields: &[Field], value: &Struct, out: &mut Vec<u8>) -> Outcome<()> {
        for (field, value) in fields.iter().zip(&value.fields) {
            let put = if !field.versions.contains(self.version) {
                if field.ignorable || *value == field.default {
                    Ok(())
                } else {
                    refuse("it is set, and the version does not have it")
                }
            } else if field.tag_in(self.version).is_none() {
                self.value(field, value, false, out)
            } else {
                Ok(())
            };
            put.map_err(|refusal| refusal.below(&field.name))?;
        }
        if self.flexible { self.tags(fields, value, out) } else { Ok(()) }
    }

    /// W14, W15
    fn tags(self, fields: &[Field], value: &Struct, out: &mut Vec<u8>) -> Outcome<()> {
        let mut tags = Vec::new();
        for (field, value) in fields.iter().zip(&value.fields) {
            let Some(tag) = field.tag_in(self.version).filter(|_| *value != field.default) else {
                continue;
            };
            let mut bytes = Vec::new();
            let put = self.value(field, value, true, &mut bytes);
            put.map_err(|refusal| refusal.below(&field.name))?;
            tags.push((tag, bytes));
        }
        tags.extend(value.unknown.iter().cloned());
        tags.sort_by_key(|(tag, _)| *tag);
        uvarint(tags.len() as u32, out);
        for (tag, bytes) in tags {
            uvarint(tag, out);
            uvarint(bytes.len() as u32, out);
            out.extend(bytes);
        }
        Ok(())
    }

    fn value(self, field: &Field, value: &Data, tagged: bool, out: &mut Vec<u8>) -> Outcome<()> {
        let compact = self.flexible && !field.classic;
        let nullable = field.nullable.contains(self.version);
        if *value == Data::Null && !nullable {
            return refuse("null where the version has no null");
        }
        match (&field.ty, value) {
            // W16, W17
            (Type::Struct(_), Data::Null) => out.push(if tagged { 0 } else { 0xff }),
            (Type::Struct(_), _) if nullable => {
                out.push(1);
                self.single(&field.ty, value, compact, out)?;
            }
            (Type::Array(_) | Type::Bytes | Type::Records, Data::Null) => {
                self.length(None, 4, compact, out);
            }
            (_, Data::Null) => self.length(None, 2, compact, out),
            // W10
            (Type::Array(ty), Data::Array(elements)) => {
                self.length(Some(elements.len()), 4, compact, out);
                for (index, element) in elements.iter().enumerate() {
                    let put = self.single(ty, element, compact, out);
                    put.map_err(|refusal| refusal.below(&format!("[{index}]")))?;
                }
            }
            (ty, value) => self.single(ty, value, compact, out)?,
        }
        Ok(())
    }

    /// W1 to W9
    fn single(self, ty: &Type, value: &Data, compact: bool, out: &mut Vec<u8>) -> Outcome<()> {
        match (ty, value) {
            (Type::Bool, Data::Bool(value)) => out.push(u8::from(*value)),
            (Type::Int { bytes, .. }, Data::Int(number)) => {
                out.extend_from_slice(&number.to_be_bytes()[8 - bytes..]);
            }
            (Type::Float64, Data::Float(bits)) => out.extend_from_slice(&bits.to_be_bytes()),
            (Type::Uuid, Data::Uuid(uuid)) => out.extend_from_slice(uuid),
            (Type::String, Data::Text(text)) => {
                if text.len() > 32_767 {
                    return refuse(format!("a string of {} bytes", text.len()));
                }
                self.length(Some(text.len()), 2, compact, out);
                out.extend_from_slice(text.as_bytes());
            }
            (Type::Bytes | Type::Records, Data::Bytes(bytes)) => {
                self.length(Some(bytes.len()), 4, compact, out);
                out.extend_from_slice(bytes);
            }
            (Type::Struct(fields), Data::Struct(value)) => self.members(fields, value, out)?,
            (ty, value) => return refuse(format!("{value:?} is no {ty:?}")),
        }
        Ok(())
    }
}
