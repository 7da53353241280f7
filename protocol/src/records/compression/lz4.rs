//! LZ4 frames. Written as Kafka's Java producer does: independent blocks of 64 KiB, no checksums
//! but the header's, no content size. Read: any valid frame without a dictionary, several in a row,
//! skippable ones between them.

use alloc::string::String;
use alloc::vec::Vec;
use core::hash::Hasher;
use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into, decompress_into_with_dict,
    get_maximum_output_size,
};
use nom::Parser;
use nom::combinator::cond;
use nom::number::complete::{le_u8, le_u32, le_u64};
use twox_hash::XxHash32;

use super::super::error::{RecordError, RecordErrorKind};
use super::Fault;
use crate::error::{Parsed, Trace};

const MAGIC: u32 = 0x184d_2204;
/// Magic; version 1, independent blocks; blocks of 64 KiB; the header's checksum.
const HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
const BLOCK: usize = 64 << 10;
/// The bit of a block's length that says that the block is not compressed.
const STORED: u32 = 1 << 31;
/// How far back a dependent block may reach.
const HISTORY: usize = 64 << 10;

/// Bytes of the frame's header that its checksum covers, from the flags on; the magic stands in
/// front of them, the checksum behind.
fn described(frame: &[u8]) -> Option<core::ops::Range<usize>> {
    let flags = *frame.get(4)?;
    let end = if flags & 0x08 != 0 { 14 } else { 6 };
    (frame.len() > end && frame[..4] == MAGIC.to_le_bytes()).then_some(4..end)
}

/// A frame of a message set of magic 0 (KAFKA-3160), with the header's checksum that it should
/// have: Kafka does not look at it there.
pub(in super::super) fn with_right_header(frame: &[u8]) -> Vec<u8> {
    let mut mended = frame.to_vec();
    if let Some(range) = described(frame) {
        mended[range.end] = (XxHash32::oneshot(0, &frame[range.clone()]) >> 8) as u8;
    }
    mended
}

/// Gives a frame the checksum that Kafka's producers wrote in magic 0: over the magic as well.
pub(in super::super) fn break_header(frame: &mut [u8]) {
    if let Some(range) = described(frame) {
        frame[range.end] = (XxHash32::oneshot(0, &frame[..range.end]) >> 8) as u8;
    }
}

/// The match table, kept between batches.
pub(super) struct Table(CompressTable);

impl Default for Table {
    fn default() -> Self {
        Self(CompressTable::large())
    }
}

pub(super) fn compress(
    table: &mut Table,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    out.extend_from_slice(&HEADER);
    for block in input.chunks(BLOCK) {
        let start = out.len();
        let body = start + 4;
        out.resize(body + get_maximum_output_size(block.len()), 0);
        let compressed = compress_into_with_table(block, &mut out[body..], &mut table.0);
        let len = compressed.map_err(|error| {
            RecordError::new(RecordErrorKind::Encode, 0, format!("lz4: {error}"))
        })?;
        let (field, len) = if len < block.len() {
            (len as u32, len)
        } else {
            out[body..body + block.len()].copy_from_slice(block);
            (block.len() as u32 | STORED, block.len())
        };
        out[start..body].copy_from_slice(&field.to_le_bytes());
        out.truncate(body + len);
    }
    // The end mark: a block of no bytes.
    out.extend_from_slice(&0u32.to_le_bytes());
    Ok(())
}

/// Decompressed blocks, kept between batches for their memory.
#[derive(Default)]
pub(super) struct Blocks {
    block: Vec<u8>,
    history: Vec<u8>,
}

/// What a frame's header says.
#[derive(Debug, Clone, Copy)]
struct Frame {
    linked: bool,
    block_checksum: bool,
    content_checksum: bool,
    content_size: Option<u64>,
    block_max: usize,
}

pub(super) struct Stream<'a> {
    blocks: &'a mut Blocks,
    input: &'a [u8],
    at: usize,
    given: usize,
    /// `None` between frames.
    frame: Option<Frame>,
    hash: XxHash32,
    len: u64,
}

impl<'a> Stream<'a> {
    pub(super) fn new(blocks: &'a mut Blocks, input: &'a [u8]) -> Self {
        blocks.block.clear();
        // Blocks are 64 KiB in Kafka; a larger one's memory is given back.
        blocks.block.shrink_to(BLOCK);
        blocks.history.clear();
        let hash = XxHash32::with_seed(0);
        Self { blocks, input, at: 0, given: 0, frame: None, hash, len: 0 }
    }

    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, Fault> {
        loop {
            let rest = &self.blocks.block[self.given..];
            if !rest.is_empty() {
                let read = rest.len().min(out.len());
                out[..read].copy_from_slice(&rest[..read]);
                self.given += read;
                return Ok(read);
            }
            let read = match self.frame {
                Some(frame) => self.block(frame, out)?,
                None if self.at == self.input.len() && self.at > 0 => return Ok(0),
                None => {
                    self.begin()?;
                    0
                }
            };
            if read > 0 {
                return Ok(read);
            }
        }
    }

    fn damaged(&self, message: impl Into<alloc::borrow::Cow<'static, str>>) -> Fault {
        Fault::damaged(self.at, message)
    }

