//! Where content codings are undone.

use http::HeaderValue;

use crate::Body;

/// Undoes content codings such as gzip (RFC 9110 section 8.4).
///
/// A client that has one asks for what it offers, unless the request has an Accept-Encoding of its own, which says that
/// the caller decodes.
pub trait ContentDecoder {
    /// The value of Accept-Encoding.
    fn accept_encoding(&self) -> HeaderValue;

    /// The body without the codings that Content-Encoding names.
    ///
    /// # Errors
    /// The body itself, when it knows one of the codings not: it is then handed on as it is, with its Content-Encoding.
    fn decode(&self, content_encoding: &HeaderValue, body: Body) -> Result<Body, Body>;
}
