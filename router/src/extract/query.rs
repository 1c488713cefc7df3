//! The `Query` extractor.

use covet_http::Request;
use serde::de::DeserializeOwned;

use super::FromRequest;
use super::form::explain_form;
use crate::error::{Error, Result};
use crate::state::RouteContext;

/// The query of the target, deserialised as `application/x-www-form-urlencoded`.
///
/// No query is an empty one, so a type whose fields are all optional is always there. Fails with
/// 400, whose detail names the field that does not fit.
///
/// ```
/// use covet_router::{Query, Router, test_client::TestClient};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Page { #[serde(default)] from: u64, size: Option<u64> }
///
/// async fn list(Query(page): Query<Page>) -> String {
///     format!("{}+{}", page.from, page.size.unwrap_or(10))
/// }
///
/// let client = TestClient::new(Router::new().get("/", list));
/// assert_eq!(client.get("/").send().text(), "0+10");
/// assert_eq!(client.get("/?size=5&from=20").send().text(), "20+5");
/// assert_eq!(client.get("/?size=many").send().status(), 400);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<T>(pub T);

#[cold]
fn misfit<T: DeserializeOwned>(query: &[u8], error: &serde_urlencoded::de::Error) -> Error {
    Error::bad_request(format!("the query is not valid: {}", explain_form::<T>(query, error)))
}

impl<S, T: DeserializeOwned> FromRequest<S> for Query<T> {
    #[inline]
    async fn from_request(request: &mut Request, _: &RouteContext<S>) -> Result<Self> {
        let query = request.query().unwrap_or_default();
        match serde_urlencoded::from_str(query) {
            Ok(value) => Ok(Self(value)),
            Err(error) => Err(misfit::<T>(query.as_bytes(), &error)),
        }
    }
}
