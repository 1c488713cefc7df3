//! Decoding request heads.

use http::Version;

use super::request_line::{self, RequestLine};
use super::scan::Scan;
use super::{Head, HeadError, Limits, fields, framing};

/// What a call of [`decode_request`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// The head is whole and was decoded.
    Complete {
        /// Bytes of the buffer that the head took, empty lines before it included.
        consumed: usize,
    },
    /// The head goes on after the bytes given.
    Partial,
}

/// Decodes the request head at the start of `buf` into `head`.
///
/// After [`Decoded::Partial`], call again with the same bytes and more behind them, or [`Head::clear`] it
/// first: what was looked at is not looked at again, so a head that trickles in costs no more than one that
/// comes whole. Until then the accessors of `head` still show the request before. Limits hold for heads
/// without an end, too. After an error `head` is empty, and the connection is to be closed after the answer.
///
/// If the field block equals that of the last request decoded into `head`, byte for byte, then so do the
/// fields and all that follows from them, and they are not parsed again.
#[inline]
pub fn decode_request(buf: &[u8], head: &mut Head, limits: &Limits) -> Result<Decoded, HeadError> {
    match remembered(buf, head, limits) {
        Some(consumed) => Ok(Decoded::Complete { consumed }),
        None => decode_slowly(buf, head, limits),
    }
}

/// Decodes a request that is like the last one; `None` if it is not, or not to the letter of the limits.
#[inline(always)]
fn remembered(buf: &[u8], head: &mut Head, limits: &Limits) -> Option<usize> {
    if !limits.memo || head.scan.examined > 0 {
        return None;
    }
    if let Some(consumed) = head.repeated(buf, limits) {
        return Some(consumed);
    }
    // All that the fields say is in `head`, so only the request line is to be looked at.
    let line = request_line::parse_usual(buf)?;
    let block_len = head.remembered(Version::HTTP_11, &buf[line.len..], limits)?;
    if !limits.allow(line.len, block_len) {
        return None;
    }
    head.set_usual_line(&line, buf);
    Some(line.len + block_len)
}

fn decode_slowly(buf: &[u8], head: &mut Head, limits: &Limits) -> Result<Decoded, HeadError> {
    let decoded = decode(buf, head, limits);
    match decoded {
        Ok(Decoded::Partial) => {}
        Ok(Decoded::Complete { .. }) => head.scan = Scan::default(),
        Err(_) => head.clear(),
    }
    decoded
}

fn decode(buf: &[u8], head: &mut Head, limits: &Limits) -> Result<Decoded, HeadError> {
    let Some(start) = skip_empty_lines(buf, limits)? else { return Ok(Decoded::Partial) };
    let buf = &buf[start..];
    if head.scan.examined > 0 && !resume(buf, head, limits)? {
        return partial(buf, limits);
    }
    let Some(line) = request_line(buf, limits)? else {
        head.scan.advance(buf, limits)?;
        return partial(buf, limits);
    };
    let rest = &buf[line.len..buf.len().min(limits.head.max(line.len))];
    let known = if limits.memo { head.remembered(line.version, rest, limits) } else { None };
    let block_len = match known {
        Some(block_len) => block_len,
        None => match parse_block(&line, rest, head, limits)? {
            Some(block_len) => block_len,
            None => {
                head.scan.advance(buf, limits)?;
                return partial(buf, limits);
            }
        },
    };
    let consumed = start + line.len + block_len;
    head.set_line(line, buf);
    Ok(Decoded::Complete { consumed })
}

/// Where the request line begins; `None` if nothing of it is there yet.
#[inline]
fn skip_empty_lines(buf: &[u8], limits: &Limits) -> Result<Option<usize>, HeadError> {
    let mut rest = buf;
    let mut lines = 0;
    loop {
        rest = match rest {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] if lines == limits.empty_lines => return Err(HeadError::LeadingLine),
            [b'\r', b'\n', rest @ ..] => rest,
            [b'\r' | b'\n', ..] => return Err(HeadError::LeadingLine),
            _ => return Ok(Some(buf.len() - rest.len())),
        };
        lines += 1;
    }
}

/// The request line, or `None` if its end is not there yet.
#[inline]
fn request_line(buf: &[u8], limits: &Limits) -> Result<Option<RequestLine>, HeadError> {
    let cap = limits.request_line.saturating_add(2);
    match request_line::parse(&buf[..buf.len().min(cap)])? {
        None if buf.len() >= cap && buf[..cap].contains(&b' ') => Err(HeadError::LineTooLong),
        None if buf.len() >= cap => Err(HeadError::MethodTooLong),
        line => Ok(line),
    }
}

fn partial(buf: &[u8], limits: &Limits) -> Result<Decoded, HeadError> {
    if buf.len() >= limits.head { Err(HeadError::HeadTooLong) } else { Ok(Decoded::Partial) }
}

/// Goes on with a head that was partial before; returns whether it may be whole now.
#[cold]
fn resume(buf: &[u8], head: &mut Head, limits: &Limits) -> Result<bool, HeadError> {
    let line_was_open = head.scan.lines == 0;
    let whole = head.scan.advance(buf, limits)?;
    // A bad request line is refused once it ends, without waiting for the fields.
    if !whole && line_was_open && (head.scan.lines > 0 || buf.len() > limits.request_line) {
        request_line(buf, limits)?;
    }
    Ok(whole)
}

/// Parses the field block at the start of `rest` into `head`; returns its length, or `None` if it goes on.
fn parse_block(
    line: &RequestLine,
    rest: &[u8],
    head: &mut Head,
    limits: &Limits,
) -> Result<Option<usize>, HeadError> {
    let Some(len) = fields::parse(rest, limits.fields, &mut head.spans)? else { return Ok(None) };
    let block = &rest[..len];
    head.facts = framing::facts(block, &head.spans, line.version)?;
    head.set_block(block);
    Ok(Some(len))
}
