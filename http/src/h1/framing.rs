//! How a message's content is delimited (RFC 9112 section 6).

/// How the content of a request is delimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is no content.
    #[default]
    None,
    /// The content is this many bytes, possibly 0.
    Length(u64),
    /// The content is in chunks.
    Chunked,
}

impl Framing {
    /// Whether no content follows the head.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }

    /// The number of bytes of the content, where the framing tells it.
    pub fn length(self) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Length(length) => Some(length),
            Self::Chunked => None,
        }
    }
}
