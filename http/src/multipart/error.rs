//! How reading a multipart form fails.

use http::StatusCode;

use crate::BodyError;

/// Why a multipart form can't be read further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MultipartError {
    /// The body is of another type than `multipart/form-data`.
    #[error("body is not of the type multipart/form-data")]
    ContentType,
    /// The boundary is missing in the Content-Type, or is none (RFC 2046 section 5.1.1).
    #[error("Content-Type has no valid boundary")]
    Boundary,
    /// What is before the first part is longer than [`Limits::head`](super::Limits::head).
    #[error("no part begins within the first {limit} bytes")]
    Preamble {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A line begins with the boundary and goes on with something else than its end.
    #[error("delimiter between parts is malformed")]
    Delimiter,
    /// The head of a part is not made of field lines.
    #[error("head of a part is malformed")]
    Head,
    /// The head of a part is longer than [`Limits::head`](super::Limits::head).
    #[error("head of a part is longer than {limit} bytes")]
    HeadTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The head of a part has more fields than [`Limits::fields`](super::Limits::fields).
    #[error("head of a part has more than {limit} fields")]
    TooManyFields {
        /// The limit.
        limit: usize,
    },
    /// A part has no Content-Disposition of the type `form-data`, or one without a name (RFC 7578 section 4.2).
    #[error("part has no form-data disposition with a name")]
    Disposition,
    /// A part is encoded for transport, which HTTP has no use for (RFC 7578 section 4.7).
    #[error("part has a transfer encoding other than binary")]
    TransferEncoding,
    /// There are more parts than [`Limits::parts`](super::Limits::parts).
    #[error("form has more than {limit} parts")]
    TooManyParts {
        /// The limit.
        limit: usize,
    },
    /// The content of a part is longer than [`Limits::part`](super::Limits::part), or than its reader allows.
    #[error("part `{name}` is longer than the limit of {limit} bytes")]
    PartTooLarge {
        /// The name of the part.
        name: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The form is longer than [`Limits::total`](super::Limits::total).
    #[error("form is longer than the limit of {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The body ends before the form does.
    #[error("form ends before its last delimiter")]
    Incomplete,
    /// A part that is to be text is in another character encoding than UTF-8.
    #[error("part `{name}` is not UTF-8")]
    NotUtf8 {
        /// The name of the part.
        name: String,
    },
    /// Reading failed for good before.
    #[error("form failed before")]
    Failed,
    /// The body could not be read.
    #[error("body of the form could not be read: {0}")]
    Body(#[from] BodyError),
}

impl MultipartError {
    /// The status to answer with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::ContentType | Self::TransferEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::HeadTooLarge { .. }
            | Self::TooManyFields { .. }
            | Self::TooManyParts { .. }
            | Self::PartTooLarge { .. }
            | Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(error) => error.status(),
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
