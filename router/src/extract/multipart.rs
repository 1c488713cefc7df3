//! `Multipart` as an extractor.

use covet_http::Request;
use covet_http::multipart::{Limits, Multipart, MultipartError};

use super::FromRequest;
use crate::error::{Error, Result};
use crate::state::RouteContext;

/// A form with files, read part by part as it arrives.
///
/// Fails with 415 if the body is of another type than `multipart/form-data`, 400 if that names no boundary, 413 if the
/// body is over the limit. Reading it fails with the [status](MultipartError::status) of what is wrong: `?` hands that
/// to the client.
///
/// The limits are those that a middleware left in the request's extensions, or the usual ones with the route's
/// [body limit](RouteContext::body_limit) for the whole form. What the server takes at all has a limit before them,
/// [`h1::Limits::body`](covet_http::h1::Limits::body).
///
/// ```
/// use covet_http::multipart::Multipart;
/// use covet_router::{Result, Router, test_client::TestClient};
///
/// async fn upload(mut form: Multipart) -> Result<String> {
///     let mut report = String::new();
///     while let Some(mut part) = form.next_part().await? {
///         let mut length = 0;
///         while let Some(piece) = part.chunk().await? {
///             length += piece.len();
///         }
///         report += &format!("{}: {length} bytes;", part.name());
///     }
///     Ok(report)
/// }
///
/// let client = TestClient::new(Router::new().post("/upload", upload));
/// let form = "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\nhello\r\n--B--\r\n";
/// let answer = client.post("/upload").header("content-type", "multipart/form-data; boundary=B").body(form).send();
/// assert_eq!(answer.text(), "f: 5 bytes;");
/// ```
impl<S> FromRequest<S> for Multipart {
    const TAKES_BODY: bool = true;

    async fn from_request(request: &mut Request, context: &RouteContext<S>) -> Result<Self> {
        let set = request.extensions().and_then(|extensions| extensions.get::<Limits>()).cloned();
        let usual = || Limits { total: context.body_limit() as u64, ..Limits::default() };
        let content_type = request.field("content-type").unwrap_or_default().to_vec();
        Ok(Multipart::new(&content_type, request.take_body(), set.unwrap_or_else(usual))?)
    }
}

impl From<MultipartError> for Error {
    /// The status is that of [`MultipartError::status`]; the client learns the reason if it is to blame.
    fn from(error: MultipartError) -> Self {
        let status = error.status();
        let answer = Self::new(status);
        let answer = if status.is_client_error() { answer.with_detail(error.to_string()) } else { answer };
        answer.with_source(error)
    }
}
