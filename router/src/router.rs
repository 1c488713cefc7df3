//! The router, as it is put together.

use std::cell::OnceCell;
use std::rc::Rc;

use covet_http::{Method, Request, Response};

use crate::draft::{Draft, Surround};
use crate::error::{Error, Result};
use crate::handler::Handler;
use crate::matching::{AreaTable, InsertError, MethodTable, Pattern, RouteTable};
use crate::method_router::{MethodRouter, any};
use crate::middleware::{Layer, Next};
use crate::serving::Serving;

/// Maps paths and methods to handlers, and serves.
///
/// `S` is the state that the handlers still need; a `Router<()>` is a
/// [`Service`](covet_http::Service). A router lives on one core and is not `Send`: build one per
/// core, from the same function.
///
/// ```
/// use covet_router::{Json, Path, Router, State, test_client::TestClient};
/// use std::rc::Rc;
///
/// struct Shop { motto: &'static str }
///
/// async fn item(Path(id): Path<u64>) -> Json<u64> { Json(id) }
/// async fn motto(State(shop): State<Rc<Shop>>) -> &'static str { shop.motto }
///
/// let api = Router::new().get("/items/{id}", item).get("/motto", motto);
/// let router = Router::new()
///     .get("/", async || "welcome")
///     .nest("/api", api)
///     .with_state(Rc::new(Shop { motto: "no queue" }));
///
/// let client = TestClient::new(router);
/// assert_eq!(client.get("/api/items/7").send().text(), "7");
/// assert_eq!(client.get("/api/motto").send().text(), "no queue");
/// assert_eq!(client.get("/api/nothing").send().status(), 404);
/// ```
///
/// # Patterns
/// `{name}` matches one segment or the variable part of one, `{*name}` the rest of the path; both
/// match at least one byte. Static text wins over parameters; `{name}` and `{*name}` at the same
/// place conflict. `/a` and `/a/` are different paths. Matching is on the raw path: `%2F` does not separate segments, and
/// the [`Path`](crate::Path) extractor decodes the values.
///
/// # What no route answers
/// A path without a route goes to the [fallback](Router::fallback), 404 unless set. A path whose
/// methods do not include that of the request gets 405 with `Allow`. HEAD is answered from GET. A
/// response to HEAD keeps its body here; the server leaves it out when it sends, and keeps the
/// Content-Length.
pub struct Router<S = ()> {
    pub(crate) routes: RouteTable<PathDraft<S>>,
    /// Where the answers to unmatched paths under the prefix of a nested router come from.
    pub(crate) areas: AreaTable<Draft<S>>,
    pub(crate) fallback: Option<Draft<S>>,
    pub(crate) surround: Surround,
    pub(crate) serving: OnceCell<Serving>,
}

/// The handlers of one path, and what surrounds its 405.
pub(crate) struct PathDraft<S> {
    pub(crate) methods: MethodTable<Draft<S>>,
    pub(crate) surround: Surround,
}

