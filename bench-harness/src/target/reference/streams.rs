//! Bodies that are sent while they are made or received.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use covet_http::{Body, BodyError, BoxError};
use futures_core::Stream;

const BLOCK: usize = 256 * 1024;

/// A block of bytes that any number of bodies share.
#[derive(Clone)]
pub(super) struct Block {
    bytes: Bytes,
}

impl Block {
    /// 256 KiB of zeros in the program's image, which the server sends in one piece.
    pub(super) fn zeros() -> Self {
        static ZEROS: [u8; BLOCK] = [0; BLOCK];
        Self { bytes: Bytes::from_static(&ZEROS) }
    }

    /// A body of `length` bytes that repeats this block and holds no more than it in memory.
    pub(super) fn repeated(&self, length: u64) -> Body {
        Body::sized_stream(length, Repeated { block: self.bytes.clone(), left: length })
    }
}

struct Repeated {
    block: Bytes,
    left: u64,
}

impl Stream for Repeated {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let count = self.left.min(self.block.len() as u64);
        self.left -= count;
        Poll::Ready(Some(Ok(self.block.slice(..count as usize))))
    }
}

/// The body to send back for a received one.
///
/// Waits for its first piece, so that a client that expects `100 Continue` gets it, and so that a body which is
/// refused at once becomes an error answer. What comes later is passed on as it arrives.
///
/// # Errors
/// When the first piece can't be received.
pub(super) async fn echoed(mut body: Body) -> Result<Body, BodyError> {
    let Some(first) = body.chunk().await.transpose()? else { return Ok(Body::empty()) };
    let length = body.exact_length().map(|rest| rest + first.len() as u64);
    if body.is_empty() {
        return Ok(Body::from(first));
    }
    let stream = Echo { first: Some(first), rest: body };
    Ok(match length {
        Some(length) => Body::sized_stream(length, stream),
        None => Body::stream(stream),
    })
}

struct Echo {
    first: Option<Bytes>,
    rest: Body,
}

impl Stream for Echo {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => self.rest.poll_chunk(cx).map(|item| item.map(|piece| piece.map_err(BoxError::from))),
        }
    }
}
