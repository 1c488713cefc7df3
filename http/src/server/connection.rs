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
use super::output::{COPY, PIECE, SendFailure};
use crate::h1::response::ResponseFraming;
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

/// What the present exchange of a connection is made of.
#[derive(Default)]
struct Progress {
    head: Option<Rc<Head>>,
    /// Requests whose head was decoded.
    served: u64,
    /// Some bytes of a head have come, but not all.
    in_head: bool,
    /// The body of the request that is being answered, if it has one.
    incoming: Option<Rc<IncomingBody>>,
    exchange: Option<Exchange>,
}

/// Why [`answer_ready`] stopped.
enum Step {
    /// All that has been received is answered.
    NeedInput,
    /// Enough answers wait to be sent.
    OutputIsFull,
    /// The last answer of the connection waits to be sent.
    Closing,
    /// The service has not answered yet.
    Waiting,
    /// This answer, or the rest of its exchange, takes more than copying it behind the others.
    Answer(Response),
    /// The request can't be served, and the connection can't go on after the answer.
    Refuse(StatusCode, String),
}

async fn exchanges<S: Service>(link: &Rc<Link>, service: &S) -> End {
    let make = |request| service.call(request);
    let mut call = pin!(None);
    let mut progress = Progress::default();
    loop {
        let step =
            poll_fn(|cx| Poll::Ready(answer_ready(link, &mut progress, &make, call.as_mut(), cx))).await;
        let response = match step {
            Step::NeedInput => match wait_for_head(link, &mut progress).await {
                Some(end) => return end,
                None => continue,
            },
            Step::OutputIsFull => match link.send_output().await {
                Ok(()) => continue,
                Err(_) => return End::Reset,
            },
            Step::Closing => return end_after_answers(link).await,
            Step::Refuse(status, detail) => return Box::pin(refuse(link, status, &detail)).await,
            Step::Answer(response) => response,
            Step::Waiting => {
                link.input.borrow_mut().hold();
                let response = poll_fn(|cx| poll_while_sending(link, call.as_mut(), cx)).await;
                call.set(None);
                response
            }
        };
        if let Some(end) = Box::pin(finish(link, &mut progress, response)).await {
            return end;
        }
    }
}

/// Answers the requests that have been received whole, for as long as the service answers at once and the answers are
/// small: the path of nearly every request, without a suspension point in it.
fn answer_ready<Fut: Future<Output = Response>>(
    link: &Rc<Link>,
    progress: &mut Progress,
    make: &impl Fn(Request) -> Fut,
    mut call: Pin<&mut Option<Fut>>,
    cx: &mut Context<'_>,
) -> Step {
    let shared = &*link.shared;
    shared.refresh_date();
    loop {
        let consumed = match decode(link, &mut progress.head) {
            Ok(Decoded::Complete { consumed }) => consumed,
            Ok(Decoded::Partial) => return Step::NeedInput,
            Err(error) => return Step::Refuse(error.status(), error.to_string()),
        };
        let Some(head) = &progress.head else { return Step::NeedInput };
        link.input.borrow_mut().consume(consumed);
        progress.in_head = false;
        progress.served += 1;
        let mut exchange = Exchange::of(head);
        exchange.keep_alive &=
            progress.served < shared.config.requests_per_connection && !shared.closing.get();
        let body = match head.framing() {
            Framing::None | Framing::Length(0) => Body::empty(),
            framing => match begin_body(link, head, framing) {
                Ok((incoming, body)) => {
                    progress.incoming = Some(incoming);
                    body
                }
                Err(detail) => return Step::Refuse(StatusCode::PAYLOAD_TOO_LARGE, detail),
            },
        };
        let mut request = Request::new(head.clone(), body);
        if let Some(peer) = &link.peer {
            request.set_peer_addr(peer.clone());
        }
        let polled = guard(|| {
            call.set(Some(make(request)));
            poll_call(call.as_mut(), cx)
        });
        let Poll::Ready(response) = polled else {
            progress.exchange = Some(exchange);
            return Step::Waiting;
        };
        call.set(None);
        if progress.incoming.is_some() || !response.body().as_fixed().is_some_and(|body| body.len() <= COPY) {
            progress.exchange = Some(exchange);
            return Step::Answer(response);
        }
        let encoded = link.answer(&response, exchange);
        if encoded.framing != ResponseFraming::None {
            if let Some(body) = response.body().as_fixed() {
                link.with_output(|output| output.extend_from_slice(body));
            }
        }
        if !encoded.keep_alive {
            // The connection ends once this is sent; what was pipelined behind it is not answered.
            return Step::Closing;
        }
        if link.output_len() >= PIECE {
            return Step::OutputIsFull;
        }
    }
}

