//! How a value of each type becomes bytes, and back.
//!
//! [`Wire`] is implemented here for the primitive types, strings, bytes and arrays, and by
//! `#[derive(Message)]` for structs. A struct's derived code walks its fields in schema order; what
//! depends on the version is decided there.

use crate::encoder::Encoder;
use crate::error::{DecodeError, EncodeError, Parsed, Refusal, Step, Trace};
use crate::primitives as p;
use crate::uuid::Uuid;
use crate::varint::{uvarint, uvarint_len};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::ops::RangeInclusive;

/// What generated code needs in scope.
pub mod prelude {
    pub use super::UnknownTags;
    pub use crate::uuid::Uuid;
    pub use alloc::borrow::ToOwned;
    pub use alloc::string::String;
    pub use alloc::vec::Vec;
    pub use bytes::Bytes;
    pub use ottla_protocol_derive::Message;
}

/// What a reader needs to know besides the bytes.
#[derive(Clone, Copy)]
pub struct Cx<'f> {
    /// The frame that the bytes are part of: `Bytes` fields are slices of it.
    pub frame: &'f Bytes,
    /// The version of the message.
    pub version: i16,
    /// Whether lengths are compact and structs end with tagged fields.
    pub flexible: bool,
}

/// What a writer needs to know besides the value.
#[derive(Clone, Copy)]
pub struct PutCx {
    /// The version of the message.
    pub version: i16,
    /// Whether lengths are compact and structs end with tagged fields.
    pub flexible: bool,
}

/// The outcome of writing a value.
pub type Put = Result<(), Refusal>;

/// A value that has a form on the wire.
pub trait Wire: Sized {
    /// Reads a value that cannot be null.
    fn get<'a>(i: &'a [u8], cx: Cx<'_>) -> Parsed<'a, Self>;

    /// Writes a value that cannot be null.
    ///
    /// # Errors
    ///
    /// When the version cannot carry the value.
    fn put(&self, out: &mut Encoder, cx: PutCx) -> Put;

    /// Whether the value is the type's zero, which is the default of fields that name none.
    fn is_zero(&self) -> bool;

    /// Reads a value that may be null. `tagged` structs mark presence in another way than untagged
    /// ones.
    fn get_opt<'a>(i: &'a [u8], cx: Cx<'_>, _tagged: bool) -> Parsed<'a, Option<Self>> {
        let (i, value) = Self::get(i, cx)?;
        Ok((i, Some(value)))
    }

    /// Writes a value that may be null.
    ///
    /// # Errors
    ///
    /// When the version cannot carry the value.
    fn put_opt(value: Option<&Self>, out: &mut Encoder, cx: PutCx, _tagged: bool) -> Put {
        match value {
            Some(value) => value.put(out, cx),
            None => Err(Refusal::new(cx.version, "null in a type that cannot be null")),
        }
    }

    /// Reads `count` values that cannot be null; their memory was found to be bounded.
    fn get_all<'a>(mut i: &'a [u8], cx: Cx<'_>, count: usize) -> Parsed<'a, Vec<Self>> {
        let mut values = Vec::with_capacity(count);
        for index in 0..count {
            match Self::get(i, cx) {
                Ok((rest, value)) => {
                    i = rest;
                    values.push(value);
                }
                Err(error) => return Err(error.map(|trace| trace.push(Step::Index(index)))),
            }
        }
        Ok((i, values))
    }

    /// Writes values that cannot be null, one after the other.
    ///
    /// # Errors
    ///
    /// When the version cannot carry one of them.
    fn put_all(values: &[Self], out: &mut Encoder, cx: PutCx) -> Put {
        for (index, value) in values.iter().enumerate() {
            value.put(out, cx).map_err(|error| error.push(Step::Index(index)))?;
        }
        Ok(())
    }
}

/// A message, or a struct inside one: generated from the schema by `#[derive(Message)]`.
pub trait Message: Wire + Default + MaybeJson {
    /// The name in the schema.
    const NAME: &'static str;
    /// The versions that exist.
    const VERSIONS: RangeInclusive<i16>;

    /// Reads a message that is the rest of `frame` from `offset`.
    ///
    /// # Errors
    ///
    /// When the bytes are not a value of this version, or when bytes are left over.
    fn decode(frame: &Bytes, offset: usize, version: i16) -> Result<Self, DecodeError> {
        let (value, end) = Self::decode_prefix(frame, offset, version)?;
        if end != frame.len() {
            let left = &frame[end..];
            let reason = format!("{} bytes are left over after the message", left.len());
            let error = Trace::new(left, reason).into_error(Self::NAME, version, frame.len());
            return Err(DecodeError { left_over: true, ..error });
        }
        Ok(value)
    }

