//! Extractors of the raw body, and what all body extractors share.

use bytes::Bytes;
use covet_http::{Body, Request};

use super::FromRequest;
use crate::error::{Error, Result};
use crate::state::RouteContext;

/// Reads the whole body, at most as many bytes as the route allows (413 beyond).
pub(super) async fn gather<S>(request: &mut Request, context: &RouteContext<S>) -> Result<Bytes> {
    Ok(request.take_body().collect(context.body_limit()).await?)
}

/// The media type of the body, its parameters cut off.
pub(super) fn media_type(request: &Request) -> Option<&str> {
    let value = std::str::from_utf8(request.field("content-type")?).ok()?;
    value.split(';').next().map(str::trim)
}

impl<S> FromRequest<S> for Bytes {
    const TAKES_BODY: bool = true;

    async fn from_request(request: &mut Request, context: &RouteContext<S>) -> Result<Self> {
        gather(request, context).await
    }
}

impl<S> FromRequest<S> for String {
    const TAKES_BODY: bool = true;

    async fn from_request(request: &mut Request, context: &RouteContext<S>) -> Result<Self> {
        let bytes = gather(request, context).await?;
        // `Vec::from` takes the buffer over where nobody else holds it.
        String::from_utf8(Vec::from(bytes)).map_err(|_| Error::bad_request("the body is not UTF-8"))
    }
}

impl<S> FromRequest<S> for Body {
    const TAKES_BODY: bool = true;

    async fn from_request(request: &mut Request, _: &RouteContext<S>) -> Result<Self> {
        Ok(request.take_body())
    }
}
