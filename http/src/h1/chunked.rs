//! Decoding chunked content (RFC 9112 section 7.1).

use std::ops::Range;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Limits;
use super::request_line::is_token_byte;

/// What [`ChunkedDecoder::feed`] found; positions are in the bytes it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkEvent {
    /// These bytes are content. Feed what follows them next.
    Data(Range<usize>),
    /// All bytes were framing and are done with; feed what arrives next.
    NeedMore,
    /// The content ended, trailers included, before this position; what follows is the next message.
    Done(usize),
}

/// Why chunked content is malformed; the connection is to be closed after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// A chunk size is no hexadecimal number, or not below 2^64.
    #[error("invalid chunk size")]
    Size,
    /// A chunk extension has a control character, such as a bare CR or LF.
    #[error("invalid chunk extension")]
    Extension,
    /// A line, or a chunk's data, does not end in CRLF.
    #[error("missing line end in chunked content")]
    LineEnd,
    /// A chunk-size line is longer than [`Limits::chunk_line`].
    #[error("chunk-size line is too long")]
    LineTooLong,
    /// All chunk extensions together are longer than [`Limits::chunk_extensions`].
    #[error("chunk extensions are too long")]
    ExtensionsTooLong,
    /// A trailer field is malformed.
    #[error("invalid trailer field")]
    Trailer,
    /// The trailer section exceeds [`Limits::trailers`] or [`Limits::trailer_fields`].
    #[error("trailer section is too long")]
    TrailersTooLong,
}

impl From<ChunkError> for crate::BodyError {
    fn from(error: ChunkError) -> Self {
        match error {
            ChunkError::TrailersTooLong => Self::TrailersTooLarge,
            error => Self::Malformed(Box::new(error)),
        }
    }
}

/// Takes chunked framing off content that arrives in pieces of any size.
///
/// It copies no content: that is told as ranges of what was fed. Trailer fields are checked and kept, see
/// [`ChunkedDecoder::take_trailers`].
#[derive(Clone, Debug)]
pub struct ChunkedDecoder {
    state: State,
    /// Bytes of the current chunk still to come, or its size as far as it was read.
    remaining: u64,
    /// Bytes of the current chunk-size line.
    line: usize,
    extensions: usize,
    /// The trailer section as far as it was read, without the empty line that ends it.
    trailers: Vec<u8>,
    trailer_fields: usize,
    limits: ChunkLimits,
}

/// More bytes of trailers than this are never accepted: any field name among them fits into a header map.
const MAX_TRAILERS: usize = u16::MAX as usize;

#[derive(Clone, Copy, Debug)]
struct ChunkLimits {
    line: usize,
    extensions: usize,
    trailers: usize,
    trailer_fields: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    SizeStart,
    Size,
    /// In blanks behind the size, which only an extension may follow.
    SizeBlank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line, or of the empty line that ends the content.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
    Failed(ChunkError),
}

impl ChunkedDecoder {
    /// A decoder for one message's content.
    pub fn new(limits: &Limits) -> Self {
        Self {
            state: State::SizeStart,
            remaining: 0,
            line: 0,
            extensions: 0,
            trailers: Vec::new(),
            trailer_fields: 0,
            limits: ChunkLimits {
                line: limits.chunk_line,
                extensions: limits.chunk_extensions,
                trailers: limits.trailers.min(MAX_TRAILERS),
                trailer_fields: limits.trailer_fields,
            },
        }
    }

