//! Encoding response heads, and the framing of chunked content.

use std::cell::RefCell;
use std::io::Write;
use std::num::NonZeroUsize;
use std::time::SystemTime;

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, SERVER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

use super::Head;
use super::date::{DATE_LEN, DateCache};
use super::response::ResponseFraming;
use crate::{ContentType, Response};

/// The interim response that a client with `Expect: 100-continue` waits for (RFC 9110 section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What ends chunked content: the last chunk and an empty trailer section (RFC 9112 section 7.1).
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What follows the data of each chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The status line of most responses.
const OK_LINE: &[u8] = b"HTTP/1.1 200 OK\r\n";

/// What a response's head depends on in its request and connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The version of the request.
    pub version: Version,
    /// Whether the method is HEAD: the head is that of GET, and no content follows.
    pub head: bool,
    /// Whether the method is CONNECT: a 2xx response has no content, and a tunnel follows.
    pub connect: bool,
    /// Whether the client offers to go on in another protocol: only then may the answer be 101.
    pub upgrade: bool,
    /// Whether the connection is to stay open, as far as client and server wish.
    pub keep_alive: bool,
}

impl Exchange {
    /// The exchange of most requests: HTTP/1.1, neither HEAD nor CONNECT, on a connection that stays open.
    const PLAIN: Self =
        Self { version: Version::HTTP_11, head: false, connect: false, upgrade: false, keep_alive: true };

    /// What the request says; the connection stays open if the client wants it to.
    pub fn of(head: &Head) -> Self {
        Self {
            version: head.version(),
            head: *head.method() == Method::HEAD,
            connect: *head.method() == Method::CONNECT,
            upgrade: head.upgrade(),
            keep_alive: head.keep_alive(),
        }
    }
}

/// What follows an encoded head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// How the content is to be sent; with [`ResponseFraming::None`] the body is to be dropped unread.
    pub framing: ResponseFraming,
    /// Whether the connection stays open after the content; otherwise it is to be closed.
    pub keep_alive: bool,
    /// Whether the connection leaves HTTP behind this head: after 101, and after 2xx to CONNECT.
    pub switches: bool,
}

/// Encodes response heads; each core has one.
///
/// Status line, Server and Date of a 200 response are kept ready as one run of bytes.
#[derive(Clone, Debug)]
pub struct ResponseEncoder {
    /// Status line, Server field and Date field.
    prefix: Vec<u8>,
    /// Where the Date field begins.
    date_at: usize,
    date: DateCache,
    /// The last head of the plainest kind, which the next one often equals.
    plain: RefCell<PlainHead>,
}

/// A 200 head on a connection that stays open, with no fields but the encoder's, a fixed content type and a length.
#[derive(Clone, Debug, Default)]
struct PlainHead {
    content_type: Option<ContentType>,
    length: u64,
    /// Empty if there is none of this second.
    bytes: Vec<u8>,
}

impl ResponseEncoder {
    /// An encoder that names the server so in each response, or not at all.
    ///
    /// The date is that of the epoch until [`ResponseEncoder::set_time`] is called.
    pub fn new(server: Option<&HeaderValue>) -> Self {
        let mut prefix = OK_LINE.to_vec();
        if let Some(server) = server {
            write_field(&mut prefix, b"Server", server.as_bytes());
        }
        let date_at = prefix.len();
        let date = DateCache::new(0);
        write_field(&mut prefix, b"Date", date.as_bytes());
        Self { prefix, date_at, date, plain: RefCell::default() }
    }

    /// Brings the Date field up to date; cheap while the second is the same.
    pub fn set_time(&mut self, now: SystemTime) {
        // A clock before the epoch is not set yet: any date is as wrong as another.
        let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.set_unix_second(second);
    }

    /// Brings the Date field to a second since the Unix epoch.
    pub fn set_unix_second(&mut self, second: u64) {
        if self.date.set(second) {
            let start = self.date_at + b"Date: ".len();
            self.prefix[start..start + DATE_LEN].copy_from_slice(self.date.as_bytes());
            self.plain.borrow_mut().bytes.clear();
        }
    }

