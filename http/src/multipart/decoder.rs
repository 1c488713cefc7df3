//! Taking a multipart form apart, without a socket.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem;

use super::{Limits, MultipartError, PartHead};

/// What [`Decoder::next`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A part begins.
    Part(PartHead),
    /// Some of its content, never empty.
    Data(Bytes),
    /// The part is whole.
    PartEnd,
    /// [`Decoder::feed`] it with more, or tell its [`Decoder::end`].
    NeedMore,
    /// The form is whole; what comes behind it is thrown away (RFC 2046 section 5.1.1, the epilogue).
    End,
}

/// Takes a multipart form apart that arrives in pieces of any size.
///
/// It holds no more than one part's head, or the piece that was fed last and what may be the beginning of a delimiter.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// CRLF, two hyphens and the boundary.
    delimiter: memmem::Finder<'static>,
    buffer: BytesMut,
    limits: Limits,
    parts: usize,
    /// Bytes fed in all.
    total: u64,
    /// Bytes of the present part's content so far, and its name for the error.
    part: u64,
    name: String,
    /// Of the present part nothing was taken yet, and the line end of its head's empty line is still in the buffer.
    fresh: bool,
    /// Nothing more will be fed.
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first delimiter.
    Preamble,
    /// Behind a delimiter's boundary, in its line.
    DelimiterLine,
    Head,
    Data,
    Epilogue,
    Failed,
}

/// Bytes of a delimiter's line behind the boundary: nobody pads them.
const MOST_PADDING: usize = 64;

impl Decoder {
    /// A decoder of a form whose parts are delimited by this boundary; see [`boundary`](super::boundary()).
    pub fn new(boundary: &[u8], limits: Limits) -> Self {
        let delimiter = [b"\r\n--", boundary].concat();
        // The first delimiter may be at the very start, where the line end before it is left out.
        let buffer = BytesMut::from(&b"\r\n"[..]);
        Self {
            state: State::Preamble,
            delimiter: memmem::Finder::new(&delimiter).into_owned(),
            buffer,
            limits,
            parts: 0,
            total: 0,
            part: 0,
            name: String::new(),
            fresh: false,
            ended: false,
        }
    }

    /// Adds a piece of the body.
    ///
    /// # Errors
    /// [`MultipartError::TooLarge`] if the body is longer than [`Limits::total`].
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), MultipartError> {
        self.total = self.total.saturating_add(piece.len() as u64);
        if self.total > self.limits.total {
            return self.fail(MultipartError::TooLarge { limit: self.limits.total });
        }
        match self.state {
            State::Epilogue | State::Failed => {}
            _ => self.buffer.extend_from_slice(piece),
        }
        Ok(())
    }

    /// Tells that the body has ended.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next event.
    ///
    /// # Errors
    /// As soon as what was fed can't become a form within the limits. An error is final:
    /// [`MultipartError::Failed`] follows it.
    #[allow(clippy::should_implement_trait, reason = "it is fed between the calls, which no iterator is")]
    pub fn next(&mut self) -> Result<Event, MultipartError> {
        let step = match self.state {
            State::Preamble => self.preamble(),
            State::DelimiterLine => self.delimiter_line(),
            State::Head => self.head(),
            State::Data => self.data(),
            State::Epilogue => return Ok(Event::End),
            State::Failed => return Err(MultipartError::Failed),
        };
        match step {
            Ok(Event::NeedMore) if self.ended => self.fail(MultipartError::Incomplete),
            Ok(event) => Ok(event),
            Err(error) => self.fail(error),
        }
    }

    fn fail<T>(&mut self, error: MultipartError) -> Result<T, MultipartError> {
        self.state = State::Failed;
        self.buffer = BytesMut::new();
        Err(error)
    }

    fn preamble(&mut self) -> Result<Event, MultipartError> {
        let limit = self.limits.head;
        match self.delimiter.find(&self.buffer) {
            Some(at) if at <= limit => {
                self.buffer.advance(at + self.delimiter.needle().len());
                self.state = State::DelimiterLine;
                self.delimiter_line()
            }
            None if self.buffer.len() <= limit + self.delimiter.needle().len() => Ok(Event::NeedMore),
            _ => Err(MultipartError::Preamble { limit }),
        }
    }

    fn delimiter_line(&mut self) -> Result<Event, MultipartError> {
        match &self.buffer[..] {
            [b'-', b'-', ..] => {
                self.state = State::Epilogue;
                self.buffer = BytesMut::new();
                return Ok(Event::End);
            }
            [] | [b'-'] => return Ok(Event::NeedMore),
            _ => {}
        }
        let padding = self.buffer.iter().take_while(|byte| b" \t".contains(byte)).count();
        match &self.buffer[padding..] {
            _ if padding > MOST_PADDING => Err(MultipartError::Delimiter),
            [b'\r', b'\n', ..] => {
                // The line end stays: a part without fields has an empty line next.
                self.buffer.advance(padding);
                self.state = State::Head;
                self.head()
            }
            [] | [b'\r'] => Ok(Event::NeedMore),
            _ => Err(MultipartError::Delimiter),
        }
    }

    fn head(&mut self) -> Result<Event, MultipartError> {
        let limit = self.limits.head;
        // Before the fields there is the end of the delimiter's line.
        let most = limit.saturating_add(2);
        let searched = &self.buffer[..self.buffer.len().min(most)];
        let Some(at) = memmem::find(searched, b"\r\n\r\n") else {
            let is_long = searched.len() == most;
            return if is_long { Err(MultipartError::HeadTooLarge { limit }) } else { Ok(Event::NeedMore) };
        };
        if self.parts == self.limits.parts {
            return Err(MultipartError::TooManyParts { limit: self.limits.parts });
        }
        let head = PartHead::parse(&self.buffer[2..at + 4], &self.limits)?;
        // Where there is no content, the delimiter may begin with the line end of the empty line.
        self.buffer.advance(at + 2);
        self.fresh = true;
        self.parts += 1;
        self.part = 0;
        self.name = head.name().to_owned();
        self.state = State::Data;
        Ok(Event::Part(head))
    }

    fn data(&mut self) -> Result<Event, MultipartError> {
        let found = self.delimiter.find(&self.buffer);
        let mut end = found.unwrap_or_else(|| self.buffer.len() - self.begun_delimiter());
        if self.fresh && end > 0 {
            self.buffer.advance(2);
            self.fresh = false;
            end -= 2;
        }
        if end > 0 {
            self.part = self.part.saturating_add(end as u64);
            if self.part > self.limits.part {
                let name = std::mem::take(&mut self.name);
                return Err(MultipartError::PartTooLarge { name, limit: self.limits.part });
            }
            return Ok(Event::Data(self.buffer.split_to(end).freeze()));
        }
        if found.is_none() {
            return Ok(Event::NeedMore);
        }
        self.buffer.advance(self.delimiter.needle().len());
        self.state = State::DelimiterLine;
        Ok(Event::PartEnd)
    }

    /// How many bytes at the end of the buffer may be the beginning of a delimiter.
    fn begun_delimiter(&self) -> usize {
        let delimiter = self.delimiter.needle();
        let tail = &self.buffer[self.buffer.len().saturating_sub(delimiter.len() - 1)..];
        let begins = memchr::memchr_iter(b'\r', tail).find(|&at| delimiter.starts_with(&tail[at..]));
        begins.map_or(0, |at| tail.len() - at)
    }
}
