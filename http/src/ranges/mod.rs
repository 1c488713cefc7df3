//! Parts of a representation (RFC 9110 section 14): reading Range and If-Range, answering 206 and 416.
//!
//! [`select`] says what of a representation a request wants. [`respond`] makes the answer where the bytes are all
//! there; for what is read from elsewhere, such as a file, [`ByteRanges`] tells which pieces an answer is made of.
//!
//! ```
//! use covet_http::ranges::{self, Limits};
//! use covet_http::{Request, Response};
//!
//! fn answer(request: &Request) -> Response {
//!     let whole = Response::new("0123456789");
//!     ranges::respond(request, whole, &Limits::default())
//! }
//!
//! let request = Request::builder("GET", "/").header("Range", "bytes=2-4").body(()).unwrap();
//! let response = answer(&request);
//! assert_eq!((response.status().as_u16(), response.body().as_fixed()), (206, Some(&b"234"[..])));
//! assert_eq!(response.header("content-range"), Some(&b"bytes 2-4/10"[..]));
//! ```

mod byteranges;
mod if_range;
mod parse;
mod respond;
mod select;
#[cfg(test)]
mod tests;

pub use byteranges::{ByteRanges, Segment, content_range, unsatisfied_range};
pub use if_range::Validators;
pub use respond::respond;
pub use select::{Limits, Selection, select};
