//! HTTP/1.1 as a sans-IO codec (RFC 9112): bytes in, values out; no socket, no clock.
//!
//! It is strict where requests are smuggled. Line ends are CRLF, never a bare LF; a head with contradictory
//! framing is refused and the connection is to be closed after the answer. Every length has a bound, see
//! [`Limits`].

pub mod chunked;
pub mod date;
mod decode;
pub mod encode;
mod error;
mod fields;
mod framing;
mod head;
mod limits;
pub mod request_head;
mod request_line;
pub mod response;
pub mod response_decoder;
mod scan;
mod target;
pub mod trailers;

pub use chunked::{ChunkError, ChunkEvent, ChunkedDecoder};
pub use date::DateCache;
pub use decode::{Decoded, decode_request};
pub use encode::{Encoded, Exchange, ResponseEncoder};
pub use error::HeadError;
pub use fields::Fields;
pub use framing::Framing;
pub use head::Head;
pub use limits::Limits;
pub use request_head::{RequestFraming, RequestHead, RequestHeadError};
pub use response_decoder::{ReceivedHead, ResponseDecoder, ResponseError, ResponseEvent};

/// Whether this is `uri-host [ ":" port ]` (RFC 9110 section 7.2).
pub(crate) fn is_authority(text: &[u8]) -> bool {
    target::is_authority(text, false)
}
