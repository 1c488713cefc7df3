//! Text, HTML and bytes as responses.

use std::borrow::Cow;

use bytes::Bytes;
use covet_http::{Body, ContentType, Response};

use super::{IntoResponse, typed};
use crate::error::Result;

macro_rules! typed_as {
    ($content_type:ident: $($body:ty),+) => {$(
        impl IntoResponse for $body {
            #[inline]
            fn into_response(self) -> Result<Response> {
                typed(self, ContentType::$content_type)
            }
        }
    )+};
}

typed_as!(TEXT: &'static str, String);
typed_as!(OCTET_STREAM: &'static [u8], Bytes, Vec<u8>);

impl IntoResponse for Cow<'static, str> {
    fn into_response(self) -> Result<Response> {
        match self {
            Cow::Borrowed(text) => text.into_response(),
            Cow::Owned(text) => text.into_response(),
        }
    }
}

/// An HTML document: `text/html; charset=utf-8`.
///
/// The text is sent as it is: escape what comes from users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Html<T>(pub T);

impl<T: Into<Body>> IntoResponse for Html<T> {
    fn into_response(self) -> Result<Response> {
        typed(self.0, ContentType::HTML)
    }
}
