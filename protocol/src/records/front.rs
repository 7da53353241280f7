//! A few varints, written where they belong, one after the other: bytes that are pushed singly wait
//! for the buffer's length each time, and bytes that are gathered elsewhere for the copy.

use alloc::vec::Vec;

use crate::varint::{put_uvarint, zigzag32, zigzag64};

/// Room for a record's length, attributes, timestamp, offset, and length of the key: 5, 1, 10, 5
/// and 5 bytes at most. A buffer should have it to spare.
pub(super) const ROOM: usize = 32;

/// The end of a buffer that is written to.
pub(super) struct Front<'a> {
    place: &'a mut [u8; ROOM],
    len: usize,
}

/// Appends what `put` writes, [`ROOM`] bytes at most.
#[inline(always)]
pub(super) fn append(out: &mut Vec<u8>, put: impl FnOnce(&mut Front<'_>)) {
    let start = out.len();
    out.extend_from_slice(&[0; ROOM]);
    let place = out.last_chunk_mut().expect("invariant: as many bytes were appended");
    let mut front = Front { place, len: 0 };
    put(&mut front);
    let end = start + front.len;
    out.truncate(end);
}

/// Appends one varint, of a byte as a rule.
#[inline(always)]
pub(super) fn append_one(out: &mut Vec<u8>, value: i32) {
    match zigzag32(value) {
        short @ 0..0x80 => out.push(short as u8),
        long => put_uvarint(out, long),
    }
}

impl Front<'_> {
    #[inline(always)]
    fn byte(&mut self, byte: u8) {
        // The mask says that it is within the room, which the callers see to.
        self.place[self.len & (ROOM - 1)] = byte;
        self.len += 1;
    }

    /// A varint of 32 bits.
    #[inline(always)]
    pub(super) fn varint(&mut self, value: i32) {
        self.uvarlong(u64::from(zigzag32(value)));
    }

    /// A varint of 64 bits.
    #[inline(always)]
    pub(super) fn varlong(&mut self, value: i64) {
        self.uvarlong(zigzag64(value));
    }

    #[inline(always)]
    fn uvarlong(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::varint::{put_varint, put_varlong};

    #[test]
    fn varints_are_as_those_written_one_by_one() {
        let edges = (0..63).flat_map(|bit| [0, 1, -1].map(|by| (1i64 << bit) + by));
        let values: Vec<i64> = edges.flat_map(|value| [value, -value]).chain([i64::MIN]).collect();
        let (mut together, mut single) = (Vec::new(), Vec::new());
        for &value in &values {
            append(&mut together, |front| {
                front.varlong(value);
                front.varint(value as i32);
            });
            append_one(&mut together, value as i32);
            put_varlong(&mut single, value);
            put_varint(&mut single, value as i32);
            put_varint(&mut single, value as i32);
        }
        assert_eq!(together, single);
    }
}
