//! The `Form` extractor.

use covet_http::{Request, StatusCode};
use serde::de::DeserializeOwned;

use super::FromRequest;
use super::body::{gather, media_type};
use crate::error::{Error, Result};
use crate::state::RouteContext;

/// A form in the body, deserialised from `application/x-www-form-urlencoded`.
///
/// Fails with 415 if the body is of another type, 413 if it is over the limit, 422 if it does not
/// fit `T`.
///
/// ```
/// use covet_router::{Form, Router, test_client::TestClient};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Login { name: String }
///
/// async fn login(Form(login): Form<Login>) -> String {
///     format!("welcome {}", login.name)
/// }
///
/// let client = TestClient::new(Router::new().post("/login", login));
/// let form = client.post("/login").header("content-type", "application/x-www-form-urlencoded");
/// assert_eq!(form.body("name=Ann+B").send().text(), "welcome Ann B");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form<T>(pub T);

impl<S, T: DeserializeOwned> FromRequest<S> for Form<T> {
    const TAKES_BODY: bool = true;

    async fn from_request(request: &mut Request, context: &RouteContext<S>) -> Result<Self> {
        if !media_type(request)
            .is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
        {
            return Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE)
                .with_detail("the body must be of the type application/x-www-form-urlencoded"));
        }
        let bytes = gather(request, context).await?;
        serde_urlencoded::from_bytes(&bytes).map(Self).map_err(|error| {
            Error::new(StatusCode::UNPROCESSABLE_ENTITY)
                .with_detail(format!("the form is not valid: {error}"))
        })
    }
}
