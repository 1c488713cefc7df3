//! The bounds on what a peer may send.

/// How much of everything a message may have; the defaults suit a server on the open Internet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the request line without its CRLF; beyond, 414. Default 16 KiB.
    pub request_line: usize,
    /// Bytes of the whole head, from the request line to the empty line; beyond, 431. Default 64 KiB.
    pub head: usize,
    /// Number of fields in the head; beyond, 431. Default 100; at most 4,096 are ever accepted.
    pub fields: usize,
    /// Number of empty lines tolerated before the request line (RFC 9112 section 2.2); beyond, 400. Default 2.
    pub empty_lines: usize,
    /// Bytes of a request's content, however framed; beyond, 413. Default 2 MiB.
    ///
    /// It is for those who read the content to enforce: the codec itself only counts framing.
    pub body: u64,
    /// Bytes of one chunk-size line with its extensions, without CRLF; beyond, 400. Default 4 KiB.
    pub chunk_line: usize,
    /// Bytes of all chunk extensions of one body; beyond, 400. Default 16 KiB.
    pub chunk_extensions: usize,
    /// Bytes of the trailer section; beyond, 431. Default 8 KiB; at most 65,535 are ever accepted.
    pub trailers: usize,
    /// Number of trailer fields; beyond, 431. Default 50.
    pub trailer_fields: usize,
    /// Whether a field block equal to the last one is recognised instead of parsed. Default on.
    ///
    /// The result is the same; switching it off serves measurements.
    pub memo: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line: 16 * 1024,
            head: 64 * 1024,
            fields: 100,
            empty_lines: 2,
            body: 2 * 1024 * 1024,
            chunk_line: 4 * 1024,
            chunk_extensions: 16 * 1024,
            trailers: 8 * 1024,
            trailer_fields: 50,
            memo: true,
        }
    }
}

impl Limits {
    /// Whether a head may have a request line and a field block of these lengths, line ends included.
    pub(super) fn allow(&self, line_len: usize, block_len: usize) -> bool {
        // The line's limit does not count its CRLF.
        line_len - 2 <= self.request_line && line_len + block_len <= self.head
    }
}
