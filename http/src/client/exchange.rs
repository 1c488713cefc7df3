//! One request and its answer on a connection.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use covet_runtime::buf::PoolBuf;
use covet_runtime::time::{self, Sleep};
use http::{HeaderMap, Method};

use super::config::Config;
use super::transport::{Incoming, Transport};
use super::{Cause, Timeouts};
use crate::Body;
use crate::h1::response::ResponseFraming;
use crate::h1::trailers::encode_trailers;
use crate::h1::{ReceivedHead, RequestFraming, ResponseDecoder, ResponseError, ResponseEvent, encode};
use crate::input::Input;

/// A body of up to this many bytes leaves with the head.
const WITH_HEAD: u64 = 16 * 1024;
/// Bytes that are given to the kernel at a time, so that a slow connection still shows progress.
const PIECE: usize = 128 * 1024;

/// What came.
pub(super) enum Event {
    Head(ReceivedHead),
    Data(Bytes),
    End(Option<HeaderMap>),
}

/// An exchange that is under way. Dropping it closes the connection.
pub(super) struct Exchange {
    transport: Transport,
    input: Input,
    /// The server has ended its side.
    ended: bool,
    decoder: ResponseDecoder,
    upload: Upload,
    timer: Sleep,
    deadline: Option<(Instant, Duration)>,
    timeouts: Timeouts,
    /// The connection may carry another request, as far as both have said.
    keep_alive: bool,
    until_close: bool,
    head_seen: bool,
}

enum Upload {
    /// For a 100 response.
    Waiting {
        body: Body,
        chunked: bool,
    },
    Sending {
        body: Body,
        rest: Bytes,
        chunked: bool,
    },
    /// All was handed over, and is on its way.
    Flushing,
    Done,
    /// Nothing more can be sent; there may be an answer all the same.
    Broken(Option<io::Error>),
}

/// What is sent.
pub(super) struct Outgoing {
    /// The encoded head.
    pub(super) head: PoolBuf,
    pub(super) method: Method,
    pub(super) framing: RequestFraming,
    pub(super) body: Body,
    pub(super) waits: bool,
    pub(super) closes: bool,
}

impl Exchange {
    /// Hands the head over, and what goes with it.
    pub(super) fn begin(
        mut transport: Transport,
        mut outgoing: Outgoing,
        config: &Config,
        deadline: Option<(Instant, Duration)>,
    ) -> Exchange {
        let chunked = outgoing.framing == RequestFraming::Chunked;
        let body = outgoing.body;
        let upload = match (outgoing.framing, body.as_fixed()) {
            (RequestFraming::None | RequestFraming::Length(0), _) => Upload::Flushing,
            _ if outgoing.waits => Upload::Waiting { body, chunked },
            (RequestFraming::Length(length), Some(bytes)) if length <= WITH_HEAD => {
                outgoing.head.extend_from_slice(bytes);
                Upload::Flushing
            }
            _ => Upload::Sending { body, rest: Bytes::new(), chunked },
        };
        let upload = match transport.submit_send(outgoing.head) {
            Ok(()) => upload,
            Err(error) => Upload::Broken(Some(error)),
        };
        let timeouts = config.timeouts.clone();
        let first = match upload {
            Upload::Waiting { .. } => timeouts.expect_continue,
            _ => timeouts.idle,
        };
        let mut exchange = Exchange {
            transport,
            input: Input::default(),
            ended: false,
            decoder: ResponseDecoder::new(outgoing.method, &config.codec_limits),
            upload,
            timer: time::sleep(first),
            deadline,
            timeouts,
            keep_alive: !outgoing.closes,
            until_close: false,
            head_seen: false,
        };
        exchange.arm(first);
        exchange
    }

    /// Waits for the head of the final answer.
    pub(super) async fn head(&mut self) -> Result<ReceivedHead, Cause> {
        match poll_fn(|cx| self.poll_event(cx)).await? {
            Event::Head(head) => Ok(head),
            // The decoder tells the head first.
            Event::Data(_) | Event::End(_) => Err(Cause::Response(ResponseError::NoResponse)),
        }
    }

    /// Whether anything of an answer has come.
    pub(super) fn is_answered(&self) -> bool {
        self.decoder.has_begun()
    }

