//! What the server answered.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use serde::de::DeserializeOwned;
use url::Url;

use super::{Cause, Error, Phase};
use crate::h1::response::ResponseFraming;
use crate::{Body, BodyError};

/// An answer: its head, and a body that is still to be read.
///
/// Dropping it before the body was read to its end closes the connection, unless the rest has arrived. While the request's
/// own body is still being sent, reading the answer's body sends it on.
#[derive(Debug)]
pub struct Response {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) fields: HeaderMap,
    pub(super) body: Body,
    pub(super) framing: ResponseFraming,
    pub(super) reused: bool,
    pub(super) collected: usize,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<std::rc::Rc<crate::tls::ConnectionInfo>>,
}

impl Response {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The version that the server speaks: HTTP/1.0 or HTTP/1.1.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.fields
    }

    /// The first field of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&HeaderValue> {
        self.fields.get(name)
    }

    /// Where the answer is from: after redirects, the last one's URL.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Content-Length, if there is one. In an answer to HEAD it is what GET would have had.
    pub fn content_length(&self) -> Option<u64> {
        self.fields.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// Whether the answer says where its body ends. Otherwise the end of the connection is the end, and nobody can tell a
    /// whole body from one that was cut (RFC 9112 section 8); through TLS a cut is found, and an error.
    pub fn is_delimited(&self) -> bool {
        self.framing != ResponseFraming::UntilClose
    }

    /// Whether it came on a connection that an earlier request had opened.
    pub fn is_on_reused_connection(&self) -> bool {
        self.reused
    }

    /// What the TLS handshake agreed on; `None` without TLS.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<&crate::tls::ConnectionInfo> {
        self.tls.as_deref()
    }

    /// The answer, if its status is not 4xx or 5xx.
    ///
    /// # Errors
    /// [`Cause::Status`] if it is.
    pub fn error_for_status(self) -> Result<Response, Error> {
        match self.status.is_client_error() || self.status.is_server_error() {
            true => Err(self.error(Cause::Status(self.status))),
            false => Ok(self),
        }
    }

    /// The next piece of the body; `None` at its end. Cancel-safe.
    ///
    /// # Errors
    /// When the body is malformed, cut off or late.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match self.body.chunk().await {
            None => Ok(None),
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(error)) => Err(self.error(error)),
        }
    }

    /// The trailer fields, once the body was read to its end and if there were any; the next call has none.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.body.take_trailers()
    }

    /// The whole body.
    ///
    /// # Errors
    /// As for [`Response::chunk`], and when it is longer than [`Limits::collected`](super::Limits::collected).
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        self.collect().await
    }

    /// The whole body as text: UTF-8, or what the charset of Content-Type says if that is US-ASCII or ISO-8859-1.
    ///
    /// # Errors
    /// As for [`Response::bytes`], and when it is no such text.
    pub async fn text(mut self) -> Result<String, Error> {
        let charset = self.charset().unwrap_or_else(|| "utf-8".to_owned());
        let bytes = self.collect().await?;
        let text = match charset.as_str() {
            "iso-8859-1" | "latin1" => Some(bytes.iter().map(|&byte| char::from(byte)).collect()),
            "utf-8" | "utf8" | "us-ascii" => String::from_utf8(bytes.into()).ok(),
            _ => None,
        };
        text.ok_or_else(|| self.error(Cause::Text { charset }))
    }

    /// The whole body, read as JSON.
    ///
    /// # Errors
    /// As for [`Response::bytes`], and when it is no JSON of this type.
    pub async fn json<T: DeserializeOwned>(mut self) -> Result<T, Error> {
        let bytes = self.collect().await?;
        serde_json::from_slice(&bytes).map_err(|error| self.error(Cause::Json(error)))
    }

    /// The body by value.
    pub fn into_body(self) -> Body {
        self.body
    }

    async fn collect(&mut self) -> Result<Bytes, Error> {
        let limit = self.collected;
        self.body.collect(limit).await.map_err(|error: BodyError| self.error(error))
    }

    fn charset(&self) -> Option<String> {
        let content_type = self.fields.get(CONTENT_TYPE)?.to_str().ok()?;
        let parameters = content_type.split(';').skip(1);
        let value = parameters.filter_map(|parameter| parameter.split_once('=')).find_map(|(name, value)| {
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
        });
        value.map(str::to_ascii_lowercase)
    }

    fn error(&self, cause: impl Into<Cause>) -> Error {
        Error::new(self.method.clone(), Some(super::url::shown(&self.url)), Phase::Body, cause)
    }
}

impl From<Response> for http::Response<Body> {
    fn from(response: Response) -> http::Response<Body> {
        let mut converted = http::Response::new(response.body);
        *converted.status_mut() = response.status;
        *converted.version_mut() = response.version;
        *converted.headers_mut() = response.fields;
        converted
    }
}
