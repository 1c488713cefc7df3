//! Message bodies: fixed, streamed by the application, or arriving on a connection.

mod error;
mod stream;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use covet_runtime::buf::PoolBuf;
use futures_core::Stream;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

pub use error::{BodyError, BoxError};
use stream::StreamBody;

/// Bytes set aside at most when a body of unknown or untrusted length is collected.
const COLLECT_RESERVE: usize = 64 * 1024;

/// The body of a request or response.
///
/// A body whose bytes are already there is held in place, without an allocation. A streaming body ends with
/// `None` or with an error; after either it is empty.
pub struct Body {
    inner: Inner,
}

enum Inner {
    Empty,
    Static(&'static [u8]),
    Bytes(Bytes),
    Vec(Vec<u8>),
    Pool(PoolBuf),
    Incoming {
        source: Rc<dyn BodySource>,
        length: Option<u64>,
    },
    Stream(Box<StreamBody>),
    /// All bytes were read; these fields came behind them.
    Ended(Box<HeaderMap>),
    Taken,
}

/// A body whose bytes are all there, as [`Body::into_fixed`] gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FixedBody {
    /// Bytes in the program's image; empty for an empty body.
    Static(&'static [u8]),
    /// Shared bytes.
    Bytes(Bytes),
    /// Owned bytes.
    Vec(Vec<u8>),
}

impl AsRef<[u8]> for FixedBody {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Static(bytes) => bytes,
            Self::Bytes(bytes) => bytes,
            Self::Vec(bytes) => bytes,
        }
    }
}

/// Where an incoming body's bytes come from: the connection that is reading it.
///
/// The connection and the [`Body`] share the source on one core, hence `&self`.
pub trait BodySource {
    /// The next non-empty piece of the body; `None` after its end.
    ///
    /// Registers the waker of `cx` when it returns `Pending`.
    fn poll_chunk(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>>;

    /// The number of bytes still to come, where the framing tells it.
    fn remaining(&self) -> Option<u64>;

    /// The trailer fields, asked for once, when [`BodySource::poll_chunk`] has told the end.
    fn take_trailers(&self) -> Option<HeaderMap> {
        None
    }

    /// Told when a content coding could not be taken off what was read: it is the sender's fault, though the framing is
    /// right.
    fn undecodable(&self) {}
}

impl Body {
    /// A body of no bytes.
    pub const fn empty() -> Self {
        Self { inner: Inner::Empty }
    }

    /// What is left where a body was taken away: reading it fails with [`BodyError::Taken`].
    pub const fn taken() -> Self {
        Self { inner: Inner::Taken }
    }

    /// A body of bytes in the program's image.
    pub const fn from_static(bytes: &'static [u8]) -> Self {
        Self { inner: Inner::Static(bytes) }
    }

    /// A body of unknown length, fed by a stream; it is sent with chunked framing.
    pub fn stream<S>(stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, BoxError>> + 'static,
    {
        Self { inner: Inner::Stream(Box::new(StreamBody::new(stream, None))) }
    }

    /// A body of exactly `length` bytes, fed by a stream.
    ///
    /// Reading fails with [`BodyError::LengthMismatch`] when the stream yields more or fewer bytes.
    pub fn sized_stream<S>(length: u64, stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, BoxError>> + 'static,
    {
        Self { inner: Inner::Stream(Box::new(StreamBody::new(stream, Some(length)))) }
    }

    /// A body made of any other implementation of [`http_body::Body`], such as those of `http-body-util`.
    ///
    /// It is read only as fast as it is sent. If its size hint is exact it is held to that length, as by
    /// [`Body::sized_stream`]. Its trailers are sent behind chunked framing to clients that say `TE: trailers`; with
    /// a known length there is no place for them, and they are dropped (RFC 9110 section 6.5).
    pub fn from_http_body<B>(body: B) -> Self
    where
        B: http_body::Body + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self::empty();
        }
        Self { inner: Inner::Stream(Box::new(StreamBody::foreign(body))) }
    }

