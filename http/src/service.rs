//! What answers requests.

use std::future::Future;
use std::rc::Rc;

use crate::{Request, Response};

/// Answers requests, one future each.
///
/// A service lives on one core, so neither it nor its futures need be `Send`. It is total: a failure is a
/// response like any other. Dropping the future cancels the request, as happens when the peer goes away.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not answer requests",
    label = "not a `Service`",
    note = "`service_fn` makes a service of an async function; a router is one once it has its state, from `with_state`"
)]
pub trait Service: 'static {
    /// Answers one request.
    fn call(&self, request: Request) -> impl Future<Output = Response>;
}

impl<S: Service> Service for Rc<S> {
    fn call(&self, request: Request) -> impl Future<Output = Response> {
        S::call(self, request)
    }
}

/// A [`Service`] made of a function; see [`service_fn`].
#[derive(Clone, Copy, Debug)]
pub struct ServiceFn<F> {
    function: F,
}

/// Makes a [`Service`] of an async function or closure.
pub fn service_fn<F, Fut>(function: F) -> ServiceFn<F>
where
    F: Fn(Request) -> Fut + 'static,
    Fut: Future<Output = Response>,
{
    ServiceFn { function }
}

impl<F, Fut> Service for ServiceFn<F>
where
    F: Fn(Request) -> Fut + 'static,
    Fut: Future<Output = Response>,
{
    fn call(&self, request: Request) -> impl Future<Output = Response> {
        (self.function)(request)
    }
}
