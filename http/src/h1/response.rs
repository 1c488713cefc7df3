//! Response heads as a client reads them.
//!
//! A sans-IO decoder for the head of a response (RFC 9112 §4 to §6): bytes go in, the status, the framing of
//! the body and the fate of the connection come out. It allocates nothing and keeps nothing, so a client that
//! reads millions of small responses can call it for each.

use std::mem::MaybeUninit;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use httparse::{Header, ParserConfig, Status};

/// The fields that a response head may have at most.
pub const MAX_RESPONSE_FIELDS: usize = 100;

/// What a response head says about the message after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code, from 100 to 999.
    pub status: u16,
    /// The minor version: 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor_version: u8,
    /// How the end of the body is found.
    pub framing: ResponseFraming,
    /// Whether the connection may carry another request after this response (RFC 9112 §9.3).
    pub keep_alive: bool,
}

impl ResponseHead {
    /// Whether this is an interim response, after which the final one still comes (RFC 9110 §15.2).
    ///
    /// 101 is final: after it the connection speaks another protocol.
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }
}

/// How the end of a response's body is found (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFraming {
    /// There is no body, whatever the fields say: an answer to HEAD, 1xx, 204, 304, or 2xx to CONNECT.
    None,
    /// The body is this many bytes.
    Length(u64),
    /// The body is in chunks.
    Chunked,
    /// The body ends where the connection does.
    UntilClose,
}

/// What a call of [`decode_response_head`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodedResponse {
    /// The head is whole.
    Complete {
        /// What the head says.
        head: ResponseHead,
        /// How many bytes it takes, its empty line included.
        consumed: usize,
    },
    /// The head goes on after the bytes given.
    Partial,
}

/// Why bytes are not the head of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResponseHeadError {
    /// The bytes do not begin with an HTTP/1 status line (RFC 9112 §4).
    #[error("not an HTTP/1 status line")]
    StatusLine,
    /// A field line breaks the grammar of RFC 9112 §5, or a line ends without a CR.
    #[error("malformed field line")]
    FieldLine,
    /// There are more than [`MAX_RESPONSE_FIELDS`] fields.
    #[error("more than {MAX_RESPONSE_FIELDS} fields")]
    TooManyFields,
    /// The head is longer than the limit.
    #[error("head longer than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Content-Length is not one decimal number, or is given twice.
    #[error("invalid Content-Length")]
    ContentLength,
    /// Transfer-Encoding is empty, applies chunked before its end, or stands in an HTTP/1.0 response.
    #[error("invalid Transfer-Encoding")]
    TransferEncoding,
    /// Transfer-Encoding and Content-Length contradict each other.
    #[error("both Transfer-Encoding and Content-Length")]
    AmbiguousLength,
}

/// Decodes the head of the response at the start of `buf`, an answer to a request of method `method`.
///
/// It is strict where a lenient client could take another end of the message than the next reader does: bare LF,
/// obsolete folding, a space before the colon, doubled or non-numeric lengths, and Transfer-Encoding beside
/// Content-Length are errors. A missing space before an absent reason phrase is accepted, as it hides nothing.
///
/// # Errors
/// As soon as the bytes given cannot become a valid head, or exceed `limit` bytes without being one.
pub fn decode_response_head(
    buf: &[u8],
    method: &Method,
    limit: usize,
) -> Result<DecodedResponse, ResponseHeadError> {
    decode(buf, method, limit, false, |_| Ok(()))
}

/// As [`decode_response_head`], and appends the fields to `fields` when the head is whole.
///
/// Obsolete line folding is replaced by spaces, as RFC 9112 §5.2 has a user agent do. Within the fields that frame the
/// message it stays an error.
///
/// # Errors
/// As for [`decode_response_head`].
pub fn decode_response(
    buf: &[u8],
    method: &Method,
    limit: usize,
    fields: &mut HeaderMap,
) -> Result<DecodedResponse, ResponseHeadError> {
    decode(buf, method, limit, true, |received| {
        fields.reserve(received.len());
        for field in received {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let value = match memchr::memchr(b'\n', field.value) {
                None => HeaderValue::from_bytes(field.value),
                Some(_) => HeaderValue::from_bytes(&unfold(field.value)),
            };
            let (Ok(name), Ok(value)) = (name, value) else { return Err(ResponseHeadError::FieldLine) };
            fields.append(name, value);
        }
        Ok(())
    })
}

/// The value with its line ends made spaces.
#[cold]
fn unfold(value: &[u8]) -> Vec<u8> {
    value.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }).collect()
}

