//! Content codings (RFC 9110 section 8.4): taking gzip, deflate, Brotli and Zstandard off bodies.
//!
//! [`decode_request`] does it for a request, [`decode_body`] for any body, and [`Decoder`] for bytes without a body
//! around them. Whoever sends compressed content chooses how large it becomes, so all of them are bounded, see
//! [`Limits`]: in the bytes that come out, in their ratio to those that went in, in the memory of the decoder, and in
//! the number of codings on top of each other. Content is decoded as it is read, in pieces of at most 32 KiB.
//!
//! Each coding is a feature of this crate: `gzip` (with deflate), `brotli` and `zstd`. What is not built in is refused
//! like any other coding that nobody knows.

mod body;
#[cfg(feature = "brotli")]
mod brotli;
mod coding;
mod decoder;
mod error;
#[cfg(feature = "gzip")]
mod inflate;
mod limits;
#[cfg(feature = "zstd")]
mod zstd;

pub use body::{decode_body, decode_request};
pub use coding::{ContentCoding, accept_encoding, content_codings};
pub use decoder::Decoder;
pub use error::DecodeError;
pub use limits::Limits;
