//! Tuples: a response with a status and fields of its own.

use covet_http::{HeaderName, HeaderValue, Response, StatusCode};

use super::IntoResponse;
use crate::error::{Error, Result};

impl<R: IntoResponse> IntoResponse for (StatusCode, R) {
    #[inline]
    fn into_response(self) -> Result<Response> {
        let (status, body) = self;
        let mut response = body.into_response()?;
        response.set_status(status);
        Ok(response)
    }
}

impl<K, V, R, const N: usize> IntoResponse for ([(K, V); N], R)
where
    K: TryInto<HeaderName, Error: Into<http::Error>>,
    V: TryInto<HeaderValue, Error: Into<http::Error>>,
    R: IntoResponse,
{
    /// The fields replace those that `R` set; a name that occurs twice in the array is sent twice.
    fn into_response(self) -> Result<Response> {
        let (fields, body) = self;
        let mut response = body.into_response()?;
        let headers = response.headers_mut();
        let mut seen: [Option<HeaderName>; N] = [const { None }; N];
        for (at, (name, value)) in fields.into_iter().enumerate() {
            let name = name.try_into().map_err(|error| Error::internal(error.into()))?;
            let value = value.try_into().map_err(|error| Error::internal(error.into()))?;
            if seen[..at].iter().flatten().any(|known| *known == name) {
                headers.append(&name, value);
            } else {
                headers.insert(&name, value);
            }
            seen[at] = Some(name);
        }
        Ok(response)
    }
}

impl<K, V, R, const N: usize> IntoResponse for (StatusCode, [(K, V); N], R)
where
    ([(K, V); N], R): IntoResponse,
{
    fn into_response(self) -> Result<Response> {
        let (status, fields, body) = self;
        (status, (fields, body)).into_response()
    }
}
