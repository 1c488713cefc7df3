//! Request bodies, decoded as they are asked for.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use covet_runtime::time;
use http::HeaderMap;

use super::Event;
use super::link::{Link, Received};
use crate::h1::{ChunkEvent, ChunkedDecoder, Framing, encode};
use crate::{BodyError, BodySource};

/// How far the body of the present exchange has been read.
pub(super) struct BodyState {
    decoder: Decoder,
    /// What was read of it is not what its content codings say.
    undecodable: bool,
    /// The client waits for a 100 response before it sends the body.
    expects_continue: bool,
    read: u64,
    /// For how long the client was waited for; what the application takes its time over is no fault of the client's.
    waited: Duration,
    waiting_since: Option<Instant>,
    trailers: Option<HeaderMap>,
}

enum Decoder {
    Done,
    Length(u64),
    Chunked(Box<ChunkedDecoder>),
    /// What follows can't be told apart any more.
    Failed,
}

impl BodyState {
    fn is_done(&self) -> bool {
        matches!(self.decoder, Decoder::Done)
    }

    /// The bytes still to come, where the framing tells.
    fn remaining(&self) -> Option<u64> {
        match self.decoder {
            Decoder::Done => Some(0),
            Decoder::Length(left) => Some(left),
            Decoder::Chunked(_) | Decoder::Failed => None,
        }
    }
}

/// The handle that a request's body holds on its connection.
pub(super) struct IncomingBody {
    link: Rc<Link>,
    exchange: u32,
}

impl BodySource for IncomingBody {
    fn poll_chunk(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.link.exchange.get() != self.exchange {
            return Poll::Ready(Some(Err(BodyError::Taken)));
        }
        self.link.poll_body(cx)
    }

    fn remaining(&self) -> Option<u64> {
        self.link.body.borrow().as_ref().and_then(|body| body.remaining())
    }

    fn take_trailers(&self) -> Option<HeaderMap> {
        if self.link.exchange.get() != self.exchange {
            return None;
        }
        self.link.body.borrow_mut().as_mut().and_then(|body| body.trailers.take())
    }

    fn undecodable(&self) {
        if self.link.exchange.get() == self.exchange
            && let Some(body) = self.link.body.borrow_mut().as_mut()
        {
            body.undecodable = true;
        }
    }
}

impl Link {
    /// Makes the body of the exchange that begins.
    pub(super) fn begin_body(self: &Rc<Link>, framing: Framing, expects_continue: bool) -> Rc<IncomingBody> {
        let decoder = match framing {
            Framing::None => Decoder::Done,
            Framing::Length(length) => Decoder::Length(length),
            Framing::Chunked => Decoder::Chunked(Box::new(ChunkedDecoder::new(&self.shared.config.limits))),
        };
        let (waited, waiting_since, trailers) = (Duration::ZERO, None, None);
        let state = BodyState {
            decoder,
            undecodable: false,
            expects_continue,
            read: 0,
            waited,
            waiting_since,
            trailers,
        };
        *self.body.borrow_mut() = Some(Box::new(state));
        Rc::new(IncomingBody { link: self.clone(), exchange: self.exchange.get() })
    }

    /// Cuts off whoever still holds the present body.
    pub(super) fn end_exchange(&self) {
        self.exchange.set(self.exchange.get().wrapping_add(1));
    }

    /// Whether the present body has been read to its end.
    pub(super) fn body_is_done(&self) -> bool {
        self.body.borrow().as_ref().is_none_or(|body| body.is_done())
    }

    /// Whether the present body could not be read to its end, or not as what it is said to be.
    pub(super) fn body_has_failed(&self) -> bool {
        let body = self.body.borrow();
        body.as_ref().is_some_and(|body| matches!(body.decoder, Decoder::Failed) || body.undecodable)
    }

    /// Whether the rest of the body is short enough, as far as can be told, to be read and thrown away.
    pub(super) fn body_is_drainable(&self, most: u64) -> bool {
        self.body.borrow().as_ref().is_none_or(|body| {
            !body.expects_continue
                && match body.decoder {
                    Decoder::Done | Decoder::Chunked(_) => true,
                    Decoder::Length(left) => left <= most,
                    Decoder::Failed => false,
                }
        })
    }

