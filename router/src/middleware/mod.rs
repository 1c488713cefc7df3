//! Middleware: async functions around handlers.
//!
//! A middleware is an `async fn(Request, Next) -> Result<Response>`. It may look at the request or
//! change it, answer by itself, or hand it on with [`Next::run`] and look at the response.
//!
//! # What it covers, and in which order
//! [`Router::layer`](crate::Router::layer) covers everything that the router answers: its routes,
//! whether added before or after, those of the routers nested and merged into it, its 404 and its
//! 405. [`MethodRouter::layer`](crate::MethodRouter::layer) covers one path.
//!
//! Of several layers **the last added is the outermost**: it sees the request first and the
//! response last. The layers of an enclosing router lie around those of the routers nested or
//! merged into it, and these around those of a single path.
//!
//! Routing comes first: a middleware finds the parameters of the path in
//! [`Request::params`](covet_http::Request::params), and changing the target does not change the
//! route.
//!
//! # Errors
//! What [`Next::run`] gives is always a response: an error of the handler has passed the error hook
//! by then, so that a middleware which adds a field adds it to error answers too. An `Err` that the
//! middleware itself returns passes the same hook, and so does a panic, be it further in or its own.
//!
//! ```
//! use covet_http::{HeaderValue, Request, Response, StatusCode};
//! use covet_router::{Error, Next, Result, Router, get, test_client::TestClient};
//!
//! async fn no_sniffing(request: Request, next: Next) -> Result<Response> {
//!     let mut response = next.run(request).await;
//!     response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
//!     Ok(response)
//! }
//!
//! async fn staff_only(request: Request, next: Next) -> Result<Response> {
//!     if request.field("x-staff").is_none() {
//!         return Err(Error::new(StatusCode::FORBIDDEN));
//!     }
//!     Ok(next.run(request).await)
//! }
//!
//! let router = Router::new()
//!     .get("/", async || "hello")
//!     .route("/admin", get(async || "admin").layer(staff_only))
//!     .layer(no_sniffing);
//! let client = TestClient::new(router);
//!
//! assert_eq!(client.get("/admin").send().status(), 403);
//! for path in ["/", "/admin", "/nowhere"] {
//!     assert_eq!(client.get(path).send().header("x-content-type-options"), Some("nosniff"));
//! }
//! ```

mod catching;
mod decompress;

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;

use covet_http::h1::Head;
use covet_http::{Body, Request, Response};

use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorHook, Result};
use crate::extract::without_body;
use crate::state::Settings;

pub use decompress::decompress;

/// The rest of the way to the handler: the inner layers and the handler itself.
#[derive(Clone)]
pub struct Next {
    inner: Rc<Inner>,
}

/// What a layer lies around, and the hook for what fails there.
struct Inner {
    endpoint: Endpoint,
    on_error: Option<ErrorHook>,
}

impl Next {
    /// Hands the request on, and gives the response that comes back.
    ///
    /// A panic further in is an internal [`Error`] like any other: what comes back is the response that the
    /// hook makes of it. Its text goes to the log and not to the client. The connection is closed after that response, and
    /// the server counts the panic; after another that a middleware sends in its place, neither is done.
    ///
    /// Dropping the future cancels what lies further in.
    pub async fn run(self, request: Request) -> Response {
        self.inner.endpoint.call(request).await
    }
}

impl Inner {
    /// What the hook and the log are to see of a request that goes on.
    #[inline]
    fn seen(&self, request: &Request) -> Seen {
        Seen { head: request.head().clone(), all: self.on_error.is_some().then(|| without_body(request)) }
    }

    #[cold]
    fn answer_panic(&self, error: Error, seen: Seen) -> Response {
        let mut response = error.answer(self.on_error.as_ref(), &seen.into_request());
        response.close_after_panic();
        response
    }
}

/// What is kept of a request that goes on, in case that it fails.
struct Seen {
    /// Enough for the log.
    head: Rc<Head>,
    /// For the hook, if there is one.
    all: Option<Request>,
}

impl Seen {
    #[cold]
    fn into_request(self) -> Request {
        self.all.unwrap_or_else(|| Request::new(self.head, Body::taken()))
    }
}

/// A middleware with its type erased: it makes an outer endpoint of an inner one.
#[derive(Clone)]
pub(crate) struct Layer(Rc<Wrap>);

type Wrap = dyn Fn(Endpoint, &Settings) -> Endpoint;

struct Layered<M> {
    middleware: Rc<M>,
    inner: Rc<Inner>,
}

impl Layer {
    pub(crate) fn new<M>(middleware: M) -> Self
    where
        M: AsyncFn(Request, Next) -> Result<Response> + 'static,
    {
        let middleware = Rc::new(middleware);
        Self(Rc::new(move |inner, settings| {
            let layered = Rc::new(Layered {
                middleware: middleware.clone(),
                inner: Rc::new(Inner { endpoint: inner, on_error: settings.on_error.clone() }),
            });
            Endpoint::new(move |request| answer(layered.clone(), request))
        }))
    }

    pub(crate) fn wrap(&self, inner: Endpoint, settings: &Settings) -> Endpoint {
        (self.0)(inner, settings)
    }
}

/// A handler whose panics pass the hook, and the layers around it; each of them sees to its own.
pub(crate) fn caught(handler: Endpoint, settings: &Settings) -> Endpoint {
    let inner = Rc::new(Inner { endpoint: handler, on_error: settings.on_error.clone() });
    Endpoint::new(move |request| catch(inner.clone(), request))
}

async fn catch(inner: Rc<Inner>, request: Request) -> Response {
    let seen = inner.seen(&request);
    let mut answering = pin!(inner.endpoint.call(request));
    match poll_fn(|cx| catching::poll(answering.as_mut(), cx)).await {
        Ok(response) => response,
        Err(error) => inner.answer_panic(error, seen),
    }
}

async fn answer<M>(layered: Rc<Layered<M>>, request: Request) -> Response
where
    M: AsyncFn(Request, Next) -> Result<Response>,
{
    // The middleware takes this one.
    let seen = layered.inner.seen(&request);
    let next = Next { inner: layered.inner.clone() };
    let mut answering = pin!(async { (layered.middleware)(request, next).await });
    match poll_fn(|cx| catching::poll(answering.as_mut(), cx)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => error.answer(layered.inner.on_error.as_ref(), &seen.into_request()),
        Err(error) => layered.inner.answer_panic(error, seen),
    }
}
