//! The fields of a head, as they were received.

use std::str;

use http::header;
use http::{HeaderMap, HeaderValue};
use httparse::{EMPTY_HEADER, Header, Status};

use super::HeadError;

/// More fields than this are never accepted: a header map could not hold them.
const MAX_FIELDS: usize = 4096;

/// Most heads have no more fields than this; those that do are parsed once more, with room for all.
const FEW_FIELDS: usize = 24;

/// Where one field is in the field block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldSpan {
    pub(super) name: u32,
    pub(super) value: u32,
    pub(super) value_len: u32,
    /// Names over 65,535 bytes are refused: the `http` crate cannot hold them.
    pub(super) name_len: u16,
}

impl FieldSpan {
    pub(super) fn name(self, block: &[u8]) -> &[u8] {
        &block[self.name as usize..][..self.name_len as usize]
    }

    pub(super) fn value(self, block: &[u8]) -> &[u8] {
        &block[self.value as usize..][..self.value_len as usize]
    }
}

/// Fields as (name, value), see [`Request::fields`](crate::Request::fields).
#[derive(Debug)]
pub struct Fields<'a> {
    inner: Inner<'a>,
}

#[derive(Debug)]
enum Inner<'a> {
    Block { block: &'a [u8], spans: std::slice::Iter<'a, FieldSpan> },
    Map(header::Iter<'a, HeaderValue>),
}

impl<'a> Fields<'a> {
    pub(super) fn of_block(block: &'a [u8], spans: &'a [FieldSpan]) -> Self {
        Self { inner: Inner::Block { block, spans: spans.iter() } }
    }

    pub(crate) fn of_map(map: &'a HeaderMap) -> Self {
        Self { inner: Inner::Map(map.iter()) }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.inner {
            Inner::Block { block, spans } => {
                let span = spans.next()?;
                let name = str::from_utf8(span.name(block)).expect("a decoded field name is an ASCII token");
                Some((name, span.value(block)))
            }
            Inner::Map(fields) => fields.next().map(|(name, value)| (name.as_str(), value.as_bytes())),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.inner {
            Inner::Block { spans, .. } => spans.size_hint(),
            Inner::Map(fields) => fields.size_hint(),
        }
    }
}

/// Parses a field block and the empty line that ends it; returns its length, or `None` if it goes on.
///
/// `spans` is written only if the block is whole.
pub(super) fn parse(
    bytes: &[u8],
    max_fields: usize,
    spans: &mut Vec<FieldSpan>,
) -> Result<Option<usize>, HeadError> {
    let max_fields = max_fields.min(MAX_FIELDS);
    let mut few = [EMPTY_HEADER; FEW_FIELDS];
    match httparse::parse_headers(bytes, &mut few[..max_fields.min(FEW_FIELDS)]) {
        Err(httparse::Error::TooManyHeaders) if max_fields > FEW_FIELDS => {
            let mut many = vec![EMPTY_HEADER; max_fields];
            finish(bytes, httparse::parse_headers(bytes, &mut many), spans)
        }
        parsed => finish(bytes, parsed, spans),
    }
}

fn finish(
    bytes: &[u8],
    parsed: httparse::Result<(usize, &[Header<'_>])>,
    spans: &mut Vec<FieldSpan>,
) -> Result<Option<usize>, HeadError> {
    let (len, headers) = match parsed {
        Ok(Status::Complete(parsed)) => parsed,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooManyFields),
        Err(_) => return Err(HeadError::Field),
    };
    spans.clear();
    // Exact, as an idle connection may keep the memory.
    spans.reserve_exact(headers.len());
    for header in headers {
        let name = offset(bytes, header.name.as_bytes());
        // Each line ends where the next begins, and httparse also takes a bare LF for an end.
        if !ends_a_line(&bytes[..name as usize]) {
            return Err(HeadError::BareLineFeed);
        }
        spans.push(FieldSpan {
            name,
            name_len: u16::try_from(header.name.len()).map_err(|_| HeadError::HeadTooLong)?,
            value: offset(bytes, header.value),
            value_len: header.value.len() as u32,
        });
    }
    match bytes[..len].strip_suffix(b"\r\n") {
        Some(lines) if ends_a_line(lines) => Ok(Some(len)),
        _ => Err(HeadError::BareLineFeed),
    }
}

fn ends_a_line(bytes: &[u8]) -> bool {
    bytes.is_empty() || bytes.ends_with(b"\r\n")
}

/// Where `part` begins in `whole`, of which it is a part.
fn offset(whole: &[u8], part: &[u8]) -> u32 {
    (part.as_ptr() as usize - whole.as_ptr() as usize) as u32
}
