//! Why a request head is refused.

use http::StatusCode;

/// Why a request head is refused; the connection is to be closed after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// More empty lines before the request line than tolerated, or one without its CR.
    #[error("invalid line before the request line")]
    LeadingLine,
    /// The method is not a token followed by one space (RFC 9112 section 3.1).
    #[error("invalid method")]
    Method,
    /// The request-target is in no form that goes with the method (RFC 9112 section 3.2).
    #[error("invalid request-target")]
    Target,
    /// The request line does not end in a protocol version and CRLF (RFC 9112 section 2.3).
    #[error("invalid protocol version")]
    Version,
    /// The protocol version is well formed, but its major part is not 1.
    #[error("unsupported protocol version")]
    UnsupportedVersion,
    /// The request line is longer than [`Limits::request_line`](crate::h1::Limits::request_line).
    #[error("request line is too long")]
    LineTooLong,
    /// The method alone is longer than that, so it is none that anybody implements (RFC 9112 section 3).
    #[error("method is too long")]
    MethodTooLong,
    /// A field line is malformed: name, colon or value (RFC 9112 section 5).
    #[error("invalid field line")]
    Field,
    /// A line of the head ends in a bare LF (RFC 9112 section 2.2).
    #[error("line ends in a bare line feed")]
    BareLineFeed,
    /// The head is longer than [`Limits::head`](crate::h1::Limits::head).
    #[error("request head is too long")]
    HeadTooLong,
    /// The head has more fields than [`Limits::fields`](crate::h1::Limits::fields).
    #[error("too many fields")]
    TooManyFields,
    /// An HTTP/1.1 request has no Host field (RFC 9112 section 3.2).
    #[error("missing Host field")]
    HostMissing,
    /// There are several Host fields (RFC 9112 section 3.2).
    #[error("more than one Host field")]
    HostRepeated,
    /// The Host field is no host with optional port (RFC 9110 section 7.2).
    #[error("invalid Host field")]
    Host,
    /// Content-Length is not one decimal number below 2^64, said once (RFC 9110 section 8.6).
    #[error("invalid Content-Length")]
    ContentLength,
    /// There is both a Transfer-Encoding and a Content-Length (RFC 9112 section 6.1).
    #[error("both Transfer-Encoding and Content-Length")]
    AmbiguousFraming,
    /// The last transfer coding is not chunked, or chunked is not applied exactly once (RFC 9112 section 6.1).
    #[error("invalid Transfer-Encoding")]
    TransferEncoding,
    /// There is a transfer coding besides chunked (RFC 9112 section 6.1).
    #[error("unsupported transfer coding")]
    UnsupportedCoding,
    /// There is an expectation other than 100-continue (RFC 9110 section 10.1.1).
    #[error("unsupported expectation")]
    Expectation,
}

impl HeadError {
    /// The status to answer with.
    pub fn status(self) -> StatusCode {
        match self {
            Self::LineTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLong | Self::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UnsupportedCoding | Self::MethodTooLong => StatusCode::NOT_IMPLEMENTED,
            Self::UnsupportedVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
