//! To and from the `http` crate's request.

use std::rc::Rc;

use http::uri::PathAndQuery;
use http::{Method, Uri};

use super::{Request, RequestError};
use crate::Body;
use crate::h1::Head;

impl TryFrom<http::Request<Body>> for Request {
    type Error = RequestError;

    /// Fails only where the `http` crate allows what HTTP/1.1 does not, such as a target of raw UTF-8.
    fn try_from(request: http::Request<Body>) -> Result<Self, RequestError> {
        let (parts, body) = request.into_parts();
        let target = target_of(&parts.method, &parts.uri);
        let head = Head::build(parts.method, parts.version, target, &parts.headers)?;
        let mut converted = Self::new(Rc::new(head), body);
        if !parts.extensions.is_empty() {
            *converted.extensions_mut() = parts.extensions;
        }
        Ok(converted)
    }
}

/// The request-target that a URI is sent as: the whole URI only if it names a scheme.
fn target_of(method: &Method, uri: &Uri) -> String {
    match uri.authority() {
        Some(authority) if method == Method::CONNECT => authority.to_string(),
        Some(_) if uri.scheme().is_some() => uri.to_string(),
        _ => uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned(),
    }
}

impl TryFrom<Request> for http::Request<Body> {
    type Error = http::Error;

    /// Path parameters, the peer's address and an [`Upgrade`](crate::Upgrade) that was not taken are left behind.
    ///
    /// Fails where the request-target has bytes that [`Uri`] does not take, such as `\` or `<`.
    fn try_from(mut request: Request) -> Result<Self, http::Error> {
        let headers = match request.extra.as_mut().and_then(|extra| extra.headers.take()) {
            Some(headers) => headers,
            None => request.head.headers().clone(),
        };
        let mut converted = http::Request::builder()
            .method(request.method().clone())
            .uri(request.target())
            .version(request.version())
            .body(request.body.take())?;
        *converted.headers_mut() = headers;
        if let Some(extra) = request.extra {
            *converted.extensions_mut() = extra.extensions;
        }
        Ok(converted)
    }
}
