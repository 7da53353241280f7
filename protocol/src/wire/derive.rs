//! What the derive macro calls.

use super::{
    Bytes, Cx, Encoder, Parsed, Put, PutCx, Refusal, Step, Trace, UnknownTags, Wire, p, uvarint,
    uvarint_len,
};
use alloc::vec::Vec;

/// Adds the field's name to a failure.
#[inline(always)]
pub fn field<'a, T>(name: &'static str, parsed: Parsed<'a, T>) -> Parsed<'a, T> {
    match parsed {
        Ok(ok) => Ok(ok),
        Err(error) => Err(name_field(name, error)),
    }
}

#[cold]
#[inline(never)]
fn name_field(name: &'static str, error: nom::Err<Trace>) -> nom::Err<Trace> {
    error.map(|trace| trace.push(Step::Field(name)))
}

/// Adds the field's name to a failure.
#[inline(always)]
pub fn put_field(name: &'static str, put: Put) -> Put {
    match put {
        Ok(()) => Ok(()),
        Err(error) => Err(error.push(Step::Field(name))),
    }
}

/// A field that the version does not have, is not ignorable, and is set.
#[cold]
#[inline(never)]
pub fn absent_but_set(name: &'static str, version: i16) -> Refusal {
    Refusal::new(version, "the field is set, but this version does not have it")
        .push(Step::Field(name))
}

/// A value of a nullable field in a version where it cannot be null.
#[inline]
pub fn get_some<'a, T: Wire>(i: &'a [u8], cx: Cx<'_>) -> Parsed<'a, Option<T>> {
    let (i, value) = T::get(i, cx)?;
    Ok((i, Some(value)))
}

/// A value of a nullable field in a version where it cannot be null.
#[inline]
pub fn put_some<T: Wire>(value: Option<&T>, out: &mut Encoder, cx: PutCx) -> Put {
    match value {
        Some(value) => value.put(out, cx),
        None => Err(Refusal::new(cx.version, "null is not allowed in this version")),
    }
}

/// A nullable struct: an untagged one is marked by an int8 (negative null), a tagged one by an
/// unsigned varint (0 null).
#[inline]
pub fn get_struct_opt<'a, T: Wire>(i: &'a [u8], cx: Cx<'_>, tagged: bool) -> Parsed<'a, Option<T>> {
    let (i, present) = if tagged {
        let (i, mark) = uvarint(i)?;
        (i, mark != 0)
    } else {
        let (i, mark) = p::int8(i)?;
        (i, mark >= 0)
    };
    if present { get_some(i, cx) } else { Ok((i, None)) }
}

/// The inverse of [`get_struct_opt`].
pub fn put_struct_opt<T: Wire>(
    value: Option<&T>,
    out: &mut Encoder,
    cx: PutCx,
    tagged: bool,
) -> Put {
    match (value, tagged) {
        (Some(_), _) => out.put_slice(&[1]),
        (None, true) => out.put_slice(&[0]),
        (None, false) => out.put_slice(&[0xff]),
    }
    value.map_or(Ok(()), |value| value.put(out, cx))
}

/// Reads the value of a tag that the struct knows, and says whether it did.
pub type KnownTag<'k> = dyn FnMut(u32, &[u8]) -> Result<bool, nom::Err<Trace>> + 'k;

/// The tagged fields at the end of a struct: `known` reads the value of a tag that it knows and
/// returns whether it did.
#[inline]
pub fn get_tags<'a>(i: &'a [u8], cx: Cx<'_>, known: &mut KnownTag<'_>) -> Parsed<'a, UnknownTags> {
    match i {
        [0, rest @ ..] => Ok((rest, UnknownTags::default())),
        _ => get_tags_slow(i, cx, known),
    }
}

/// Tagged fields that a section may hold on its count's word alone.
const TAGS_FREE: usize = 8;

/// A tag, and the bytes of its field.
fn tagged(i: &[u8]) -> Parsed<'_, (u32, &[u8])> {
    let (rest, tag) = uvarint(i)?;
    let (rest, len) = uvarint(rest)?;
    let (rest, data) = p::take(rest, len as usize)
        .map_err(|error| error.map(|trace| trace.push(Step::Tag(tag))))?;
    Ok((rest, (tag, data)))
}

