//! The codecs of a batch's records.
//!
//! [`Compressor`] and [`Decompressor`] own the codecs' contexts, which cost more to set up than a
//! small batch costs to compress: keep one of each per thread. Decompression is bounded twice: by
//! the caller's limit, and by what the compressed bytes can honestly become, so that a small
//! hostile batch cannot ask for a large buffer.

#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "lz4")]
pub(super) mod lz4;
#[cfg(feature = "snappy")]
mod snappy;
#[cfg(feature = "zstd")]
mod zstd;

use alloc::borrow::{Cow, ToOwned};
#[cfg(feature = "snappy")]
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use bytes::Bytes;

use super::error::{RecordError, RecordErrorKind};
use super::header::{ATTRIBUTES_AT, BATCH_HEADER_LEN};

/// A codec of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Compression {
    /// Records as they are.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Blocks in the framing of snappy-java ("xerial"); plain snappy is read, too.
    Snappy,
    /// LZ4 frames of independent blocks.
    Lz4,
    /// Zstandard (KIP-110).
    Zstd,
}

impl Compression {
    /// All of them, by number.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The number in the batch's attributes.
    pub fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// From the number in the batch's attributes.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.code() == code)
    }

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no codec's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCompression(String);

impl fmt::Display for UnknownCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "compression \"{}\" is not one of none, gzip, snappy, lz4, zstd", self.0)
    }
}

impl core::error::Error for UnknownCompression {}

impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(name: &str) -> Result<Self, UnknownCompression> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.name() == name)
            .ok_or_else(|| UnknownCompression(name.to_owned()))
    }
}

/// What a codec found wrong, `at` bytes into the compressed records.
#[derive(Debug)]
pub(crate) struct Fault {
    at: usize,
    kind: RecordErrorKind,
    message: Cow<'static, str>,
}

impl Fault {
    #[cold]
    #[allow(dead_code, reason = "a build may leave out every codec")]
    pub(crate) fn damaged(at: usize, message: impl Into<Cow<'static, str>>) -> Self {
        Self { at, kind: RecordErrorKind::Decompress, message: message.into() }
    }
}

impl From<Fault> for RecordError {
    #[cold]
    fn from(fault: Fault) -> Self {
        Self::new(fault.kind, BATCH_HEADER_LEN.saturating_add(fault.at), fault.message)
    }
}

/// Compresses batches; keep one per thread.
#[derive(Default)]
pub struct Compressor {
    #[cfg(feature = "gzip")]
    gzip: Option<gzip::Deflate>,
    #[cfg(feature = "snappy")]
    snappy: Option<Box<snap::raw::Encoder>>,
    #[cfg(feature = "lz4")]
    lz4: Option<lz4::Table>,
    #[cfg(feature = "zstd")]
    zstd: Option<zstd::Compress>,
}

impl Compressor {
    /// No context is set up before its codec is used.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks a level without compressing: gzip 1 to 9, zstd -131072 to 22; `None` and, for the
    /// others, anything is fine.
    pub fn check_level(codec: Compression, level: Option<i32>) -> Result<(), RecordError> {
        let range = match codec {
            // -1 is Java's name for the default.
            Compression::Gzip if level != Some(-1) => 1..=9,
            Compression::Zstd => -131_072..=22,
            _ => return Ok(()),
        };
        match level {
            Some(level) if !range.contains(&level) => {
                let what = format!(
                    "{codec} level {level} is not between {} and {}",
                    range.start(),
                    range.end()
                );
                Err(RecordError::new(RecordErrorKind::Encode, 0, what))
            }
            _ => Ok(()),
        }
    }

    /// Appends `input`, compressed, to `out`.
    #[allow(unused_variables, reason = "a build may leave out every codec")]
    pub fn compress(
        &mut self,
        codec: Compression,
        level: Option<i32>,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        Self::check_level(codec, level)?;
        match codec {
            Compression::None => {
                out.extend_from_slice(input);
                Ok(())
            }
            #[cfg(feature = "gzip")]
            Compression::Gzip => gzip::compress(&mut self.gzip, level, input, out),
            #[cfg(feature = "snappy")]
            Compression::Snappy => snappy::compress(
                self.snappy.get_or_insert_with(|| Box::new(snap::raw::Encoder::new())),
                input,
                out,
            ),
            #[cfg(feature = "lz4")]
            Compression::Lz4 => lz4::compress(self.lz4.get_or_insert_default(), input, out),
            #[cfg(feature = "zstd")]
            Compression::Zstd => zstd::compress(&mut self.zstd, level, input, out),
            #[allow(unreachable_patterns, reason = "a build may have every codec")]
            left_out => Err(not_built(left_out)),
        }
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compressor")
    }
}

