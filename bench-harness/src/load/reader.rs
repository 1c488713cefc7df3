//! Responses out of a stream of received pieces, however the pieces are cut.

use covet_http::Method;
use covet_http::h1::response::{
    DecodedResponse, ResponseFraming, ResponseHead, ResponseHeadError, decode_response_head,
};
use covet_http::h1::{ChunkError, ChunkEvent, ChunkedDecoder, Limits};
use thiserror::Error;

/// Bytes that a response head may have.
const HEAD_LIMIT: usize = 64 * 1024;

/// One whole response, as far as a load generator cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Bytes of the body, chunk framing not counted.
    pub(super) body: u64,
    /// What its content comes to, where the protocol's answers repeat their requests; zero in others.
    pub(super) mark: u32,
    /// Whether the connection may carry another request.
    pub(super) keep_alive: bool,
}

/// Why bytes are not a response.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum ReadError {
    #[error(transparent)]
    Head(#[from] ResponseHeadError),
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    #[error("101 Switching Protocols without having been asked")]
    SwitchedProtocol,
    /// The peer said that it closes the connection.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer does not agree to the protocol.
    #[error("the server answered the handshake with {0}")]
    Handshake(String),
    /// The handler of answers refused one.
    #[error("{0}")]
    Refused(&'static str),
}

/// The last head that was decoded, so that its exact repetition need not be.
///
/// A server under load answers the same bytes over and over, with a Date that changes once a second. One memo
/// serves all connections of a core.
#[derive(Debug, Default)]
pub(super) struct HeadMemo {
    bytes: Vec<u8>,
    head: Option<ResponseHead>,
}

impl HeadMemo {
    /// The head at the start of `buf` if it is the remembered one, and its length.
    #[inline]
    fn recall(&self, buf: &[u8]) -> Option<(ResponseHead, usize)> {
        let head = self.head?;
        buf.starts_with(&self.bytes).then_some((head, self.bytes.len()))
    }

    fn remember(&mut self, bytes: &[u8], head: ResponseHead) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.head = Some(head);
    }
}

/// Reads the responses of one connection: HTTP/1.1, as a [`Protocol`](super::protocol::Protocol).
#[derive(Debug, Default)]
pub(super) struct ResponseReader {
    state: State,
    /// The beginning of a head whose end has not come yet.
    partial: Vec<u8>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    Length {
        answer: Answer,
        left: u64,
    },
    Chunked {
        answer: Answer,
        decoder: Box<ChunkedDecoder>,
    },
    UntilClose {
        answer: Answer,
    },
}

impl ResponseReader {
    /// Reads the next received piece and hands out every response that it completes, in order.
    ///
    /// # Errors
    /// When the bytes are no response, or `on_answer` refuses one; the connection is of no further use then.
    pub(super) fn read(
        &mut self,
        mut buf: &[u8],
        memo: &mut HeadMemo,
        method: &Method,
        mut on_answer: impl FnMut(Answer) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        while !buf.is_empty() {
            match &mut self.state {
                State::Head => {
                    let Some((head, used)) = self.read_head(buf, memo, method)? else { return Ok(()) };
                    buf = &buf[used..];
                    if let Some(answer) = self.begin_body(&head)? {
                        on_answer(answer)?;
                    }
                }
                State::Length { answer, left } => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(buf.len());
                    *left -= here as u64;
                    buf = &buf[here..];
                    if *left == 0 {
                        let answer = *answer;
                        self.state = State::Head;
                        on_answer(answer)?;
                    }
                }
                State::Chunked { answer, decoder } => match decoder.feed(buf)? {
                    ChunkEvent::Data(range) => {
                        answer.body += range.len() as u64;
                        buf = &buf[range.end..];
                    }
                    ChunkEvent::NeedMore => return Ok(()),
                    ChunkEvent::Done(end) => {
                        let answer = *answer;
                        self.state = State::Head;
                        buf = &buf[end..];
                        on_answer(answer)?;
                    }
                },
                State::UntilClose { answer } => {
                    answer.body += buf.len() as u64;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether some of a response has come, and not all of it.
    #[inline]
    pub(super) fn is_inside(&self) -> bool {
        !matches!(self.state, State::Head) || !self.partial.is_empty()
    }

    /// The response that the end of the connection completes, if there is one.
    pub(super) fn finish(&mut self) -> Option<Answer> {
        match std::mem::take(&mut self.state) {
            State::UntilClose { answer } => Some(answer),
            _ => None,
        }
    }

    /// Decodes a head and says how many bytes of `buf` it took; `None` when it goes on after `buf`.
    #[inline]
    fn read_head(
        &mut self,
        buf: &[u8],
        memo: &mut HeadMemo,
        method: &Method,
    ) -> Result<Option<(ResponseHead, usize)>, ReadError> {
        if self.partial.is_empty()
            && let Some(known) = memo.recall(buf)
        {
            return Ok(Some(known));
        }
        self.decode_head(buf, memo, method)
    }

    #[cold]
    fn decode_head(
        &mut self,
        buf: &[u8],
        memo: &mut HeadMemo,
        method: &Method,
    ) -> Result<Option<(ResponseHead, usize)>, ReadError> {
        let before = self.partial.len();
        let whole: &[u8] = if before == 0 {
            buf
        } else {
            self.partial.extend_from_slice(buf);
            // A head ends with a line feed: without a new one there is nothing to decode again.
            if !buf.contains(&b'\n') && self.partial.len() <= HEAD_LIMIT {
                return Ok(None);
            }
            &self.partial
        };
        match decode_response_head(whole, method, HEAD_LIMIT)? {
            DecodedResponse::Complete { head, consumed } => {
                memo.remember(&whole[..consumed], head);
                self.partial.clear();
                Ok(Some((head, consumed - before)))
            }
            DecodedResponse::Partial => {
                if before == 0 {
                    self.partial.extend_from_slice(buf);
                }
                Ok(None)
            }
        }
    }

    /// Enters the body, or returns the answer where there is none to wait for.
    #[inline]
    fn begin_body(&mut self, head: &ResponseHead) -> Result<Option<Answer>, ReadError> {
        let answer = Answer { status: head.status, body: 0, mark: 0, keep_alive: head.keep_alive };
        match head.framing {
            ResponseFraming::None if head.is_interim() => {}
            ResponseFraming::None if head.status == 101 => return Err(ReadError::SwitchedProtocol),
            ResponseFraming::None | ResponseFraming::Length(0) => return Ok(Some(answer)),
            ResponseFraming::Length(left) => {
                self.state = State::Length { answer: Answer { body: left, ..answer }, left };
            }
            ResponseFraming::Chunked => {
                let decoder = Box::new(ChunkedDecoder::new(&Limits::default()));
                self.state = State::Chunked { answer, decoder };
            }
            ResponseFraming::UntilClose => self.state = State::UntilClose { answer },
        }
        Ok(None)
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
