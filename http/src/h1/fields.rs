//! The fields of a head, as they were received.

use std::str;

use http::header;
use http::{HeaderMap, HeaderValue};

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
