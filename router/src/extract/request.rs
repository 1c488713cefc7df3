//! The request itself, and copies of its parts.

use covet_http::{HeaderMap, Method, Request, Version};

use super::FromRequest;
use crate::error::Result;
use crate::state::RouteContext;

/// A second handle to a request: same head, parameters, peer and extensions, but no body.
pub(crate) fn without_body(request: &Request) -> Request {
    let mut copy = Request::new(request.head().clone(), covet_http::Body::taken());
    copy.set_params(request.params().clone());
    copy.set_connection_of(request);
    // Extensions share their place with changed fields: without the former there are no latter.
    if let Some(extensions) = request.extensions() {
        *copy.extensions_mut() = extensions.clone();
        if !std::ptr::eq(request.headers(), request.head().headers()) {
            *copy.headers_mut() = request.headers().clone();
        }
    }
    copy
}

impl<S> FromRequest<S> for Request {
    const TAKES_BODY: bool = true;

    async fn from_request(request: &mut Request, _: &RouteContext<S>) -> Result<Self> {
        // What stays behind serves the extractors that follow.
        let rest = without_body(request);
        Ok(std::mem::replace(request, rest))
    }
}

impl<S> FromRequest<S> for HeaderMap {
    async fn from_request(request: &mut Request, _: &RouteContext<S>) -> Result<Self> {
        Ok(request.headers().clone())
    }
}

impl<S> FromRequest<S> for Method {
    #[inline]
    async fn from_request(request: &mut Request, _: &RouteContext<S>) -> Result<Self> {
        Ok(request.method().clone())
    }
}

impl<S> FromRequest<S> for Version {
    #[inline]
    async fn from_request(request: &mut Request, _: &RouteContext<S>) -> Result<Self> {
        Ok(request.version())
    }
}
