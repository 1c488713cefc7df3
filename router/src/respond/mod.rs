//! Responses: what a handler may return.

mod json;
mod parts;
mod redirect;
mod text;

use covet_http::{Body, ContentType, Response, StatusCode};

use crate::error::{Error, Result};

pub use json::Json;
pub use redirect::Redirect;
pub use text::Html;

/// A type that a [handler](crate::Handler) can return.
///
/// | Type | Response |
/// |---|---|
/// | `()` | 200, empty |
/// | `&'static str`, `String`, `Cow<'static, str>` | 200, `text/plain; charset=utf-8` |
/// | `Bytes`, `Vec<u8>`, `&'static [u8]` | 200, `application/octet-stream` |
/// | [`Body`] | 200, no content type |
/// | [`Json<T>`](Json), [`Html<T>`](Html), [`Redirect`] | as their names say |
/// | [`StatusCode`] | that status, empty |
/// | `(StatusCode, R)`, `([(name, value); N], R)`, `(StatusCode, [(name, value); N], R)` | `R` with that status and those fields |
/// | `Result<R, E>` | `R` or `E`; an [`Error`] passes through the error hook |
/// | [`Response`], `http::Response<Body>` | itself |
///
/// An error type of your own becomes a response by way of [`Error`]:
///
/// ```
/// use covet_http::{Response, StatusCode};
/// use covet_router::{Error, IntoResponse, Result, Router, test_client::TestClient};
///
/// enum ShopError { SoldOut }
///
/// impl From<ShopError> for Error {
///     fn from(error: ShopError) -> Self {
///         match error {
///             ShopError::SoldOut => Error::new(StatusCode::CONFLICT).with_detail("sold out"),
///         }
///     }
/// }
///
/// impl IntoResponse for ShopError {
///     fn into_response(self) -> Result<Response> {
///         Err(self.into())
///     }
/// }
///
/// async fn buy() -> Result<&'static str, ShopError> { Err(ShopError::SoldOut) }
/// async fn buy_two() -> Result<&'static str> { Ok(buy().await?) }
///
/// let client = TestClient::new(Router::new().post("/one", buy).post("/two", buy_two));
/// assert_eq!(client.post("/one").send().status(), 409);
/// assert_eq!(client.post("/two").send().status(), 409);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a response",
    note = "a handler returns a type that implements `IntoResponse`, such as `&'static str`, `String`, `Json<T>`, \
            `(StatusCode, R)` or `Result<R>`, of which both sides are responses"
)]
pub trait IntoResponse {
    /// Makes the response.
    ///
    /// # Errors
    /// The [`Error`] becomes a response at the one place where all errors do.
    fn into_response(self) -> Result<Response>;
}

impl IntoResponse for Response {
    #[inline]
    fn into_response(self) -> Result<Response> {
        Ok(self)
    }
}

impl IntoResponse for http::Response<Body> {
    fn into_response(self) -> Result<Response> {
        Ok(self.into())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Result<Response> {
        Err(self)
    }
}

impl<R: IntoResponse, E: IntoResponse> IntoResponse for Result<R, E> {
    #[inline]
    fn into_response(self) -> Result<Response> {
        match self {
            Ok(response) => response.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

impl IntoResponse for () {
    #[inline]
    fn into_response(self) -> Result<Response> {
        Ok(Response::ok())
    }
}

impl IntoResponse for StatusCode {
    #[inline]
    fn into_response(self) -> Result<Response> {
        Ok(Response::with_status(self))
    }
}

impl IntoResponse for Body {
    #[inline]
    fn into_response(self) -> Result<Response> {
        Ok(Response::new(self))
    }
}

/// A 200 response of `body` with a content type.
#[inline]
fn typed(body: impl Into<Body>, content_type: ContentType) -> Result<Response> {
    let mut response = Response::new(body);
    response.set_content_type(content_type);
    Ok(response)
}
