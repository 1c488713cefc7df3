//! A body fed by a stream of byte strings.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;

use super::{BodyError, BoxError};

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>>>>;

/// A stream together with the length that its producer promised.
pub(super) struct StreamBody {
    chunks: Chunks,
    declared: Option<u64>,
    remaining: u64,
}

impl StreamBody {
    pub(super) fn new(chunks: Chunks, declared: Option<u64>) -> Self {
        Self { chunks, declared, remaining: declared.unwrap_or(0) }
    }

    pub(super) fn remaining(&self) -> Option<u64> {
        self.declared.map(|_| self.remaining)
    }

    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            let item = match self.chunks.as_mut().poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(item) => item,
            };
            return Poll::Ready(match (item, self.declared) {
                (Some(Err(error)), _) => Some(Err(BodyError::Source(error))),
                // An empty chunk would read as the end of a chunked body on the wire.
                (Some(Ok(chunk)), _) if chunk.is_empty() => continue,
                (Some(Ok(chunk)), None) => Some(Ok(chunk)),
                (Some(Ok(chunk)), Some(declared)) => match self.remaining.checked_sub(chunk.len() as u64) {
                    Some(remaining) => {
                        self.remaining = remaining;
                        Some(Ok(chunk))
                    }
                    None => Some(Err(BodyError::LengthMismatch { declared, excess: true })),
                },
                (None, Some(declared)) if self.remaining > 0 => {
                    Some(Err(BodyError::LengthMismatch { declared, excess: false }))
                }
                (None, _) => None,
            });
        }
    }
}
