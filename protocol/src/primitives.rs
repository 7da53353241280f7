//! nom parsers of the primitive types: fixed-width integers, lengths, strings, bytes.
//!
//! "Classic" forms have a fixed-width signed length (int16 for strings, int32 for bytes and arrays)
//! whose negative values all mean null; "compact" forms (flexible versions, KIP-482) have an
//! unsigned varint of length + 1 whose 0 means null. All parsers are `complete`: a frame is cut out
//! of the stream first.

use crate::error::{Parsed, Trace};
use crate::varint::uvarint;
use alloc::borrow::ToOwned;
use nom::number::complete as number;

/// The longest string, in bytes, also in the compact form.
pub const STRING_LEN_MAX: usize = 0x7fff;

macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $parser:ident;)*) => {$(
        $(#[$doc])*
        #[inline]
        pub fn $name(i: &[u8]) -> Parsed<'_, $type> {
            number::$parser::<_, Trace>(i)
        }
    )*};
}

fixed! {
    /// A signed byte.
    int8: i8 = be_i8;
    /// A big-endian 16-bit integer.
    int16: i16 = be_i16;
    /// A big-endian unsigned 16-bit integer.
    uint16: u16 = be_u16;
    /// A big-endian 32-bit integer.
    int32: i32 = be_i32;
    /// A big-endian unsigned 32-bit integer.
    uint32: u32 = be_u32;
    /// A big-endian 64-bit integer.
    int64: i64 = be_i64;
    /// A big-endian IEEE 754 double.
    float64: f64 = be_f64;
}

/// A byte, of which any value but 0 is true.
#[inline]
pub fn boolean(i: &[u8]) -> Parsed<'_, bool> {
    let (i, byte) = int8(i)?;
    Ok((i, byte != 0))
}

/// The next `len` bytes; refused where fewer remain.
#[inline]
pub fn take(i: &[u8], len: usize) -> Parsed<'_, &[u8]> {
    match i.split_at_checked(len) {
        Some((taken, rest)) => Ok((rest, taken)),
        None => too_long(i, len),
    }
}

#[cold]
#[inline(never)]
fn too_long<T>(i: &[u8], len: usize) -> Parsed<'_, T> {
    Trace::fail(i, format!("a length of {len} bytes where {} remain", i.len()))
}

/// The length of a string, bytes or array: `None` is null.
#[inline]
fn compact_len(i: &[u8]) -> Parsed<'_, Option<usize>> {
    let (i, raw) = uvarint(i)?;
    Ok((i, (raw as usize).checked_sub(1)))
}

#[inline]
fn classic_len16(i: &[u8]) -> Parsed<'_, Option<usize>> {
    let (i, raw) = int16(i)?;
    Ok((i, usize::try_from(raw).ok()))
}

#[inline]
fn classic_len32(i: &[u8]) -> Parsed<'_, Option<usize>> {
    let (i, raw) = int32(i)?;
    Ok((i, usize::try_from(raw).ok()))
}

/// A string that may be null.
#[inline(never)]
pub fn nullable_string(i: &[u8], compact: bool) -> Parsed<'_, Option<&str>> {
    let start = i;
    let (i, len) = if compact { compact_len(i)? } else { classic_len16(i)? };
    let Some(len) = len else { return Ok((i, None)) };
    if len > STRING_LEN_MAX {
        return Trace::fail(start, format!("a string of {len} bytes (at most {STRING_LEN_MAX})"));
    }
    let at = i;
    let (i, bytes) = take(i, len)?;
    match core::str::from_utf8(bytes) {
        Ok(text) => Ok((i, Some(text))),
        Err(error) => {
            Trace::fail(&at[error.valid_up_to()..], "a string that is not UTF-8".to_owned())
        }
    }
}

/// Bytes that may be null.
#[inline(never)]
pub fn nullable_bytes(i: &[u8], compact: bool) -> Parsed<'_, Option<&[u8]>> {
    let (i, len) = if compact { compact_len(i)? } else { classic_len32(i)? };
    let Some(len) = len else { return Ok((i, None)) };
    let (i, bytes) = take(i, len)?;
    Ok((i, Some(bytes)))
}

/// The number of elements of an array that may be null. Every element takes at least one byte, so a
/// count above the bytes that remain is refused before anything is allocated (KAFKA-14063).
#[inline(never)]
pub fn nullable_count(i: &[u8], compact: bool) -> Parsed<'_, Option<usize>> {
    let start = i;
    let (i, count) = if compact { compact_len(i)? } else { classic_len32(i)? };
    match count {
        Some(count) if count > i.len() => Trace::fail(
            start,
            format!("an array of {count} elements where {} bytes remain", i.len()),
        ),
        count => Ok((i, count)),
    }
}