    /// Reads a message from `offset` on and returns the offset behind it.
    ///
    /// # Errors
    ///
    /// When the bytes are not a value of this version.
    fn decode_prefix(
        frame: &Bytes,
        offset: usize,
        version: i16,
    ) -> Result<(Self, usize), DecodeError> {
        if !Self::VERSIONS.contains(&version) {
            let trace = Trace::new(&[], no_such_version(Self::VERSIONS));
            return Err(trace.into_error(Self::NAME, version, offset));
        }
        let cx = Cx { frame, version, flexible: false };
        let bytes = frame.get(offset..).unwrap_or_default();
        match Self::get(bytes, cx) {
            Ok((rest, value)) => Ok((value, frame.len() - rest.len())),
            Err(nom::Err::Error(trace) | nom::Err::Failure(trace)) => {
                Err(trace.into_error(Self::NAME, version, frame.len()))
            }
            Err(nom::Err::Incomplete(_)) => unreachable!("only complete parsers are used"),
        }
    }

    /// Writes the message.
    ///
    /// # Errors
    ///
    /// When a field is null where the version does not allow it, is set but unknown to the version
    /// and not ignorable, or is too long.
    fn encode(&self, out: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(&version) {
            let error = EncodeError::new(version, no_such_version(Self::VERSIONS));
            return Err(EncodeError { message_name: Self::NAME, ..error });
        }
        let cx = PutCx { version, flexible: false };
        self.put(out, cx).map_err(|refusal| refusal.into_error(Self::NAME))
    }

    /// The message as bytes of its own.
    ///
    /// # Errors
    ///
    /// As [`Message::encode`].
    fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut out = Encoder::new();
        self.encode(&mut out, version)?;
        Ok(out.into_bytes())
    }

    /// The message in the JSON form of Apache Kafka's `JsonConverter`.
    ///
    /// # Errors
    ///
    /// As [`Message::encode`].
    #[cfg(feature = "json")]
    fn to_json(&self, version: i16) -> Result<serde_json::Value, EncodeError> {
        self.json(PutCx { version, flexible: false })
            .map_err(|error| EncodeError { message_name: Self::NAME, ..error })
    }

    /// Reads the JSON form of Apache Kafka's `JsonConverter`; absent fields get their default.
    ///
    /// # Errors
    ///
    /// When a field has another type, or is not one of the version's.
    #[cfg(feature = "json")]
    fn from_json(value: &serde_json::Value, version: i16) -> Result<Self, EncodeError> {
        Self::parse_json(value, PutCx { version, flexible: false })
            .map_err(|error| EncodeError { message_name: Self::NAME, ..error })
    }
}

#[cold]
fn no_such_version(versions: RangeInclusive<i16>) -> String {
    format!("the version does not exist: {} to {} do", versions.start(), versions.end())
}

macro_rules! fixed {
    ($($type:ty, $parser:ident;)*) => {$(
        impl Wire for $type {
            #[inline]
            fn get<'a>(i: &'a [u8], _: Cx<'_>) -> Parsed<'a, Self> {
                p::$parser(i)
            }

            #[inline]
            fn put(&self, out: &mut Encoder, _: PutCx) -> Put {
                out.tail().extend_from_slice(&self.to_be_bytes());
                Ok(())
            }

            #[inline]
            fn is_zero(&self) -> bool {
                self.to_be_bytes().iter().all(|byte| *byte == 0)
            }

            fn get_all<'a>(i: &'a [u8], _: Cx<'_>, count: usize) -> Parsed<'a, Vec<Self>> {
                let (all, _) = i.as_chunks();
                let Some(all) = all.get(..count) else { return cut_elements(i, size_of::<Self>()) };
                let values = all.iter().map(|bytes| Self::from_be_bytes(*bytes)).collect();
                Ok((&i[count * size_of::<Self>()..], values))
            }

            fn put_all(values: &[Self], out: &mut Encoder, _: PutCx) -> Put {
                let out = out.tail();
                out.reserve(size_of_val(values));
                for value in values {
                    out.extend_from_slice(&value.to_be_bytes());
                }
                Ok(())
            }
        }
    )*};
}

