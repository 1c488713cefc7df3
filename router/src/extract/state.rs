//! The `State` extractor.

use covet_http::Request;

use super::FromRequest;
use crate::error::Result;
use crate::state::{FromRef, RouteContext};

/// The state of the router, or a part of it that [`FromRef`] takes out.
///
/// State lives on one core, so it may hold `Rc`, `Cell` and `RefCell`. Extracting it clones it:
/// put what is large behind an `Rc`. A router whose state was not given yet is not a service.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use covet_router::{Router, State, test_client::TestClient};
///
/// async fn count(State(hits): State<Rc<Cell<u32>>>) -> String {
///     hits.set(hits.get() + 1);
///     hits.get().to_string()
/// }
///
/// let client = TestClient::new(Router::new().get("/", count).with_state(Rc::new(Cell::new(0))));
/// client.get("/").send();
/// assert_eq!(client.get("/").send().text(), "2");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State<T>(pub T);

impl<S, T: FromRef<S>> FromRequest<S> for State<T> {
    #[inline]
    async fn from_request(_: &mut Request, context: &RouteContext<S>) -> Result<Self> {
        Ok(Self(T::from_ref(context.state())))
    }
}
