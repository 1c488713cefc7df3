//! The load generator.

mod request;
mod url;

pub use request::{RequestError, RequestOptions, parse_field, render};
pub use url::{TargetUrl, UrlError};
