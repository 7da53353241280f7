//! The growing output of an encoder.

use crate::varint;
use alloc::vec::Vec;
use bytes::Bytes;

/// A `Bytes` field of at least this many bytes is kept as a chunk of its own instead of being
/// copied: a produced batch goes from the accumulator to the socket without a copy.
const SHARED_LEN_MIN: usize = 1024;

/// Collects the bytes of a frame as a list of chunks: small fields are written one after the other
/// into owned memory, large ones are shared.
///
/// [`Encoder::framed`] reserves room for the length prefix, which [`Encoder::into_chunks`] fills
/// in.
#[derive(Debug, Default)]
pub struct Encoder {
    done: Vec<Chunk>,
    done_len: usize,
    tail: Vec<u8>,
    framed: bool,
}

#[derive(Debug)]
enum Chunk {
    Owned(Vec<u8>),
    Shared(Bytes),
}

impl Encoder {
    /// An empty output without a length prefix.
    pub fn new() -> Self {
        Self::default()
    }

    /// An output that starts with a 4-byte length prefix, filled in at the end.
    pub fn framed() -> Self {
        let mut tail = Vec::with_capacity(256);
        tail.extend_from_slice(&[0; 4]);
        Self { tail, framed: true, ..Self::default() }
    }

    /// How many bytes were written, the length prefix included.
    pub fn len(&self) -> usize {
        self.done_len + self.tail.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Room for small fields: everything written here is copied.
    #[inline]
    pub fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// Appends bytes by copying them.
    #[inline]
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    /// Appends bytes, sharing them where they are large.
    pub fn put_shared(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARED_LEN_MIN {
            return self.put_slice(bytes);
        }
        self.seal_tail();
        self.done_len += bytes.len();
        self.done.push(Chunk::Shared(bytes.clone()));
    }

    /// Appends an unsigned varint.
    #[inline]
    pub fn put_uvarint(&mut self, value: u32) {
        varint::put_uvarint(&mut self.tail, value);
    }

    /// Appends another output (which must not be framed).
    pub(crate) fn append(&mut self, other: Self) {
        debug_assert!(!other.framed, "only the outermost output has a length prefix");
        if other.done.is_empty() {
            return self.put_slice(&other.tail);
        }
        self.seal_tail();
        self.done_len += other.done_len;
        self.done.extend(other.done);
        self.tail = other.tail;
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.done_len += self.tail.len();
            self.done.push(Chunk::Owned(core::mem::take(&mut self.tail)));
        }
    }

    /// The chunks to write, in order; a framed output's length prefix is filled in.
    ///
    /// # Panics
    ///
    /// When a framed output is larger than 2 GiB; callers bound requests far below that.
    pub fn into_chunks(mut self) -> Vec<Bytes> {
        self.seal_tail();
        if self.framed {
            let len = i32::try_from(self.done_len - 4).expect("a frame is smaller than 2 GiB");
            let Some(Chunk::Owned(first)) = self.done.first_mut() else {
                unreachable!("a framed output starts with its prefix in owned memory");
            };
            first[..4].copy_from_slice(&len.to_be_bytes());
        }
        self.done
            .into_iter()
            .map(|chunk| match chunk {
                Chunk::Owned(bytes) => Bytes::from(bytes),
                Chunk::Shared(bytes) => bytes,
            })
            .collect()
    }

    /// The whole output as one piece; copies unless there is only one chunk.
    pub fn into_bytes(self) -> Bytes {
        let mut chunks = self.into_chunks();
        match chunks.len() {
            0 => Bytes::new(),
            1 => chunks.remove(0),
            _ => Bytes::from(chunks.concat()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_fields_are_shared_and_the_prefix_counts_them() {
        let large = Bytes::from(vec![7u8; 5000]);
        let mut out = Encoder::framed();
        out.put_slice(b"ab");
        out.put_shared(&large);
        out.put_slice(b"c");
        let chunks = out.into_chunks();
        assert_eq!(chunks.len(), 3);
        assert_eq!(chunks[1].as_ptr(), large.as_ptr());
        assert_eq!(&chunks[0][..4], 5003i32.to_be_bytes());
        assert_eq!(&chunks[2][..], b"c");
    }

    #[test]
    fn small_fields_are_copied_into_one_chunk() {
        let mut out = Encoder::new();
        out.put_shared(&Bytes::from_static(b"small"));
        assert_eq!(out.into_bytes(), Bytes::from_static(b"small"));
    }
}
