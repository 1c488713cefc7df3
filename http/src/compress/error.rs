//! How decoding fails.

use http::StatusCode;

use super::ContentCoding;
use crate::BoxError;

/// Why encoded content can't be decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The content has a coding that is unknown, or not built in.
    #[error("content coding `{coding}` is not supported")]
    Unsupported {
        /// Its name, as sent.
        coding: String,
    },
    /// There are more codings on top of each other than [`Limits::codings`](super::Limits::codings).
    #[error("content has more than {limit} codings")]
    TooManyCodings {
        /// The limit.
        limit: usize,
    },
    /// The content is not what its coding says.
    #[error("content is no valid {coding}: {source}")]
    Malformed {
        /// The coding.
        coding: ContentCoding,
        /// What the decoder says.
        source: BoxError,
    },
    /// The content ends before its coding says so.
    #[error("{coding} content breaks off")]
    Incomplete {
        /// The coding.
        coding: ContentCoding,
    },
    /// Something follows behind the end of the content.
    #[error("{coding} content goes on behind its end")]
    Trailing {
        /// The coding.
        coding: ContentCoding,
    },
    /// More comes out than [`Limits::decoded`](super::Limits::decoded).
    #[error("decoded content is longer than the limit of {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// More comes out for what went in than [`Limits::ratio`](super::Limits::ratio).
    #[error("decoded content is more than {limit} times as long as the encoded")]
    Ratio {
        /// The limit.
        limit: u64,
    },
    /// The decoder would need a larger window than [`Limits::window`](super::Limits::window).
    #[error("{coding} content needs a window of more than {limit} bytes")]
    Window {
        /// The coding.
        coding: ContentCoding,
        /// The limit, in bytes.
        limit: u32,
    },
}

impl DecodeError {
    /// The status to answer with, where the content is a request's.
    ///
    /// With 415 goes an Accept-Encoding field that says what is supported, [`accept_encoding`](super::accept_encoding)
    /// (RFC 9110 section 12.5.3).
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unsupported { .. } | Self::TooManyCodings { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Malformed { .. } | Self::Incomplete { .. } | Self::Trailing { .. } => {
                StatusCode::BAD_REQUEST
            }
            Self::TooLarge { .. } | Self::Ratio { .. } | Self::Window { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }
}
