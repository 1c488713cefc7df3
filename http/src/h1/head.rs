//! The head of a request, in memory that is used again for the next one.

use std::cell::OnceCell;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use super::fields::FieldSpan;
use super::framing::Facts;
use super::request_line::{RequestLine, UsualLine, VERSION_END};
use super::scan::Scan;
use super::target::{self, TargetParts};
use super::{Fields, Framing, Limits};
use crate::RequestError;

/// Bytes set aside for the target behind a field block.
const TARGET_RESERVE: usize = 32;

/// A decoded request head: request line, fields, and what follows from them.
///
/// A connection keeps one and decodes into it again and again: its memory is reused, and a field block that
/// equals the last one is recognised without parsing. [`Head::shrink`] gives the memory back, for
/// connections that go idle.
pub struct Head {
    /// The field block with its closing empty line, then the request line (of a built head, the target only).
    ///
    /// The block comes first so that it can stay in place from one request to the next. The target is valid
    /// UTF-8: [`Head::target`] relies on it.
    raw: Vec<u8>,
    block_len: u32,
    /// Where in `raw` the target is.
    target: Range<u32>,
    pub(super) spans: Vec<FieldSpan>,
    map: OnceCell<Box<HeaderMap>>,
    method: Method,
    version: Version,
    parts: TargetParts,
    pub(super) facts: Facts,
    /// Whether `spans` and `facts` are what decoding this block in this version gives.
    decoded: bool,
    pub(super) scan: Scan,
}

impl Head {
    /// An empty head, to decode into; it owns no heap memory.
    pub const fn new() -> Self {
        Self {
            raw: Vec::new(),
            block_len: 0,
            target: 0..0,
            spans: Vec::new(),
            map: OnceCell::new(),
            method: Method::GET,
            version: Version::HTTP_11,
            parts: TargetParts { authority: 0..0, path: 0..0, has_query: false, server_wide: false },
            facts: Facts {
                framing: Framing::None,
                host: 0,
                keep_alive: false,
                expect_continue: false,
                upgrade: false,
            },
            decoded: false,
            scan: Scan { examined: 0, line_start: 0, lines: 0 },
        }
    }

    /// The length of the block at the start of `rest`, if it is the last decoded one, in the same version.
    #[inline]
    pub(super) fn remembered(&self, version: Version, rest: &[u8], limits: &Limits) -> Option<usize> {
        let known = self.decoded
            && self.version == version
            && self.spans.len() <= limits.fields
            && rest.starts_with(self.block());
        known.then_some(self.block_len as usize)
    }

    /// Takes over the block that `spans` and `facts` are of.
    pub(super) fn set_block(&mut self, block: &[u8]) {
        self.raw.clear();
        // Exact, as an idle connection may keep the memory; targets are mostly shorter than this.
        self.raw.reserve_exact(block.len() + TARGET_RESERVE);
        self.raw.extend_from_slice(block);
        self.block_len = block.len() as u32;
        self.map.take();
        self.decoded = true;
    }

    /// The length of the whole head at the start of `buf`, if it is to the byte the last decoded one.
    #[inline]
    pub(super) fn repeated(&self, buf: &[u8], limits: &Limits) -> Option<usize> {
        let (block, line) = self.raw.split_at_checked(self.block_len as usize)?;
        let known = self.decoded
            && buf.starts_with(line)
            && buf[line.len()..].starts_with(block)
            && self.spans.len() <= limits.fields
            && limits.allow(line.len(), block.len());
        known.then_some(self.raw.len())
    }

    /// Takes over the parts of a request line that may differ where the field block and version are the same.
    #[inline]
    pub(super) fn set_usual_line(&mut self, line: &UsualLine, buf: &[u8]) {
        // Most requests of a connection have the same method, and to drop one takes a branch or two.
        if self.method != *line.method {
            self.method = line.method.clone();
        }
        self.set_line_bytes(&buf[..line.len], line.target_start);
        self.parts =
            TargetParts { path: 0..line.path_len, has_query: line.has_query, ..TargetParts::default() };
    }

    /// Takes over the request line at the start of `buf`, behind the block that is there.
    pub(super) fn set_line(&mut self, line: RequestLine, buf: &[u8]) {
        self.set_line_bytes(&buf[..line.len], line.target_start);
        self.method = line.method;
        self.version = line.version;
        self.parts = line.parts;
    }

    /// Keeps a line that was parsed, whose target is between `target_start` and the version.
    #[inline]
    fn set_line_bytes(&mut self, line: &[u8], target_start: usize) {
        self.raw.truncate(self.block_len as usize);
        self.raw.extend_from_slice(line);
        let end = self.raw.len() - VERSION_END.len();
        self.target = self.block_len + target_start as u32..end as u32;
    }

    /// A head made of its parts, as for [`RequestBuilder`](crate::RequestBuilder).
    pub(crate) fn build(
        method: Method,
        version: Version,
        target: String,
        headers: &HeaderMap,
    ) -> Result<Self, RequestError> {
        let parts = match target::parse(&method, &target) {
            Ok(parts) => parts,
            Err(source) => return Err(RequestError::Target { target, source }),
        };
        let mut head = Self::new();
        for (name, value) in headers {
            head.push_field(name, value);
        }
        head.raw.extend_from_slice(b"\r\n");
        head.block_len = u32::try_from(head.raw.len()).map_err(|_| RequestError::TooManyFields)?;
        head.raw.extend_from_slice(target.as_bytes());
        let end = u32::try_from(head.raw.len()).map_err(|_| RequestError::TooManyFields)?;
        head.target = head.block_len..end;
        head.facts.host = head.position("host").map_or(0, |at| at as u16 + 1);
        head.method = method;
        head.version = version;
        head.parts = parts;
        Ok(head)
    }

