//! The slower ends of exchanges and connections: streamed answers, unread bodies, refusals, lingering.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use http::StatusCode;

use super::Event;
use super::incoming::IncomingBody;
use super::link::Link;
use super::output::SendFailure;
use super::problem::problem;
use super::progress::{End, Progress, is_last};
use super::switch::{self, Settled};
use crate::h1::Exchange;
use crate::h1::response::ResponseFraming;
use crate::input::Input;
use crate::{BodyError, Response};

/// Bytes that are thrown away at most while the client's end is waited for. Most clients look for the answer only when
/// they have sent their whole body, so it is more than the bodies that servers usually take.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// Sends an answer that takes time, and reads what is left of its request. `Some` if the connection is to end.
pub(super) async fn finish(link: &Rc<Link>, progress: &mut Progress) -> Option<End> {
    // What is pipelined behind this may lie for as long as the answer takes.
    link.input.borrow_mut().hold();
    let mut response = progress.response.take()?;
    link.count_panic(&response);
    let incoming = progress.incoming.take();
    if incoming.is_some() {
        // What follows a body may have come with the last of it.
        link.forget_arrivals();
    }
    let mut exchange = progress.exchange.take()?;
    let offer = progress.offer.take();
    exchange.keep_alive &= !is_last(link);
    if let Some(offer) = offer {
        match switch::settle(&response, exchange, &offer) {
            Settled::No => {}
            Settled::Impossible(error) => *response = error,
            Settled::Switch => return Some(switch::switch(link, &response, exchange, offer).await),
        }
    }
    if let Some(incoming) = &incoming {
        settle_expectation(link, incoming, &mut exchange);
    }
    link.shared.refresh_date();
    let before = link.begin_answer();
    let encoded = link.answer(&response, exchange);
    let body = (*response).into_body();
    let trailers = body.as_fixed().is_none() && progress.accepts_trailers();
    match link.send_body(body, encoded.framing, trailers).await {
        Ok(()) => {}
        Err(SendFailure::Connection) => return Some(End::Reset),
        Err(SendFailure::Client) => {
            if !link.has_begun.get() {
                link.with_output(|output| output.truncate(before));
            } else if encoded.framing == ResponseFraming::UntilClose {
                return Some(End::Reset);
            }
            return Some(end_without_client(link).await);
        }
        Err(SendFailure::Body(error)) => {
            let of_request = incoming.is_some() && link.body_has_failed();
            if of_request && matches!(error, BodyError::Io(_)) {
                return Some(End::Reset);
            }
            if !of_request {
                link.shared.config.counts.add(Event::BodyFailed);
            }
            if link.has_begun.get() {
                return Some(break_off(link, &error, of_request, encoded.framing).await);
            }
            link.with_output(|output| output.truncate(before));
            progress.exchange = Some(exchange);
            progress.response = Some(Box::new(instead_of_body(&error, of_request)));
            return Some(refuse(link, progress).await);
        }
    }
    let keep = match incoming {
        None => encoded.keep_alive,
        Some(_) => finish_body(link, encoded.keep_alive).await,
    };
    if keep { None } else { Some(end_after_answers(link).await) }
}

/// The answer to a request whose answer was to have a body, of which nothing was sent.
#[cold]
fn instead_of_body(error: &BodyError, of_request: bool) -> Response {
    if of_request {
        return problem(error.status(), "the request's body could not be read");
    }
    tracing::warn!(%error, "the body of an answer failed before it began");
    // An error of a body that was received is of one that another server has sent (RFC 9110 section 15.6.3).
    let status = match error {
        BodyError::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        BodyError::Source(_) | BodyError::Taken | BodyError::LengthMismatch { .. } => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        _ => StatusCode::BAD_GATEWAY,
    };
    problem(status, "the request could not be handled")
}

