//! R: from bytes to a value. The places of refusals are those of part 4.7.

use super::schema::{Field, Message, Type};
use super::value::{Data, Struct, defaults};
use super::{Outcome, Refusal};

/// A piece of the bytes and the rule of `schemas/kafka.abnf` that it has to fit.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The name of the rule.
    pub(crate) rule: &'static str,
    /// The first byte.
    pub(crate) start: usize,
    /// The byte behind the last.
    pub(crate) end: usize,
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Where the message, or the tagged field, ends.
    end: usize,
    version: i16,
    flexible: bool,
    seen: Option<Vec<Seen>>,
}

/// Reads a message from all of the bytes.
pub(crate) fn read(message: &Message, version: i16, bytes: &[u8]) -> Outcome<Struct> {
    start(message, version, bytes, None).map(|(value, _)| value)
}

/// The same, and what was seen on the way.
pub(crate) fn read_seen(
    message: &Message,
    version: i16,
    bytes: &[u8],
) -> Outcome<(Struct, Vec<Seen>)> {
    start(message, version, bytes, Some(Vec::new()))
}

fn start(
    message: &Message,
    version: i16,
    bytes: &[u8],
    seen: Option<Vec<Seen>>,
) -> Outcome<(Struct, Vec<Seen>)> {
    if !message.versions.contains(version) {
        return Err(Refusal::new(0, "the message has no such version"));
    }
    let flexible = message.flexible.contains(version);
    let mut reader = Reader { bytes, at: 0, end: bytes.len(), version, flexible, seen };
    let value = reader.members(&message.fields)?;
    match reader.left() {
        0 => Ok((value, reader.seen.unwrap_or_default())),
        left => reader.refuse(format!("{left} bytes are left over")),
    }
}

