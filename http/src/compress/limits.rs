//! The bounds on decoding.

/// How much encoded content may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the decoded content; beyond, 413. Default 8 MiB.
    pub decoded: u64,
    /// How many bytes may come out for each that went in, once more than [`Limits::free`] have come out; beyond, 413.
    /// Default 100. Text shrinks to a fifth or a tenth, endless zeros to a thousandth.
    pub ratio: u64,
    /// Bytes that may come out whatever their ratio. Default 64 KiB.
    pub free: u64,
    /// Bytes of the window that a decoder may ask for, which it holds as long as the body is read; beyond, 413. Default
    /// 8 MiB, what RFC 9659 section 3 allows for Zstandard. Gzip and deflate have never more than 32 KiB.
    pub window: u32,
    /// Codings on top of each other; beyond, 415. Default 2.
    pub codings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { decoded: 8 * 1024 * 1024, ratio: 100, free: 64 * 1024, window: 8 * 1024 * 1024, codings: 2 }
    }
}