    pub(super) fn remaining(&self) -> Option<u64> {
        self.decoder.remaining()
    }

    pub(super) fn is_sent(&self) -> bool {
        matches!(self.upload, Upload::Done)
    }

    /// Keeps no buffer of the kernel's while nobody asks for what is in it.
    pub(super) fn hold(&mut self) {
        self.input.release();
    }

    /// The connection, if nothing of this exchange is left on it and it may carry another.
    pub(super) fn into_transport(self) -> Option<Transport> {
        let over = self.decoder.is_done() && self.is_handed_over() && self.input.is_empty() && !self.ended;
        (over && self.keep_alive).then_some(self.transport)
    }

    /// Whether all of the request is the kernel's to send. The answer may be here before the kernel says that it has
    /// sent the last piece; who reuses the connection looks whether it has by then.
    fn is_handed_over(&self) -> bool {
        match &self.upload {
            Upload::Done | Upload::Flushing => true,
            Upload::Sending { body, rest, chunked: false } => {
                rest.is_empty() && body.exact_length() == Some(0)
            }
            _ => false,
        }
    }

    /// The connection as a tunnel behind the answer to CONNECT; `None` if something came in it already.
    pub(super) fn into_tunnel(self) -> Option<Transport> {
        (self.input.is_empty() && !self.ended).then_some(self.transport)
    }

    #[cfg(feature = "tls")]
    pub(super) fn tls(&self) -> Option<std::rc::Rc<crate::tls::ConnectionInfo>> {
        self.transport.tls()
    }

