//! The names of codings.

use std::fmt;

use http::HeaderValue;

use super::{DecodeError, Limits};

/// A content coding (RFC 9110 section 8.4.1, RFC 7932, RFC 8878).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentCoding {
    /// `gzip`, also called `x-gzip`.
    Gzip,
    /// `deflate`, which is zlib's format; the bare deflate that some senders mean by it is understood as well.
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

impl ContentCoding {
    /// The coding of this name, in any case; `None` if it is unknown. `identity` is no coding.
    pub fn of(name: &[u8]) -> Option<Self> {
        const NAMES: [(&[u8], ContentCoding); 5] = [
            (b"gzip", ContentCoding::Gzip),
            (b"x-gzip", ContentCoding::Gzip),
            (b"deflate", ContentCoding::Deflate),
            (b"br", ContentCoding::Brotli),
            (b"zstd", ContentCoding::Zstd),
        ];
        NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|&(_, coding)| coding)
    }

    /// The registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// Whether it is built in.
    pub fn is_supported(self) -> bool {
        match self {
            Self::Gzip | Self::Deflate => cfg!(feature = "gzip"),
            Self::Brotli => cfg!(feature = "brotli"),
            Self::Zstd => cfg!(feature = "zstd"),
        }
    }
}

impl fmt::Display for ContentCoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The codings that are built in, as the value of an Accept-Encoding field; `identity` if there are none.
pub fn accept_encoding() -> HeaderValue {
    HeaderValue::from_static(
        match (cfg!(feature = "gzip"), cfg!(feature = "brotli"), cfg!(feature = "zstd")) {
            (true, true, true) => "gzip, deflate, br, zstd",
            (true, true, false) => "gzip, deflate, br",
            (true, false, true) => "gzip, deflate, zstd",
            (true, false, false) => "gzip, deflate",
            (false, true, true) => "br, zstd",
            (false, true, false) => "br",
            (false, false, true) => "zstd",
            (false, false, false) => "identity",
        },
    )
}

/// The codings that Content-Encoding fields of these values name, in the order in which they were applied.
///
/// # Errors
/// [`DecodeError::Unsupported`] for one that is unknown or not built in, [`DecodeError::TooManyCodings`] for more than
/// [`Limits::codings`].
pub fn content_codings<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
    limits: &Limits,
) -> Result<Vec<ContentCoding>, DecodeError> {
    let mut codings = Vec::new();
    let names =
        values.into_iter().flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    // `identity` is not to be sent, and means nothing where it is.
    for name in names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity")) {
        let Some(coding) = ContentCoding::of(name).filter(|coding| coding.is_supported()) else {
            return Err(DecodeError::Unsupported { coding: name.escape_ascii().to_string() });
        };
        if codings.len() == limits.codings {
            return Err(DecodeError::TooManyCodings { limit: limits.codings });
        }
        codings.push(coding);
    }
    Ok(codings)
}
