//! Snappy, raw blocks in the framing of snappy-java ("xerial"), which is not the official snappy
//! frame format: a header of 16 bytes, then blocks, each behind its length. Plain raw snappy, as
//! some clients write it, is read as one block.

use alloc::string::String;
use alloc::vec::Vec;
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::super::error::{RecordError, RecordErrorKind};
use super::Fault;

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// Magic, version 1, compatible with version 1.
const HEADER_LEN: usize = 16;
/// Bytes of a block before compression, as Java's producer writes them.
const BLOCK: usize = 32 << 10;

pub(super) fn compress(
    encoder: &mut Encoder,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    for block in input.chunks(BLOCK) {
        let start = out.len();
        let body = start + 4;
        out.resize(body + max_compress_len(block.len()), 0);
        let len = encoder.compress(block, &mut out[body..]).map_err(|error| {
            RecordError::new(RecordErrorKind::Encode, 0, format!("snappy: {error}"))
        })?;
        out[start..body].copy_from_slice(&(len as u32).to_be_bytes());
        out.truncate(body + len);
    }
    Ok(())
}

/// A decompressed block, kept between batches for its memory.
#[derive(Default)]
pub(super) struct Blocks {
    decoder: Decoder,
    block: Vec<u8>,
}

impl Blocks {
    /// What is kept at most; a larger block's memory is given back.
    const KEEP: usize = 1 << 20;
}

pub(super) struct Stream<'a> {
    blocks: &'a mut Blocks,
    input: &'a [u8],
    at: usize,
    /// The part of the block that was given already.
    given: usize,
    framed: bool,
}

impl<'a> Stream<'a> {
    pub(super) fn new(blocks: &'a mut Blocks, input: &'a [u8]) -> Self {
        blocks.block.clear();
        blocks.block.shrink_to(Blocks::KEEP);
        let framed = input.len() >= HEADER_LEN && input.starts_with(&MAGIC);
        Self { blocks, input, at: if framed { HEADER_LEN } else { 0 }, given: 0, framed }
    }

    /// Plain raw snappy starts with its size.
    pub(super) fn size_hint(&self) -> Option<usize> {
        if self.framed { None } else { honest_len(0, self.input).ok() }
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
            let Some((at, block)) = self.next_block()? else {
                return Ok(0);
            };
            let len = honest_len(at, block)?;
            let read = if len <= out.len() {
                self.decode(at, block, Some(&mut out[..len]))?
            } else {
                self.decode(at, block, None)?
            };
            if read > 0 {
                return Ok(read);
            }
        }
    }

    /// The next compressed block and its position.
    fn next_block(&mut self) -> Result<Option<(usize, &'a [u8])>, Fault> {
        let at = self.at;
        let rest = &self.input[at..];
        if !self.framed {
            if rest.is_empty() && at > 0 {
                return Ok(None);
            }
            self.at = self.input.len();
            return Ok(Some((at, rest)));
        }
        if rest.is_empty() {
            return Ok(None);
        }
        // snappy-java lets streams follow each other: a header may stand where a block would.
        if rest.starts_with(&MAGIC) && rest.len() >= HEADER_LEN {
            self.at += HEADER_LEN;
            return self.next_block();
        }
        let cut = || Fault::damaged(at, "a snappy block is cut off");
        let (len, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let len = u32::from_be_bytes(*len) as usize;
        let block = rest.get(..len).ok_or_else(cut)?;
        self.at = at + 4 + len;
        Ok(Some((at + 4, block)))
    }

    /// Decompresses a block, straight into `out` or else into the kept block. Returns the bytes put
    /// into `out`.
    fn decode(&mut self, at: usize, block: &[u8], out: Option<&mut [u8]>) -> Result<usize, Fault> {
        let damaged = |error: snap::Error| Fault::damaged(at, format!("snappy: {error}"));
        if let Some(out) = out {
            return self.blocks.decoder.decompress(block, out).map_err(damaged);
        }
        let len = honest_len(at, block)?;
        self.given = 0;
        self.blocks.block.clear();
        self.blocks.block.resize(len, 0);
        self.blocks.decoder.decompress(block, &mut self.blocks.block).map_err(damaged)?;
        Ok(0)
    }
}

/// The size that a block says it has; refused if its bytes cannot become so many: the densest
/// element of snappy makes 64 bytes out of 3.
fn honest_len(at: usize, block: &[u8]) -> Result<usize, Fault> {
    let damaged = |what: String| Fault::damaged(at, what);
    if block.is_empty() {
        return Err(damaged("an empty snappy block".into()));
    }
    let len = decompress_len(block).map_err(|error| damaged(format!("snappy: {error}")))?;
    if len.saturating_mul(3) > block.len().saturating_mul(64) {
        return Err(damaged(format!("{} bytes of snappy say that they are {len}", block.len())));
    }
    Ok(len)
}