    /// Sends what can be sent, and waits for what comes next of the answer.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Cause>> {
        loop {
            self.upload(cx)?;
            let (used, event) = self.decoder.feed(self.input.bytes())?;
            let data = match &event {
                ResponseEvent::Data(range) => Bytes::copy_from_slice(&self.input.bytes()[range.clone()]),
                _ => Bytes::new(),
            };
            self.input.consume(used);
            match event {
                ResponseEvent::NeedMore => {}
                ResponseEvent::Interim(head) => {
                    if head.status == 100 {
                        self.go_on();
                    }
                    self.arm_for_progress();
                    continue;
                }
                ResponseEvent::Head(head) => {
                    self.head_seen = true;
                    self.keep_alive &= head.keep_alive;
                    self.until_close = head.framing == ResponseFraming::UntilClose;
                    self.give_up_sending(head.status);
                    self.arm(self.timeouts.idle);
                    return Poll::Ready(Ok(Event::Head(head)));
                }
                ResponseEvent::Data(_) => {
                    self.arm(self.timeouts.idle);
                    self.hold();
                    return Poll::Ready(Ok(Event::Data(data)));
                }
                ResponseEvent::End(trailers) => return Poll::Ready(Ok(Event::End(trailers))),
            }
            if !self.input.is_empty() {
                continue;
            }
            if self.ended {
                match self.decoder.finish() {
                    Ok(()) => continue,
                    Err(error) => return Poll::Ready(Err(self.failure(error))),
                }
            }
            match self.transport.poll_receive(cx) {
                Poll::Ready(Ok(Incoming::Bytes(input))) => self.input = input,
                Poll::Ready(Ok(Incoming::End { announced })) => {
                    self.ended = true;
                    if self.until_close && !announced {
                        return Poll::Ready(Err(ResponseError::TruncatedBody { missing: None }.into()));
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Cause::Io(error))),
                Poll::Pending => {
                    if Pin::new(&mut self.timer).poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    match self.upload {
                        Upload::Waiting { .. } if !self.is_overdue() => self.go_on(),
                        _ => return Poll::Ready(Err(self.timeout())),
                    }
                }
            }
        }
    }

    /// Sends on, as far as the kernel and the body's source let it.
    fn upload(&mut self, cx: &mut Context<'_>) -> Result<(), Cause> {
        loop {
            match self.transport.poll_sent(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.break_off(error);
                    return Ok(());
                }
            }
            let sent = match &mut self.upload {
                Upload::Waiting { .. } | Upload::Done | Upload::Broken(_) => return Ok(()),
                Upload::Flushing => {
                    self.upload = Upload::Done;
                    self.arm_for_progress();
                    return Ok(());
                }
                Upload::Sending { rest, chunked, .. } if !rest.is_empty() => {
                    let piece = rest.split_to(rest.len().min(PIECE));
                    match chunked {
                        false => self.transport.submit_send(piece),
                        true => {
                            let mut chunk = PoolBuf::take();
                            encode::encode_chunk(&piece, &mut chunk);
                            self.transport.submit_send(chunk)
                        }
                    }
                }
                Upload::Sending { body, rest, chunked } => match body.poll_chunk(cx) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Some(Ok(bytes))) => {
                        *rest = bytes;
                        if !*chunked && body.is_empty() {
                            // Whether there is too much of it, which must not depend on when the answer comes.
                            match body.poll_chunk(cx) {
                                Poll::Ready(Some(Err(error))) => return Err(Cause::Body(error)),
                                Poll::Ready(_) => *body = Body::empty(),
                                Poll::Pending => {}
                            }
                        }
                        continue;
                    }
                    Poll::Ready(Some(Err(error))) => return Err(Cause::Body(error)),
                    Poll::Ready(None) => {
                        let mut end = PoolBuf::take();
                        if *chunked {
                            encode_trailers(&body.take_trailers().unwrap_or_default(), &mut end);
                        }
                        self.upload = Upload::Flushing;
                        match end.is_empty() {
                            true => Ok(()),
                            false => self.transport.submit_send(end),
                        }
                    }
                },
            };
            match sent {
                Ok(()) => self.arm_for_progress(),
                Err(error) => self.break_off(error),
            }
        }
    }

    fn break_off(&mut self, error: io::Error) {
        if !matches!(self.upload, Upload::Done | Upload::Broken(_)) {
            self.upload = Upload::Broken(Some(error));
        }
        self.keep_alive = false;
    }

    /// Sends the body that waited for a 100 response.
    fn go_on(&mut self) {
        self.upload = match std::mem::replace(&mut self.upload, Upload::Done) {
            Upload::Waiting { body, chunked } => Upload::Sending { body, rest: Bytes::new(), chunked },
            other => other,
        };
        self.arm_for_progress();
    }

    /// Sends no more of a body that the answer has made pointless (RFC 9112 section 9.5, RFC 9110 section 10.1.1).
    fn give_up_sending(&mut self, status: u16) {
        let pointless = match self.upload {
            Upload::Waiting { .. } => true,
            Upload::Sending { .. } => status >= 400 && !self.keep_alive,
            _ => false,
        };
        if pointless {
            self.upload = Upload::Broken(None);
            self.keep_alive = false;
        }
    }

    /// Why there is no answer, or not all of it, now that the connection has ended.
    fn failure(&mut self, error: ResponseError) -> Cause {
        match (&mut self.upload, error) {
            (Upload::Broken(cause), ResponseError::NoResponse) => match cause.take() {
                Some(cause) => Cause::Io(cause),
                None => error.into(),
            },
            _ => error.into(),
        }
    }

    fn arm_for_progress(&mut self) {
        match (&self.upload, self.head_seen) {
            (Upload::Done | Upload::Broken(_), false) => self.arm(self.timeouts.head),
            _ => self.arm(self.timeouts.idle),
        }
    }

    fn arm(&mut self, limit: Duration) {
        let now = time::now();
        let at = now.checked_add(limit).unwrap_or(now + FAR);
        self.timer.reset(self.deadline.map_or(at, |(deadline, _)| deadline.min(at)));
    }

    fn is_overdue(&self) -> bool {
        self.deadline.is_some_and(|(deadline, _)| deadline <= self.timer.deadline())
    }

    fn timeout(&self) -> Cause {
        let (what, limit) = match (&self.upload, self.deadline) {
            (_, Some((_, total))) if self.is_overdue() => ("the whole exchange", total),
            _ if self.head_seen => ("the next piece of the body", self.timeouts.idle),
            (Upload::Done | Upload::Broken(_), _) => ("the answer's head", self.timeouts.head),
            _ => ("sending the next piece of the request", self.timeouts.idle),
        };
        Cause::Timeout { what, limit }
    }
}

/// Stands for "never" where a time can't be represented.
const FAR: Duration = Duration::from_secs(365 * 86_400);

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