    /// Whether the content's end was seen.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The trailer fields, once the content's end was seen and if there were any; the next call has none.
    ///
    /// They are what the sender said after the content, and nobody may merge them into the head
    /// (RFC 9110 section 6.5.1): a length, a host or a credential among them means nothing.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        if !self.is_done() || self.trailers.is_empty() {
            return None;
        }
        let section = std::mem::take(&mut self.trailers);
        let lines = section.split(|&byte| byte == b'\n').filter_map(|line| line.strip_suffix(b"\r"));
        let mut fields = HeaderMap::with_capacity(self.trailer_fields);
        for line in lines {
            let colon = memchr::memchr(b':', line).expect("a decoded trailer line has a colon");
            let name =
                HeaderName::from_bytes(&line[..colon]).expect("a decoded trailer name is a short token");
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii())
                .expect("a decoded trailer value has no control characters");
            fields.append(name, value);
        }
        Some(fields)
    }

    /// Decodes on, up to the next piece of content.
    ///
    /// After [`ChunkEvent::Done`] it consumes nothing more; an error is final, and told again.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<ChunkEvent, ChunkError> {
        let mut at = 0;
        loop {
            match self.state {
                State::Done => return Ok(ChunkEvent::Done(at)),
                State::Failed(error) => return Err(error),
                State::Data if at < bytes.len() => return Ok(self.data(at, bytes.len())),
                _ => {}
            }
            let Some(&byte) = bytes.get(at) else { return Ok(ChunkEvent::NeedMore) };
            at += 1;
            match self.step(byte) {
                Ok(state) => self.state = state,
                Err(error) => self.state = State::Failed(error),
            }
        }
    }

    fn step(&mut self, byte: u8) -> Result<State, ChunkError> {
        match self.state {
            State::SizeStart | State::Size | State::SizeBlank | State::Extension => self.size_line(byte),
            State::SizeLf => self.size_end(byte),
            State::DataCr => expect(byte, b'\r', State::DataLf),
            State::DataLf => expect(byte, b'\n', State::SizeStart),
            _ => self.trailer(byte),
        }
    }

    /// The part of the current chunk that is in `at..end`.
    fn data(&mut self, at: usize, end: usize) -> ChunkEvent {
        let length = usize::try_from(self.remaining).map_or(end - at, |remaining| remaining.min(end - at));
        self.remaining -= length as u64;
        if self.remaining == 0 {
            self.state = State::DataCr;
        }
        ChunkEvent::Data(at..at + length)
    }

    fn size_line(&mut self, byte: u8) -> Result<State, ChunkError> {
        if byte == b'\r' && matches!(self.state, State::Size | State::Extension) {
            return Ok(State::SizeLf);
        }
        self.line += 1;
        if self.line > self.limits.line {
            return Err(ChunkError::LineTooLong);
        }
        let state = match (self.state, byte) {
            (State::SizeStart | State::Size, _) if byte.is_ascii_hexdigit() => {
                let digit = (byte as char).to_digit(16).expect("the byte is a hexadecimal digit");
                let size = self.remaining.checked_mul(16).ok_or(ChunkError::Size)?;
                self.remaining = size | u64::from(digit);
                return Ok(State::Size);
            }
            (State::Size | State::SizeBlank, b';') => State::Extension,
            (State::Size | State::SizeBlank, b' ' | b'\t') => State::SizeBlank,
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => State::Extension,
            (State::Extension, _) => return Err(ChunkError::Extension),
            _ => return Err(ChunkError::Size),
        };
        self.extensions += 1;
        if self.extensions > self.limits.extensions {
            return Err(ChunkError::ExtensionsTooLong);
        }
        Ok(state)
    }

    fn size_end(&mut self, byte: u8) -> Result<State, ChunkError> {
        self.line = 0;
        expect(byte, b'\n', if self.remaining == 0 { State::TrailerStart } else { State::Data })
    }

    fn trailer(&mut self, byte: u8) -> Result<State, ChunkError> {
        match (self.state, byte) {
            (State::TrailerStart, b'\r') => return Ok(State::EndLf),
            (State::EndLf, _) => return expect(byte, b'\n', State::Done),
            _ => {}
        }
        if self.trailers.len() >= self.limits.trailers {
            return Err(ChunkError::TrailersTooLong);
        }
        self.trailers.push(byte);
        match (self.state, byte) {
            (State::TrailerStart, byte) if is_token_byte(byte) => {
                self.trailer_fields += 1;
                if self.trailer_fields > self.limits.trailer_fields {
                    return Err(ChunkError::TrailersTooLong);
                }
                Ok(State::TrailerName)
            }
            (State::TrailerName, byte) if is_token_byte(byte) => Ok(State::TrailerName),
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => Ok(State::TrailerValue),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerLf, byte) => expect(byte, b'\n', State::TrailerStart),
            _ => Err(ChunkError::Trailer),
        }
    }
}

fn expect(byte: u8, expected: u8, next: State) -> Result<State, ChunkError> {
    if byte == expected { Ok(next) } else { Err(ChunkError::LineEnd) }
}