fixed! {
    i8, int8;
    i16, int16;
    u16, uint16;
    i32, int32;
    u32, uint32;
    i64, int64;
    f64, float64;
}

impl Wire for bool {
    #[inline]
    fn get<'a>(i: &'a [u8], _: Cx<'_>) -> Parsed<'a, Self> {
        p::boolean(i)
    }

    #[inline]
    fn put(&self, out: &mut Encoder, _: PutCx) -> Put {
        out.tail().push(u8::from(*self));
        Ok(())
    }

    fn is_zero(&self) -> bool {
        !self
    }
}

impl Wire for Uuid {
    fn get<'a>(i: &'a [u8], _: Cx<'_>) -> Parsed<'a, Self> {
        let (i, bytes) = p::take(i, 16)?;
        Ok((i, Self(bytes.try_into().expect("16 bytes were taken"))))
    }

    fn put(&self, out: &mut Encoder, _: PutCx) -> Put {
        out.put_slice(&self.0);
        Ok(())
    }

    fn is_zero(&self) -> bool {
        Self::is_zero(self)
    }
}

#[cold]
#[inline(never)]
fn unexpected_null<T>(i: &[u8]) -> Parsed<'_, T> {
    Trace::fail(i, "null in a field that cannot be null in this version")
}

#[inline]
fn put_len(out: &mut Encoder, cx: PutCx, len: Option<usize>, wide: bool) -> Put {
    // Most lengths are a byte: of 0 to 126, or of null.
    if cx.flexible && len.is_none_or(|len| len < 0x7f) {
        out.tail().push(len.map_or(0, |len| len as u8 + 1));
        return Ok(());
    }
    put_len_long(out, cx, len, wide)
}

#[inline(never)]
fn put_len_long(out: &mut Encoder, cx: PutCx, len: Option<usize>, wide: bool) -> Put {
    let max = if wide { i32::MAX as usize - 1 } else { p::STRING_LEN_MAX };
    if len.is_some_and(|len| len > max) {
        let reason = format!("a length of {} (at most {max})", len.unwrap_or_default());
        return Err(Refusal::new(cx.version, reason));
    }
    if cx.flexible {
        out.put_uvarint(len.map_or(0, |len| len as u32 + 1));
    } else if wide {
        out.put_slice(&len.map_or(-1, |len| len as i32).to_be_bytes());
    } else {
        out.put_slice(&len.map_or(-1, |len| len as i16).to_be_bytes());
    }
    Ok(())
}

impl Wire for String {
    #[inline(never)]
    fn get<'a>(i: &'a [u8], cx: Cx<'_>) -> Parsed<'a, Self> {
        match p::nullable_string(i, cx.flexible)? {
            (rest, Some(text)) => Ok((rest, text.to_owned())),
            (_, None) => unexpected_null(i),
        }
    }

    fn put(&self, out: &mut Encoder, cx: PutCx) -> Put {
        Self::put_opt(Some(self), out, cx, false)
    }

    fn is_zero(&self) -> bool {
        self.is_empty()
    }

    fn get_opt<'a>(i: &'a [u8], cx: Cx<'_>, _: bool) -> Parsed<'a, Option<Self>> {
        let (i, text) = p::nullable_string(i, cx.flexible)?;
        Ok((i, text.map(str::to_owned)))
    }

    #[inline(never)]
    fn put_opt(value: Option<&Self>, out: &mut Encoder, cx: PutCx, _: bool) -> Put {
        put_len(out, cx, value.map(Self::len), false)?;
        out.put_slice(value.map_or(&[], |text| text.as_bytes()));
        Ok(())
    }
}

impl Wire for Bytes {
    #[inline(never)]
    fn get<'a>(i: &'a [u8], cx: Cx<'_>) -> Parsed<'a, Self> {
        match Self::get_opt(i, cx, false)? {
            (rest, Some(bytes)) => Ok((rest, bytes)),
            (_, None) => unexpected_null(i),
        }
    }

    fn put(&self, out: &mut Encoder, cx: PutCx) -> Put {
        Self::put_opt(Some(self), out, cx, false)
    }

    fn is_zero(&self) -> bool {
        self.is_empty()
    }

    #[inline(never)]
    fn get_opt<'a>(i: &'a [u8], cx: Cx<'_>, _: bool) -> Parsed<'a, Option<Self>> {
        let (i, bytes) = p::nullable_bytes(i, cx.flexible)?;
        Ok((i, bytes.map(|bytes| cx.frame.slice_ref(bytes))))
    }

