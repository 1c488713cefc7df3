//! Calling the service, and what its panics become.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use covet_runtime::JoinError;
use http::StatusCode;

use super::link::Link;
use super::problem::problem;
use super::{Config, Event};
use crate::{Body, BodyError, Response};

/// Calls the service, and polls its future for the first time.
#[inline]
pub(super) fn begin_call<F: Future<Output = Response>>(
    config: &Config,
    call: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
    make: impl FnOnce() -> F,
) -> Poll<Response> {
    guard(config, call, |mut call| {
        call.set(Some(make()));
        poll_call(call, cx)
    })
}

/// Runs a part of the service; its panic becomes a 500 answer and a line in the log. A call that has ended is dropped
/// here, as what it holds is the application's, too.
#[inline]
fn guard<F: Future<Output = Response>>(
    config: &Config,
    mut call: Pin<&mut Option<F>>,
    poll: impl FnOnce(Pin<&mut Option<F>>) -> Poll<Response>,
) -> Poll<Response> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let polled = poll(call.as_mut());
        if polled.is_ready() {
            call.set(None);
        }
        polled
    }));
    match outcome {
        Ok(polled) => polled,
        Err(payload) => {
            tell(config, &*payload);
            drop_call(config, call);
            Poll::Ready(panicked())
        }
    }
}

#[inline]
fn poll_call<F: Future<Output = Response>>(
    call: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Poll<Response> {
    call.as_pin_mut().expect("a call is polled only after it was made").poll(cx)
}

/// Drops a call that nobody waits for.
#[cold]
pub(super) fn drop_call<F>(config: &Config, mut call: Pin<&mut Option<F>>) {
    isolate(config, || call.set(None));
}

/// Runs something of the application's whose panic takes only its result.
pub(super) fn isolate<T>(config: &Config, f: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(f)).inspect_err(|payload| tell(config, &**payload)).ok()
}

/// The next piece of a body that the application makes; its panic is a failure of the body.
pub(super) fn poll_chunk(
    config: &Config,
    body: &mut Body,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, BodyError>>> {
    isolate(config, || body.poll_chunk(cx))
        .unwrap_or_else(|| Poll::Ready(Some(Err(BodyError::Source("the stream panicked".into())))))
}

#[cold]
fn tell(config: &Config, payload: &(dyn Any + Send)) {
    config.counts.add(Event::Panic);
    let message = JoinError::panic_text(payload);
    tracing::error!(%message, "a handler panicked; its connection is closed, the core goes on");
}

#[cold]
fn panicked() -> Response {
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
    let polled = guard(&link.shared.config, call, |call| poll_call(call, cx));
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
