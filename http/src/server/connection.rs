//! The life of a connection: read a head, call the service, write the answer, again.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::io;
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use covet_runtime::net::TcpStream;
use http::StatusCode;

use super::accept::{Place, Shared};
use super::incoming::IncomingBody;
use super::link::{Link, Received};
use super::output::SendFailure;
use crate::h1::{Decoded, Exchange, Framing, Head, decode_request};
use crate::{Body, ContentType, Request, Response, Service};

/// A connection that has been quiet for so long gives the memory of its last head back.
const QUIET: Duration = Duration::from_secs(1);
/// Bytes that are thrown away at most while the client's end is waited for.
const LINGER_BYTES: usize = 256 * 1024;

const PROBLEM: ContentType = ContentType::new("application/problem+json");

/// How a connection is to end.
enum End {
    /// Nothing is owed to the client.
    Close,
    /// The client still has to read the last answer.
    Linger,
    /// The client must not take what it has for complete.
    Reset,
}

pub(super) async fn run<S: Service>(stream: TcpStream, service: Rc<S>, place: Place, shared: Rc<Shared>) {
    let link = Rc::new(Link::new(stream, shared));
    poll_fn(|cx| {
        link.shared.register(place.id, cx.waker());
        Poll::Ready(())
    })
    .await;
    match exchanges(&link, &*service).await {
        End::Close => {}
        End::Linger => Box::pin(linger(&link)).await,
        End::Reset => {
            let _ = link.stream.set_reset_on_close();
        }
    }
}

async fn exchanges<S: Service>(link: &Rc<Link>, service: &S) -> End {
    let shared = &*link.shared;
    let mut head: Option<Rc<Head>> = None;
    let mut served = 0u64;
    let mut in_head = false;
    loop {
        let consumed = match decode(link, &mut head) {
            Ok(Decoded::Complete { consumed }) => consumed,
            Ok(Decoded::Partial) => match wait_for_head(link, &mut head, served, &mut in_head).await {
                Some(end) => return end,
                None => continue,
            },
            Err(error) => return refuse(link, error.status(), &error.to_string()).await,
        };
        in_head = false;
        served += 1;
        link.input.borrow_mut().consume(consumed);
        let Some(decoded) = &head else { return End::Close };
        let mut exchange = Exchange::of(decoded);
        exchange.keep_alive &= served < shared.config.requests_per_connection;
        let (body, incoming) = match decoded.framing() {
            Framing::None | Framing::Length(0) => (Body::empty(), None),
            Framing::Length(length) if length > shared.config.limits.body => {
                let detail = format!("the body may have at most {} bytes", shared.config.limits.body);
                return refuse(link, StatusCode::PAYLOAD_TOO_LARGE, &detail).await;
            }
            framing => {
                let incoming = link.begin_body(framing, decoded.expect_continue());
                let length = if let Framing::Length(length) = framing { Some(length) } else { None };
                (Body::incoming(incoming.clone(), length), Some(incoming))
            }
        };
        let mut request = Request::new(decoded.clone(), body);
        if let Some(peer) = &link.peer {
            request.set_peer_addr(peer.clone());
        }

        let response = {
            let mut call = pin!(async { service.call(request).await });
            match poll_fn(|cx| Poll::Ready(poll_service(call.as_mut(), cx))).await {
                Poll::Ready(response) => response,
                Poll::Pending => {
                    link.input.borrow_mut().hold();
                    poll_fn(|cx| poll_while_sending(link, call.as_mut(), cx)).await
                }
            }
        };

        exchange.keep_alive &= !shared.closing.get();
        if let Some(incoming) = &incoming {
            settle_expectation(link, incoming, &mut exchange);
        }
        let encoded = link
            .with_output(|output| shared.with_encoder(|encoder| encoder.encode(&response, exchange, output)));
        match link.send_body(response.into_body(), encoded.framing).await {
            Ok(()) => {}
            Err(SendFailure::Connection(_)) => return End::Reset,
            Err(SendFailure::Body(error)) => {
                tracing::warn!(%error, "the body of an answer broke off; resetting its connection");
                return End::Reset;
            }
        }
        let keep = match incoming {
            None => encoded.keep_alive,
            Some(_) => Box::pin(finish_body(link, encoded.keep_alive)).await,
        };
        if !keep {
            return match flush(link).await {
                Ok(()) => End::Linger,
                Err(_) => End::Reset,
            };
        }
    }
}

/// Decodes the next head out of what has been received.
#[inline]
fn decode(link: &Link, head: &mut Option<Rc<Head>>) -> Result<Decoded, crate::h1::HeadError> {
    let input = link.input.borrow();
    let bytes = input.bytes();
    if bytes.is_empty() {
        return Ok(Decoded::Partial);
    }
    let head = head.get_or_insert_with(|| link.shared.take_head());
    if Rc::get_mut(head).is_none() {
        // The application still holds the last request.
        *head = link.shared.take_head();
    }
    let head = Rc::get_mut(head).expect("a spare head is held by nobody else");
    decode_request(bytes, head, &link.shared.config.limits)
}

