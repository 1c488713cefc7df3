//! The `Extension` extractor.

use covet_http::Request;

use super::FromRequest;
use crate::error::{Error, Result};
use crate::state::RouteContext;

/// A value that middleware left in the request's extensions, cloned.
///
/// Fails with 500 if there is none: which middleware runs is decided by the program, not by the
/// client. Take an `Option<Extension<T>>` where the value need not be there.
///
/// ```
/// use covet_http::Request;
/// use covet_router::{Extension, Next, Router, test_client::TestClient};
///
/// #[derive(Clone)]
/// struct User(&'static str);
///
/// async fn hello(Extension(User(name)): Extension<User>) -> String {
///     format!("hello {name}")
/// }
///
/// let router = Router::new().get("/", hello).layer(async |mut request: Request, next: Next| {
///     request.extensions_mut().insert(User("ann"));
///     Ok(next.run(request).await)
/// });
/// assert_eq!(TestClient::new(router).get("/").send().text(), "hello ann");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<T>(pub T);

impl<S, T: Clone + Send + Sync + 'static> FromRequest<S> for Extension<T> {
    async fn from_request(request: &mut Request, _: &RouteContext<S>) -> Result<Self> {
        let value = request.extensions().and_then(|extensions| extensions.get::<T>());
        let missing = || format!("no middleware left a `{}` in the request", std::any::type_name::<T>());
        value.cloned().map(Self).ok_or_else(|| Error::internal(missing()))
    }
}
