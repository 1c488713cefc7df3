//! A body fed by a stream of byte strings, or by somebody else's body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_core::Stream;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::{BodyError, BoxError};

/// A source of bytes together with the length that its producer promised.
pub(super) struct StreamBody {
    source: Source,
    declared: Option<u64>,
    remaining: u64,
    trailers: Option<Box<HeaderMap>>,
}

enum Source {
    Chunks(Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>>>>),
    Frames(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError>>>),
}

impl StreamBody {
    pub(super) fn new<S>(chunks: S, declared: Option<u64>) -> Self
    where
        S: Stream<Item = Result<Bytes, BoxError>> + 'static,
    {
        Self::of(Source::Chunks(Box::pin(chunks)), declared)
    }

    pub(super) fn foreign<B>(body: B) -> Self
    where
        B: http_body::Body + 'static,
        B::Error: Into<BoxError>,
    {
        let declared = body.size_hint().exact();
        Self::of(Source::Frames(Box::pin(Foreign(Box::pin(body)))), declared)
    }

    fn of(source: Source, declared: Option<u64>) -> Self {
        Self { source, declared, remaining: declared.unwrap_or(0), trailers: None }
    }

    pub(super) fn remaining(&self) -> Option<u64> {
        self.declared.map(|_| self.remaining)
    }

    /// What came behind the end.
    pub(super) fn take_trailers(&mut self) -> Option<Box<HeaderMap>> {
        self.trailers.take()
    }

    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            let item = ready!(self.poll_source(cx));
            return Poll::Ready(match (item, self.declared) {
                // A body of ours within another keeps saying what failed.
                (Some(Err(error)), _) => Some(Err(match error.downcast::<BodyError>() {
                    Ok(error) => *error,
                    Err(error) => BodyError::Source(error),
                })),
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

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        match &mut self.source {
            Source::Chunks(chunks) => chunks.as_mut().poll_next(cx),
            Source::Frames(body) => {
                let frame = match ready!(body.as_mut().poll_frame(cx)) {
                    Some(Ok(frame)) => frame,
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => return Poll::Ready(None),
                };
                match frame.into_data() {
                    Ok(data) => Poll::Ready(Some(Ok(data))),
                    // Trailers are the last frame.
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok().map(Box::new);
                        Poll::Ready(None)
                    }
                }
            }
        }
    }
}

/// Any body, with its data as [`Bytes`] and its errors boxed.
struct Foreign<B>(Pin<Box<B>>);

impl<B> http_body::Body for Foreign<B>
where
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let item = ready!(self.0.as_mut().poll_frame(cx));
        // For `Bytes` this takes no copy.
        let bytes = |mut data: B::Data| data.copy_to_bytes(data.remaining());
        Poll::Ready(item.map(|frame| frame.map(|frame| frame.map_data(bytes)).map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
