//! A multipart form read from a body.

use bytes::Bytes;

use super::{Decoder, Event, Limits, MultipartError, PartHead, boundary};
use crate::Body;

/// A multipart form that is still arriving.
#[derive(Debug)]
pub struct Multipart {
    decoder: Decoder,
    body: Body,
    /// A part has begun and its end was not seen.
    in_part: bool,
}

impl Multipart {
    /// Reads `body`, whose Content-Type is given, as a form.
    ///
    /// # Errors
    /// [`MultipartError::ContentType`] and [`MultipartError::Boundary`]; [`MultipartError::TooLarge`] if the length of
    /// the body is known and over the limit.
    pub fn new(content_type: &[u8], body: Body, limits: Limits) -> Result<Self, MultipartError> {
        let boundary = boundary(content_type)?;
        if body.exact_length().is_some_and(|length| length > limits.total) {
            return Err(MultipartError::TooLarge { limit: limits.total });
        }
        Ok(Self { decoder: Decoder::new(&boundary, limits), body, in_part: false })
    }

    /// The next part; `None` after the last. What was not read of the part before is thrown away.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// Whatever [`MultipartError`] lists; the form is of no further use then.
    pub async fn next_part(&mut self) -> Result<Option<Part<'_>>, MultipartError> {
        while self.in_part {
            self.data().await?;
        }
        let head = match self.event().await? {
            Event::Part(head) => head,
            _ => return Ok(None),
        };
        self.in_part = true;
        Ok(Some(Part { form: self, head }))
    }

    /// The next event but [`Event::NeedMore`].
    async fn event(&mut self) -> Result<Event, MultipartError> {
        loop {
            match self.decoder.next()? {
                Event::NeedMore => match self.body.chunk().await {
                    Some(piece) => self.decoder.feed(&piece?)?,
                    None => self.decoder.end(),
                },
                Event::End => {
                    // The epilogue is not wanted, but a fault in the framing behind it is.
                    while let Some(piece) = self.body.chunk().await {
                        self.decoder.feed(&piece?)?;
                    }
                    return Ok(Event::End);
                }
                event => return Ok(event),
            }
        }
    }

    /// The next piece of the present part; `None` at its end.
    async fn data(&mut self) -> Result<Option<Bytes>, MultipartError> {
        if !self.in_part {
            return Ok(None);
        }
        match self.event().await? {
            Event::Data(piece) => Ok(Some(piece)),
            _ => {
                self.in_part = false;
                Ok(None)
            }
        }
    }
}

/// A part of a form, whose content is read from the connection as it is asked for.
///
/// It derefs to its [`PartHead`]. Dropping it leaves the rest of its content to [`Multipart::next_part`].
#[derive(Debug)]
pub struct Part<'a> {
    form: &'a mut Multipart,
    head: PartHead,
}

impl std::ops::Deref for Part<'_> {
    type Target = PartHead;

    fn deref(&self) -> &PartHead {
        &self.head
    }
}

impl Part<'_> {
    /// The next piece of the content, never empty; `None` at its end.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// Whatever [`MultipartError`] lists.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, MultipartError> {
        self.form.data().await
    }

    /// The rest of the content, which may be at most `limit` bytes long.
    ///
    /// What was read is lost if the future is dropped.
    ///
    /// # Errors
    /// [`MultipartError::PartTooLarge`], and whatever else [`MultipartError`] lists.
    pub async fn bytes(&mut self, limit: usize) -> Result<Bytes, MultipartError> {
        let too_large = |head: &PartHead| MultipartError::PartTooLarge {
            name: head.name().to_owned(),
            limit: limit as u64,
        };
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        if first.len() > limit {
            return Err(too_large(&self.head));
        }
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let mut whole = Vec::from(first);
        let mut next = Some(second);
        while let Some(piece) = next {
            if piece.len() > limit - whole.len() {
                return Err(too_large(&self.head));
            }
            whole.extend_from_slice(&piece);
            next = self.chunk().await?;
        }
        Ok(whole.into())
    }

    /// The rest of the content as text, of at most [`Limits::part`] bytes.
    ///
    /// # Errors
    /// [`MultipartError::NotUtf8`] if it is no UTF-8 or says that it is something else, and whatever else
    /// [`MultipartError`] lists.
    pub async fn text(&mut self) -> Result<String, MultipartError> {
        let not_utf8 = |head: &PartHead| MultipartError::NotUtf8 { name: head.name().to_owned() };
        if self.head.has_other_charset() {
            return Err(not_utf8(&self.head));
        }
        let bytes = self.bytes(usize::MAX).await?;
        String::from_utf8(Vec::from(bytes)).map_err(|_| not_utf8(&self.head))
    }
}
