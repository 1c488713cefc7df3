//! Brotli (RFC 7932).

use std::fmt;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::decoder::Step;
use super::{ContentCoding, DecodeError};

const CODING: ContentCoding = ContentCoding::Brotli;

pub(super) struct Brotli {
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    window: u32,
    started: bool,
    is_whole: bool,
}

impl fmt::Debug for Brotli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brotli").field("is_whole", &self.is_whole).finish_non_exhaustive()
    }
}

impl Brotli {
    pub(super) fn new(window: u32) -> Self {
        let allocate = StandardAlloc::default;
        // Strict is without the extension for windows beyond 16 MiB, which is no part of the coding `br`.
        let state = Box::new(BrotliState::new_strict(allocate(), allocate(), allocate()));
        Self { state, window, started: false, is_whole: false }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, DecodeError> {
        if self.is_whole {
            return match input.is_empty() {
                true => Ok(Step { consumed: 0, produced: 0 }),
                false => Err(DecodeError::Trailing { coding: CODING }),
            };
        }
        if let (false, Some(&first)) = (self.started, input.first()) {
            self.started = true;
            if window_bits(first).is_some_and(|bits| 1u32 << bits > self.window) {
                return Err(DecodeError::Window { coding: CODING, limit: self.window });
            }
        }
        let (mut available_in, mut available_out) = (input.len(), output.len());
        let (mut consumed, mut produced, mut total) = (0, 0, 0);
        let result = BrotliDecompressStream(
            &mut available_in,
            &mut consumed,
            input,
            &mut available_out,
            &mut produced,
            output,
            &mut total,
            &mut self.state,
        );
        match result {
            BrotliResult::ResultSuccess => self.is_whole = true,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultFailure => {
                let source = format!("{:?}", self.state.error_code).into();
                return Err(DecodeError::Malformed { coding: CODING, source });
            }
        }
        Ok(Step { consumed, produced })
    }
}

/// The size of the window that the first byte of a stream asks for, as a power of two; `None` for none that is valid
/// (RFC 7932 section 9.1, WBITS).
fn window_bits(first: u8) -> Option<u32> {
    let (short, long) = (u32::from(first >> 1 & 7), u32::from(first >> 4 & 7));
    match (first & 1, short, long) {
        (0, ..) => Some(16),
        (_, 1.., _) => Some(17 + short),
        (_, 0, 0) => Some(17),
        (_, 0, 1) => None,
        (_, 0, long) => Some(8 + long),
    }
}

#[cfg(test)]
mod tests {
    use super::window_bits;

    #[test]
    fn windows_are_read_as_in_the_table_of_the_rfc() {
        for (byte, bits) in [
            (0b0, Some(16)),
            (0b000_0001, Some(17)),
            (0b0011, Some(18)),
            (0b0101, Some(19)),
            (0b1011, Some(22)),
            (0b1111, Some(24)),
            (0b010_0001, Some(10)),
            (0b111_0001, Some(15)),
            (0b001_0001, None),
        ] {
            assert_eq!(window_bits(byte), bits, "{byte:#b}");
        }
    }
}
