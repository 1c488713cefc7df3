//! Decoding whole responses as a client receives them, however the bytes are cut.

use std::ops::Range;

use http::{HeaderMap, Method, Version};

use super::response::{DecodedResponse, ResponseFraming, ResponseHead, ResponseHeadError, decode_response};
use super::{ChunkError, ChunkEvent, ChunkedDecoder, Limits};

/// Interim responses that may come before the final one; a server that sends more means no good.
const MAX_INTERIM: usize = 32;

/// What [`ResponseDecoder::feed`] found.
#[derive(Debug)]
pub enum ResponseEvent {
    /// All bytes were taken; feed what arrives next.
    NeedMore,
    /// An interim response (RFC 9110 section 15.2), after which another head comes.
    Interim(ReceivedHead),
    /// The final response's head.
    Head(ReceivedHead),
    /// These of the bytes fed are content.
    Data(Range<usize>),
    /// The response is over; the trailer fields, if there were any. What follows belongs to no request.
    End(Option<HeaderMap>),
}

/// A response's head, with its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedHead {
    /// The status code, from 100 to 999.
    pub status: u16,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The fields.
    pub fields: HeaderMap,
    /// How the end of the content is found.
    pub framing: ResponseFraming,
    /// Whether the connection may carry another request after this response.
    pub keep_alive: bool,
}

