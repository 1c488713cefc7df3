//! The content of a 206 answer (RFC 9110 sections 14.4, 14.6 and 15.3.7).

use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use bytes::Bytes;
use http::HeaderValue;

/// The Content-Range of a part: `bytes 0-499/1234`.
pub fn content_range(range: &Range<u64>, length: u64) -> HeaderValue {
    value(format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1)))
}

/// The Content-Range of a 416 answer: `bytes */1234`.
pub fn unsatisfied_range(length: u64) -> HeaderValue {
    value(format!("bytes */{length}"))
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("numbers and letters make a field value")
}

/// One piece of an answer's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Bytes that frame the parts.
    Framing(Bytes),
    /// This range of the representation.
    Content(Range<u64>),
}

/// The content of a `multipart/byteranges` answer: several ranges of one representation, each with a head of its own.
///
/// It holds no content, only says in which order what is to be sent, and how long all of it is.
#[derive(Clone, Debug)]
pub struct ByteRanges {
    boundary: String,
    segments: Vec<Segment>,
    length: u64,
}

impl ByteRanges {
    /// The content with these ranges of a representation of `length` bytes, which is of this type if it is known.
    ///
    /// The boundary is new and random each time, so that nobody can prepare content that holds it.
    pub fn new(ranges: &[Range<u64>], length: u64, content_type: Option<&[u8]>) -> Self {
        let random = || RandomState::new().hash_one(length);
        Self::with_boundary(format!("{:016x}{:016x}", random(), random()), ranges, length, content_type)
    }

    pub(super) fn with_boundary(
        boundary: String,
        ranges: &[Range<u64>],
        length: u64,
        content_type: Option<&[u8]>,
    ) -> Self {
        let mut segments = Vec::with_capacity(2 * ranges.len() + 1);
        let mut before = "";
        for range in ranges {
            let mut head = format!("{before}--{boundary}\r\n").into_bytes();
            if let Some(content_type) = content_type {
                head.extend_from_slice(b"Content-Type: ");
                head.extend_from_slice(content_type);
                head.extend_from_slice(b"\r\n");
            }
            head.extend_from_slice(b"Content-Range: ");
            head.extend_from_slice(content_range(range, length).as_bytes());
            head.extend_from_slice(b"\r\n\r\n");
            segments.push(Segment::Framing(head.into()));
            segments.push(Segment::Content(range.clone()));
            before = "\r\n";
        }
        let mut end = before.to_owned();
        write!(end, "--{boundary}--\r\n").expect("writing to a string does not fail");
        segments.push(Segment::Framing(end.into()));
        let length = segments
            .iter()
            .map(|segment| match segment {
                Segment::Framing(bytes) => bytes.len() as u64,
                Segment::Content(range) => range.end - range.start,
            })
            .sum();
        Self { boundary, segments, length }
    }

    /// The Content-Type of the answer, with the boundary.
    pub fn content_type(&self) -> HeaderValue {
        value(format!("multipart/byteranges; boundary={}", self.boundary))
    }

    /// The length of the whole content in bytes, which is the Content-Length of the answer.
    pub fn content_length(&self) -> u64 {
        self.length
    }

    /// What the content is made of, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}
