//! Media types known at compile time.

/// A media type that is fixed in the program, checked once to be a legal field value (RFC 9110 section 8.3).
///
/// It lets a response carry a Content-Type without a header map.
#[derive(Clone, Copy, Debug, Eq)]
pub struct ContentType(&'static str);

impl PartialEq for ContentType {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // The same text is mostly the same bytes of the program, too.
        std::ptr::eq(self.0, other.0) || self.0 == other.0
    }
}

impl ContentType {
    /// `text/plain; charset=utf-8`.
    pub const TEXT: Self = Self::new("text/plain; charset=utf-8");
    /// `text/html; charset=utf-8`.
    pub const HTML: Self = Self::new("text/html; charset=utf-8");
    /// `application/json`.
    pub const JSON: Self = Self::new("application/json");
    /// `application/problem+json` (RFC 9457).
    pub const PROBLEM_JSON: Self = Self::new("application/problem+json");
    /// `application/octet-stream`.
    pub const OCTET_STREAM: Self = Self::new("application/octet-stream");

    /// Checks a media type; in a `const`, at compile time.
    ///
    /// # Panics
    /// If `value` is empty or has a byte outside of visible ASCII and space.
    pub const fn new(value: &'static str) -> Self {
        let bytes = value.as_bytes();
        assert!(!bytes.is_empty(), "a content type cannot be empty");
        let mut at = 0;
        while at < bytes.len() {
            assert!(matches!(bytes[at], b' '..=b'~'), "a content type is visible ASCII and spaces");
            at += 1;
        }
        Self(value)
    }

    /// The media type as it is sent.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl From<&'static str> for ContentType {
    fn from(value: &'static str) -> Self {
        Self::new(value)
    }
}