/// Why bytes are no response, or not a whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// The head breaks the grammar or a limit.
    #[error("the response's head is invalid: {0}")]
    Head(#[from] ResponseHeadError),
    /// The chunked framing breaks the grammar or a limit.
    #[error("the response's body is invalid: {0}")]
    Chunk(#[from] ChunkError),
    /// There were more than 32 interim responses.
    #[error("more than {MAX_INTERIM} interim responses came before the final one")]
    TooManyInterim,
    /// The server switches to a protocol that nobody asked for.
    #[error("the server switched to another protocol without having been asked")]
    UnaskedSwitch,
    /// The connection ended before the first byte.
    #[error("the connection ended before a response came")]
    NoResponse,
    /// The connection ended within the head.
    #[error("the connection ended within the response's head")]
    TruncatedHead,
    /// The connection ended within the body.
    #[error("the connection ended within the response's body{}", missing.map(|missing| format!(", {missing} bytes early")).unwrap_or_default())]
    TruncatedBody {
        /// How many bytes are missing, where Content-Length tells.
        missing: Option<u64>,
    },
}

/// Decodes the response to one request: a value that bytes go into and events come out of.
///
/// However the bytes are cut, the events are the same, but that content comes in the pieces in which it was fed. Each
/// byte of a head is looked at a bounded number of times, also when it trickles in.
#[derive(Clone, Debug)]
pub struct ResponseDecoder {
    method: Method,
    limits: Limits,
    state: State,
    /// The beginning of a head whose end has not come.
    partial: Vec<u8>,
    /// There is a line end in it.
    line_seen: bool,
    interim: usize,
    begun: bool,
}

#[derive(Clone, Debug)]
enum State {
    Head,
    Length(u64),
    Chunked(Box<ChunkedDecoder>),
    UntilClose,
    Done,
    Failed(ResponseError),
}

impl ResponseDecoder {
    /// A decoder for the answer to a request of this method. Of the limits, those on heads, fields (100 at most),
    /// chunks and trailers hold; the length of content is for those who read it to bound.
    pub fn new(method: Method, limits: &Limits) -> Self {
        Self {
            method,
            limits: limits.clone(),
            state: State::Head,
            partial: Vec::new(),
            line_seen: false,
            interim: 0,
            begun: false,
        }
    }

    /// Whether any byte of an answer was seen.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether the response is over.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The bytes of content still to come, where the framing tells.
    pub fn remaining(&self) -> Option<u64> {
        match &self.state {
            State::Length(left) => Some(*left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// Decodes on, up to the next event. Returns how many of the bytes are done with; feed the rest again.
    ///
    /// Call it with no bytes to learn of an end that needs none. After [`ResponseEvent::End`] it takes nothing.
    ///
    /// # Errors
    /// As soon as the bytes can be no response. The error is final, and told again.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(usize, ResponseEvent), ResponseError> {
        self.begun |= !bytes.is_empty();
        let outcome = self.step(bytes);
        if let Err(error) = &outcome {
            self.state = State::Failed(*error);
            self.partial = Vec::new();
        }
        outcome
    }

    fn step(&mut self, bytes: &[u8]) -> Result<(usize, ResponseEvent), ResponseError> {
        match &mut self.state {
            State::Failed(error) => Err(*error),
            State::Done => Ok((0, ResponseEvent::End(None))),
            State::Head => self.head(bytes),
            State::UntilClose => Ok(data_or_more(bytes.len())),
            State::Length(0) => {
                self.state = State::Done;
                Ok((0, ResponseEvent::End(None)))
            }
            State::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= here as u64;
                Ok(data_or_more(here))
            }
            State::Chunked(decoder) => match decoder.feed(bytes)? {
                ChunkEvent::Data(range) => Ok((range.end, ResponseEvent::Data(range))),
                ChunkEvent::NeedMore => Ok((bytes.len(), ResponseEvent::NeedMore)),
                ChunkEvent::Done(end) => {
                    let trailers = decoder.take_trailers();
                    self.state = State::Done;
                    Ok((end, ResponseEvent::End(trailers)))
                }
            },
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<(usize, ResponseEvent), ResponseError> {
        if bytes.is_empty() {
            return Ok((0, ResponseEvent::NeedMore));
        }
        let begun = self.partial.len();
        let here = &bytes[..bytes.len().min(self.limits.head.saturating_sub(begun))];
        if begun == 0 {
            let mut fields = HeaderMap::new();
            match decode_response(here, &self.method, self.limits.head, &mut fields)? {
                DecodedResponse::Complete { head, consumed } => return self.begin(&head, fields, consumed),
                DecodedResponse::Partial => {}
            }
            self.line_seen = memchr::memchr(b'\n', here).is_some();
            self.partial.extend_from_slice(here);
            return Ok((here.len(), ResponseEvent::NeedMore));
        }
        self.partial.extend_from_slice(here);
        // Decoded again only where that can tell something new: at the end of the first line, of the head, or of
        // what a head may have.
        let new = &self.partial[begun.saturating_sub(2)..];
        let first_line = !self.line_seen && memchr::memchr(b'\n', here).is_some();
        self.line_seen |= first_line;
        let ends = memchr::memchr_iter(b'\n', new)
            .any(|at| matches!(new[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]));
        if !first_line && !ends && self.partial.len() < self.limits.head {
            return Ok((here.len(), ResponseEvent::NeedMore));
        }
        let mut fields = HeaderMap::new();
        match decode_response(&self.partial, &self.method, self.limits.head, &mut fields)? {
            DecodedResponse::Partial => Ok((here.len(), ResponseEvent::NeedMore)),
            DecodedResponse::Complete { head, consumed } => {
                self.partial = Vec::new();
                self.begin(&head, fields, consumed.saturating_sub(begun))
            }
        }
    }

    fn begin(
        &mut self,
        head: &ResponseHead,
        fields: HeaderMap,
        used: usize,
    ) -> Result<(usize, ResponseEvent), ResponseError> {
        if fields.len() > self.limits.fields {
            return Err(ResponseHeadError::TooManyFields.into());
        }
        let received = ReceivedHead {
            status: head.status,
            version: if head.minor_version == 0 { Version::HTTP_10 } else { Version::HTTP_11 },
            fields,
            framing: head.framing,
            keep_alive: head.keep_alive,
        };
        if head.is_interim() {
            self.interim += 1;
            return match self.interim > MAX_INTERIM {
                true => Err(ResponseError::TooManyInterim),
                false => Ok((used, ResponseEvent::Interim(received))),
            };
        }
        if head.status == 101 {
            return Err(ResponseError::UnaskedSwitch);
        }
        self.state = match head.framing {
            ResponseFraming::None => State::Length(0),
            ResponseFraming::Length(length) => State::Length(length),
            ResponseFraming::Chunked => State::Chunked(Box::new(ChunkedDecoder::new(&self.limits))),
            ResponseFraming::UntilClose => State::UntilClose,
        };
        Ok((used, ResponseEvent::Head(received)))
    }

    /// Says that the connection has ended. It is `Ok` if that is where the response ends.
    ///
    /// # Errors
    /// When something is missing, or what came was no response.
    pub fn finish(&mut self) -> Result<(), ResponseError> {
        let error = match &self.state {
            State::Failed(error) => *error,
            State::Done | State::Length(0) => return Ok(()),
            State::UntilClose => {
                self.state = State::Done;
                return Ok(());
            }
            State::Length(left) => ResponseError::TruncatedBody { missing: Some(*left) },
            State::Chunked(_) => ResponseError::TruncatedBody { missing: None },
            State::Head if !self.has_begun() => ResponseError::NoResponse,
            State::Head => {
                let decoded =
                    decode_response(&self.partial, &self.method, self.limits.head, &mut HeaderMap::new());
                decoded.err().map_or(ResponseError::TruncatedHead, ResponseError::Head)
            }
        };
        self.state = State::Failed(error);
        Err(error)
    }
}

fn data_or_more(length: usize) -> (usize, ResponseEvent) {
    match length {
        0 => (0, ResponseEvent::NeedMore),
        _ => (length, ResponseEvent::Data(0..length)),
    }
}

#[cfg(test)]
#[path = "response_decoder_tests.rs"]
mod tests;
