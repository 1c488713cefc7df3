//! What answers one path: a handler for each method.

use std::rc::Rc;

use covet_http::{Method, Request, Response};

use crate::draft::{Draft, Surround};
use crate::error::{Error, Result};
use crate::handler::Handler;
use crate::matching::MethodTable;
use crate::middleware::{Layer, Next};

/// The handlers of one path, by method.
///
/// Made by [`get`], [`post`] and their like, and given to [`Router::route`](crate::Router::route).
/// HEAD is answered from GET unless it has a handler of its own; a method without a handler gets
/// 405 with an `Allow` field, OPTIONS too.
///
/// ```
/// use covet_router::{Router, get, test_client::TestClient};
///
/// let path = get(async || "read").post(async || "written");
/// let client = TestClient::new(Router::new().route("/note", path));
/// assert_eq!(client.post("/note").send().text(), "written");
///
/// let refused = client.delete("/note").send();
/// assert_eq!(refused.status(), 405);
/// assert_eq!(refused.header("allow"), Some("GET, HEAD, POST"));
/// ```
pub struct MethodRouter<S = ()> {
    pub(crate) methods: MethodTable<Draft<S>>,
    pub(crate) surround: Surround,
}

impl<S: 'static> MethodRouter<S> {
    /// A path without any method.
    pub fn new() -> Self {
        Self { methods: MethodTable::new(), surround: Surround::default() }
    }

    /// Answers `method`, which may be one of your own, with `handler`.
    ///
    /// # Panics
    /// If the method has a handler already.
    #[track_caller]
    pub fn on<H, Args>(self, method: Method, handler: H) -> Self
    where
        H: Handler<Args, S>,
    {
        self.insert(Some(method), Draft::handler(handler))
    }

    /// Answers every method that has no handler of its own with `handler`.
    ///
    /// # Panics
    /// If there is such a handler already.
    #[track_caller]
    pub fn any<H, Args>(self, handler: H) -> Self
    where
        H: Handler<Args, S>,
    {
        self.insert(None, Draft::handler(handler))
    }

    /// Puts a [middleware](crate::middleware) around all handlers of the path and its 405; the last
    /// added is the outermost.
    pub fn layer<M>(mut self, middleware: M) -> Self
    where
        M: AsyncFn(Request, Next) -> Result<Response> + 'static,
    {
        self.surround.layers.push(Layer::new(middleware));
        self
    }

    /// Sets how many bytes extractors may gather of a body sent to this path; it goes before the
    /// limit of the router.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.surround.body_limit = Some(bytes);
        self
    }

    /// Sets the error hook of the path; it goes before that of the router, see
    /// [`Router::on_error`](crate::Router::on_error).
    pub fn on_error(mut self, hook: impl Fn(Error, &Request) -> Response + 'static) -> Self {
        self.surround.on_error = Some(Rc::new(hook));
        self
    }

    #[track_caller]
    fn insert(mut self, method: Option<Method>, draft: Draft<S>) -> Self {
        let name = method.as_ref().map_or("any method", Method::as_str).to_owned();
        if self.methods.insert(method, draft).is_err() {
            panic!("the path has a handler for {name} already");
        }
        self
    }
}

impl<S: 'static> Default for MethodRouter<S> {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! methods {
    ($($name:ident $method:ident,)*) => {
        impl<S: 'static> MethodRouter<S> {$(
            #[doc = concat!("Answers ", stringify!($method), " with `handler`.")]
            ///
            /// # Panics
            /// If the method has a handler already.
            #[track_caller]
            pub fn $name<H, Args>(self, handler: H) -> Self
            where
                H: Handler<Args, S>,
            {
                self.on(Method::$method, handler)
            }
        )*}

        $(
            #[doc = concat!("A path that answers ", stringify!($method), " with `handler`.")]
            pub fn $name<H, Args, S>(handler: H) -> MethodRouter<S>
            where
                H: Handler<Args, S>,
                S: 'static,
            {
                MethodRouter::new().$name(handler)
            }
        )*

        impl<S: 'static> crate::Router<S> {$(
            #[doc = concat!("Answers ", stringify!($method), " on the paths of `pattern` with `handler`.")]
            ///
            /// # Panics
            /// If the route conflicts with another, or if the pattern is malformed; see
            /// [`Router::route`](crate::Router::route).
            #[track_caller]
            pub fn $name<H, Args>(self, pattern: &str, handler: H) -> Self
            where
                H: Handler<Args, S>,
            {
                self.route(pattern, $name(handler))
            }
        )*}
    };
}

methods! {
    get GET,
    post POST,
    put PUT,
    patch PATCH,
    delete DELETE,
    head HEAD,
    options OPTIONS,
}

/// A path that answers every method with `handler`.
pub fn any<H, Args, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<Args, S>,
    S: 'static,
{
    MethodRouter::new().any(handler)
}
