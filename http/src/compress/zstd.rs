//! Zstandard (RFC 8878, RFC 9659).

use std::fmt;

use zstd_safe::zstd_sys::ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge as WINDOW_TOO_LARGE;
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name, is_error_kind};

use super::decoder::Step;
use super::{ContentCoding, DecodeError};

const CODING: ContentCoding = ContentCoding::Zstd;

/// The window sizes that the library takes for a limit, as powers of two.
const WINDOW_BITS: std::ops::RangeInclusive<u32> = 10..=30;

pub(super) struct Zstd {
    /// `None` if there was no memory for it.
    context: Option<DCtx<'static>>,
    window: u32,
    /// At the end of a frame, behind which another may follow.
    is_whole: bool,
}

impl fmt::Debug for Zstd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zstd").field("is_whole", &self.is_whole).finish_non_exhaustive()
    }
}

impl Zstd {
    pub(super) fn new(window: u32) -> Self {
        let bits = window.max(1).ilog2().clamp(*WINDOW_BITS.start(), *WINDOW_BITS.end());
        let context = DCtx::try_create().and_then(|mut context| {
            context.set_parameter(DParameter::WindowLogMax(bits)).is_ok().then_some(context)
        });
        Self { context, window, is_whole: false }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, DecodeError> {
        let malformed =
            |source: &'static str| DecodeError::Malformed { coding: CODING, source: source.into() };
        if input.is_empty() && self.is_whole {
            return Ok(Step { consumed: 0, produced: 0 });
        }
        let Some(context) = &mut self.context else { return Err(malformed("no memory for a decoder")) };
        let (mut from, mut to) = (InBuffer::around(input), OutBuffer::around(output));
        let hint = context.decompress_stream(&mut to, &mut from).map_err(|code| {
            match is_error_kind(code, WINDOW_TOO_LARGE) {
                true => DecodeError::Window { coding: CODING, limit: self.window },
                false => malformed(get_error_name(code)),
            }
        })?;
        let step = Step { consumed: from.pos(), produced: to.pos() };
        self.is_whole = hint == 0;
        Ok(step)
    }
}
