//! The router, as it serves.

use std::future::Future;

use covet_http::{Method, PathParams, Request, Response, Service};

use crate::draft::Draft;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::matching::{AreaTable, MethodTable, Pattern, RouteTable, Spans};
use crate::router::Router;

/// Every endpoint of a router, built.
pub(crate) struct Serving {
    routes: RouteTable<PathEndpoints>,
    areas: AreaTable<Endpoint>,
    fallback: Endpoint,
}

struct PathEndpoints {
    methods: MethodTable<Endpoint>,
    not_allowed: Endpoint,
}

/// What [`Router::match_route`] finds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteMatch<'r> {
    /// A handler answers.
    Found {
        /// The pattern of the route.
        pattern: &'r str,
        /// Where its parameters lie in the path: start and end, in bytes.
        params: Spans,
    },
    /// The path has a route, but none for this method: 405.
    MethodNotAllowed {
        /// The pattern of the route.
        pattern: &'r str,
    },
    /// The path has no route: the fallback answers.
    NotFound,
}

impl RouteMatch<'_> {
    /// Whether a handler answers.
    pub fn is_found(&self) -> bool {
        matches!(self, Self::Found { .. })
    }
}

impl<S: 'static> Router<S> {
    /// Which route answers `method` on `path`, without running it: the cost of routing alone.
    ///
    /// `path` is raw, begins with a slash and carries no query. A call allocates nothing for up to
    /// three parameters; see [`RouteTable`].
    ///
    /// ```
    /// use covet_http::Method;
    /// use covet_router::{RouteMatch, Router};
    ///
    /// let router: Router = Router::new().get("/users/{id}", async || "");
    /// let RouteMatch::Found { pattern, params } = router.match_route(&Method::GET, "/users/42") else {
    ///     panic!("the route matches");
    /// };
    /// assert_eq!((pattern, &params[..]), ("/users/{id}", &[(7, 9)][..]));
    /// assert!(!router.match_route(&Method::POST, "/users/42").is_found());
    /// ```
    #[inline]
    pub fn match_route(&self, method: &Method, path: &str) -> RouteMatch<'_> {
        let Some(found) = self.routes.find(path) else { return RouteMatch::NotFound };
        let pattern = found.pattern.as_str();
        match found.value.methods.get(method) {
            Some(_) => RouteMatch::Found { pattern, params: found.spans },
            None => RouteMatch::MethodNotAllowed { pattern },
        }
    }
}

impl Router<()> {
    fn build(&self) -> Serving {
        let not_found = || Draft::error(Error::not_found);
        let fallback = self.fallback.clone().unwrap_or_else(not_found).build(&self.surround, "");
        let routes = self.routes.map_ref(|pattern, path| {
            let mut not_allowed = Draft::not_allowed(&path.methods);
            not_allowed.surround = path.surround.clone();
            PathEndpoints {
                methods: path.methods.map_ref(|draft| draft.build(&self.surround, pattern.as_str())),
                not_allowed: not_allowed.build(&self.surround, pattern.as_str()),
            }
        });
        let areas = self.areas.map_ref(|draft| draft.build(&self.surround, ""));
        Serving { routes, areas, fallback }
    }

    /// Builds every endpoint now rather than at the first request.
    pub fn prepare(&self) {
        self.serving.get_or_init(|| self.build());
    }
}

impl Serving {
    #[inline]
    fn find(&self, request: &mut Request) -> &Endpoint {
        let path = match self.routes.find_static(request.path()) {
            Some((_, path)) => path,
            None => match self.routes.find_with_parameters(request.path()) {
                Some(found) => {
                    set_params(request, found.pattern, found.spans);
                    found.value
                }
                None => return self.find_area(request),
            },
        };
        path.methods.get(request.method()).unwrap_or(&path.not_allowed)
    }

    #[cold]
    fn find_area(&self, request: &mut Request) -> &Endpoint {
        let Some((prefix, endpoint, spans)) = self.areas.find(request.path()) else { return &self.fallback };
        set_params(request, prefix, spans);
        endpoint
    }
}

#[inline]
fn set_params(request: &mut Request, pattern: &Pattern, spans: Spans) {
    if !spans.is_empty() {
        request.set_params(PathParams::new(pattern.names().clone(), spans));
    }
}

impl Service for Router<()> {
    #[inline]
    fn call(&self, mut request: Request) -> impl Future<Output = Response> {
        let serving = self.serving.get_or_init(|| self.build());
        serving.find(&mut request).call(request)
    }
}