fn decode(
    buf: &[u8],
    method: &Method,
    limit: usize,
    folding: bool,
    take_fields: impl FnOnce(&[Header<'_>]) -> Result<(), ResponseHeadError>,
) -> Result<DecodedResponse, ResponseHeadError> {
    // httparse skips empty lines before the status line; RFC 9112 §2.2 grants that to servers only.
    if buf.first().is_some_and(|&byte| byte != b'H') {
        return Err(ResponseHeadError::StatusLine);
    }
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_RESPONSE_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default()
        .allow_obsolete_multiline_headers_in_responses(folding)
        .parse_response_with_uninit_headers(&mut response, buf, &mut fields);
    let consumed = match parsed {
        Ok(Status::Complete(consumed)) if consumed <= limit => consumed,
        Ok(Status::Partial) if buf.len() < limit => return Ok(DecodedResponse::Partial),
        Ok(_) => return Err(ResponseHeadError::TooLarge { limit }),
        Err(httparse::Error::TooManyHeaders) => return Err(ResponseHeadError::TooManyFields),
        Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => {
            return Err(ResponseHeadError::FieldLine);
        }
        // A line end that is neither CRLF nor LF: in the status line or after a field.
        Err(httparse::Error::NewLine) if response.code.is_some() => return Err(ResponseHeadError::FieldLine),
        Err(_) => return Err(ResponseHeadError::StatusLine),
    };
    let head = &buf[..consumed];
    if memchr::memchr_iter(b'\n', head).any(|at| at == 0 || head[at - 1] != b'\r') {
        return Err(ResponseHeadError::FieldLine);
    }
    let (Some(status), Some(minor_version)) = (response.code, response.version) else {
        return Err(ResponseHeadError::StatusLine);
    };
    if status < 100 {
        return Err(ResponseHeadError::StatusLine);
    }

    let control = ControlFields::collect(response.headers)?;
    let framing = control.framing(status, minor_version, method)?;
    let keep_alive = framing != ResponseFraming::UntilClose
        && !control.close
        && (minor_version == 1 || control.keep_alive)
        && status != 101;
    take_fields(response.headers)?;
    Ok(DecodedResponse::Complete {
        head: ResponseHead { status, minor_version, framing, keep_alive },
        consumed,
    })
}

/// The fields that decide where a message ends and what becomes of the connection.
#[derive(Default)]
struct ControlFields {
    length: Option<u64>,
    transfer: Option<LastCoding>,
    close: bool,
    keep_alive: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LastCoding {
    Chunked,
    Other,
}

impl ControlFields {
    fn collect(fields: &[Header<'_>]) -> Result<Self, ResponseHeadError> {
        let mut found = Self::default();
        for field in fields {
            // The lengths sort out nearly every other field before a comparison.
            match field.name.len() {
                10 if field.name.eq_ignore_ascii_case("connection") => {
                    for option in elements(field.value) {
                        found.close |= option.eq_ignore_ascii_case(b"close");
                        found.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                14 if field.name.eq_ignore_ascii_case("content-length") => {
                    if found.length.is_some() {
                        return Err(ResponseHeadError::ContentLength);
                    }
                    found.length = Some(decimal(field.value).ok_or(ResponseHeadError::ContentLength)?);
                }
                17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                    for coding in elements(field.value) {
                        if found.transfer == Some(LastCoding::Chunked) {
                            return Err(ResponseHeadError::TransferEncoding);
                        }
                        let chunked = coding.eq_ignore_ascii_case(b"chunked");
                        found.transfer = Some(if chunked { LastCoding::Chunked } else { LastCoding::Other });
                    }
                    if found.transfer.is_none() {
                        return Err(ResponseHeadError::TransferEncoding);
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    fn framing(
        &self,
        status: u16,
        minor_version: u8,
        method: &Method,
    ) -> Result<ResponseFraming, ResponseHeadError> {
        if *method == Method::HEAD || status < 200 || status == 204 || status == 304 {
            return Ok(ResponseFraming::None);
        }
        // What follows is the tunnel, whatever the fields say.
        if status < 300 && *method == Method::CONNECT {
            return Ok(ResponseFraming::None);
        }
        match (self.transfer, self.length) {
            (Some(_), Some(_)) => Err(ResponseHeadError::AmbiguousLength),
            // RFC 9112 §6.1: an HTTP/1.0 sender cannot know the coding, so the framing is to be taken as faulty.
            (Some(_), None) if minor_version == 0 => Err(ResponseHeadError::TransferEncoding),
            (Some(LastCoding::Chunked), None) => Ok(ResponseFraming::Chunked),
            (Some(LastCoding::Other), None) | (None, None) => Ok(ResponseFraming::UntilClose),
            (None, Some(length)) => Ok(ResponseFraming::Length(length)),
        }
    }
}

/// The elements of a comma-separated list, empty ones left out (RFC 9110 §5.6.1.2).
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, &byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