    /// Appends the head of `response` to `out`, and tells what is to follow it.
    ///
    /// Content-Length, Transfer-Encoding and Connection are derived from the body and the exchange; fields
    /// of these names in the header map are not sent as they are. From Connection the option `close` is honoured
    /// (an Upgrade field brings its own), and Content-Length where there is no body that could tell it: in the answer
    /// to HEAD and in 304. Date and Server in the map replace the encoder's. An interim status is no answer, and
    /// is sent as 500; so is 101 without an Upgrade field, or where the client offered no other protocol.
    #[inline]
    pub fn encode(&self, response: &Response, exchange: Exchange, out: &mut Vec<u8>) -> Encoded {
        match response.body().exact_length() {
            Some(length) if is_plain(response, exchange) => {
                self.encode_plain(response.fixed_content_type(), length, &[], out);
                Encoded { framing: ResponseFraming::Length(length), keep_alive: true, switches: false }
            }
            _ => self.encode_any(response, exchange, out),
        }
    }

    /// As [`ResponseEncoder::encode`], and appends the body that is to follow, if its bytes are all there: a response
    /// whose body is not keeps it.
    #[inline(always)]
    pub fn encode_whole(&self, response: &Response, exchange: Exchange, out: &mut Vec<u8>) -> Encoded {
        let Some(body) = response.body().as_fixed() else { return self.encode(response, exchange, out) };
        if is_plain(response, exchange) {
            let length = body.len() as u64;
            self.encode_plain(response.fixed_content_type(), length, body, out);
            return Encoded { framing: ResponseFraming::Length(length), keep_alive: true, switches: false };
        }
        let encoded = self.encode_any(response, exchange, out);
        if encoded.framing != ResponseFraming::None {
            out.extend_from_slice(body);
        }
        encoded
    }

    #[inline(always)]
    fn encode_plain(&self, content_type: Option<ContentType>, length: u64, body: &[u8], out: &mut Vec<u8>) {
        let mut plain = self.plain.borrow_mut();
        if plain.bytes.is_empty() || plain.length != length || plain.content_type != content_type {
            plain.set(&self.prefix, content_type, length);
        }
        // One look at the room for both.
        out.reserve(plain.bytes.len() + body.len());
        out.extend_from_slice(&plain.bytes);
        out.extend_from_slice(body);
    }