/// Ends an answer in the middle of its body, so that the client does not take it for whole.
///
/// A client whose own request is to blame, such as one whose body is echoed and grows beyond the limit, is likely to be
/// sending still: a reset would take from it what is answered already. So it gets all of that, then the end of the
/// connection where more would have to come.
#[cold]
async fn break_off(link: &Link, error: &BodyError, of_request: bool, framing: ResponseFraming) -> End {
    if of_request && framing != ResponseFraming::UntilClose {
        tracing::debug!(%error, "the body of an answer that is made of its request broke off");
        return end_after_answers(link).await;
    }
    tracing::warn!(%error, "the body of an answer broke off; resetting its connection");
    End::Reset
}

/// Ends a connection whose client has gone before its answer was made. One that has only ended its side, where that
/// counts as going, still gets the answers before.
#[cold]
pub(super) async fn end_without_client(link: &Link) -> End {
    link.shared.config.counts.add(Event::Cancelled);
    if link.input.borrow().ended { end_after_answers(link).await } else { End::Reset }
}

/// Sends everything and waits until the kernel has it; the client has only to read then.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
pub(super) fn end_after_answers(link: &Link) -> impl Future<Output = End> {
    async move {
        let is_sent = link.send_output().await.is_ok() && link.sent().await.is_ok();
        if is_sent { End::Linger } else { End::Reset }
    }
}

/// A client that waits for a 100 response gets it before the answer if the body is still wanted; if not, it will
/// not send the body, and what it sends next can't be told from it: the connection ends with the answer.
fn settle_expectation(link: &Link, incoming: &Rc<IncomingBody>, exchange: &mut Exchange) {
    // The connection's own count, and one per body that the answer or a task still holds.
    if Rc::strong_count(incoming) > 1 {
        link.send_continue();
    } else if !link.body_is_drainable(link.shared.config.drain) {
        exchange.keep_alive = false;
    }
}

/// Reads what is left of a request's body, if it is short. Returns whether the connection can be kept.
pub(super) async fn finish_body(link: &Rc<Link>, keep: bool) -> bool {
    link.end_exchange();
    if !keep || link.body_is_done() {
        return keep;
    }
    let mut left = link.shared.config.drain;
    if !link.body_is_drainable(left) || link.send_output().await.is_err() {
        return false;
    }
    loop {
        match poll_fn(|cx| link.poll_body(cx)).await {
            None => return true,
            Some(Ok(piece)) if piece.len() as u64 <= left => left -= piece.len() as u64,
            Some(_) => return false,
        }
    }
}

/// Answers a request that can't be served, after the answers before it.
pub(super) async fn refuse(link: &Rc<Link>, progress: &mut Progress) -> End {
    let Some(response) = progress.response.take() else { return End::Close };
    let exchange = match progress.exchange.take() {
        Some(exchange) => Exchange { keep_alive: false, ..exchange },
        None => unknown_exchange(&link.input.borrow()),
    };
    link.shared.refresh_date();
    link.with_output(|output| link.shared.encoder.borrow().encode_whole(&response, exchange, output));
    end_after_answers(link).await
}

/// What can be said of a request whose head was not understood, or has not come whole: a HEAD request has an answer
/// without content all the same.
fn unknown_exchange(input: &Input) -> Exchange {
    let start = input.bytes().trim_ascii_start();
    Exchange {
        version: http::Version::HTTP_11,
        head: start.starts_with(b"HEAD "),
        connect: false,
        upgrade: false,
        keep_alive: false,
    }
}

/// Ends sending and throws away what still comes, so that no reset overtakes the last answer (RFC 9112 section 9.6).
pub(super) async fn linger(link: &Link) {
    link.set_timer(link.shared.config.timeouts.linger);
    link.input.borrow_mut().discard();
    let mut end = pin!(link.stream.end_sending());
    let ended = poll_fn(|cx| match end.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(outcome.is_ok()),
        Poll::Pending => link.poll_timer(cx).map(|()| false),
    });
    if !ended.await || link.input.borrow().ended {
        return;
    }
    let mut left = LINGER_BYTES;
    let emptied = poll_fn(|cx| {
        loop {
            match link.stream.poll_discard(cx) {
                Poll::Ready(Ok(count)) if count > 0 => match left.checked_sub(count) {
                    Some(rest) => left = rest,
                    None => return Poll::Ready(()),
                },
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return link.poll_timer(cx),
            }
        }
    });
    emptied.await;
}
