//! How reading a body fails.

use std::io;

use http::StatusCode;

use crate::compress::DecodeError;

/// An error of any type, as a streaming body's producer reports it.
///
/// It is `Send + Sync`, as the crates around `http-body` expect.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The body is longer than the reader allows.
    #[error("body is longer than the limit of {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The peer closed the connection before the body's end.
    #[error("peer closed the connection before the end of the body")]
    Incomplete,
    /// The chunked framing is invalid (RFC 9112 section 7.1).
    #[error("chunked body is malformed: {0}")]
    Malformed(#[source] BoxError),
    /// The trailer section exceeds its limit.
    #[error("trailer section is longer than its limit")]
    TrailersTooLarge,
    /// The body did not arrive in time.
    #[error("body did not arrive in time")]
    TimedOut,
    /// The body was taken out of its message before.
    #[error("body was already taken")]
    Taken,
    /// A stream with a declared length yielded more or fewer bytes.
    #[error("streaming body was declared as {declared} bytes but its stream yielded {qualifier}", qualifier = if *.excess { "more" } else { "fewer" })]
    LengthMismatch {
        /// The declared length, in bytes.
        declared: u64,
        /// Whether the stream yielded more than that; otherwise it ended early.
        excess: bool,
    },
    /// The connection failed.
    #[error("connection failed while the body was read: {0}")]
    Io(#[from] io::Error),
    /// The content codings could not be taken off.
    #[error("body could not be decoded: {0}")]
    Encoded(#[from] DecodeError),
    /// The stream behind the body failed.
    #[error("source of the body failed: {0}")]
    Source(#[source] BoxError),
}

impl BodyError {
    /// The status to answer with when a request's body fails like this.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Incomplete | Self::Malformed(_) | Self::Io(_) => StatusCode::BAD_REQUEST,
            Self::TrailersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::Encoded(error) => error.status(),
            Self::Taken | Self::LengthMismatch { .. } | Self::Source(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