    /// A body that a connection is still receiving, of `length` bytes if its framing tells.
    pub fn incoming(source: Rc<dyn BodySource>, length: Option<u64>) -> Self {
        Self { inner: Inner::Incoming { source, length } }
    }

    /// The number of bytes still to be read, where it is known.
    pub fn exact_length(&self) -> Option<u64> {
        match &self.inner {
            Inner::Empty | Inner::Ended(_) => Some(0),
            // Nothing is known of it but that reading fails.
            Inner::Taken => None,
            Inner::Static(bytes) => Some(bytes.len() as u64),
            Inner::Bytes(bytes) => Some(bytes.len() as u64),
            Inner::Vec(bytes) => Some(bytes.len() as u64),
            Inner::Pool(bytes) => Some(bytes.len() as u64),
            Inner::Incoming { source, length } => length.and_then(|_| source.remaining()),
            Inner::Stream(stream) => stream.remaining(),
        }
    }

    /// Whether the body is known to have no bytes left.
    pub fn is_empty(&self) -> bool {
        self.exact_length() == Some(0)
    }

    /// Where the bytes of an incoming body come from, until it is read to its end.
    pub(crate) fn source(&self) -> Option<&Rc<dyn BodySource>> {
        match &self.inner {
            Inner::Incoming { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Whether the body was taken away and this is the mark left in its place.
    pub fn is_taken(&self) -> bool {
        matches!(self.inner, Inner::Taken)
    }

    /// The whole body, if its bytes are already there.
    pub fn as_fixed(&self) -> Option<&[u8]> {
        match &self.inner {
            Inner::Empty | Inner::Ended(_) => Some(&[]),
            Inner::Static(bytes) => Some(bytes),
            Inner::Bytes(bytes) => Some(bytes),
            Inner::Vec(bytes) => Some(bytes),
            Inner::Pool(bytes) => Some(bytes),
            Inner::Incoming { .. } | Inner::Stream(_) | Inner::Taken => None,
        }
    }

    /// The whole body by value, if its bytes are already there; otherwise the body itself.
    pub fn into_fixed(self) -> Result<FixedBody, Self> {
        match self.inner {
            Inner::Empty | Inner::Ended(_) => Ok(FixedBody::Static(&[])),
            Inner::Static(bytes) => Ok(FixedBody::Static(bytes)),
            Inner::Bytes(bytes) => Ok(FixedBody::Bytes(bytes)),
            Inner::Vec(bytes) => Ok(FixedBody::Vec(bytes)),
            Inner::Pool(bytes) => Ok(FixedBody::Vec(bytes.into_vec())),
            inner => Err(Self { inner }),
        }
    }

    /// Leaves [`Body::taken`] in this body's place and returns it.
    pub fn take(&mut self) -> Self {
        std::mem::replace(self, Self::taken())
    }

    /// The next non-empty piece of the body; `None` at its end.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let item = match &mut self.inner {
            Inner::Incoming { source, .. } => match source.poll_chunk(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(item) => item,
            },
            Inner::Stream(stream) => match stream.poll_chunk(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(item) => item,
            },
            Inner::Taken => Some(Err(BodyError::Taken)),
            Inner::Ended(_) => return Poll::Ready(None),
            _ => return Poll::Ready(self.take_fixed().map(Ok)),
        };
        if !matches!(item, Some(Ok(_))) {
            self.end(item.is_none());
        }
        Poll::Ready(item)
    }

    /// Keeps nothing of what was read to its end, or failed, but the trailers.
    fn end(&mut self, in_order: bool) {
        let trailers = match &mut self.inner {
            Inner::Incoming { source, .. } if in_order => source.take_trailers().map(Box::new),
            Inner::Stream(stream) if in_order => stream.take_trailers(),
            _ => None,
        };
        self.inner = trailers.map_or(Inner::Empty, Inner::Ended);
    }

    /// The trailer fields of a body that was read to its end, if it had any; the next call has none.
    ///
    /// They are what the sender said behind the content, and mean nothing that a field of the head means: not the
    /// length, the host or who the sender is (RFC 9110 section 6.5.1).
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        match std::mem::replace(&mut self.inner, Inner::Empty) {
            Inner::Ended(trailers) => Some(*trailers),
            other => {
                self.inner = other;
                None
            }
        }
    }