    fn push_field(&mut self, name: &HeaderName, value: &HeaderValue) {
        // An overflow shows in the block's length, which is checked at the end.
        let at = self.raw.len() as u32;
        self.spans.push(FieldSpan {
            name: at,
            name_len: name.as_str().len() as u16,
            value: at + name.as_str().len() as u32 + 2,
            value_len: value.len() as u32,
        });
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            self.raw.extend_from_slice(part);
        }
    }

    /// The method.
    #[inline]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The protocol version: HTTP/1.1 or HTTP/1.0.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The request-target as received.
    #[inline]
    pub fn target(&self) -> &str {
        let target = &self.raw[self.target.start as usize..self.target.end as usize];
        // SAFETY: all who set `target` (`build`, `set_line_bytes`) let it name bytes that they hold as a `str`,
        // or that the request line's parser has checked to be visible ASCII; and `raw` changes only with it.
        unsafe { str::from_utf8_unchecked(target) }
    }

    /// The path of the target URI; see [`Request::path`](crate::Request::path).
    #[inline]
    pub fn path(&self) -> &str {
        match self.part(&self.parts.path) {
            "" if self.parts.server_wide => "*",
            "" => "/",
            path => path,
        }
    }

    /// What follows the `?` of the target, if it has one.
    pub fn query(&self) -> Option<&str> {
        self.parts.has_query.then(|| &self.target()[self.parts.path.end as usize + 1..])
    }

    /// The authority of the target URI; see [`Request::authority`](crate::Request::authority).
    pub fn authority(&self) -> Option<&str> {
        if !self.parts.authority.is_empty() {
            return Some(self.part(&self.parts.authority));
        }
        let host = self.spans.get((self.facts.host as usize).checked_sub(1)?)?;
        str::from_utf8(host.value(self.block())).ok()
    }

    /// The value of the first field of this name, in any case.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.position(name).map(|at| self.spans[at].value(self.block()))
    }

    /// All fields as (name, value), in the order and case received.
    pub fn fields(&self) -> Fields<'_> {
        Fields::of_block(self.block(), &self.spans)
    }

    /// The fields as a header map, built on the first call and kept as long as the field block stays the same.
    pub fn headers(&self) -> &HeaderMap {
        self.map.get_or_init(|| Box::new(self.build_map()))
    }

    /// How the content is delimited.
    #[inline]
    pub fn framing(&self) -> Framing {
        self.facts.framing
    }

    /// Whether the client wants the connection to stay open (RFC 9112 section 9.3).
    #[inline]
    pub fn keep_alive(&self) -> bool {
        self.facts.keep_alive
    }

    /// Whether the client waits for a 100 response before it sends the content (RFC 9110 section 10.1.1).
    pub fn expect_continue(&self) -> bool {
        self.facts.expect_continue
    }

    /// Whether the client offers to go on in another protocol, named in the Upgrade field: never in HTTP/1.0, nor
    /// without the connection option (RFC 9110 section 7.8).
    #[inline]
    pub fn upgrade(&self) -> bool {
        self.facts.upgrade
    }

    /// Whether the target is an absolute https URI, which is not to be served over a connection in the clear
    /// (RFC 9110 section 7.4).
    #[inline]
    pub fn is_https_target(&self) -> bool {
        !self.parts.authority.is_empty()
            && self.method != Method::CONNECT
            && self.target().as_bytes().get(4).is_some_and(|byte| byte.eq_ignore_ascii_case(&b's'))
    }

    /// Forgets what was decoded, and keeps the memory.
    pub fn clear(&mut self) {
        let (mut raw, mut spans) = (std::mem::take(&mut self.raw), std::mem::take(&mut self.spans));
        raw.clear();
        spans.clear();
        *self = Self { raw, spans, ..Self::new() };
    }

    /// Forgets what was decoded, and frees the memory.
    pub fn shrink(&mut self) {
        *self = Self::new();
    }

    fn build_map(&self) -> HeaderMap {
        // One copy of the block is shared by all values.
        let block = Bytes::copy_from_slice(self.block());
        let mut map = HeaderMap::with_capacity(self.spans.len());
        for span in &self.spans {
            let value = span.value as usize..(span.value + span.value_len) as usize;
            let name = HeaderName::from_bytes(span.name(&block)).expect("a decoded field name is a token");
            let value = HeaderValue::from_maybe_shared(block.slice(value))
                .expect("a decoded field value has no control characters");
            map.append(name, value);
        }
        map
    }

    fn position(&self, name: &str) -> Option<usize> {
        let block = self.block();
        self.spans.iter().position(|span| {
            span.name_len as usize == name.len() && span.name(block).eq_ignore_ascii_case(name.as_bytes())
        })
    }

    fn block(&self) -> &[u8] {
        &self.raw[..self.block_len as usize]
    }

    #[inline]
    fn part(&self, range: &Range<u32>) -> &str {
        &self.target()[range.start as usize..range.end as usize]
    }
}

impl Default for Head {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Field values may be secrets, so only their names are shown.
        f.debug_struct("Head")
            .field("method", &self.method)
            .field("target", &self.target())
            .field("version", &self.version)
            .field("fields", &self.fields().map(|(name, _)| name).collect::<Vec<_>>())
            .field("framing", &self.facts.framing)
            .field("keep_alive", &self.facts.keep_alive)
            .finish_non_exhaustive()
    }
}
