//! Request bodies without their content codings.

use covet_http::compress::{DecodeError, Limits, accept_encoding, decode_request};
use covet_http::header::ACCEPT_ENCODING;
use covet_http::{Request, Response, StatusCode};

use super::Next;
use crate::error::{Error, Result};

/// A middleware that takes the content codings off request bodies: handlers see what was there before.
///
/// Which codings it knows is decided by the features of `covet-http`. An unknown one is answered with 415 and the
/// field Accept-Encoding, which says what is known (RFC 9110 section 15.5.16). Content that is malformed is 400 where
/// it is read, and content that becomes larger than the limits 413. The body limit of a route counts decoded bytes.
///
/// ```
/// use covet_http::compress::Limits;
/// use covet_router::{Router, middleware, test_client::TestClient};
///
/// let router = Router::new()
///     .post("/", async |body: String| body)
///     .layer(middleware::decompress(Limits::default()));
/// let client = TestClient::new(router);
///
/// assert_eq!(client.post("/").body("plain").send().text(), "plain");
/// let answer = client.post("/").header("content-encoding", "compress").body("?").send();
/// assert_eq!(answer.status(), 415);
/// assert!(answer.header("accept-encoding").is_some());
/// ```
pub fn decompress(limits: Limits) -> impl AsyncFn(Request, Next) -> Result<Response> + 'static {
    async move |mut request: Request, next: Next| {
        decode_request(&mut request, &limits)?;
        Ok::<_, Error>(next.run(request).await)
    }
}

impl From<DecodeError> for Error {
    /// The status is that of [`DecodeError::status`]; with 415 goes the field Accept-Encoding.
    fn from(error: DecodeError) -> Self {
        let status = error.status();
        let answer = Self::new(status).with_detail(error.to_string());
        let answer = match status {
            StatusCode::UNSUPPORTED_MEDIA_TYPE => answer.with_header(ACCEPT_ENCODING, accept_encoding()),
            _ => answer,
        };
        answer.with_source(error)
    }
}
