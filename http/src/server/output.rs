//! Getting answers onto the wire.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use covet_runtime::buf::SendBuf;

use super::Event;
use super::calling::{isolate, poll_chunk};
use super::link::Link;
use crate::h1::encode;
use crate::h1::response::ResponseFraming;
use crate::h1::trailers::encode_trailers;
use crate::{Body, BodyError, FixedBody};

/// Answers up to this size are copied behind their head: one send costs more than copying this much.
pub(super) const COPY: usize = 32 * 1024;
/// Output that has reached this size is sent before more is made, and a client has the write time limit for so much,
/// which bounds how slowly it may read.
pub(super) const PIECE: usize = 64 * 1024;
/// Bytes that go out as they are, without a copy, are sent in pieces of this size: each costs a turn and a wake-up.
const LARGE_PIECE: usize = 256 * 1024;

/// Why an answer could not be sent whole; the connection is of no further use.
#[derive(Debug)]
pub(super) enum SendFailure {
    /// It could not be sent, or the client did not read in time.
    Connection,
    /// The client has gone while the body was made.
    Client,
    /// The body failed.
    Body(BodyError),
}

impl From<io::Error> for SendFailure {
    fn from(_: io::Error) -> SendFailure {
        SendFailure::Connection
    }
}

impl Link {
    /// Sends the output, if there is any, and does not wait until it is sent.
    #[inline]
    #[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
    pub(super) fn send_output(&self) -> impl Future<Output = io::Result<()>> {
        async move {
            if let Some(sent) = self.try_send_output() {
                return sent;
            }
            self.sent().await?;
            self.try_send_output().unwrap_or(Ok(()))
        }
    }

    /// As [`Link::send_output`], if that is possible without waiting; else it is to be waited for.
    #[inline(always)]
    pub(super) fn try_send_output(&self) -> Option<io::Result<()>> {
        let mut output = self.output.borrow_mut();
        if output.as_ref().is_none_or(|output| output.is_empty()) {
            return Some(Ok(()));
        }
        if self.stream.is_sending() {
            return None;
        }
        let output = output.take()?;
        self.has_begun.set(true);
        Some(self.stream.submit_send(output))
    }

    /// Sends the output if no send is under way; for use where waiting is not possible.
    pub(super) fn send_output_now(&self) -> io::Result<()> {
        self.try_send_output().unwrap_or(Ok(()))
    }

    /// Waits until the kernel has taken the last send, at most as long as a client may take to read.
    #[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
    pub(super) fn sent(&self) -> impl Future<Output = io::Result<()>> {
        async move {
            self.set_timer(self.shared.config.timeouts.write);
            let outcome = match self.sends_large_piece.take() {
                true => Box::pin(self.large_piece_sent()).await,
                false => poll_fn(|cx| self.poll_sent_in_time(cx)).await,
            };
            if outcome.as_ref().err().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
                self.shared.config.counts.add(Event::WriteTimeout);
            }
            outcome
        }
    }

    /// The client has the time for each part of it that is as large as a usual piece.
    async fn large_piece_sent(&self) -> io::Result<()> {
        let mut taken = self.stream.bytes_acked();
        loop {
            let outcome = poll_fn(|cx| self.poll_sent_in_time(cx)).await;
            let now = match &outcome {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => self.stream.bytes_acked(),
                _ => return outcome,
            };
            if now < taken + PIECE as u64 {
                return outcome;
            }
            taken = now;
            self.set_timer(self.shared.config.timeouts.write);
        }
    }

    fn poll_sent_in_time(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(outcome) = self.stream.poll_sent(cx) {
            return Poll::Ready(outcome);
        }
        // Nothing of the kernel's is kept while a slow client takes its time.
        self.input.borrow_mut().hold();
        self.poll_timer(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Queues or sends the body that follows an encoded head.
    #[inline]
    pub(super) async fn send_body(
        &self,
        body: Body,
        framing: ResponseFraming,
        trailers: bool,
    ) -> Result<(), SendFailure> {
        if framing == ResponseFraming::None {
            return Ok(());
        }
        match body.into_fixed() {
            Ok(fixed) if fixed.as_ref().len() <= COPY => {
                self.with_output(|output| output.extend_from_slice(fixed.as_ref()));
                if self.output_len() >= PIECE {
                    self.send_output().await?;
                }
                Ok(())
            }
            Ok(fixed) => Ok(Box::pin(self.send_large(into_bytes(fixed))).await?),
            Err(mut body) => {
                let outcome = Box::pin(self.send_stream(&mut body, framing, trailers)).await;
                isolate(&self.shared.config, || drop(body));
                outcome
            }
        }
    }

    /// Sends bytes without copying them, a piece at a time.
    async fn send_large(&self, mut bytes: Bytes) -> io::Result<()> {
        self.send_output().await?;
        let most = if self.stream.takes_large_pieces() { LARGE_PIECE } else { PIECE };
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(most));
            if self.stream.is_sending() {
                self.sent().await?;
            }
            self.sends_large_piece.set(piece.len() > PIECE);
            self.stream.submit_send(SendBuf::Bytes(piece))?;
        }
        Ok(())
    }

    /// The next piece of a body that is made while it is sent.
    fn poll_piece(&self, body: &mut Body, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, SendFailure>> {
        if let Poll::Ready(polled) = poll_chunk(&self.shared.config, body, cx) {
            return Poll::Ready(polled.transpose().map_err(SendFailure::Body));
        }
        if self.output_len() > 0 {
            // What is there goes out while the application makes more; while a send is under way, its end is waited
            // for as well.
            if let Poll::Ready(Err(error)) = self.stream.poll_sent(cx) {
                return Poll::Ready(Err(error.into()));
            }
            self.send_output_now()?;
        }
        if self.is_client_gone(cx) { Poll::Ready(Err(SendFailure::Client)) } else { Poll::Pending }
    }

    async fn send_stream(
        &self,
        body: &mut Body,
        framing: ResponseFraming,
        trailers: bool,
    ) -> Result<(), SendFailure> {
        let chunked = framing == ResponseFraming::Chunked;
        loop {
            let piece = poll_fn(|cx| self.poll_piece(body, cx)).await?;
            if piece.is_some() {
                self.has_begun.set(true);
            }
            match piece {
                None => break,
                Some(bytes) if bytes.len() <= COPY => self.with_output(|output| {
                    if chunked {
                        encode::encode_chunk(&bytes, output);
                    } else {
                        output.extend_from_slice(&bytes);
                    }
                }),
                Some(bytes) => {
                    if let (true, Some(length)) = (chunked, std::num::NonZeroUsize::new(bytes.len())) {
                        self.with_output(|output| encode::encode_chunk_size(length, output));
                    }
                    self.send_large(bytes).await?;
                    if chunked {
                        self.with_output(|output| output.extend_from_slice(encode::CHUNK_END));
                    }
                }
            }
            if self.output_len() >= PIECE {
                self.send_output().await?;
            }
        }
        if chunked {
            self.with_output(|output| match body.take_trailers() {
                Some(fields) if trailers => encode_trailers(&fields, output),
                _ => output.extend_from_slice(encode::LAST_CHUNK),
            });
        }
        Ok(())
    }
}

fn into_bytes(body: FixedBody) -> Bytes {
    match body {
        FixedBody::Static(bytes) => Bytes::from_static(bytes),
        FixedBody::Bytes(bytes) => bytes,
        FixedBody::Vec(bytes) => bytes.into(),
    }
}
