//! The bounds on a multipart form.

/// How much of everything a multipart form may have.
///
/// The length of the whole body has a bound of its own on its way here, [`h1::Limits::body`](crate::h1::Limits::body):
/// a server that takes larger forms raises both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Number of parts; beyond, 413. Default 100.
    pub parts: usize,
    /// Bytes of one part's content; beyond, 413. Default 2 MiB.
    pub part: u64,
    /// Bytes of the whole body, delimiters and heads included; beyond, 413. Default 8 MiB.
    pub total: u64,
    /// Bytes of one part's head, and of what may be before the first part; beyond, 413. Default 4 KiB.
    pub head: usize,
    /// Number of fields in one part's head; beyond, 413. Default 16, at most 64.
    pub fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { parts: 100, part: 2 * 1024 * 1024, total: 8 * 1024 * 1024, head: 4 * 1024, fields: 16 }
    }
}