    #[inline(never)]
    fn put_opt(value: Option<&Self>, out: &mut Encoder, cx: PutCx, _: bool) -> Put {
        put_len(out, cx, value.map(Self::len), true)?;
        if let Some(bytes) = value {
            out.put_shared(bytes);
        }
        Ok(())
    }
}

/// Memory that an array may take on its count's word alone, in bytes.
const ARRAY_FREE_BYTES: usize = 4 << 10;
/// The same, as a multiple of the bytes that remain. Honest arrays stay below: an element's struct
/// is about as large as its bytes, and only one that is nearly all defaults is much larger.
const ARRAY_FREE_RATIO: usize = 4;
/// More than this multiple of its bytes no array gets, so that decoding stays below 32 times the
/// input. Only thousands of groups that all have an empty name (ListGroups response 3) come near.
const ARRAY_RATIO_MAX: usize = 30;

/// Reads `count` elements. A count whose memory would exceed what honest elements take is not
/// believed: the elements are read once without keeping them. So no array grows, which would need
/// its memory twice, and an open array costs at most [`ARRAY_FREE_RATIO`] times the input.
fn elements<'a, T: Wire>(i: &'a [u8], cx: Cx<'_>, count: usize) -> Parsed<'a, Vec<T>> {
    let free = i.len().saturating_mul(ARRAY_FREE_RATIO).max(ARRAY_FREE_BYTES);
    let memory = count.saturating_mul(size_of::<T>());
    if memory > free {
        let (rest, ()) = skip_elements::<T>(i, cx, count)?;
        let most = (i.len() - rest.len()).saturating_mul(ARRAY_RATIO_MAX);
        if memory > most.saturating_add(ARRAY_FREE_BYTES) {
            return Trace::fail(i, format!("{count} elements that are nearly all empty"));
        }
    }
    T::get_all(i, cx, count)
}

/// The error that the first element that is not whole would have given.
#[cold]
#[inline(never)]
fn cut_elements<T>(i: &[u8], size: usize) -> Parsed<'_, T> {
    let index = i.len() / size;
    let trace = Trace::new(&i[index * size..], "the bytes end inside the value");
    Err(nom::Err::Error(trace.push(Step::Index(index))))
}

#[cold]
#[inline(never)]
fn skip_elements<'a, T: Wire>(mut i: &'a [u8], cx: Cx<'_>, count: usize) -> Parsed<'a, ()> {
    for index in 0..count {
        i = match T::get(i, cx) {
            Ok((rest, _)) => rest,
            Err(error) => return Err(error.map(|trace| trace.push(Step::Index(index)))),
        };
    }
    Ok((i, ()))
}

impl<T: Wire> Wire for Vec<T> {
    fn get<'a>(i: &'a [u8], cx: Cx<'_>) -> Parsed<'a, Self> {
        match p::nullable_count(i, cx.flexible)? {
            (rest, Some(count)) => elements(rest, cx, count),
            (_, None) => unexpected_null(i),
        }
    }

    fn put(&self, out: &mut Encoder, cx: PutCx) -> Put {
        Self::put_opt(Some(self), out, cx, false)
    }

    fn is_zero(&self) -> bool {
        self.is_empty()
    }

    fn get_opt<'a>(i: &'a [u8], cx: Cx<'_>, _: bool) -> Parsed<'a, Option<Self>> {
        match p::nullable_count(i, cx.flexible)? {
            (rest, Some(count)) => {
                let (rest, values) = elements(rest, cx, count)?;
                Ok((rest, Some(values)))
            }
            (rest, None) => Ok((rest, None)),
        }
    }

    fn put_opt(value: Option<&Self>, out: &mut Encoder, cx: PutCx, _: bool) -> Put {
        put_len(out, cx, value.map(Self::len), true)?;
        value.map_or(Ok(()), |values| T::put_all(values, out, cx))
    }
}

#[doc(hidden)]
pub mod derive;
mod tags;

pub use tags::UnknownTags;

#[cfg(feature = "json")]
pub mod json;
#[cfg(feature = "json")]
pub use json::Json as MaybeJson;

/// Every message has a JSON form where the feature `json` is on; nothing is asked for where it is
/// off.
#[cfg(not(feature = "json"))]
pub trait MaybeJson {}
#[cfg(not(feature = "json"))]
impl<T> MaybeJson for T {}
