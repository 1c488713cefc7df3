//! Panics as errors.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use covet_http::{Request, Response};

use super::Next;
use crate::error::{Error, Result};

/// A middleware that makes a panic further in an internal [`Error`], which passes the error hook and the layers further
/// out as any other.
///
/// Without it a panic costs no more than its request either: the server answers 500 by itself and closes the connection,
/// and no hook and no layer sees that answer. Of several layers this should be the first that is added, and so the
/// innermost. The text of the panic goes to the log, and not to the client.
///
/// ```
/// use covet_http::{HeaderValue, Request, Response};
/// use covet_router::middleware::catch_panic;
/// use covet_router::{Next, Result, Router, test_client::TestClient};
///
/// async fn buggy() -> &'static str {
///     let none: Option<&str> = None;
///     none.expect("there is one")
/// }
///
/// async fn cors(request: Request, next: Next) -> Result<Response> {
///     let mut response = next.run(request).await;
///     response.headers_mut().insert("access-control-allow-origin", HeaderValue::from_static("*"));
///     Ok(response)
/// }
///
/// let client = TestClient::new(Router::new().get("/", buggy).layer(catch_panic).layer(cors));
/// let answer = client.get("/").send();
/// assert_eq!(answer.text(), r#"{"title":"Internal Server Error","status":500}"#);
/// assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
/// ```
///
/// # Errors
/// The internal error that a panic becomes.
pub async fn catch_panic(request: Request, next: Next) -> Result<Response> {
    let mut answering = pin!(next.run(request));
    // Whatever was broken half-way is dropped with the future, which is not polled again.
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| answering.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(payload) => Poll::Ready(Err(Error::internal(format!("a panic: {}", text(&*payload))))),
    })
    .await
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("of an unknown kind")
}
