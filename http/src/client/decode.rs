//! Where content codings are undone.

use http::HeaderValue;

use crate::{Body, compress};

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

/// Undoes the codings that this crate was built with (features `gzip`, `brotli` and `zstd`), within limits; see
/// [`compress`](crate::compress).
#[derive(Clone, Debug, Default)]
pub struct BuiltInCodings {
    /// How much may come out.
    pub limits: compress::Limits,
}

impl ContentDecoder for BuiltInCodings {
    fn accept_encoding(&self) -> HeaderValue {
        compress::accept_encoding()
    }

    fn decode(&self, content_encoding: &HeaderValue, body: Body) -> Result<Body, Body> {
        match compress::content_codings([content_encoding.as_bytes()], &self.limits) {
            // All of them are known, so this does not fail.
            Ok(codings) if !codings.is_empty() => {
                compress::decode_body(body, &codings, &self.limits).map_err(|_| Body::taken())
            }
            _ => Err(body),
        }
    }
}
