//! What a route knows besides the request: its state, limits and error hook.

use std::rc::Rc;

use covet_http::{Request, Response};

use crate::error::{Error, ErrorHook};

/// The default limit of a gathered request body: 2 MiB.
pub const DEFAULT_BODY_LIMIT: usize = 2 * 1024 * 1024;

/// Takes a part out of the state of a router.
///
/// Every `Clone` type is a part of itself, so `State<AppState>` needs no code. To take
/// `State<Pool>` out of an `AppState`, implement this trait for `Pool`.
///
/// ```
/// use std::rc::Rc;
/// use covet_router::{FromRef, Router, State, test_client::TestClient};
///
/// #[derive(Clone)]
/// struct AppState { motto: Rc<str> }
///
/// #[derive(Clone)]
/// struct Motto(Rc<str>);
///
/// impl FromRef<AppState> for Motto {
///     fn from_ref(state: &AppState) -> Self {
///         Motto(state.motto.clone())
///     }
/// }
///
/// async fn motto(State(Motto(text)): State<Motto>) -> String {
///     text.to_string()
/// }
///
/// let router = Router::new().get("/motto", motto).with_state(AppState { motto: "covet".into() });
/// assert_eq!(TestClient::new(router).get("/motto").send().text(), "covet");
/// ```
pub trait FromRef<S> {
    /// Makes the part, usually by cloning a handle such as an `Rc`.
    fn from_ref(state: &S) -> Self;
}

impl<T: Clone> FromRef<T> for T {
    fn from_ref(state: &T) -> Self {
        state.clone()
    }
}

/// What a route knows besides the request: the state, the body limit, its own pattern.
///
/// An [extractor](crate::FromRequest) gets it beside the request.
pub struct RouteContext<S> {
    pub(crate) state: Rc<S>,
    pub(crate) settings: Settings,
}

impl<S> RouteContext<S> {
    /// The state given to [`Router::with_state`](crate::Router::with_state).
    pub fn state(&self) -> &S {
        &self.state
    }

    /// How many bytes an extractor may gather of the body; see
    /// [`Router::body_limit`](crate::Router::body_limit).
    pub fn body_limit(&self) -> usize {
        self.settings.body_limit
    }

    /// The pattern of the route, such as `/users/{id}`; empty for a fallback.
    pub fn pattern(&self) -> &str {
        &self.settings.pattern
    }

    /// The response that `error` becomes on this route.
    pub(crate) fn answer(&self, error: Error, request: &Request) -> Response {
        error.answer(self.settings.on_error.as_ref(), request)
    }
}

/// What was decided for a route by the routers and method routers that enclose it.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) body_limit: usize,
    pub(crate) pattern: Rc<str>,
    pub(crate) on_error: Option<ErrorHook>,
}
