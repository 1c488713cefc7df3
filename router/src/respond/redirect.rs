//! Redirects.

use std::borrow::Cow;

use covet_http::{HeaderValue, Response, StatusCode};
use http::header::LOCATION;

use super::IntoResponse;
use crate::error::Result;

/// A redirect to another place (RFC 9110 §15.4).
///
/// The place is sent as given: a target that comes from a user can lead anywhere, so check it. One
/// that is not a legal field value is an error of status 500.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    status: StatusCode,
    location: Cow<'static, str>,
}

impl Redirect {
    /// 303 See Other: GET the place next, as after a form was sent.
    pub fn to(location: impl Into<Cow<'static, str>>) -> Self {
        Self { status: StatusCode::SEE_OTHER, location: location.into() }
    }

    /// 307 Temporary Redirect: repeat the same request there.
    pub fn temporary(location: impl Into<Cow<'static, str>>) -> Self {
        Self { status: StatusCode::TEMPORARY_REDIRECT, location: location.into() }
    }

    /// 308 Permanent Redirect: repeat the same request there, now and in future.
    pub fn permanent(location: impl Into<Cow<'static, str>>) -> Self {
        Self { status: StatusCode::PERMANENT_REDIRECT, location: location.into() }
    }
}

impl IntoResponse for Redirect {
    fn into_response(self) -> Result<Response> {
        let location = match self.location {
            Cow::Borrowed(place) => HeaderValue::from_str(place)?,
            Cow::Owned(place) => HeaderValue::try_from(place)?,
        };
        Ok(Response::with_status(self.status).with_header(LOCATION, location))
    }
}