/// The body of a request that announces one, or the detail of a 413 answer.
#[cold]
fn begin_body(link: &Rc<Link>, head: &Head, framing: Framing) -> Result<(Rc<IncomingBody>, Body), String> {
    let limit = link.shared.config.limits.body;
    let length = if let Framing::Length(length) = framing { Some(length) } else { None };
    if length.is_some_and(|length| length > limit) {
        return Err(format!("the body may have at most {limit} bytes"));
    }
    let incoming = link.begin_body(framing, head.expect_continue());
    let body = Body::incoming(incoming.clone(), length);
    Ok((incoming, body))
}

/// Sends an answer that takes time, and reads what is left of its request. `Some` if the connection is to end.
async fn finish(link: &Rc<Link>, progress: &mut Progress, response: Response) -> Option<End> {
    let incoming = progress.incoming.take();
    let mut exchange = progress.exchange.take()?;
    exchange.keep_alive &= !link.shared.closing.get();
    if let Some(incoming) = &incoming {
        settle_expectation(link, incoming, &mut exchange);
    }
    link.shared.refresh_date();
    let encoded = link.answer(&response, exchange);
    match link.send_body(response.into_body(), encoded.framing).await {
        Ok(()) => {}
        Err(SendFailure::Connection) => return Some(End::Reset),
        Err(SendFailure::Body(error)) => {
            tracing::warn!(%error, "the body of an answer broke off; resetting its connection");
            return Some(End::Reset);
        }
    }
    let keep = match incoming {
        None => encoded.keep_alive,
        Some(_) => finish_body(link, encoded.keep_alive).await,
    };
    if keep { None } else { Some(end_after_answers(link).await) }
}

/// Sends everything, after which the client has only to read.
async fn end_after_answers(link: &Link) -> End {
    if flush(link).await.is_ok() { End::Linger } else { End::Reset }
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
async fn wait_for_head(link: &Rc<Link>, progress: &mut Progress) -> Option<End> {
    if link.send_output().await.is_err() {
        return Some(End::Reset);
    }
    if link.input.borrow().ended {
        // A client that has finished sending still gets the answers to what it sent.
        return Some(end_after_answers(link).await);
    }
    let idle = link.input.borrow().is_empty();
    let mut next_limit = start_waiting(link, progress, idle);
    loop {
        let received = poll_fn(|cx| {
            if idle && link.shared.closing.get() {
                return Poll::Ready(None);
            }
            link.poll_receive(cx).map(Some)
        });
        match received.await {
            Some(Received::More) => return None,
            Some(Received::Failed(_)) => return Some(End::Close),
            Some(Received::TimedOut) => match next_limit.take() {
                Some(limit) => {
                    give_head_back(link, progress);
                    link.set_timer(limit);
                }
                None if idle => return Some(End::Close),
                None => {
                    let detail = "the head did not arrive in time";
                    return Some(Box::pin(refuse(link, StatusCode::REQUEST_TIMEOUT, detail)).await);
                }
            },
            None => return Some(end_after_answers(link).await),
        }
    }
}

fn give_head_back(link: &Link, progress: &mut Progress) {
    if let Some(head) = progress.head.take() {
        link.shared.give_head(head);
    }
}

/// Sets the timer for a wait between requests or within a head. Returns what is to be waited for beyond it.
#[inline]
fn start_waiting(link: &Link, progress: &mut Progress, idle: bool) -> Option<Duration> {
    let timeouts = &link.shared.config.timeouts;
    if !idle {
        // Nothing of the kernel's is kept while a slow client takes its time.
        link.input.borrow_mut().hold();
        if !progress.in_head && progress.served > 0 {
            link.set_timer(timeouts.head);
        }
        progress.in_head = true;
        return None;
    }
    match progress.served {
        // The first head has had its time since the connection was accepted.
        0 => return None,
        // Most connections that pause after one request are not the ones that remembering its head would help.
        1 => give_head_back(link, progress),
        _ => {}
    }
    link.set_timer(QUIET.min(timeouts.idle));
    timeouts.idle.checked_sub(QUIET).filter(|rest| !rest.is_zero())
}

/// Runs a part of the service; its panic becomes a 500 answer and a line in the log.
#[inline]
fn guard(f: impl FnOnce() -> Poll<Response>) -> Poll<Response> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(polled) => polled,
        Err(payload) => Poll::Ready(panicked(&*payload)),
    }
}

#[inline]
fn poll_call<F: Future<Output = Response>>(
    call: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Poll<Response> {
    call.as_pin_mut().expect("a call is polled only after it was made").poll(cx)
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
    call: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Poll<Response> {
    let polled = guard(|| poll_call(call, cx));
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
    link.shared.refresh_date();
    link.answer(&response, exchange);
    if let Some(body) = response.body().as_fixed() {
        link.with_output(|output| output.extend_from_slice(body));
    }
    end_after_answers(link).await
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
