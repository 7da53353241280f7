//! Zstandard, with contexts that are kept. A frame's window is at most 128 MiB (the library's own
//! bound).

use alloc::vec::Vec;
use zstd::zstd_safe::{
    CCtx, CParameter, DCtx, ErrorCode, InBuffer, OutBuffer, ResetDirective, compress_bound,
    get_error_name, get_frame_content_size,
};

use super::super::error::{RecordError, RecordErrorKind};
use super::Fault;

const DEFAULT_LEVEL: i32 = 3;

/// A compression context and the level that it is set to.
pub(super) struct Compress {
    level: i32,
    context: CCtx<'static>,
}

pub(super) fn compress(
    slot: &mut Option<Compress>,
    level: Option<i32>,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    let failed = |code: ErrorCode| {
        let what = format!("zstd: {}", get_error_name(code));
        RecordError::new(RecordErrorKind::Encode, 0, what)
    };
    let level = level.unwrap_or(DEFAULT_LEVEL);
    if slot.as_ref().is_none_or(|compress| compress.level != level) {
        let Some(mut context) = CCtx::try_create() else {
            let what = "zstd: no memory for a context";
            return Err(RecordError::new(RecordErrorKind::Encode, 0, what));
        };
        context.set_parameter(CParameter::CompressionLevel(level)).map_err(failed)?;
        *slot = Some(Compress { level, context });
    }
    let context = &mut slot.as_mut().expect("invariant: set above").context;
    let start = out.len();
    out.reserve(compress_bound(input.len()));
    let mut target = std::io::Cursor::new(out);
    target.set_position(start as u64);
    context.compress2(&mut target, input).map_err(failed)?;
    Ok(())
}

/// A decompression context, kept between batches.
#[derive(Default)]
pub(super) struct Decompress(Option<DCtx<'static>>);

impl Decompress {
    /// What is kept at most, in bytes: level 19 has windows of 8 MiB, 22 of 128 MiB.
    const KEEP: usize = 16 << 20;

    fn context(&mut self) -> Result<&mut DCtx<'static>, Fault> {
        if self.0.is_none() {
            self.0 = DCtx::try_create();
        }
        self.0.as_mut().ok_or_else(|| Fault::damaged(0, "zstd: no memory for a context"))
    }
}

pub(super) struct Stream<'a> {
    decompress: &'a mut Decompress,
    input: &'a [u8],
    at: usize,
    /// The last frame is complete; others may follow.
    whole: bool,
}

impl<'a> Stream<'a> {
    pub(super) fn new(decompress: &'a mut Decompress, input: &'a [u8]) -> Result<Self, Fault> {
        let reset = decompress.context()?.reset(ResetDirective::SessionOnly);
        reset.map_err(|code| Fault::damaged(0, format!("zstd: {}", get_error_name(code))))?;
        Ok(Self { decompress, input, at: 0, whole: false })
    }

    /// What the first frame says; other people's producers leave it out.
    pub(super) fn size_hint(&self) -> Option<usize> {
        let size = get_frame_content_size(self.input).ok()??;
        usize::try_from(size).ok()
    }

    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, Fault> {
        loop {
            if self.whole && self.at == self.input.len() {
                return Ok(0);
            }
            let mut source = InBuffer::around(&self.input[self.at..]);
            let mut target = OutBuffer::around(&mut *out);
            let hint = self.decompress.context()?.decompress_stream(&mut target, &mut source);
            let hint = hint.map_err(|code| {
                Fault::damaged(self.at, format!("zstd: {}", get_error_name(code)))
            })?;
            let (taken, read) = (source.pos(), target.pos());
            self.at += taken;
            self.whole = hint == 0;
            if read > 0 {
                return Ok(read);
            }
            if taken == 0 && !self.whole {
                return Err(Fault::damaged(self.at, "the zstd frame is cut off"));
            }
        }
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        let slot = &mut self.decompress.0;
        if slot.as_ref().is_some_and(|context| context.sizeof() > Decompress::KEEP) {
            *slot = None;
        }
    }
}