#[cold]
fn not_built(codec: Compression) -> RecordError {
    let what = format!("{codec} is not part of this build, enable the feature of that name");
    RecordError::new(RecordErrorKind::UnsupportedCompression, ATTRIBUTES_AT, what)
}

/// Decompresses batches, within a limit; keep one per thread.
pub struct Decompressor {
    limit: usize,
    window: Vec<u8>,
    #[cfg(feature = "gzip")]
    gzip: gzip::Inflate,
    #[cfg(feature = "snappy")]
    snappy: snappy::Blocks,
    #[cfg(feature = "lz4")]
    lz4: lz4::Blocks,
    #[cfg(feature = "zstd")]
    zstd: zstd::Decompress,
}

impl Decompressor {
    /// The limit unless the caller sets another: 64 MiB of records in one batch. Kafka's own
    /// producers stay far below, because they close a batch at `batch.size` (16 KiB) of compressed
    /// bytes.
    pub const DEFAULT_LIMIT: usize = 64 << 20;
    /// Bytes of decompressed records that [`super::validate()`] holds at a time.
    const WINDOW: usize = 8 << 10;
    /// The least room that is given to a codec to write to.
    const STEP_MIN: usize = 1 << 10;

    /// With the default limit; no context is set up before its codec is used.
    pub fn new() -> Self {
        Self::with_limit(Self::DEFAULT_LIMIT)
    }

    /// The records of a batch may have `limit` bytes, decompressed.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            window: Vec::new(),
            #[cfg(feature = "gzip")]
            gzip: gzip::Inflate::default(),
            #[cfg(feature = "snappy")]
            snappy: snappy::Blocks::default(),
            #[cfg(feature = "lz4")]
            lz4: lz4::Blocks::default(),
            #[cfg(feature = "zstd")]
            zstd: zstd::Decompress::default(),
        }
    }

    /// How many bytes the records of a batch may have, decompressed.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The whole of `input`, decompressed. Memory beyond a few times the input is asked for only
    /// when the stream is known to be whole and within the limit, if need be by reading it twice.
    pub fn decompress(&mut self, codec: Compression, input: &[u8]) -> Result<Bytes, RecordError> {
        let believed = input.len().saturating_mul(16).max(Self::WINDOW);
        let mut stream = self.stream(codec, input)?;
        // Three to one is usual where the codec does not say.
        let guess = stream.size_hint().filter(|&size| size > 0 && size <= believed);
        let guess = guess.unwrap_or(input.len().saturating_mul(3)).max(Self::STEP_MIN);
        let limit = stream.limit;
        let mut out = vec![0; guess.min(believed).min(limit.saturating_add(1))];
        let mut len = 0;
        loop {
            if len == out.len() {
                if len >= believed {
                    drop(out);
                    drop(stream);
                    return self.decompress_twice(codec, input);
                }
                let middle = input.len().saturating_mul(8);
                let next = if len < middle { middle } else { believed };
                // One byte above the limit, so that the stream finds out that it is exceeded.
                out.resize(next.min(limit.saturating_add(1)), 0);
            }
            match stream.read(&mut out[len..])? {
                0 => break,
                read => len += read,
            }
        }
        out.truncate(len);
        Ok(out.into())
    }

    /// For what grows a lot: finds out how much, then decompresses into a buffer of that size.
    #[cold]
    fn decompress_twice(&mut self, codec: Compression, input: &[u8]) -> Result<Bytes, RecordError> {
        let mut window = self.take_window();
        let counted = self.count(codec, input, &mut window);
        self.give_window(window);
        let mut out = vec![0; counted?];
        let mut stream = self.stream(codec, input)?;
        let mut len = 0;
        while len < out.len() {
            match stream.read(&mut out[len..])? {
                0 => break,
                read => len += read,
            }
        }
        out.truncate(len);
        Ok(out.into())
    }

    fn count(
        &mut self,
        codec: Compression,
        input: &[u8],
        window: &mut [u8],
    ) -> Result<usize, RecordError> {
        let mut stream = self.stream(codec, input)?;
        let mut len = 0;
        loop {
            match stream.read(window)? {
                0 => return Ok(len),
                read => len += read,
            }
        }
    }

    /// A stream of `input`, decompressed.
    #[allow(unused_variables, reason = "a build may leave out every codec")]
    pub(crate) fn stream<'a>(
        &'a mut self,
        codec: Compression,
        input: &'a [u8],
    ) -> Result<Stream<'a>, RecordError> {
        let source = match codec {
            Compression::None => Codec::None(input),
            #[cfg(feature = "gzip")]
            Compression::Gzip => Codec::Gzip(gzip::Stream::new(&mut self.gzip, input)),
            #[cfg(feature = "snappy")]
            Compression::Snappy => Codec::Snappy(snappy::Stream::new(&mut self.snappy, input)),
            #[cfg(feature = "lz4")]
            Compression::Lz4 => Codec::Lz4(lz4::Stream::new(&mut self.lz4, input)),
            #[cfg(feature = "zstd")]
            Compression::Zstd => Codec::Zstd(zstd::Stream::new(&mut self.zstd, input)?),
            #[allow(unreachable_patterns, reason = "a build may have every codec")]
            left_out => return Err(not_built(left_out)),
        };
        Ok(Stream { source, left: self.limit, limit: self.limit })
    }

    /// The buffer of [`super::validate()`], to be given back.
    pub(crate) fn take_window(&mut self) -> Vec<u8> {
        let mut window = core::mem::take(&mut self.window);
        window.resize(Self::WINDOW, 0);
        window
    }

    pub(crate) fn give_window(&mut self, window: Vec<u8>) {
        self.window = window;
    }
}