impl Reader<'_> {
    fn left(&self) -> usize {
        self.end - self.at
    }

    fn refuse<T>(&self, reason: impl Into<String>) -> Outcome<T> {
        Err(Refusal::new(self.at, reason))
    }

    fn saw(&mut self, rule: &'static str, start: usize) {
        let end = self.at;
        if let Some(seen) = &mut self.seen {
            seen.push(Seen { rule, start, end });
        }
    }

    fn take(&mut self, len: usize) -> Outcome<&[u8]> {
        if len > self.left() {
            return self.refuse(format!("{len} bytes where {} are left", self.left()));
        }
        let start = self.at;
        self.at += len;
        Ok(&self.bytes[start..self.at])
    }

    /// R1: a number in two's complement, highest byte first.
    fn int(&mut self, bytes: usize, signed: bool) -> Outcome<i64> {
        let taken = self.take(bytes)?;
        let first = if signed && taken[0] >= 0x80 { -1 } else { 0 };
        Ok(taken.iter().fold(first, |number: i64, byte| number << 8 | i64::from(*byte)))
    }

    /// R5: groups of seven bits, the lowest first.
    fn uvarint(&mut self) -> Outcome<u32> {
        let mut number = 0u64;
        for group in 0..5 {
            let Some(byte) = self.bytes[self.at..self.end].get(group) else {
                return self.refuse("the bytes end inside a varint");
            };
            number |= u64::from(byte & 0x7f) << (7 * group);
            if *byte < 0x80 {
                self.at += group + 1;
                return Ok(number as u32);
            }
        }
        self.refuse("a varint of more than 5 bytes")
    }

    /// R6, R7: a length; none is null.
    fn length(&mut self, width: usize, compact: bool) -> Outcome<Option<usize>> {
        if compact {
            let one_more = self.uvarint()? as usize;
            return Ok(one_more.checked_sub(1));
        }
        Ok(usize::try_from(self.int(width, true)?).ok())
    }

    /// R12, R13
    fn members(&mut self, fields: &[Field]) -> Outcome<Struct> {
        let mut value = defaults(fields);
        for (at, field) in fields.iter().enumerate() {
            if field.versions.contains(self.version) && field.tag_in(self.version).is_none() {
                value.fields[at] = self.field(field, false)?;
            }
        }
        if self.flexible {
            self.tags(fields, &mut value)?;
        }
        Ok(value)
    }

    fn field(&mut self, field: &Field, tagged: bool) -> Outcome<Data> {
        self.value(field, tagged).map_err(|refusal| refusal.below(&field.name))
    }

    fn value(&mut self, field: &Field, tagged: bool) -> Outcome<Data> {
        let nullable = field.nullable.contains(self.version);
        let start = self.at;
        let compact = self.flexible && !field.classic;
        let value = match &field.ty {
            Type::Struct(fields) if nullable => {
                // R16, R17
                let there = if tagged { self.uvarint()? != 0 } else { self.int(1, true)? >= 0 };
                self.saw(if tagged { "tagged-presence" } else { "presence" }, start);
                if there { Data::Struct(self.members(fields)?) } else { Data::Null }
            }
            Type::Array(element) => self.array(element, compact)?,
            other => self.single(other, compact)?,
        };
        if value == Data::Null && !nullable {
            self.at = start;
            return self.refuse("null where the version has no null");
        }
        Ok(value)
    }

    /// R10
    fn array(&mut self, element: &Type, compact: bool) -> Outcome<Data> {
        let start = self.at;
        let Some(count) = self.length(4, compact)? else {
            self.saw(if compact { "compact-null" } else { "null-array" }, start);
            return Ok(Data::Null);
        };
        self.saw(if compact { "compact-count" } else { "array-count" }, start);
        if count > self.left() {
            let reason = format!("{count} elements where {} bytes are left", self.left());
            self.at = start;
            return self.refuse(reason);
        }
        let mut elements = Vec::new();
        for index in 0..count {
            let start = self.at;
            let read = self.single(element, compact).and_then(|element| {
                if element == Data::Null {
                    self.at = start;
                    return self.refuse("null as an element");
                }
                Ok(element)
            });
            elements.push(read.map_err(|refusal| refusal.below(&format!("[{index}]")))?);
        }
        Ok(Data::Array(elements))
    }

    /// R1 to R9: a value that is no array and no nullable struct.
    fn single(&mut self, ty: &Type, compact: bool) -> Outcome<Data> {
        let start = self.at;
        let (rule, value) = match ty {
            Type::Bool => ("boolean", Data::Bool(self.int(1, true)? != 0)),
            Type::Int { bytes, signed } => {
                let rule = match (bytes, signed) {
                    (1, _) => "int8",
                    (2, true) => "int16",
                    (2, false) => "uint16",
                    (4, true) => "int32",
                    (4, false) => "uint32",
                    _ => "int64",
                };
                (rule, Data::Int(self.int(*bytes, *signed)?))
            }
            Type::Float64 => ("float64", Data::Float(self.int(8, true)? as u64)),
            Type::Uuid => {
                ("uuid", Data::Uuid(self.take(16)?.try_into().expect("16 bytes were taken")))
            }
            Type::String => {
                (if compact { "compact-string" } else { "string" }, { self.string(compact)? })
            }
            Type::Bytes | Type::Records => (if compact { "compact-bytes" } else { "bytes" }, {
                match self.length(4, compact)? {
                    Some(len) => Data::Bytes(self.take(len)?.to_vec()),
                    None => Data::Null,
                }
            }),
            Type::Struct(fields) => return self.members(fields).map(Data::Struct),
            Type::Array(_) => unreachable!("an array's elements are no arrays"),
        };
        let rule = match (&value, rule) {
            (Data::Null, "string") => "null-string",
            (Data::Null, "bytes") => "null-bytes",
            (Data::Null, _) => "compact-null",
            _ => rule,
        };
        self.saw(rule, start);
        Ok(value)
    }

    /// R8
    fn string(&mut self, compact: bool) -> Outcome<Data> {
        let start = self.at;
        let Some(len) = self.length(2, compact)? else { return Ok(Data::Null) };
        if len > 32_767 {
            self.at = start;
            return self.refuse(format!("a string of {len} bytes"));
        }
        let text = self.at;
        match std::str::from_utf8(self.take(len)?) {
            Ok(text) => Ok(Data::Text(text.to_owned())),
            Err(error) => {
                self.at = text + error.valid_up_to();
                self.refuse("a string that is not UTF-8")
            }
        }
    }

    /// R14, R15
    fn tags(&mut self, fields: &[Field], value: &mut Struct) -> Outcome<()> {
        let start = self.at;
        let count = self.uvarint()? as usize;
        if count > self.left() / 2 {
            let reason = format!("{count} tagged fields where {} bytes are left", self.left());
            self.at = start;
            return self.refuse(reason);
        }
        for _ in 0..count {
            self.tag(fields, value)?;
        }
        self.saw("tagged-fields", start);
        Ok(())
    }

    fn tag(&mut self, fields: &[Field], value: &mut Struct) -> Outcome<()> {
        let tag = self.uvarint()?;
        let len = self.uvarint()? as usize;
        if len > self.left() {
            let refused: Outcome<()> = self.refuse(format!("a tagged field of {len} bytes"));
            return refused.map_err(|refusal| refusal.below(&format!("<tag {tag}>")));
        }
        let known = fields.iter().position(|field| field.tag_in(self.version) == Some(tag));
        let Some(known) = known else {
            value.unknown.push((tag, self.take(len)?.to_vec()));
            return Ok(());
        };
        let field = &fields[known];
        let outer = self.end;
        self.end = self.at + len;
        value.fields[known] = self.field(field, true)?;
        if self.left() > 0 {
            let refused: Outcome<()> = self.refuse("bytes are left over in the tagged field");
            return refused.map_err(|refusal| refusal.below(&field.name));
        }
        self.end = outer;
        Ok(())
    }
}