/// Sends what is answered, then waits for more bytes of a head. `Some` if the connection is to end instead.
#[inline]
async fn wait_for_head(
    link: &Rc<Link>,
    head: &mut Option<Rc<Head>>,
    served: u64,
    in_head: &mut bool,
) -> Option<End> {
    if link.send_output().await.is_err() {
        return Some(End::Reset);
    }
    let timeouts = &link.shared.config.timeouts;
    let idle = link.input.borrow().is_empty();
    if link.input.borrow().ended {
        // A client that has finished sending still gets the answers to what it sent.
        return Some(if flush(link).await.is_ok() { End::Linger } else { End::Reset });
    }
    if idle {
        if served == 1 {
            // Most connections that pause after one request are not the ones a memory of the head would help.
            head.take().into_iter().for_each(|head| link.shared.give_head(head));
        }
        if served > 0 {
            link.set_timer(QUIET.min(timeouts.idle));
        }
    } else {
        link.input.borrow_mut().hold();
        if !*in_head && served > 0 {
            link.set_timer(timeouts.head);
        }
        *in_head = true;
    }
    let mut quiet = false;
    loop {
        let received = poll_fn(|cx| {
            if idle && link.shared.closing.get() {
                return Poll::Ready(None);
            }
            link.poll_receive(cx).map(Some)
        });
        match received.await {
            Some(Received::More) => return None,
            Some(Received::TimedOut) if idle && served > 0 && !quiet && timeouts.idle > QUIET => {
                quiet = true;
                head.take().into_iter().for_each(|head| link.shared.give_head(head));
                link.set_timer(timeouts.idle - QUIET);
            }
            Some(Received::TimedOut) if idle => return Some(End::Close),
            Some(Received::TimedOut) => {
                return Some(
                    refuse(link, StatusCode::REQUEST_TIMEOUT, "the head did not arrive in time").await,
                );
            }
            Some(Received::Failed(_)) => return Some(End::Close),
            None => return Some(if flush(link).await.is_ok() { End::Linger } else { End::Reset }),
        }
    }
}

/// Polls the service; its panic becomes a 500 answer and a line in the log.
#[inline]
fn poll_service<F: Future<Output = Response>>(call: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<Response> {
    match catch_unwind(AssertUnwindSafe(|| call.poll(cx))) {
        Ok(polled) => polled,
        Err(payload) => Poll::Ready(panicked(&*payload)),
    }
}

#[cold]
fn panicked(payload: &(dyn Any + Send)) -> Response {
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

/// Polls the service while earlier answers are sent, one send after another.
fn poll_while_sending<F: Future<Output = Response>>(
    link: &Link,
    call: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Poll<Response> {
    let polled = poll_service(call, cx);
    if polled.is_pending() && link.output_len() > 0 && link.stream.poll_sent(cx).is_ready() {
        // A failure shows again when the answer is sent.
        let _ = link.send_output_now();
    }
    polled
}

/// A client that waits for a 100 response gets it before the answer if the body is still wanted; if not, it will
/// not send the body, and what it sends next can't be told from it: the connection ends with the answer.
fn settle_expectation(link: &Link, incoming: &Rc<IncomingBody>, exchange: &mut Exchange) {
    // The connection's own count, and one per body that the answer or a task still holds.
    let wanted = Rc::strong_count(incoming) > 1;
    let expects = link.body.borrow().expects_continue();
    if wanted && expects {
        link.with_output(|output| output.extend_from_slice(crate::h1::encode::CONTINUE));
        link.body.borrow_mut().continue_is_sent();
    } else if !wanted && !link.body.borrow().is_drainable(link.shared.config.drain) {
        exchange.keep_alive = false;
    }
}

/// Reads what is left of a request's body, if it is short. Returns whether the connection can be kept.
async fn finish_body(link: &Rc<Link>, keep: bool) -> bool {
    link.end_exchange();
    if !keep || link.body.borrow().is_done() {
        return keep;
    }
    let mut left = link.shared.config.drain;
    if !link.body.borrow().is_drainable(left) || link.send_output().await.is_err() {
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

/// Answers a request that was not understood, after the answers before it.
async fn refuse(link: &Rc<Link>, status: StatusCode, detail: &str) -> End {
    let response = problem(status, detail);
    let exchange =
        Exchange { version: http::Version::HTTP_11, head: false, connect: false, keep_alive: false };
    link.with_output(|output| {
        link.shared.with_encoder(|encoder| encoder.encode(&response, exchange, output));
        if let Some(body) = response.body().as_fixed() {
            output.extend_from_slice(body);
        }
    });
    if flush(link).await.is_ok() { End::Linger } else { End::Reset }
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = format!(
        r#"{{"type":"about:blank","title":"{title}","status":{},"detail":"{detail}"}}"#,
        status.as_u16()
    );
    let mut response = Response::new(body).with_content_type(PROBLEM);
    response.set_status(status);
    response
}

/// Sends everything and waits until the kernel has it.
async fn flush(link: &Link) -> io::Result<()> {
    link.send_output().await?;
    link.sent().await
}

/// Ends sending and throws away what still comes, so that no reset overtakes the last answer (RFC 9112 section 9.6).
async fn linger(link: &Link) {
    if link.stream.shutdown(Shutdown::Write).await.is_err() || link.input.borrow().ended {
        return;
    }
    link.set_timer(link.shared.config.timeouts.linger);
    let mut left = LINGER_BYTES;
    let emptied = poll_fn(|cx| {
        loop {
            match link.stream.poll_recv(cx) {
                Poll::Ready(Ok(bytes)) if !bytes.is_empty() => match left.checked_sub(bytes.len()) {
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
