//! Calling the service, and what its panics become.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::StatusCode;

use super::link::Link;
use super::problem::problem;
use super::{Config, Event};
use crate::Response;

/// Runs a part of the service; its panic becomes a 500 answer and a line in the log.
#[inline]
pub(super) fn guard(config: &Config, f: impl FnOnce() -> Poll<Response>) -> Poll<Response> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(polled) => polled,
        Err(payload) => Poll::Ready(panicked(config, &*payload)),
    }
}

#[inline]
pub(super) fn poll_call<F: Future<Output = Response>>(
    call: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Poll<Response> {
    call.as_pin_mut().expect("a call is polled only after it was made").poll(cx)
}

#[cold]
fn panicked(config: &Config, payload: &(dyn Any + Send)) -> Response {
    config.counts.add(Event::Panic);
    let message = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!(%message, "a handler panicked; the connection is closed, the core goes on");
    let mut response = problem(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be handled");
    response.close();
    response
}

/// Polls the service while earlier answers are sent, one send after another. `None` if the client has gone.
pub(super) fn poll_while_sending<F: Future<Output = Response>>(
    link: &Link,
    call: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Response>> {
    let polled = guard(&link.shared.config, || poll_call(call, cx));
    if polled.is_pending() {
        // It may have read a part of the body, and the rest lies until it goes on.
        link.input.borrow_mut().hold();
    }
    if polled.is_pending() && link.output_len() > 0 && link.stream.poll_sent(cx).is_ready() {
        // A failure shows again when the answer is sent.
        let _ = link.send_output_now();
    }
    if polled.is_pending() && link.is_client_gone(cx) {
        return Poll::Ready(None);
    }
    polled.map(Some)
}
