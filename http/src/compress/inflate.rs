//! Gzip and deflate (RFC 1952, RFC 1950, RFC 1951).

use flate2::{Decompress, FlushDecompress, Status};

use super::decoder::Step;
use super::{ContentCoding, DecodeError};

/// Members of one gzip content, each of which is decoded anew: files of many blocks have hundreds of them, and an
/// attack would have one every twenty bytes.
const MOST_MEMBERS: u32 = 1_000;

/// The first byte of a gzip member.
const MAGIC: u8 = 0x1f;

/// The window of deflate, in bits: it has no larger.
const WINDOW_BITS: u8 = 15;

#[derive(Debug)]
pub(super) struct Inflate {
    coding: ContentCoding,
    state: State,
    members: u32,
}

#[derive(Debug)]
enum State {
    /// Nothing has come yet, of the content or of a member.
    Start,
    Within(Decompress),
    Whole,
}

impl Inflate {
    pub(super) fn gzip() -> Self {
        Self { coding: ContentCoding::Gzip, state: State::Start, members: 0 }
    }

    pub(super) fn deflate() -> Self {
        Self { coding: ContentCoding::Deflate, state: State::Start, members: 0 }
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self.state, State::Whole)
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, DecodeError> {
        let coding = self.coding;
        let inner = match &mut self.state {
            State::Within(inner) => inner,
            State::Start | State::Whole => {
                let Some(&first) = input.first() else { return Ok(Step { consumed: 0, produced: 0 }) };
                let goes_on = matches!(self.state, State::Whole);
                if goes_on
                    && (coding == ContentCoding::Deflate || first != MAGIC || self.members == MOST_MEMBERS)
                {
                    return Err(DecodeError::Trailing { coding });
                }
                self.members += 1;
                self.state = State::Within(match coding {
                    ContentCoding::Gzip => Decompress::new_gzip(WINDOW_BITS),
                    // A first byte of bare deflate never has these lower bits: they would be a stored block with
                    // padding that is not zero.
                    _ => Decompress::new_with_window_bits(first & 0x0f == 8, WINDOW_BITS),
                });
                return self.step(input, output);
            }
        };
        let (before_in, before_out) = (inner.total_in(), inner.total_out());
        let status = inner
            .decompress(input, output, FlushDecompress::None)
            .map_err(|error| DecodeError::Malformed { coding, source: error.into() })?;
        let step = Step {
            consumed: (inner.total_in() - before_in) as usize,
            produced: (inner.total_out() - before_out) as usize,
        };
        if status == Status::StreamEnd {
            self.state = State::Whole;
        }
        Ok(step)
    }
}
