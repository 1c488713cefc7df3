//! The response type.

mod content_type;
#[cfg(test)]
mod tests;

use http::header::CONTENT_TYPE;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode};

pub use content_type::ContentType;

use crate::Body;

/// An answer: status, fields and body.
///
/// The framing fields (Content-Length, Transfer-Encoding, Connection) are the encoder's: it derives them from
/// the body, whatever is in the header map. A response without fields of its own, or with a fixed content
/// type only, owns no header map and no heap memory besides its body's.
#[derive(Debug, Default)]
pub struct Response {
    status: StatusCode,
    after: After,
    /// Meaningful only while `extra` has no header map.
    content_type: Option<ContentType>,
    extra: Option<Box<Extra>>,
    body: Body,
}

/// What becomes of the connection after a response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum After {
    #[default]
    KeepAlive,
    Close,
    ClosePanicked,
}

/// What few responses have, kept out of line so that the others stay small.
#[derive(Debug, Default)]
struct Extra {
    headers: Option<HeaderMap>,
    extensions: Extensions,
}

impl Response {
    /// A 200 response with this body and no content type.
    #[inline]
    pub fn new(body: impl Into<Body>) -> Self {
        Self {
            status: StatusCode::OK,
            after: After::KeepAlive,
            content_type: None,
            extra: None,
            body: body.into(),
        }
    }

    /// An empty 200 response.
    pub fn ok() -> Self {
        Self::default()
    }

    /// An empty response with this status.
    #[inline]
    pub fn with_status(status: StatusCode) -> Self {
        Self { status, after: After::KeepAlive, content_type: None, extra: None, body: Body::empty() }
    }

    /// The status.
    #[inline]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Changes the status.
    #[inline]
    pub fn set_status(&mut self, status: StatusCode) {
        self.status = status;
    }

    /// Sets the Content-Type field, replacing any other.
    ///
    /// A string is checked at each call, a [`ContentType`] constant at compile time. For types that are known
    /// only at run time, insert a [`HeaderValue`] into [`Response::headers_mut`].
    ///
    /// # Panics
    /// If the string is no legal field value; see [`ContentType::new`].
    #[inline]
    pub fn set_content_type(&mut self, content_type: impl Into<ContentType>) {
        let content_type = content_type.into();
        match self.map_mut() {
            Some(map) => {
                map.insert(CONTENT_TYPE, HeaderValue::from_static(content_type.as_str()));
            }
            None => self.content_type = Some(content_type),
        }
    }

    /// The content type set by [`Response::set_content_type`], while there is no header map.
    #[inline]
    pub fn fixed_content_type(&self) -> Option<ContentType> {
        if self.headers().is_some() { None } else { self.content_type }
    }

    /// The value of the first field of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        match self.headers() {
            Some(map) => map.get(name).map(HeaderValue::as_bytes),
            None if name.eq_ignore_ascii_case(CONTENT_TYPE.as_str()) => {
                self.content_type.map(|content_type| content_type.as_str().as_bytes())
            }
            None => None,
        }
    }

    /// The header map, if the response has one.
    ///
    /// A content type alone makes no map: use [`Response::header`] to look at single fields.
    #[inline]
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.extra.as_ref()?.headers.as_ref()
    }

    /// The header map, made on the first call.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        let content_type = self.content_type;
        self.extra.get_or_insert_default().headers.get_or_insert_with(|| {
            let mut map = HeaderMap::new();
            if let Some(content_type) = content_type {
                map.insert(CONTENT_TYPE, HeaderValue::from_static(content_type.as_str()));
            }
            map
        })
    }

    /// Sets a field, replacing others of the same name, and returns the response.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers_mut().insert(name, value);
        self
    }

    /// Sets the content type as [`Response::set_content_type`] does, and returns the response.
    #[inline]
    pub fn with_content_type(mut self, content_type: impl Into<ContentType>) -> Self {
        self.set_content_type(content_type);
        self
    }

    /// The body.
    #[inline]
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The body, to be read from.
    pub fn body_mut(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Takes the body, leaving [`Body::taken`].
    pub fn take_body(&mut self) -> Body {
        self.body.take()
    }

    /// Replaces the body.
    pub fn set_body(&mut self, body: impl Into<Body>) {
        self.body = body.into();
    }

    /// Replaces the body by what `change` makes of it.
    pub fn map_body(mut self, change: impl FnOnce(Body) -> Body) -> Self {
        self.body = change(self.body);
        self
    }

    /// The body by value.
    pub fn into_body(self) -> Body {
        self.body
    }

    /// Marks the connection to be closed after this response.
    pub fn close(&mut self) {
        if self.after == After::KeepAlive {
            self.after = After::Close;
        }
    }

    /// Whether [`Response::close`] was called.
    #[inline]
    pub fn closes(&self) -> bool {
        self.after != After::KeepAlive
    }

    /// Marks this as the answer of a handler that panicked: the connection is closed after it, and the server counts the
    /// panic as it does those that nobody catches.
    pub fn close_after_panic(&mut self) {
        self.after = After::ClosePanicked;
    }

    pub(crate) fn is_after_panic(&self) -> bool {
        self.after == After::ClosePanicked
    }

    /// Values attached by layers for each other.
    pub fn extensions(&self) -> Option<&Extensions> {
        self.extra.as_ref().map(|extra| &extra.extensions)
    }

    /// Values attached by layers for each other, to be changed.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extra.get_or_insert_default().extensions
    }

    fn map_mut(&mut self) -> Option<&mut HeaderMap> {
        self.extra.as_mut()?.headers.as_mut()
    }
}

impl From<http::Response<Body>> for Response {
    fn from(response: http::Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let plain = parts.headers.is_empty() && parts.extensions.is_empty();
        let extra =
            (!plain).then(|| Box::new(Extra { headers: Some(parts.headers), extensions: parts.extensions }));
        Self { status: parts.status, after: After::KeepAlive, content_type: None, extra, body }
    }
}

impl From<Response> for http::Response<Body> {
    /// The mark left by [`Response::close`] becomes a `Connection: close` field.
    fn from(mut response: Response) -> Self {
        if response.content_type.is_some() {
            response.headers_mut();
        }
        let extra = response.extra.map(|extra| *extra).unwrap_or_default();
        let mut converted = Self::new(response.body);
        *converted.status_mut() = response.status;
        *converted.headers_mut() = extra.headers.unwrap_or_default();
        *converted.extensions_mut() = extra.extensions;
        if response.after != After::KeepAlive {
            converted.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
        }
        converted
    }
}