    /// Reads a frame's header, or skips a skippable frame.
    fn begin(&mut self) -> Result<(), Fault> {
        let rest = &self.input[self.at..];
        let (rest, frame) = frame_header(rest).map_err(|error| match error {
            nom::Err::Error(trace) | nom::Err::Failure(trace) => self.damaged(trace.into_parts().0),
            nom::Err::Incomplete(_) => self.damaged("the lz4 frame is cut off"),
        })?;
        self.at = self.input.len() - rest.len();
        self.frame = frame;
        self.hash = XxHash32::with_seed(0);
        self.len = 0;
        self.blocks.history.clear();
        Ok(())
    }

    /// Decompresses the next block, into `out` if it is sure to fit, else into the kept block.
    /// Returns the bytes put into `out`.
    fn block(&mut self, frame: Frame, out: &mut [u8]) -> Result<usize, Fault> {
        let field = self.word()?;
        if field == 0 {
            return self.end(frame).map(|()| 0);
        }
        let size = (field & !STORED) as usize;
        if size > frame.block_max {
            return Err(self.damaged(format!("an lz4 block of {size} bytes")));
        }
        let Some(data) = self.input[self.at..].get(..size) else {
            return Err(self.damaged("an lz4 block is cut off"));
        };
        let stored = field & STORED != 0;
        // The densest element of LZ4 makes 255 bytes out of one.
        let most = if stored { size } else { frame.block_max.min(size.saturating_mul(255)) };
        // Blocks that grow so much are rare: no memory before it is needed.
        let likely = most.min(size.saturating_mul(16));
        let read = if most <= out.len() && !frame.linked {
            let len = unpack(data, stored, out, &[]).map_err(|what| self.damaged(what))?;
            self.account(frame, &out[..len]);
            len
        } else {
            self.given = 0;
            self.blocks.block.resize(likely, 0);
            let Blocks { block, history } = &mut *self.blocks;
            let mut len = unpack(data, stored, block, history);
            if len.is_err() && likely < most {
                block.resize(most, 0);
                len = unpack(data, stored, block, history);
            }
            let len = len.map_err(|what| Fault::damaged(self.at, what))?;
            block.truncate(len);
            let block = core::mem::take(&mut self.blocks.block);
            self.account(frame, &block);
            self.blocks.block = block;
            0
        };
        self.at += size;
        if frame.block_checksum && self.word()? != XxHash32::oneshot(0, data) {
            return Err(self.damaged("the checksum of an lz4 block does not fit"));
        }
        Ok(read)
    }

    /// What checksums and dependent blocks need to know of a block.
    fn account(&mut self, frame: Frame, block: &[u8]) {
        self.len += block.len() as u64;
        if frame.content_checksum {
            self.hash.write(block);
        }
        if frame.linked {
            let history = &mut self.blocks.history;
            history.extend_from_slice(&block[block.len().saturating_sub(HISTORY)..]);
            history.drain(..history.len().saturating_sub(HISTORY));
        }
    }

    /// After the end mark.
    fn end(&mut self, frame: Frame) -> Result<(), Fault> {
        if frame.content_checksum && self.word()? != self.hash.finish_32() {
            return Err(self.damaged("the checksum of the lz4 frame does not fit"));
        }
        if frame.content_size.is_some_and(|size| size != self.len) {
            return Err(self.damaged(format!("the lz4 frame has {} bytes, not as said", self.len)));
        }
        self.frame = None;
        Ok(())
    }

    fn word(&mut self) -> Result<u32, Fault> {
        let Some(word) = self.input[self.at..].first_chunk::<4>() else {
            return Err(self.damaged("the lz4 frame is cut off"));
        };
        self.at += 4;
        Ok(u32::from_le_bytes(*word))
    }
}

/// One block's bytes into the front of `out`.
fn unpack(data: &[u8], stored: bool, out: &mut [u8], history: &[u8]) -> Result<usize, String> {
    if stored {
        out[..data.len()].copy_from_slice(data);
        return Ok(data.len());
    }
    let unpacked = match history {
        [] => decompress_into(data, out),
        history => decompress_into_with_dict(data, out, history),
    };
    unpacked.map_err(|error| format!("lz4: {error}"))
}

/// `None` for a skippable frame, which was skipped.
fn frame_header(i: &[u8]) -> Parsed<'_, Option<Frame>> {
    let (i, magic) = le_u32(i)?;
    if magic & !0xf == 0x184d_2a50 {
        let (i, len) = le_u32(i)?;
        return nom::combinator::map(nom::bytes::complete::take(len), |_| None).parse(i);
    }
    if magic != MAGIC {
        return Trace::fail(i, format!("{magic:#010x} is not the magic of an lz4 frame"));
    }
    let descriptor = i;
    let (i, (flags, bd)) = (le_u8, le_u8).parse(i)?;
    if flags >> 6 != 1 || flags & 0x03 != 0 || bd & 0x8f != 0 || bd < 0x40 {
        let what = format!("lz4 frame flags {flags:#04x} {bd:#04x} are not supported");
        return Trace::fail(i, what);
    }
    let (i, content_size) = cond(flags & 0x08 != 0, le_u64).parse(i)?;
    let described = &descriptor[..descriptor.len() - i.len()];
    let (i, checksum) = le_u8(i)?;
    if checksum != (XxHash32::oneshot(0, described) >> 8) as u8 {
        return Trace::fail(i, "the checksum of the lz4 frame header does not fit");
    }
    let frame = Frame {
        linked: flags & 0x20 == 0,
        block_checksum: flags & 0x10 != 0,
        content_checksum: flags & 0x04 != 0,
        content_size,
        // 4 is 64 KiB, and each step four times that.
        block_max: BLOCK << (2 * (usize::from(bd >> 4) - 4)),
    };
    Ok((i, Some(frame)))
}