    /// The next non-empty piece of the body; `None` at its end.
    ///
    /// Cancel safe: a piece is either returned or still to be read.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, BodyError>> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// Reads the whole body, which may be at most `limit` bytes long.
    ///
    /// A body that arrives in one piece is returned without copying. What was read is lost if the future is
    /// dropped. Fails with [`BodyError::TooLarge`] before reading if the length is known to exceed `limit`.
    pub async fn collect(&mut self, limit: usize) -> Result<Bytes, BodyError> {
        let too_large = BodyError::TooLarge { limit: limit as u64 };
        let length = self.exact_length();
        if length.is_some_and(|length| length > limit as u64) {
            return Err(too_large);
        }
        let Some(first) = self.chunk().await.transpose()? else { return Ok(Bytes::new()) };
        if first.len() > limit {
            return Err(too_large);
        }
        let Some(second) = self.chunk().await.transpose()? else { return Ok(first) };
        // A length that a peer declared reserves no more than a peer could make us hold anyway.
        let reserve = length.map_or(0, |length| length.min(limit as u64) as usize).min(COLLECT_RESERVE);
        let mut whole = Vec::with_capacity(reserve.max(first.len() + second.len()));
        whole.extend_from_slice(&first);
        let mut next = Some(second);
        while let Some(chunk) = next {
            if chunk.len() > limit - whole.len() {
                return Err(too_large);
            }
            whole.extend_from_slice(&chunk);
            next = self.chunk().await.transpose()?;
        }
        Ok(whole.into())
    }

    fn take_fixed(&mut self) -> Option<Bytes> {
        let bytes = match std::mem::replace(&mut self.inner, Inner::Empty) {
            Inner::Static(bytes) => Bytes::from_static(bytes),
            Inner::Bytes(bytes) => bytes,
            Inner::Vec(bytes) => bytes.into(),
            Inner::Pool(bytes) => bytes.into_vec().into(),
            _ => return None,
        };
        (!bytes.is_empty()).then_some(bytes)
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.inner {
            Inner::Empty => "Empty",
            Inner::Static(_) | Inner::Bytes(_) | Inner::Vec(_) | Inner::Pool(_) => "Fixed",
            Inner::Incoming { .. } => "Incoming",
            Inner::Stream(_) => "Stream",
            Inner::Ended(_) => "Ended",
            Inner::Taken => "Taken",
        };
        f.debug_struct("Body").field("kind", &kind).field("length", &self.exact_length()).finish()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::from_static(text.as_bytes())
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Self::from_static(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self { inner: Inner::Vec(bytes) }
    }
}

impl From<PoolBuf> for Body {
    /// The buffer goes back to its core's pool when the body is dropped: once it is sent, if it is a small one.
    fn from(bytes: PoolBuf) -> Self {
        Self { inner: Inner::Pool(bytes) }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self { inner: Inner::Bytes(bytes) }
    }
}

impl From<FixedBody> for Body {
    fn from(body: FixedBody) -> Self {
        match body {
            FixedBody::Static(bytes) => Self::from_static(bytes),
            FixedBody::Bytes(bytes) => bytes.into(),
            FixedBody::Vec(bytes) => bytes.into(),
        }
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.poll_chunk(cx).map(|item| match item {
            Some(chunk) => Some(chunk.map(Frame::data)),
            None => self.take_trailers().map(|trailers| Ok(Frame::trailers(trailers))),
        })
    }

    fn is_end_stream(&self) -> bool {
        // An incoming body with nothing left may still have to report a fault in what follows the data.
        !matches!(self.inner, Inner::Ended(_)) && self.as_fixed().is_some_and(<[u8]>::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        self.exact_length().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