impl<S: 'static> Router<S> {
    /// A router without routes.
    pub fn new() -> Self {
        Self {
            routes: RouteTable::new(),
            areas: AreaTable::new(),
            fallback: None,
            surround: Surround::default(),
            serving: OnceCell::new(),
        }
    }

    /// Answers the paths of `pattern` with the handlers of `path`.
    ///
    /// The same pattern may be given again with other methods. The layers of the first call then
    /// cover the 405 of the path.
    ///
    /// # Panics
    /// If the pattern is malformed, if another pattern matches the same paths under other names
    /// (`/u/{id}` and `/u/{name}`), or if a method of the path has a handler already. The message
    /// names both routes.
    #[track_caller]
    pub fn route(mut self, pattern: &str, path: MethodRouter<S>) -> Self {
        let MethodRouter { mut methods, surround } = path;
        methods.values_mut().for_each(|draft| draft.surround.enclose(&surround));
        self.add(parse(pattern), PathDraft { methods, surround });
        self
    }

    /// Answers every method on the paths of `pattern` with `handler`.
    ///
    /// # Panics
    /// As [`Router::route`].
    #[track_caller]
    pub fn any<H, Args>(self, pattern: &str, handler: H) -> Self
    where
        H: Handler<Args, S>,
    {
        self.route(pattern, any(handler))
    }

    /// Mounts the routes of `inner` under `prefix`, such as `/api` or `/t/{tenant}`.
    ///
    /// The handlers see the whole path and the parameters of both: nothing is cut off. The route
    /// `/` of `inner` becomes the prefix itself, without a slash after it.
    ///
    /// The layers, the body limit and the error hook of `inner` hold for its routes. If it has a
    /// fallback, layers or an error hook, they hold for every unmatched path under the prefix too
    /// (of several routers at the same prefix, those of the first); otherwise such paths go to the
    /// fallback of this router.
    ///
    /// # Panics
    /// If `prefix` does not begin with `/`, ends with one, or has a catch-all (use
    /// [`Router::merge`] to mount at the root); if both name the same parameter; if routes
    /// conflict.
    #[track_caller]
    pub fn nest(mut self, prefix: &str, inner: Router<S>) -> Self {
        let prefix = parse(prefix);
        for (pattern, mut path) in inner.routes.into_entries() {
            path.enclose(&inner.surround);
            self.add(join(&prefix, &pattern), path);
        }
        for (pattern, mut draft) in inner.areas.into_entries() {
            draft.surround.enclose(&inner.surround);
            self.add_area(join(&prefix, &pattern), draft);
        }
        if inner.fallback.is_some() || inner.surround.changes_errors() {
            let mut draft = inner.fallback.unwrap_or_else(|| Draft::error(Error::not_found));
            draft.surround.enclose(&inner.surround);
            self.add_area(prefix, draft);
        }
        self
    }

    /// Adds the routes of `other` to these.
    ///
    /// The layers, the body limit and the error hook of `other` hold for its routes only. Its
    /// fallback, if it has one, becomes that of this router.
    ///
    /// # Panics
    /// If routes conflict, or if both routers have a fallback.
    #[track_caller]
    pub fn merge(mut self, other: Router<S>) -> Self {
        for (pattern, mut path) in other.routes.into_entries() {
            path.enclose(&other.surround);
            self.add(pattern, path);
        }
        for (pattern, mut draft) in other.areas.into_entries() {
            draft.surround.enclose(&other.surround);
            self.add_area(pattern, draft);
        }
        if let Some(mut draft) = other.fallback {
            draft.surround.enclose(&other.surround);
            assert!(self.fallback.is_none(), "both of the merged routers have a fallback");
            self.fallback = Some(draft);
            self.serving.take();
        }
        self
    }

    /// Answers the paths without a route with `handler`, whatever the method.
    ///
    /// # Panics
    /// If there is a fallback already.
    #[track_caller]
    pub fn fallback<H, Args>(mut self, handler: H) -> Self
    where
        H: Handler<Args, S>,
    {
        assert!(self.fallback.is_none(), "the router has a fallback already");
        self.fallback = Some(Draft::handler(handler));
        self.serving.take();
        self
    }

    /// Puts a [middleware](crate::middleware) around everything that this router answers, 404 and
    /// 405 included, whether added before or after; the last added is the outermost.
    pub fn layer<M>(mut self, middleware: M) -> Self
    where
        M: AsyncFn(Request, Next) -> Result<Response> + 'static,
    {
        self.surround.layers.push(Layer::new(middleware));
        self.serving.take();
        self
    }

    /// Sets how many bytes extractors may gather of a body; 2 MiB unless set.
    ///
    /// A longer body is refused with 413. The limit of a path or of a nested router goes before
    /// this one. It does not hold for the extractors `Request` and `Body`, which read as they go.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.surround.body_limit = Some(bytes);
        self.serving.take();
        self
    }

    /// Decides how errors look: `hook` makes the response of every [`Error`] of this router.
    ///
    /// Errors of extractors, handlers and middleware, their panics, 404 and 405 all pass through it. The hook of a
    /// path or of a nested router goes before this one. The request that the hook sees has lost
    /// its body.
    ///
    /// ```
    /// use covet_http::{Request, Response};
    /// use covet_router::{Error, Router, test_client::TestClient};
    ///
    /// fn plain(error: Error, request: &Request) -> Response {
    ///     let text = format!("{} for {}\n", error.status(), request.path());
    ///     let mut response = Response::new(text);
    ///     response.set_status(error.status());
    ///     response
    /// }
    ///
    /// let client = TestClient::new(Router::new().on_error(plain));
    /// assert_eq!(client.get("/x").send().text(), "404 Not Found for /x\n");
    /// ```
    pub fn on_error(mut self, hook: impl Fn(Error, &Request) -> Response + 'static) -> Self {
        self.surround.on_error = Some(Rc::new(hook));
        self.serving.take();
        self
    }

    /// Gives the handlers their state. What remains needs none, or a state of another type for
    /// routes that are added later.
    pub fn with_state<S2: 'static>(self, state: S) -> Router<S2> {
        let state = Rc::new(state);
        Router {
            routes: self.routes.map(|_, path| PathDraft {
                methods: path.methods.map(|draft| draft.bind(&state)),
                surround: path.surround,
            }),
            areas: self.areas.map(|draft| draft.bind(&state)),
            fallback: self.fallback.map(|draft| draft.bind(&state)),
            surround: self.surround,
            serving: OnceCell::new(),
        }
    }

    #[track_caller]
    fn add(&mut self, pattern: Pattern, path: PathDraft<S>) {
        self.serving.take();
        let Some(known) = self.routes.get_mut(&pattern) else {
            self.routes.insert(pattern, path).unwrap_or_else(|error| conflict(&error));
            return;
        };
        for (method, draft) in path.methods.into_entries() {
            let name = method.as_ref().map_or("any method", Method::as_str).to_owned();
            if known.methods.insert(method, draft).is_err() {
                panic!(
                    "the route `{name} {pattern}` conflicts with the route `{name} {pattern}` added before"
                );
            }
        }
    }

    #[track_caller]
    fn add_area(&mut self, prefix: Pattern, draft: Draft<S>) {
        self.serving.take();
        self.areas.insert(prefix, draft).unwrap_or_else(|error| panic!("{error}"));
    }
}

impl<S> PathDraft<S> {
    fn enclose(&mut self, outer: &Surround) {
        self.surround.enclose(outer);
        self.methods.values_mut().for_each(|draft| draft.surround.enclose(outer));
    }
}

impl<S: 'static> Default for Router<S> {
    fn default() -> Self {
        Self::new()
    }
}

#[track_caller]
fn conflict(error: &InsertError) -> ! {
    panic!("{error}")
}

#[track_caller]
fn parse(pattern: &str) -> Pattern {
    Pattern::parse(pattern).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn join(prefix: &Pattern, inner: &Pattern) -> Pattern {
    prefix.join(inner).unwrap_or_else(|error| panic!("{error}"))
}
