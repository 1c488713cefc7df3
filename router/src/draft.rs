//! Routes before they serve: a handler and what surrounds it, until state and settings are known.

use std::rc::Rc;

use covet_http::{HeaderValue, StatusCode};
use http::header::ALLOW;

use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorHook};
use crate::handler::Handler;
use crate::matching::MethodTable;
use crate::middleware::{Layer, caught};
use crate::state::{DEFAULT_BODY_LIMIT, RouteContext, Settings};

/// What lies around a route: its layers from the inside out, and the settings nearest to it.
#[derive(Clone, Default)]
pub(crate) struct Surround {
    pub(crate) layers: Vec<Layer>,
    pub(crate) body_limit: Option<usize>,
    pub(crate) on_error: Option<ErrorHook>,
}

impl Surround {
    /// Puts `outer` around this: its layers further out, its settings where there are none yet.
    pub(crate) fn enclose(&mut self, outer: &Surround) {
        self.layers.extend(outer.layers.iter().cloned());
        self.body_limit = self.body_limit.or(outer.body_limit);
        self.on_error = self.on_error.take().or_else(|| outer.on_error.clone());
    }

    /// Whether it makes a difference to an answer that no route gives.
    pub(crate) fn changes_errors(&self) -> bool {
        !self.layers.is_empty() || self.on_error.is_some()
    }
}

/// A handler to be: `S` is the state that it still needs.
pub(crate) struct Draft<S> {
    make: Make<S>,
    pub(crate) surround: Surround,
}

enum Make<S> {
    Unbound(Rc<dyn Fn(Rc<S>, Settings) -> Endpoint>),
    Bound(Rc<dyn Fn(Settings) -> Endpoint>),
}

impl<S: 'static> Draft<S> {
    pub(crate) fn handler<H, Args>(handler: H) -> Self
    where
        H: Handler<Args, S>,
    {
        let make = move |state, settings| {
            let context = Rc::new(RouteContext { state, settings });
            let handler = handler.clone();
            Endpoint::new(move |request| handler.clone().call(request, context.clone()))
        };
        Self { make: Make::Unbound(Rc::new(make)), surround: Surround::default() }
    }

    /// A draft of an endpoint that answers every request with the error that `error` makes.
    pub(crate) fn error(error: impl Fn() -> Error + Clone + 'static) -> Self {
        let make = move |settings: Settings| {
            let (error, on_error) = (error.clone(), settings.on_error);
            Endpoint::new(move |request| {
                let (error, on_error) = (error.clone(), on_error.clone());
                async move { error().answer(on_error.as_ref(), &request) }
            })
        };
        Self { make: Make::Bound(Rc::new(make)), surround: Surround::default() }
    }

    /// The draft of the answer to a method that is not in `methods`.
    pub(crate) fn not_allowed<T>(methods: &MethodTable<T>) -> Self {
        let allow =
            HeaderValue::try_from(methods.allow()).expect("methods are tokens, which are legal in a field");
        Self::error(move || Error::new(StatusCode::METHOD_NOT_ALLOWED).with_header(ALLOW, allow.clone()))
    }

    pub(crate) fn bind<S2>(self, state: &Rc<S>) -> Draft<S2> {
        let make = match self.make {
            Make::Bound(make) => make,
            Make::Unbound(make) => {
                let state = state.clone();
                Rc::new(move |settings| make(state.clone(), settings))
            }
        };
        Draft { make: Make::Bound(make), surround: self.surround }
    }
}

impl Draft<()> {
    /// The endpoint, with `outer` around it.
    pub(crate) fn build(&self, outer: &Surround, pattern: &str) -> Endpoint {
        let mut surround = self.surround.clone();
        surround.enclose(outer);
        let settings = Settings {
            body_limit: surround.body_limit.unwrap_or(DEFAULT_BODY_LIMIT),
            pattern: pattern.into(),
            on_error: surround.on_error,
        };
        let handler = match &self.make {
            Make::Unbound(make) => make(Rc::new(()), settings.clone()),
            Make::Bound(make) => make(settings.clone()),
        };
        // Where nothing is around it, the server makes the same of its panics.
        let is_alone = settings.on_error.is_none() && surround.layers.is_empty();
        let handler = if is_alone { handler } else { caught(handler, &settings) };
        surround.layers.iter().fold(handler, |inner, layer| layer.wrap(inner, &settings))
    }
}

impl<S> Clone for Draft<S> {
    fn clone(&self) -> Self {
        let make = match &self.make {
            Make::Unbound(make) => Make::Unbound(make.clone()),
            Make::Bound(make) => Make::Bound(make.clone()),
        };
        Self { make, surround: self.surround.clone() }
    }
}
