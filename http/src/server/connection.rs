//! The life of a connection: read a head, call the service, write the answer, again.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;

use super::accept::Place;
use super::ending::{end_after_answers, finish, linger, problem, refuse};
use super::incoming::IncomingBody;
use super::link::{Link, Received};
use super::output::{COPY, PIECE};
use crate::h1::response::ResponseFraming;
use crate::h1::{Decoded, Exchange, Framing, Head, decode_request};
use crate::upgrade::Offer;
use crate::{Body, Request, Response, Service, Upgrade, Upgraded};

/// A connection that has been quiet for so long gives the memory of its last head back.
const QUIET: Duration = Duration::from_secs(1);

/// How a connection is to end.
pub(super) enum End {
    /// Nothing is owed to the client.
    Close,
    /// The client still has to read the last answer.
    Linger,
    /// The client must not take what it has for complete.
    Reset,
    /// It goes on, but not as HTTP.
    Switch(Offer),
}

/// Serves one connection until it ends.
///
/// The future is kept small, as every idle connection has one: what only some exchanges need is boxed.
pub(super) async fn run<S: Service>(place: Place, service: Rc<S>) {
    place.register().await;
    #[cfg(feature = "tls")]
    let end = match place.link.stream.may_leave_to_kernel() {
        Some(_) if Box::pin(super::handover::hand_over(&place.link)).await.is_err() => End::Close,
        _ => exchanges(&place.link, &*service).await,
    };
    #[cfg(not(feature = "tls"))]
    let end = exchanges(&place.link, &*service).await;
    match end {
        // Without the announcement, an end looks as if somebody had cut the connection.
        End::Close if place.link.is_secure() => Box::pin(linger(&place.link)).await,
        End::Close => {}
        End::Linger => Box::pin(linger(&place.link)).await,
        End::Reset => place.link.stream.reset_on_close(),
        End::Switch(offer) => offer.hand_over(Upgraded::new(place)),
    }
}

/// What the present exchange of a connection is made of.
#[derive(Default)]
pub(super) struct Progress {
    head: Option<Rc<Head>>,
    /// Requests whose head was decoded.
    served: u64,
    /// Some bytes of a head have come, but not all.
    in_head: bool,
    peer: Option<Rc<SocketAddr>>,
    /// The body of the request that is being answered, if it has one.
    pub(super) incoming: Option<Rc<IncomingBody>>,
    pub(super) exchange: Option<Exchange>,
    /// What becomes of the connection if the answer switches protocols.
    pub(super) offer: Option<Offer>,
    /// An answer that [`Step::Answer`] or [`Step::Refuse`] leaves to be sent.
    pub(super) response: Option<Box<Response>>,
}

impl Progress {
    /// The client's address, asked for once per busy spell of the connection.
    #[inline]
    fn peer(&mut self, link: &Link) -> Option<&Rc<SocketAddr>> {
        if self.peer.is_none() {
            self.peer = link.stream.peer_addr().map(Rc::new);
        }
        self.peer.as_ref()
    }

    /// Leaves the answer to a request that can't be served.
    #[cold]
    fn refuse(&mut self, status: StatusCode, detail: &str) -> Step {
        self.response = Some(Box::new(problem(status, detail)));
        Step::Refuse
    }

    /// Whether the client of the present exchange keeps trailers (RFC 9110 section 10.1.4).
    #[cold]
    pub(super) fn accepts_trailers(&self) -> bool {
        let fields = self.head.iter().flat_map(|head| head.fields());
        let mut options = fields
            .filter(|(name, _)| name.eq_ignore_ascii_case("te"))
            .flat_map(|(_, value)| value.split(|&byte| byte == b','));
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    }

    /// Gives the memory back that a connection needs only while it is busy.
    fn rest(&mut self, link: &Link) {
        self.peer = None;
        if let Some(head) = self.head.take() {
            link.shared.give_head(head);
        }
    }
}

/// Why [`answer_ready`] stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
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
    Answer,
    /// The request can't be served, and the connection can't go on after the answer.
    Refuse,
}