impl Default for Decompressor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[cold]
fn too_large(limit: usize) -> RecordError {
    let what = format!("the records exceed {limit} bytes when decompressed, the limit");
    RecordError::new(RecordErrorKind::TooLarge, BATCH_HEADER_LEN, what)
}

enum Codec<'a> {
    None(&'a [u8]),
    #[cfg(feature = "gzip")]
    Gzip(gzip::Stream<'a>),
    #[cfg(feature = "snappy")]
    Snappy(snappy::Stream<'a>),
    #[cfg(feature = "lz4")]
    Lz4(lz4::Stream<'a>),
    #[cfg(feature = "zstd")]
    Zstd(zstd::Stream<'a>),
}

/// Compressed records, read piece by piece, within the limit.
pub(crate) struct Stream<'a> {
    source: Codec<'a>,
    left: usize,
    limit: usize,
}

impl Stream<'_> {
    /// The size of the whole that the bytes claim, if they do; not to be believed.
    fn size_hint(&self) -> Option<usize> {
        match &self.source {
            Codec::None(rest) => Some(rest.len()),
            #[cfg(feature = "snappy")]
            Codec::Snappy(stream) => stream.size_hint(),
            #[cfg(feature = "zstd")]
            Codec::Zstd(stream) => stream.size_hint(),
            #[allow(unreachable_patterns, reason = "a build may leave out the rest")]
            _ => None,
        }
    }

    /// Fills the front of `out`, which must not be empty; 0 at the end of the records, when all
    /// checksums were compared.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> Result<usize, RecordError> {
        let read = match &mut self.source {
            Codec::None(rest) => {
                let (front, back) = rest.split_at(out.len().min(rest.len()));
                out[..front.len()].copy_from_slice(front);
                *rest = back;
                front.len()
            }
            #[cfg(feature = "gzip")]
            Codec::Gzip(stream) => stream.read(out)?,
            #[cfg(feature = "snappy")]
            Codec::Snappy(stream) => stream.read(out)?,
            #[cfg(feature = "lz4")]
            Codec::Lz4(stream) => stream.read(out)?,
            #[cfg(feature = "zstd")]
            Codec::Zstd(stream) => stream.read(out)?,
        };
        self.left = self.left.checked_sub(read).ok_or_else(|| too_large(self.limit))?;
        Ok(read)
    }
}
