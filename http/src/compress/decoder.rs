//! Taking one coding off, within bounds.
#![cfg_attr(
    not(any(feature = "gzip", feature = "brotli", feature = "zstd")),
    allow(dead_code, unreachable_code, unused_variables, reason = "there are no decoders to be made")
)]

#[cfg(feature = "brotli")]
use super::brotli::Brotli;
#[cfg(feature = "gzip")]
use super::inflate::Inflate;
#[cfg(feature = "zstd")]
use super::zstd::Zstd;
use super::{ContentCoding, DecodeError, Limits};

/// Takes one content coding off bytes that come in pieces of any size.
#[derive(Debug)]
pub struct Decoder {
    inner: Inner,
    limits: Limits,
    coding: ContentCoding,
    consumed: u64,
    produced: u64,
}

#[derive(Debug)]
enum Inner {
    #[cfg(feature = "gzip")]
    Inflate(Inflate),
    #[cfg(feature = "brotli")]
    Brotli(Brotli),
    #[cfg(feature = "zstd")]
    Zstd(Zstd),
}

/// What a decoder did with what it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) consumed: usize,
    pub(super) produced: usize,
}

impl Decoder {
    /// A decoder of content of this coding.
    ///
    /// # Errors
    /// [`DecodeError::Unsupported`] if the coding is not built in.
    pub fn new(coding: ContentCoding, limits: Limits) -> Result<Self, DecodeError> {
        let inner = match coding {
            #[cfg(feature = "gzip")]
            ContentCoding::Gzip => Inner::Inflate(Inflate::gzip()),
            #[cfg(feature = "gzip")]
            ContentCoding::Deflate => Inner::Inflate(Inflate::deflate()),
            #[cfg(feature = "brotli")]
            ContentCoding::Brotli => Inner::Brotli(Brotli::new(limits.window)),
            #[cfg(feature = "zstd")]
            ContentCoding::Zstd => Inner::Zstd(Zstd::new(limits.window)),
            #[allow(unreachable_patterns, reason = "with all features there are no others")]
            other => return Err(DecodeError::Unsupported { coding: other.to_string() }),
        };
        Ok(Self { inner, limits, coding, consumed: 0, produced: 0 })
    }

    /// Decodes `input` into `output`, and returns how many bytes of either were used.
    ///
    /// Where `output` is full, there may be more to come without any further input; otherwise all of `input` was taken.
    ///
    /// # Errors
    /// As soon as the content is malformed or over a limit; the decoder is of no further use then.
    pub fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), DecodeError> {
        let (mut consumed, mut produced) = (0, 0);
        loop {
            let step = self.step(&input[consumed..], &mut output[produced..])?;
            consumed += step.consumed;
            produced += step.produced;
            if produced == output.len() || (consumed == input.len() && step.produced == 0) {
                return Ok((consumed, produced));
            }
            if step.consumed == 0 && step.produced == 0 {
                return Err(DecodeError::Malformed { coding: self.coding, source: "no progress".into() });
            }
        }
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, DecodeError> {
        let step: Step = match &mut self.inner {
            #[cfg(feature = "gzip")]
            Inner::Inflate(inflate) => inflate.step(input, output)?,
            #[cfg(feature = "brotli")]
            Inner::Brotli(brotli) => brotli.step(input, output)?,
            #[cfg(feature = "zstd")]
            Inner::Zstd(zstd) => zstd.step(input, output)?,
            #[allow(unreachable_patterns, reason = "with any feature there are no others")]
            _ => return Err(DecodeError::Unsupported { coding: self.coding.to_string() }),
        };
        self.consumed += step.consumed as u64;
        self.produced += step.produced as u64;
        if self.produced > self.limits.decoded {
            return Err(DecodeError::TooLarge { limit: self.limits.decoded });
        }
        if self.produced > self.limits.free && self.produced / self.limits.ratio.max(1) > self.consumed {
            return Err(DecodeError::Ratio { limit: self.limits.ratio });
        }
        Ok(step)
    }

    /// Checks, once all input was decoded, that the content is whole. Content of no bytes at all is whole.
    ///
    /// # Errors
    /// [`DecodeError::Incomplete`] if it breaks off.
    pub fn finish(&self) -> Result<(), DecodeError> {
        let is_whole = match &self.inner {
            #[cfg(feature = "gzip")]
            Inner::Inflate(inflate) => inflate.is_whole(),
            #[cfg(feature = "brotli")]
            Inner::Brotli(brotli) => brotli.is_whole(),
            #[cfg(feature = "zstd")]
            Inner::Zstd(zstd) => zstd.is_whole(),
            #[allow(unreachable_patterns, reason = "with any feature there are no others")]
            _ => true,
        };
        match is_whole || self.consumed == 0 {
            true => Ok(()),
            false => Err(DecodeError::Incomplete { coding: self.coding }),
        }
    }
}