    fn encode_any(&self, response: &Response, exchange: Exchange, out: &mut Vec<u8>) -> Encoded {
        let headers = response.headers();
        let wishes = headers.map(Wishes::of).unwrap_or_default();
        let plan = plan(response, exchange, &wishes);
        let closes = response.closes() || wishes.close || plan.framing == ResponseFraming::UntilClose;
        let keep_alive = plan.switches || (exchange.keep_alive && !closes);

        out.reserve(self.prefix.len() + HEAD_RESERVE);
        if plan.status == StatusCode::OK && !wishes.date && !wishes.server {
            out.extend_from_slice(&self.prefix);
        } else {
            self.write_start(plan.status, &wishes, out);
        }
        if let Some(content_type) = response.fixed_content_type() {
            out.extend_from_slice(b"Content-Type: ");
            out.extend_from_slice(content_type.as_str().as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if let Some(headers) = headers {
            write_map(headers, out);
        }
        if plan.chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        } else if let Some(length) = plan.length {
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        let tells_persistence = !keep_alive || (exchange.version == Version::HTTP_10 && !plan.switches);
        if wishes.upgrade || tells_persistence {
            write_connection(wishes.upgrade, keep_alive, exchange.version, out);
        }
        out.extend_from_slice(b"\r\n");
        Encoded { framing: plan.framing, keep_alive, switches: plan.switches }
    }

    /// Status line, Server and Date where they are not the usual ones.
    #[cold]
    fn write_start(&self, status: StatusCode, wishes: &Wishes, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(status.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
        out.extend_from_slice(b"\r\n");
        if !wishes.server {
            out.extend_from_slice(&self.prefix[OK_LINE.len()..self.date_at]);
        }
        if !wishes.date {
            out.extend_from_slice(&self.prefix[self.date_at..]);
        }
    }
}

/// Whether a response's head is of the kind that is kept ready.
#[inline]
fn is_plain(response: &Response, exchange: Exchange) -> bool {
    response.status() == StatusCode::OK
        && response.headers().is_none()
        && !response.closes()
        && exchange == Exchange::PLAIN
}

impl PlainHead {
    #[cold]
    fn set(&mut self, prefix: &[u8], content_type: Option<ContentType>, length: u64) {
        self.bytes.clear();
        self.bytes.extend_from_slice(prefix);
        if let Some(content_type) = content_type {
            write_field(&mut self.bytes, b"Content-Type", content_type.as_str().as_bytes());
        }
        write_field(&mut self.bytes, b"Content-Length", itoa::Buffer::new().format(length).as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
        (self.content_type, self.length) = (content_type, length);
    }
}

impl Default for ResponseEncoder {
    fn default() -> Self {
        Self::new(Some(&HeaderValue::from_static("covet")))
    }
}

/// Room for the fields behind the prefix of a usual head.
const HEAD_RESERVE: usize = 128;

/// What the application's fields ask of the encoder.
#[derive(Debug, Default)]
struct Wishes {
    date: bool,
    server: bool,
    close: bool,
    /// There is an Upgrade field, which needs a connection option of its own (RFC 9110 section 7.8).
    upgrade: bool,
    length: Option<u64>,
}

impl Wishes {
    fn of(headers: &HeaderMap) -> Self {
        let options = headers.get_all(CONNECTION).iter();
        let mut options = options.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
        let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        Self {
            date: headers.contains_key(DATE),
            server: headers.contains_key(SERVER),
            close: options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close")),
            upgrade: headers.contains_key(UPGRADE),
            length: length
                .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|text| text.parse().ok()),
        }
    }
}

/// Fields that only the encoder writes.
fn is_managed(name: &HeaderName) -> bool {
    *name == CONTENT_LENGTH
        || *name == TRANSFER_ENCODING
        || *name == CONNECTION
        || name.as_str() == "keep-alive"
        || name.as_str() == "proxy-connection"
}

/// How a response is framed (RFC 9112 section 6, RFC 9110 section 6.4.1).
struct Plan {
    status: StatusCode,
    framing: ResponseFraming,
    /// What Content-Length says, unless it is chunked.
    length: Option<u64>,
    chunked: bool,
    switches: bool,
}

fn plan(response: &Response, exchange: Exchange, wishes: &Wishes) -> Plan {
    let status = response.status();
    let bare = Plan { status, framing: ResponseFraming::None, length: None, chunked: false, switches: false };
    match status {
        StatusCode::SWITCHING_PROTOCOLS if exchange.upgrade && wishes.upgrade => {
            return Plan { switches: true, ..bare };
        }
        _ if exchange.connect && status.is_success() => return Plan { switches: true, ..bare },
        StatusCode::NO_CONTENT => return bare,
        StatusCode::RESET_CONTENT => return Plan { length: Some(0), ..bare },
        StatusCode::NOT_MODIFIED => return Plan { length: wishes.length, ..bare },
        _ if status.is_informational() => {
            return Plan { status: StatusCode::INTERNAL_SERVER_ERROR, length: Some(0), ..bare };
        }
        _ => {}
    }
    let length = response.body().exact_length();
    let chunked = length.is_none() && exchange.version != Version::HTTP_10;
    if exchange.head {
        // An empty body in the answer to HEAD says nothing about the content that GET would give.
        let length = length.filter(|&length| length > 0).or(wishes.length);
        return Plan { length, chunked, ..bare };
    }
    let framing = match length {
        Some(length) => ResponseFraming::Length(length),
        None if chunked => ResponseFraming::Chunked,
        None => ResponseFraming::UntilClose,
    };
    Plan { framing, length, chunked, ..bare }
}

#[cold]
fn write_connection(upgrade: bool, keep_alive: bool, version: Version, out: &mut Vec<u8>) {
    let option = match (keep_alive, version) {
        (false, _) => "close",
        (true, Version::HTTP_10) => "keep-alive",
        (true, _) => "",
    };
    let separator = if upgrade && !option.is_empty() { ", " } else { "" };
    let upgrade = if upgrade { "upgrade" } else { "" };
    for part in ["Connection: ", upgrade, separator, option, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

fn write_map(headers: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in headers {
        if !is_managed(name) {
            write_field(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
}

fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends the line that begins a chunk of `length` bytes; the data and [`CHUNK_END`] are to follow.
pub fn encode_chunk_size(length: NonZeroUsize, out: &mut Vec<u8>) {
    write!(out, "{length:x}\r\n").expect("writing to a vector does not fail");
}

/// Appends a chunk; nothing if `data` is empty, as that would end the content.
pub fn encode_chunk(data: &[u8], out: &mut Vec<u8>) {
    if let Some(length) = NonZeroUsize::new(data.len()) {
        encode_chunk_size(length, out);
        out.extend_from_slice(data);
        out.extend_from_slice(CHUNK_END);
    }
}
