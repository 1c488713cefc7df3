//! Encoding request heads.

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method};

use super::target;

/// How the content of a request is sent (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFraming {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// The head of a request, to be encoded.
///
/// What frames the message is said by [`RequestHead::framing`] alone, whatever the fields say: Content-Length,
/// Transfer-Encoding, Connection, Host, Expect, Upgrade, Keep-Alive and Proxy-Connection among them are not sent as they
/// are. Of Connection the option `close` is honoured, and of TE `trailers`. Names and values can't hold a line end, as
/// their types do not.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The request-target, in a form that goes with the method (RFC 9112 section 3.2).
    pub target: &'a str,
    /// The value of Host: a host, and a port unless it is the scheme's.
    pub host: &'a str,
    /// The other fields.
    pub fields: &'a HeaderMap,
    /// How the content is sent.
    pub framing: RequestFraming,
    /// Whether the content waits for a 100 response (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
    /// Whether the connection ends after the answer.
    pub close: bool,
}

/// Why a request can't be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestHeadError {
    /// The target has a byte that must be percent-encoded, or no form that goes with the method.
    #[error("the request-target is invalid, or does not go with the method")]
    Target,
    /// The host is none (RFC 9110 section 7.2).
    #[error("the Host is no host name or address with an optional port")]
    Host,
    /// A TRACE request has content (RFC 9110 section 9.3.8).
    #[error("a TRACE request can't have a body")]
    TraceContent,
}

impl RequestHead<'_> {
    /// Appends the head to `out`.
    ///
    /// # Errors
    /// When target, host or method are such that the request would be malformed. `out` is left as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), RequestHeadError> {
        target::parse(self.method, self.target).map_err(|_| RequestHeadError::Target)?;
        if !target::is_authority(self.host.as_bytes(), false) {
            return Err(RequestHeadError::Host);
        }
        if *self.method == Method::TRACE && self.framing != RequestFraming::None {
            return Err(RequestHeadError::TraceContent);
        }
        let method = self.method.as_str();
        out.reserve(method.len() + self.target.len() + self.host.len() + 64 + self.fields.len() * 48);
        for part in [method, " ", self.target, " HTTP/1.1\r\nHost: ", self.host, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        for (name, value) in self.fields {
            if !is_managed(name) {
                write(out, name.as_str().as_bytes(), value.as_bytes());
            }
        }
        match self.framing {
            RequestFraming::None => {}
            RequestFraming::Length(length) => {
                write(out, b"content-length", itoa::Buffer::new().format(length).as_bytes());
            }
            RequestFraming::Chunked => write(out, b"transfer-encoding", b"chunked"),
        }
        if self.expects_continue && self.framing != RequestFraming::None {
            write(out, b"expect", b"100-continue");
        }
        let trailers = self.fields.get_all(TE).iter().any(|te| has_element(te.as_bytes(), b"trailers"));
        if trailers {
            write(out, b"te", b"trailers");
        }
        match (self.closes(), trailers) {
            (true, true) => write(out, b"connection", b"close, te"),
            (true, false) => write(out, b"connection", b"close"),
            (false, true) => write(out, b"connection", b"te"),
            (false, false) => {}
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Whether the connection ends after the answer, as it says or as its fields say.
    pub fn closes(&self) -> bool {
        let said = |value: &http::HeaderValue| has_element(value.as_bytes(), b"close");
        self.close || self.fields.get_all(CONNECTION).iter().any(said)
    }
}

/// Whether a field is derived, or speaks of this connection only (RFC 9110 section 7.6.1).
fn is_managed(name: &HeaderName) -> bool {
    [CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE].contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

fn has_element(list: &[u8], element: &[u8]) -> bool {
    list.split(|&byte| byte == b',').any(|found| found.trim_ascii().eq_ignore_ascii_case(element))
}

fn write(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
