//! Frames: a 4-byte big-endian length, then that many bytes.

use alloc::collections::VecDeque;
use bytes::{Buf, Bytes, BytesMut};
use core::fmt;

/// Bytes of the length prefix. The length does not count them.
pub const PREFIX_LEN: usize = 4;

/// How much room is asked for at once while a frame arrives: memory follows the bytes that came,
/// not the length that was claimed.
const GROWTH_MAX: usize = 1 << 20;
const GROWTH_MIN: usize = 4 << 10;
/// Room that is given to a frame of which the length alone is there.
const GROWTH_FIRST: usize = 32 << 10;
/// Room that is given, as a multiple of what came.
const GROWTH_RATIO: usize = 16;

/// Frames of at least this many bytes are worth being used again.
const RECYCLED_LEN_MIN: usize = 256 << 10;
/// How many frames are kept in sight to be used again.
const RECYCLED_FRAMES_MAX: usize = 4;

/// A length prefix that cannot be honoured. The stream is out of step afterwards: close the
/// connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// The length is negative.
    Negative(i32),
    /// The length is above the limit (`socket.request.max.bytes` on a broker).
    TooLarge {
        /// The claimed length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Negative(len) => write!(f, "a frame of {len} bytes: the length is negative"),
            Self::TooLarge { len, max } => {
                write!(f, "a frame of {len} bytes: at most {max} are accepted")?;
                match &(*len as u32).to_be_bytes() {
                    b"GET " | b"POST" | b"HEAD" | b"PUT " | b"HTTP" => {
                        f.write_str(" (the peer speaks HTTP, not the Kafka protocol)")
                    }
                    [0x15 | 0x16, 3, ..] => f.write_str(" (the peer speaks TLS)"),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl core::error::Error for FrameError {}

/// Cuts frames out of a byte stream. Sans-IO: append what was read to [`FrameDecoder::buffer`],
/// then take frames until there is none.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    len_max: usize,
    /// Large frames that were given out, the latest last: one that nobody else holds any more
    /// is the next buffer. `None` where that is not wished for.
    recycled: Option<VecDeque<Bytes>>,
    /// The largest frame that such a peer has sent so far.
    largest_len: usize,
}

impl FrameDecoder {
    /// A decoder that refuses frames of more than `len_max` bytes.
    pub fn new(len_max: usize) -> Self {
        Self { buffer: BytesMut::new(), len_max, recycled: None, largest_len: 0 }
    }

    /// Reads into the memory of earlier large frames once their users have dropped them: a fetch
    /// answer of some megabytes else costs the system more to map and clear than to fill. Holds up
    /// to four frames, and believes lengths up to the largest that came.
    #[must_use]
    pub fn recycling(mut self) -> Self {
        self.recycled = Some(VecDeque::new());
        self
    }

    /// Goes on in the memory of an earlier frame that holds more than this buffer.
    fn reuse(&mut self, wanted: usize) {
        let came = self.buffer.len();
        if came + wanted < RECYCLED_LEN_MIN {
            return;
        }
        let Some(recycled) = &mut self.recycled else { return };
        let free = recycled.iter().position(|frame| frame.is_unique() && frame.len() > 2 * came);
        let Some(Ok(mut buffer)) = free.and_then(|at| recycled.remove(at)).map(Bytes::try_into_mut)
        else {
            return;
        };
        buffer.clear();
        buffer.extend_from_slice(&self.buffer);
        self.buffer = buffer;
    }

    /// Where to append what was read. Room for the next read is reserved: up to 1 MiB of a frame
    /// that is under way.
    pub fn buffer(&mut self) -> &mut BytesMut {
        let wanted = match self.claimed_len() {
            Some(len) => (len + PREFIX_LEN).saturating_sub(self.buffer.len()),
            None => GROWTH_MIN,
        };
        if self.buffer.capacity() - self.buffer.len() < wanted.min(GROWTH_MIN) {
            self.reuse(wanted);
            // Doubling keeps the copies of a large frame linear, and memory within twice what has
            // come; up to 1 MiB a multiple of what has come is given, so that most frames are
            // copied once at most.
            let came = self.buffer.len();
            let early = came.saturating_mul(GROWTH_RATIO).clamp(GROWTH_FIRST, GROWTH_MAX);
            let believed = came.max(early).max(self.largest_len);
            self.buffer.reserve(wanted.clamp(GROWTH_MIN, believed));
        }
        &mut self.buffer
    }

    /// The length of the frame that is under way, once its prefix is there.
    pub fn claimed_len(&self) -> Option<usize> {
        let prefix = self.buffer.first_chunk::<PREFIX_LEN>()?;
        usize::try_from(i32::from_be_bytes(*prefix)).ok().filter(|len| *len <= self.len_max)
    }

    /// The next whole frame without its prefix, sharing the memory that was read into; `None` when
    /// more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`FrameError`] as soon as the prefix is there, before any memory is reserved for the frame.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX_LEN>() else { return Ok(None) };
        let len = i32::from_be_bytes(*prefix);
        let len = usize::try_from(len).map_err(|_| FrameError::Negative(len))?;
        if len > self.len_max {
            return Err(FrameError::TooLarge { len, max: self.len_max });
        }
        if self.buffer.len() - PREFIX_LEN < len {
            return Ok(None);
        }
        self.buffer.advance(PREFIX_LEN);
        let frame = self.buffer.split_to(len).freeze();
        if let Some(recycled) = self.recycled.as_mut().filter(|_| len >= RECYCLED_LEN_MIN) {
            if recycled.len() == RECYCLED_FRAMES_MAX {
                recycled.pop_front();
            }
            recycled.push_back(frame.clone());
            self.largest_len = self.largest_len.max(len);
        }
        Ok(Some(frame))
    }

    /// Memory that the buffer holds, in bytes.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Bytes that were read but not yet taken as a frame.
    pub fn pending_len(&self) -> usize {
        self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    fn feed(decoder: &mut FrameDecoder, bytes: &[u8]) {
        decoder.buffer().extend_from_slice(bytes);
    }

    #[test]
    fn the_memory_of_a_large_frame_is_used_again_once_it_is_dropped() {
        let len = 1 << 20;
        let mut decoder = FrameDecoder::new(len).recycling();
        let mut next = |fill: u8| {
            let mut stream = (len as u32).to_be_bytes().to_vec();
            stream.resize(4 + len, fill);
            for piece in stream.chunks(100_000) {
                feed(&mut decoder, piece);
            }
            decoder.next_frame().expect("valid").expect("whole")
        };
        let first = next(1);
        let second = next(2);
        assert!(first.iter().all(|byte| *byte == 1), "a frame that is held is not written over");
        let slice = second.slice(10..20);
        drop(second);
        let third = next(3);
        assert_eq!(&slice[..], [2; 10], "neither is one of which a slice is held");
        let (a, b) = (first.as_ptr(), slice.as_ptr());
        drop((first, slice));
        let reused = next(4);
        // The prefix stands where the earlier frame began.
        let at = reused.as_ptr().wrapping_sub(PREFIX_LEN);
        assert!(at == a || at == b.wrapping_sub(10));
        assert!(reused.iter().all(|byte| *byte == 4) && third.iter().all(|byte| *byte == 3));
    }

    #[test]
    fn frames_come_out_however_they_were_split() {
        let stream = [&[0, 0, 0, 2][..], b"ab", &[0, 0, 0, 0], &[0, 0, 0, 1], b"c"].concat();
        for step in 1..=stream.len() {
            let mut decoder = FrameDecoder::new(16);
            let mut frames = Vec::new();
            for piece in stream.chunks(step) {
                feed(&mut decoder, piece);
                while let Some(frame) = decoder.next_frame().expect("valid") {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, [&b"ab"[..], b"", b"c"]);
            assert_eq!(decoder.pending_len(), 0);
        }
    }

    #[test]
    fn bad_lengths_are_refused_at_the_prefix() {
        let mut decoder = FrameDecoder::new(16);
        feed(&mut decoder, &[0xff; 4]);
        assert_eq!(decoder.next_frame(), Err(FrameError::Negative(-1)));
        let mut decoder = FrameDecoder::new(16);
        feed(&mut decoder, b"GET / HTTP/1.1");
        let error = decoder.next_frame().expect_err("too large");
        assert!(error.to_string().contains("HTTP"), "{error}");
    }

    #[test]
    fn a_claimed_length_reserves_little() {
        let mut decoder = FrameDecoder::new(usize::MAX);
        feed(&mut decoder, &i32::MAX.to_be_bytes());
        assert_eq!(decoder.next_frame(), Ok(None));
        assert!(decoder.buffer().capacity() <= 2 * GROWTH_MAX);
    }
}
