//! gzip (RFC 1952): raw deflate with a header and a trailer of our own, so that both contexts can
//! be reset and used again. Members may follow each other, as Java's `GZIPInputStream` reads them.

use alloc::vec::Vec;
use crc_fast::{CrcAlgorithm, Digest};
use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};
use nom::Parser;
use nom::bytes::complete::{tag, take, take_till};
use nom::combinator::cond;
use nom::number::complete::{le_u8, le_u16, le_u32};

use super::super::error::{RecordError, RecordErrorKind};
use super::Fault;
use crate::error::{Parsed, Trace};

/// As Java writes it: no name, no time, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const DEFAULT_LEVEL: i32 = 6;

/// A deflate context and the level it was made for.
pub(super) struct Deflate {
    level: i32,
    context: Compress,
}

pub(super) fn compress(
    slot: &mut Option<Deflate>,
    level: Option<i32>,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    let level = level.filter(|&level| level != -1).unwrap_or(DEFAULT_LEVEL);
    if slot.as_ref().is_none_or(|deflate| deflate.level != level) {
        let context = Compress::new(flate2::Compression::new(level as u32), false);
        *slot = Some(Deflate { level, context });
    }
    let context = &mut slot.as_mut().expect("invariant: set above").context;
    context.reset();
    out.extend_from_slice(&HEADER);
    let mut rest = input;
    loop {
        // Text shrinks to less than half; noise grows by a few bytes per block.
        out.reserve(rest.len() / 2 + 128);
        let before = context.total_in();
        let status = context.compress_vec(rest, out, FlushCompress::Finish).map_err(|error| {
            RecordError::new(RecordErrorKind::Encode, 0, format!("gzip: {error}"))
        })?;
        rest = &rest[(context.total_in() - before) as usize..];
        if status == Status::StreamEnd {
            break;
        }
    }
    let crc = crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, input) as u32;
    out.extend_from_slice(&crc.to_le_bytes());
    // RFC 1952: the size modulo 2³².
    out.extend_from_slice(&(input.len() as u32).to_le_bytes());
    Ok(())
}

/// An inflate context, kept between batches.
#[derive(Default)]
pub(super) struct Inflate(Option<Decompress>);

enum State {
    Header,
    Body,
    Trailer,
    End,
}

pub(super) struct Stream<'a> {
    context: &'a mut Decompress,
    input: &'a [u8],
    at: usize,
    state: State,
    crc: Digest,
    len: u32,
}

impl<'a> Stream<'a> {
    pub(super) fn new(inflate: &'a mut Inflate, input: &'a [u8]) -> Self {
        Self {
            context: inflate.0.get_or_insert_with(|| Decompress::new(false)),
            input,
            at: 0,
            state: State::Header,
            crc: Digest::new(CrcAlgorithm::Crc32IsoHdlc),
            len: 0,
        }
    }

    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, Fault> {
        loop {
            match self.state {
                State::Header => self.header()?,
                State::Body => {
                    let read = self.body(out)?;
                    if read > 0 {
                        return Ok(read);
                    }
                }
                State::Trailer => self.trailer()?,
                State::End => return Ok(0),
            }
        }
    }

    fn header(&mut self) -> Result<(), Fault> {
        let rest = &self.input[self.at..];
        let (rest, ()) = member_header(rest)
            .map_err(|_| Fault::damaged(self.at, "the gzip header is broken"))?;
        self.at = self.input.len() - rest.len();
        self.context.reset(false);
        self.crc = Digest::new(CrcAlgorithm::Crc32IsoHdlc);
        self.len = 0;
        self.state = State::Body;
        Ok(())
    }

    fn body(&mut self, out: &mut [u8]) -> Result<usize, Fault> {
        let (before_in, before_out) = (self.context.total_in(), self.context.total_out());
        let status = self
            .context
            .decompress(&self.input[self.at..], out, FlushDecompress::None)
            .map_err(|error| Fault::damaged(self.at, format!("gzip: {error}")))?;
        let taken = (self.context.total_in() - before_in) as usize;
        let read = (self.context.total_out() - before_out) as usize;
        self.at += taken;
        self.crc.update(&out[..read]);
        self.len = self.len.wrapping_add(read as u32);
        if status == Status::StreamEnd {
            self.state = State::Trailer;
        } else if taken == 0 && read == 0 {
            return Err(Fault::damaged(self.at, "the gzip stream is cut off"));
        }
        Ok(read)
    }

    fn trailer(&mut self) -> Result<(), Fault> {
        let rest = &self.input[self.at..];
        let (rest, (crc, len)) = (le_u32::<_, Trace>, le_u32)
            .parse(rest)
            .map_err(|_| Fault::damaged(self.at, "the gzip trailer is cut off"))?;
        if crc != self.crc.finalize() as u32 || len != self.len {
            return Err(Fault::damaged(self.at, "the gzip checksum or length does not fit"));
        }
        self.at = self.input.len() - rest.len();
        self.state = if rest.is_empty() { State::End } else { State::Header };
        Ok(())
    }
}

fn member_header(i: &[u8]) -> Parsed<'_, ()> {
    let (i, _) = tag(&[0x1f, 0x8b, 8][..]).parse(i)?;
    let (i, flags) = le_u8(i)?;
    // Time, extra flags, system.
    let (i, _) = take(6usize).parse(i)?;
    let zero_terminated = |i| (take_till(|byte| byte == 0), take(1usize)).parse(i);
    let extra = |i| {
        let (i, len) = le_u16(i)?;
        take(len).parse(i)
    };
    let (i, _) = cond(flags & 0x04 != 0, extra).parse(i)?;
    let (i, _) = cond(flags & 0x08 != 0, zero_terminated).parse(i)?;
    let (i, _) = cond(flags & 0x10 != 0, zero_terminated).parse(i)?;
    let (i, _) = cond(flags & 0x02 != 0, le_u16).parse(i)?;
    Ok((i, ()))
}
