//! Handlers: async functions of up to twelve extractors.

use std::future::Future;
use std::rc::Rc;

use covet_http::{Request, Response};

use crate::extract::FromRequest;
use crate::respond::IntoResponse;
use crate::state::RouteContext;

/// An async function that answers requests: up to twelve [extractors](crate::extract) in any
/// order, and a result that is [`IntoResponse`].
///
/// The trait is implemented for every such function and closure that is `Clone + 'static`; it is
/// not meant to be implemented by hand. The future may hold an `Rc` across an await: it never
/// leaves its core. The extractors run in the order of the arguments, and the first that fails
/// answers the request with its [`Error`](crate::Error).
///
/// ```
/// use covet_router::{Json, Path, Query, Result, Router, test_client::TestClient};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize)]
/// struct Page { size: usize }
///
/// #[derive(Serialize)]
/// struct Listing { user: u64, size: usize }
///
/// async fn orders(Query(page): Query<Page>, Path(user): Path<u64>) -> Result<Json<Listing>> {
///     Ok(Json(Listing { user, size: page.size }))
/// }
///
/// let client = TestClient::new(Router::new().get("/users/{id}/orders", orders));
/// let answer = client.get("/users/7/orders?size=20").send();
/// assert_eq!(answer.text(), r#"{"user":7,"size":20}"#);
/// ```
///
/// # The body is taken once
/// Only one extractor of a handler may take the body ([`FromRequest::TAKES_BODY`]): `Json`,
/// `Form`, `Bytes`, `String`, `Body`, or the whole `Request`. A second one is refused when the
/// program is built (`cargo check` alone does not see it):
///
/// ```compile_fail
/// use covet_router::{Json, Router};
///
/// async fn twice(_text: String, _json: Json<u32>) {}
///
/// Router::<()>::new().post("/", twice);
/// ```
///
/// and so is the whole request beside another that takes the body, even inside an `Option`:
///
/// ```compile_fail
/// use covet_http::Request;
/// use covet_router::Router;
///
/// async fn twice(_request: Request, _text: Option<String>) {}
///
/// Router::<()>::new().post("/", twice);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "not an async function of up to twelve arguments",
    note = "a handler is an `async fn` or an `async` closure with 0 to 12 arguments, each of them an extractor and taken \
            by value; it returns `IntoResponse`, and is `Clone + 'static`"
)]
pub trait Handler<Args, S>: Clone + 'static {
    /// Extracts the arguments from `request`, runs the function, and turns its result or the
    /// failure into a response.
    fn call(self, request: Request, context: Rc<RouteContext<S>>)
    -> impl Future<Output = Response> + 'static;
}

// One implementation, so that the compiler names the argument or the result that does not fit; of one for each number
// of arguments it would only say that none does.
impl<F, Args, S> Handler<Args, S> for F
where
    F: AsyncFunction<Args, Output: IntoResponse> + Clone + 'static,
    Args: Extractors<S> + Answer<F, S>,
{
    #[inline]
    fn call(
        self,
        request: Request,
        context: Rc<RouteContext<S>>,
    ) -> impl Future<Output = Response> + 'static {
        Args::answer(self, request, context)
    }
}

/// An async function of the arguments `Args`, a tuple of up to twelve.
#[doc(hidden)]
pub trait AsyncFunction<Args> {
    /// What it returns.
    type Output;
}

/// A tuple of extractors.
#[doc(hidden)]
pub trait Extractors<S> {}

/// What a handler is called by: the tuple of its arguments.
#[doc(hidden)]
pub trait Answer<F, S> {
    /// See [`Handler::call`].
    fn answer(
        function: F,
        request: Request,
        context: Rc<RouteContext<S>>,
    ) -> impl Future<Output = Response> + 'static;
}

macro_rules! handler {
    ($($arg:ident),*) => {
        impl<F, R, $($arg,)*> AsyncFunction<($($arg,)*)> for F
        where
            F: AsyncFn($($arg),*) -> R,
        {
            type Output = R;
        }

        impl<S, $($arg,)*> Extractors<S> for ($($arg,)*)
        where
            $($arg: FromRequest<S> + 'static,)*
        {
        }

        #[allow(non_snake_case, unused_mut, reason = "the type parameters double as variable names")]
        impl<F, R, S, $($arg,)*> Answer<F, S> for ($($arg,)*)
        where
            F: AsyncFn($($arg),*) -> R + Clone + 'static,
            R: IntoResponse + 'static,
            S: 'static,
            $($arg: FromRequest<S> + 'static,)*
        {
            #[inline]
            fn answer(
                function: F,
                mut request: Request,
                context: Rc<RouteContext<S>>,
            ) -> impl Future<Output = Response> + 'static {
                const {
                    assert!(
                        0 $(+ $arg::TAKES_BODY as usize)* <= 1,
                        "a handler may have only one extractor that takes the request body \
                         (Json, Form, Bytes, String, Body or the Request itself)",
                    );
                }
                // Written out without `?` in an inner block: the response would be moved once more.
                async move {
                    $(let $arg = match $arg::from_request(&mut request, &context).await {
                        Ok(value) => value,
                        Err(error) => return context.answer(error, &request),
                    };)*
                    match function($($arg),*).await.into_response() {
                        Ok(response) => response,
                        Err(error) => context.answer(error, &request),
                    }
                }
            }
        }
    };
}

handler!();
handler!(A1);
handler!(A1, A2);
handler!(A1, A2, A3);
handler!(A1, A2, A3, A4);
handler!(A1, A2, A3, A4, A5);
handler!(A1, A2, A3, A4, A5, A6);
handler!(A1, A2, A3, A4, A5, A6, A7);
handler!(A1, A2, A3, A4, A5, A6, A7, A8);
handler!(A1, A2, A3, A4, A5, A6, A7, A8, A9);
handler!(A1, A2, A3, A4, A5, A6, A7, A8, A9, A10);
handler!(A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11);
handler!(A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12);