#[inline(never)]
fn get_tags_slow<'a>(i: &'a [u8], cx: Cx<'_>, known: &mut KnownTag<'_>) -> Parsed<'a, UnknownTags> {
    let mut unknown = UnknownTags::default();
    let start = i;
    let (mut i, count) = uvarint(i)?;
    // Each tagged field takes at least two bytes.
    if count as usize > i.len() / 2 {
        let reason = format!("{count} tagged fields where {} bytes remain", i.len());
        return Trace::fail(start, reason);
    }
    // A count is believed when all its fields are seen to be there: memory for it is taken at once.
    // Where one is not, nothing is kept, and the first fault in the order of the bytes is found.
    let next = |i, _| tagged(i).ok().map(|(rest, _)| rest);
    let believed = count as usize <= TAGS_FREE || (0..count).try_fold(i, next).is_some();
    for read in 0..count {
        let (rest, (tag, data)) = tagged(i)?;
        let known =
            known(tag, data).map_err(|error| error.map(|trace| trace.deeper(rest.len())))?;
        if !known && believed {
            unknown.push_bounded(tag, cx.frame.slice_ref(data), (count - read) as usize);
        }
        i = rest;
    }
    Ok((i, unknown))
}

/// [`get_tags`] for a struct without tagged fields of its own.
#[inline]
pub fn get_unknown_tags<'a>(i: &'a [u8], cx: Cx<'_>) -> Parsed<'a, UnknownTags> {
    get_tags(i, cx, &mut |_, _| Ok(false))
}

/// The value of a known tag: it must take the whole declared size.
pub fn get_tagged<'a, T>(
    name: &'static str,
    data: &'a [u8],
    parse: impl FnOnce(&'a [u8]) -> Parsed<'a, T>,
) -> Result<T, nom::Err<Trace>> {
    let (rest, value) = field(name, parse(data))?;
    if rest.is_empty() {
        return Ok(value);
    }
    let trace = Trace::new(rest, format!("{} bytes are left over in the field", rest.len()));
    Err(nom::Err::Failure(trace.push(Step::Field(name))))
}

/// The tagged section of a struct: known fields in ascending order of their tags, then unknown
/// ones.
pub struct TagWriter {
    fields: Vec<(u32, Encoder)>,
}

impl TagWriter {
    /// An empty section.
    #[inline]
    pub fn new() -> Self {
        Self { fields: Vec::new() }
    }

    /// Adds a field that differs from its default.
    pub fn put(
        &mut self,
        name: &'static str,
        tag: u32,
        put: impl FnOnce(&mut Encoder) -> Put,
    ) -> Put {
        let mut value = Encoder::new();
        put_field(name, put(&mut value))?;
        self.fields.push((tag, value));
        Ok(())
    }

    /// Writes the section.
    #[inline]
    pub fn finish(self, out: &mut Encoder, unknown: &UnknownTags) -> Put {
        if self.fields.is_empty() && unknown.is_empty() {
            out.tail().push(0);
            return Ok(());
        }
        self.finish_slow(out, unknown)
    }

    #[inline(never)]
    fn finish_slow(mut self, out: &mut Encoder, unknown: &UnknownTags) -> Put {
        for (tag, bytes) in unknown.iter() {
            let mut value = Encoder::new();
            value.put_shared(bytes);
            self.fields.push((tag, value));
        }
        // A stable sort keeps the order of equal unknown tags.
        self.fields.sort_by_key(|(tag, _)| *tag);
        out.put_uvarint(self.fields.len() as u32);
        for (tag, value) in self.fields {
            debug_assert!(uvarint_len(tag) <= 5, "tags are 32-bit");
            out.put_uvarint(tag);
            out.put_uvarint(value.len() as u32);
            out.append(value);
        }
        Ok(())
    }
}

impl Default for TagWriter {
    fn default() -> Self {
        Self::new()
    }
}

/// The tagged section of a struct without tagged fields of its own.
#[inline]
pub fn put_unknown_tags(unknown: &UnknownTags, out: &mut Encoder) -> Put {
    if unknown.is_empty() {
        out.tail().push(0);
        return Ok(());
    }
    TagWriter::new().finish(out, unknown)
}

/// Used by derived `Default`s of `Bytes` fields.
pub const fn empty_bytes() -> Bytes {
    Bytes::new()
}
