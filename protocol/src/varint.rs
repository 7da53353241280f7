//! Variable-length integers: unsigned (lengths, tags) and zig-zag (record fields).
//!
//! Seven bits a byte, the least significant group first, the high bit set on all bytes but the
//! last. A value of 32 bits takes at most five bytes, one of 64 bits at most ten; a longer one is
//! refused (protocol guide, MF-03).

use crate::error::{Parsed, Trace};
use alloc::vec::Vec;

/// The most bytes of a 32-bit varint.
pub const MAX_LEN_32: usize = 5;
/// The most bytes of a 64-bit varint.
pub const MAX_LEN_64: usize = 10;

/// Reads an unsigned varint of at most 32 bits.
#[inline]
pub fn uvarint(i: &[u8]) -> Parsed<'_, u32> {
    match i {
        [byte, rest @ ..] if *byte < 0x80 => Ok((rest, u32::from(*byte))),
        _ => uvarint_long(i),
    }
}

#[inline(never)]
fn uvarint_long(i: &[u8]) -> Parsed<'_, u32> {
    let mut value = 0u64;
    for (at, byte) in i.iter().take(MAX_LEN_32).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            // Bits above 32 are dropped, as Java's int arithmetic does.
            return Ok((&i[at + 1..], value as u32));
        }
    }
    if i.len() < MAX_LEN_32 {
        return Trace::fail(i, "the bytes end inside a varint");
    }
    Trace::fail(i, "a varint of more than 5 bytes")
}

/// Reads an unsigned varint of at most 64 bits.
#[inline]
pub fn uvarlong(i: &[u8]) -> Parsed<'_, u64> {
    match i {
        [byte, rest @ ..] if *byte < 0x80 => Ok((rest, u64::from(*byte))),
        _ => uvarlong_long(i),
    }
}

#[inline(never)]
fn uvarlong_long(i: &[u8]) -> Parsed<'_, u64> {
    let mut value = 0u64;
    for (at, byte) in i.iter().take(MAX_LEN_64).enumerate() {
        // The tenth byte has room for one bit only; what is above is dropped, as in Java.
        value |= u64::from(byte & 0x7f).wrapping_shl(7 * at as u32);
        if byte & 0x80 == 0 {
            return Ok((&i[at + 1..], value));
        }
    }
    if i.len() < MAX_LEN_64 {
        return Trace::fail(i, "the bytes end inside a varlong");
    }
    Trace::fail(i, "a varlong of more than 10 bytes")
}

/// Reads a zig-zag varint of 32 bits.
#[inline]
pub fn varint(i: &[u8]) -> Parsed<'_, i32> {
    let (i, raw) = uvarint(i)?;
    Ok((i, unzigzag32(raw)))
}

/// Reads a zig-zag varint of 64 bits.
#[inline]
pub fn varlong(i: &[u8]) -> Parsed<'_, i64> {
    let (i, raw) = uvarlong(i)?;
    Ok((i, unzigzag64(raw)))
}

/// Maps 0, -1, 1, -2, ... to 0, 1, 2, 3, ...
#[inline]
pub const fn zigzag32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

/// The inverse of [`zigzag32`].
#[inline]
pub const fn unzigzag32(raw: u32) -> i32 {
    (raw >> 1) as i32 ^ -((raw & 1) as i32)
}

/// Maps 0, -1, 1, -2, ... to 0, 1, 2, 3, ...
#[inline]
pub const fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag64`].
#[inline]
pub const fn unzigzag64(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

/// How many bytes `value` takes as an unsigned varint: 1 to 5.
#[inline]
pub const fn uvarint_len(value: u32) -> usize {
    groups_of_seven(32 - (value | 1).leading_zeros() as usize)
}

/// How many bytes `value` takes as an unsigned varlong: 1 to 10.
#[inline]
pub const fn uvarlong_len(value: u64) -> usize {
    groups_of_seven(64 - (value | 1).leading_zeros() as usize)
}

/// `bits.div_ceil(7)` without a division, for the 1 to 64 bits of a value; zero takes one byte as
/// well.
#[inline]
const fn groups_of_seven(bits: usize) -> usize {
    (bits * 9 + 64) / 64
}

/// How many bytes `value` takes as a zig-zag varint: 1 to 5.
#[inline]
pub const fn varint_len(value: i32) -> usize {
    uvarint_len(zigzag32(value))
}

/// How many bytes `value` takes as a zig-zag varlong: 1 to 10.
#[inline]
pub const fn varlong_len(value: i64) -> usize {
    uvarlong_len(zigzag64(value))
}

/// Appends an unsigned varint.
#[inline]
pub fn put_uvarint(out: &mut Vec<u8>, value: u32) {
    put_uvarlong(out, u64::from(value));
}

/// Appends an unsigned varlong.
#[inline]
pub fn put_uvarlong(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        return out.push(value as u8);
    }
    put_long(out, value);
}

fn put_long(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a zig-zag varint.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_uvarint(out, zigzag32(value));
}

/// Appends a zig-zag varlong.
#[inline]
pub fn put_varlong(out: &mut Vec<u8>, value: i64) {
    put_uvarlong(out, zigzag64(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_encodings() {
        for (value, bytes) in [
            (0u32, &[0x00][..]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (300, &[0xac, 0x02]),
            (u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Vec::new();
            put_uvarint(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(uvarint_len(value), bytes.len());
            assert_eq!(uvarint(bytes).expect("valid").1, value);
        }
    }

    #[test]
    fn zigzag_round_trips_at_the_edges() {
        for value in [0, -1, 1, i64::MIN, i64::MAX, i64::from(i32::MIN), i64::from(i32::MAX)] {
            let mut out = Vec::new();
            put_varlong(&mut out, value);
            assert_eq!(varlong_len(value), out.len());
            assert_eq!(varlong(&out).expect("valid"), (&[][..], value));
        }
        for value in [0, -1, 1, i32::MIN, i32::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(varint_len(value), out.len());
            assert_eq!(varint(&out).expect("valid"), (&[][..], value));
        }
    }

    #[test]
    fn lengths_are_those_of_what_is_written() {
        assert!((1..=64).all(|bits: usize| groups_of_seven(bits) == bits.div_ceil(7)));
        let edges = (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit]);
        for value in edges.chain([u64::MAX]) {
            let mut out = Vec::new();
            put_uvarlong(&mut out, value);
            assert_eq!(uvarlong_len(value), out.len(), "{value}");
            out.clear();
            put_uvarint(&mut out, value as u32);
            assert_eq!(uvarint_len(value as u32), out.len(), "{value}");
        }
    }

    #[test]
    fn too_long_and_cut_varints_are_refused() {
        assert!(uvarint(&[0x80; 5]).is_err());
        assert!(uvarint(&[0x80, 0x80]).is_err());
        assert!(uvarint(&[]).is_err());
        assert!(uvarlong(&[0xff; 10]).is_err());
        assert!(uvarlong(&[0x80; 9]).is_err());
    }
}
