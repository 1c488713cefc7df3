//! Bodies that are decoded as they are read.

use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body::Frame;

use super::{ContentCoding, DecodeError, Decoder, Limits, content_codings};
use crate::{Body, BodyError, BodySource, Request};

/// The longest piece that is decoded at a time.
const PIECE: usize = 32 * 1024;

/// So many pieces are decoded before the other tasks of the core have their turn: about a millisecond.
const TURN: u32 = 8;

/// Decodes the content of a request, if it has codings: behind it, the body is what it was before they were applied.
///
/// Content-Encoding and Content-Length are taken out of the request's fields. A request without codings is left as it
/// is, and costs a look at its fields.
///
/// # Errors
/// [`DecodeError::Unsupported`] and [`DecodeError::TooManyCodings`], and the request is as before. Whatever else
/// [`DecodeError`] lists comes when the body is read, as [`BodyError::Encoded`].
pub fn decode_request(request: &mut Request, limits: &Limits) -> Result<(), DecodeError> {
    let values = request.fields().filter(|(name, _)| name.eq_ignore_ascii_case("content-encoding"));
    let codings = content_codings(values.map(|(_, value)| value), limits)?;
    if codings.is_empty() {
        return Ok(());
    }
    let body = decode_body(request.take_body(), &codings, limits)?;
    request.set_body(body);
    let headers = request.headers_mut();
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    Ok(())
}

/// The content of `body` before these codings were applied, in this order; see
/// [`content_codings`](super::content_codings()).
///
/// Reading it reads `body` as far as it must, and no further. Its length is not known; its trailers are those of
/// `body`. An empty body is empty in every coding.
///
/// # Errors
/// [`DecodeError::Unsupported`] for a coding that is not built in. Whatever else [`DecodeError`] lists comes when the
/// body is read, as [`BodyError::Encoded`].
pub fn decode_body(body: Body, codings: &[ContentCoding], limits: &Limits) -> Result<Body, DecodeError> {
    let sender = body.source().map(Rc::downgrade);
    let mut body = body;
    for &coding in codings.iter().rev() {
        let decoder = Decoder::new(coding, *limits)?;
        body = Body::from_http_body(Decoded {
            body,
            decoder,
            sender: sender.clone(),
            input: Bytes::new(),
            state: State::Reading,
            turn: 0,
        });
    }
    Ok(body)
}

struct Decoded {
    body: Body,
    decoder: Decoder,
    /// Who is to blame for content that can't be decoded.
    sender: Option<Weak<dyn BodySource>>,
    /// What was read and is not decoded yet.
    input: Bytes,
    state: State,
    /// Pieces decoded since the others had their turn.
    turn: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    /// The decoder has more to give than there was room for.
    Full,
    /// The body has ended.
    Ended,
    Failed,
}

impl Decoded {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            if self.input.is_empty() && self.state == State::Reading {
                match ready!(self.body.poll_chunk(cx)) {
                    Some(Ok(piece)) => self.input = piece,
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => {
                        self.state = State::Ended;
                        self.decoder.finish()?;
                        return Poll::Ready(None);
                    }
                }
            }
            if matches!(self.state, State::Ended | State::Failed) {
                return Poll::Ready(None);
            }
            if self.turn >= TURN {
                self.turn = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.turn += 1;
            let mut output = vec![0; PIECE];
            let (consumed, produced) = self.decoder.decode(&self.input, &mut output)?;
            drop(self.input.split_to(consumed));
            self.state = if produced == output.len() { State::Full } else { State::Reading };
            if produced > 0 {
                output.truncate(produced);
                output.shrink_to_fit();
                return Poll::Ready(Some(Ok(output.into())));
            }
        }
    }
}

impl http_body::Body for Decoded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.state == State::Failed {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.poll_data(cx)) {
            Some(Ok(data)) => Some(Ok(Frame::data(data))),
            Some(Err(error)) => {
                self.state = State::Failed;
                if matches!(error, BodyError::Encoded(_))
                    && let Some(sender) = self.sender.as_ref().and_then(Weak::upgrade)
                {
                    sender.undecodable();
                }
                Some(Err(error))
            }
            None => self.body.take_trailers().map(|trailers| Ok(Frame::trailers(trailers))),
        })
    }
}