async fn exchanges<S: Service>(link: &Rc<Link>, service: &S) -> End {
    let make = |request| service.call(request);
    let mut call = pin!(None);
    let mut progress = Progress::default();
    loop {
        let step =
            poll_fn(|cx| Poll::Ready(answer_ready(link, &mut progress, &make, call.as_mut(), cx))).await;
        match step {
            Step::NeedInput => match wait_for_head(link, &mut progress).await {
                Some(end) => return end,
                None => continue,
            },
            Step::OutputIsFull => match link.send_output().await {
                Ok(()) => continue,
                Err(_) => return End::Reset,
            },
            Step::Closing => return end_after_answers(link).await,
            Step::Refuse => return Box::pin(refuse(link, &mut progress)).await,
            Step::Answer => {}
            Step::Waiting => {
                link.input.borrow_mut().hold();
                progress.response =
                    Some(poll_fn(|cx| poll_while_sending(link, call.as_mut(), cx).map(Box::new)).await);
                call.set(None);
            }
        }
        if let Some(end) = Box::pin(finish(link, &mut progress)).await {
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
            Err(error) => return progress.refuse(error.status(), &error.to_string()),
        };
        let Some(head) = &progress.head else { return Step::NeedInput };
        link.input.borrow_mut().consume(consumed);
        progress.in_head = false;
        progress.served += 1;
        let mut exchange = Exchange::of(head);
        exchange.keep_alive &= progress.served < shared.config.requests_per_connection && !is_last(link);
        if head.is_https_target() && !link.is_secure() {
            progress.exchange = Some(exchange);
            return progress.refuse(StatusCode::MISDIRECTED_REQUEST, "https is not served in the clear");
        }
        let body = match head.framing() {
            Framing::None | Framing::Length(0) => Body::empty(),
            framing => match begin_body(link, head, framing) {
                Ok((incoming, body)) => {
                    progress.incoming = Some(incoming);
                    body
                }
                Err(detail) => {
                    progress.exchange = Some(exchange);
                    return progress.refuse(StatusCode::PAYLOAD_TOO_LARGE, &detail);
                }
            },
        };
        let mut request = Request::new(head.clone(), body);
        if let Some(peer) = progress.peer(link) {
            request.set_peer_addr(peer.clone());
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = link.stream.tls() {
            request.set_tls(tls.clone());
        }
        if exchange.upgrade | exchange.connect {
            request.set_upgrade(offer_upgrade(progress));
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
        let is_special = progress.incoming.is_some() | progress.offer.is_some();
        if is_special || response.body().as_fixed().is_none_or(|body| body.len() > COPY) {
            progress.exchange = Some(exchange);
            progress.response = Some(Box::new(response));
            return Step::Answer;
        }
        let encoded = link.answer(&response, exchange);
        if encoded.framing != ResponseFraming::None
            && let Some(body) = response.body().as_fixed()
        {
            link.with_output(|output| output.extend_from_slice(body));
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

#[cold]
fn offer_upgrade(progress: &mut Progress) -> Upgrade {
    let (offer, upgrade) = Offer::new();
    progress.offer = Some(offer);
    upgrade
}

/// Whether the shutdown makes the present answer the last one. What was pipelined before it is still answered.
#[inline]
pub(super) fn is_last(link: &Link) -> bool {
    link.shared.closing.get() && link.input.borrow().is_empty()
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
    let mut parting = false;
    loop {
        let received = poll_fn(|cx| {
            if idle && !parting && link.shared.closing.get() {
                return Poll::Ready(None);
            }
            link.poll_receive(cx).map(Some)
        });
        match received.await {
            Some(Received::More) => {
                if parting {
                    link.set_timer(link.shared.config.timeouts.head);
                }
                return None;
            }
            Some(Received::Failed(_)) => return Some(End::Close),
            Some(Received::TimedOut) if parting => return Some(end_after_answers(link).await),
            Some(Received::TimedOut) => match next_limit.take() {
                Some(limit) => {
                    progress.rest(link);
                    link.set_timer(limit);
                }
                None if idle => return Some(End::Close),
                None => {
                    progress.refuse(StatusCode::REQUEST_TIMEOUT, "the head did not arrive in time");
                    return Some(Box::pin(refuse(link, progress)).await);
                }
            },
            None => {
                // The client may have sent a request before it could know.
                parting = true;
                link.set_timer(link.shared.config.timeouts.farewell);
            }
        }
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
        1 => progress.rest(link),
        _ => {}
    }
    link.set_rest_timer(QUIET.min(timeouts.idle));
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
