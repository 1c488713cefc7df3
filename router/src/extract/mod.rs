//! Extractors: the typed arguments of handlers.
//!
//! | Extractor | Gives | Fails with |
//! |---|---|---|
//! | [`Path<T>`](Path) | the parameters of the path | 400 |
//! | [`Query<T>`](Query) | the query, deserialised | 400 |
//! | [`Json<T>`](crate::Json) | the body, deserialised | 400, 413, 415, 422 |
//! | [`Form<T>`](Form) | a URL-encoded body, deserialised | 400, 413, 415, 422 |
//! | [`Multipart`](covet_http::multipart::Multipart) | a form with files, part by part | 400, 413, 415 |
//! | [`Bytes`](bytes::Bytes), [`String`] | the gathered body | 400, 413 |
//! | [`Body`](covet_http::Body) | the body, as a stream | |
//! | [`Request`] | the whole request with its body | |
//! | [`State<T>`](State) | the state, or a part of it | |
//! | [`Extension<T>`](Extension) | what middleware left in the request | 500 |
//! | [`HeaderMap`](covet_http::HeaderMap), [`Method`](covet_http::Method), [`Version`](covet_http::Version) | a copy | |
//! | `Option<E>` | `None` where the extractor `E` fails | |
//! | `Result<E, Error>` | the failure of `E`, for the handler to judge | |

mod body;
mod decode;
mod extension;
mod form;
mod json;
mod misfit;
mod multipart;
mod path;
mod path_error;
mod query;
mod request;
mod state;
mod wrappers;

use std::future::Future;

use covet_http::Request;

use crate::error::Result;
use crate::state::RouteContext;

pub use extension::Extension;
pub use form::{Form, FormLimits};
pub use path::Path;
pub use query::Query;
pub(crate) use request::without_body;
pub use state::State;

/// A type that a [handler](crate::Handler) can take as an argument: it is made from the request.
///
/// `S` is the state of the router. An extractor that needs none is generic over it.
///
/// ```
/// use covet_http::{Request, StatusCode};
/// use covet_router::{Error, FromRequest, Result, RouteContext, Router, test_client::TestClient};
///
/// /// The caller's API key.
/// struct ApiKey(String);
///
/// impl<S> FromRequest<S> for ApiKey {
///     async fn from_request(request: &mut Request, _: &RouteContext<S>) -> Result<Self> {
///         // `field` looks into the request as it was received and builds no header map.
///         let key = request.field("x-api-key").ok_or(StatusCode::UNAUTHORIZED)?;
///         let key = std::str::from_utf8(key).map_err(|_| Error::bad_request("the key is not UTF-8"))?;
///         Ok(ApiKey(key.to_owned()))
///     }
/// }
///
/// async fn whoami(ApiKey(key): ApiKey) -> String {
///     key
/// }
///
/// let client = TestClient::new(Router::new().get("/whoami", whoami));
/// assert_eq!(client.get("/whoami").send().status(), 401);
/// assert_eq!(client.get("/whoami").header("X-Api-Key", "k1").send().text(), "k1");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be extracted from a request",
    label = "not an extractor for a router with the state `{S}`"
)]
pub trait FromRequest<S>: Sized {
    /// Whether the extractor takes the body. A handler may have one such extractor; more are
    /// refused when the program is compiled. An extractor that calls
    /// [`Request::take_body`](covet_http::Request::take_body) must say `true`.
    const TAKES_BODY: bool = false;

    /// Makes the value, or says why it cannot be made.
    ///
    /// # Errors
    /// The error answers the request; the handler does not run.
    fn from_request(request: &mut Request, context: &RouteContext<S>) -> impl Future<Output = Result<Self>>;
}
