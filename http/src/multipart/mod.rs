//! Multipart forms, as browsers send files (RFC 7578, on the syntax of RFC 2046).
//!
//! [`Multipart`] reads a body part by part, as it arrives: a part is never gathered unless its reader asks for it, and
//! a reader that is slow holds the client back. Beneath it is [`Decoder`], which knows neither sockets nor bodies:
//! bytes go in, events come out. Every length has a bound, see [`Limits`].
//!
//! ```
//! use covet_http::multipart::{Limits, Multipart};
//! use covet_http::{Body, Request};
//!
//! async fn upload(request: &mut Request) -> Result<u64, covet_http::multipart::MultipartError> {
//!     let content_type = request.field("content-type").unwrap_or_default().to_vec();
//!     let mut form = Multipart::new(&content_type, request.take_body(), Limits::default())?;
//!     let mut bytes = 0;
//!     while let Some(mut part) = form.next_part().await? {
//!         match part.name() {
//!             "title" => println!("{}", part.text().await?),
//!             _ => while let Some(piece) = part.chunk().await? {
//!                 bytes += piece.len() as u64;
//!             },
//!         }
//!     }
//!     Ok(bytes)
//! }
//! # let _ = upload;
//! ```

mod boundary;
mod decoder;
mod error;
mod form;
mod head;
mod limits;
mod parameters;
#[cfg(test)]
mod tests;

pub use boundary::boundary;
pub use decoder::{Decoder, Event};
pub use error::MultipartError;
pub use form::{Multipart, Part};
pub use head::PartHead;
pub use limits::Limits;
