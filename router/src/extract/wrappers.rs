//! `Option` and `Result` around other extractors.

use covet_http::Request;

use super::FromRequest;
use crate::error::{Error, Result};
use crate::state::RouteContext;

impl<S, T: FromRequest<S>> FromRequest<S> for Option<T> {
    const TAKES_BODY: bool = T::TAKES_BODY;

    #[inline]
    async fn from_request(request: &mut Request, context: &RouteContext<S>) -> Result<Self> {
        Ok(T::from_request(request, context).await.ok())
    }
}

impl<S, T: FromRequest<S>> FromRequest<S> for Result<T, Error> {
    const TAKES_BODY: bool = T::TAKES_BODY;

    #[inline]
    async fn from_request(request: &mut Request, context: &RouteContext<S>) -> Result<Self> {
        Ok(T::from_request(request, context).await)
    }
}