    /// Queues the 100 response that the client waits for, if it does.
    pub(super) fn send_continue(&self) {
        let mut body = self.body.borrow_mut();
        if body.as_mut().is_some_and(|body| std::mem::take(&mut body.expects_continue)) {
            self.with_output(|output| output.extend_from_slice(encode::CONTINUE));
        }
    }

    /// The next piece of the present body.
    pub(super) fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            match self.decode_body() {
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(None) if self.body_is_done() => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return self.fail_body(error),
            }
            if self.input.borrow().ended {
                return self.fail_body(BodyError::Incomplete);
            }
            self.send_continue();
            self.start_clock();
            match self.poll_receive(cx) {
                Poll::Ready(Received::More) => {
                    if self.is_too_slow() {
                        return self.fail_body(BodyError::TimedOut);
                    }
                }
                Poll::Ready(Received::TimedOut) => return self.fail_body(BodyError::TimedOut),
                Poll::Ready(Received::Failed(error)) => return self.fail_body(BodyError::Io(error)),
                Poll::Pending => {
                    // The body may be read by another task than the connection's, so what is to be sent before the
                    // client goes on is sent here.
                    return match self.send_output_now() {
                        Ok(()) => Poll::Pending,
                        Err(error) => self.fail_body(BodyError::Io(error)),
                    };
                }
            }
        }
    }

    fn fail_body(&self, error: BodyError) -> Poll<Option<Result<Bytes, BodyError>>> {
        if matches!(error, BodyError::TimedOut) {
            self.shared.config.counts.add(Event::BodyTimeout);
        }
        if let Some(body) = self.body.borrow_mut().as_mut() {
            body.decoder = Decoder::Failed;
        }
        Poll::Ready(Some(Err(error)))
    }

    /// Takes the next piece out of what has been received; `None` if more is needed or the body is done.
    fn decode_body(&self) -> Result<Option<Bytes>, BodyError> {
        let mut input = self.input.borrow_mut();
        let mut body = self.body.borrow_mut();
        let Some(body) = body.as_mut() else { return Ok(None) };
        let limit = self.shared.config.limits.body;
        loop {
            let bytes = input.bytes();
            let (piece, consumed, done) = match &mut body.decoder {
                Decoder::Done => return Ok(None),
                Decoder::Failed => return Err(BodyError::Incomplete),
                _ if bytes.is_empty() => return Ok(None),
                Decoder::Length(left) => {
                    let count = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    *left -= count as u64;
                    (Some(0..count), count, *left == 0)
                }
                Decoder::Chunked(decoder) => match decoder.feed(bytes)? {
                    ChunkEvent::Data(range) => {
                        let end = range.end;
                        (Some(range), end, false)
                    }
                    ChunkEvent::NeedMore => (None, bytes.len(), false),
                    ChunkEvent::Done(end) => {
                        body.trailers = decoder.take_trailers();
                        (None, end, true)
                    }
                },
            };
            // A client that sends waits no longer (RFC 9110 section 10.1.1).
            body.expects_continue = false;
            let piece = piece.map(|range| Bytes::copy_from_slice(&bytes[range]));
            input.consume(consumed);
            if done {
                body.decoder = Decoder::Done;
            }
            if let Some(piece) = piece {
                body.read += piece.len() as u64;
                if body.read > limit {
                    return Err(BodyError::TooLarge { limit });
                }
                return Ok(Some(piece));
            }
            if done {
                return Ok(None);
            }
        }
    }

    /// Begins to wait for the client, if that has not begun yet.
    fn start_clock(&self) {
        if let Some(body) = self.body.borrow_mut().as_mut()
            && body.waiting_since.is_none()
        {
            body.waiting_since = Some(time::now());
            self.set_timer(self.shared.config.timeouts.body);
        }
    }

    /// Ends a wait, and tells whether all of them together were too long for what they brought.
    fn is_too_slow(&self) -> bool {
        let timeouts = &self.shared.config.timeouts;
        self.body.borrow_mut().as_mut().is_some_and(|body| {
            if let Some(since) = body.waiting_since.take() {
                body.waited += time::now().saturating_duration_since(since);
            }
            let waited = body.waited;
            waited > timeouts.body && (body.read as f64) < timeouts.body_rate as f64 * waited.as_secs_f64()
        })
    }
}
