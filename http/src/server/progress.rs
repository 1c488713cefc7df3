//! What the present exchange of a connection is made of, and how it begins.

use std::rc::Rc;

use http::StatusCode;

use super::Event;
use super::incoming::IncomingBody;
use super::link::Link;
use super::overload::InFlight;
use super::prelude;
use super::problem::problem;
use crate::h1::{Decoded, Exchange, Framing, Head, HeadError, decode_request};
use crate::request::Peer;
use crate::upgrade::Offer;
use crate::{Body, Response, Upgrade, proxy_protocol};

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

/// What the present exchange of a connection is made of.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) head: Option<Rc<Head>>,
    /// Requests whose head was decoded.
    pub(super) served: u64,
    /// Some bytes of a head have come, but not all.
    pub(super) in_head: bool,
    peer: Option<Rc<Peer>>,
    /// The connection's place among those whose requests the service works on, where they are counted.
    pub(super) slot: Option<InFlight>,
    /// The body of the request that is being answered, if it has one.
    pub(super) incoming: Option<Rc<IncomingBody>>,
    pub(super) exchange: Option<Exchange>,
    /// What becomes of the connection if the answer switches protocols.
    pub(super) offer: Option<Offer>,
    /// An answer that [`Step::Answer`] or [`Step::Refuse`] leaves to be sent.
    pub(super) response: Option<Box<Response>>,
}

impl Progress {
    /// Of a connection that has this answer and no other.
    pub(super) fn answering(response: Response) -> Progress {
        Progress { response: Some(Box::new(response)), ..Progress::default() }
    }

    /// The client's address, asked for once per busy spell of the connection.
    #[inline]
    pub(super) fn peer(&mut self, link: &Link) -> Option<&Rc<Peer>> {
        if self.peer.is_none() {
            self.peer = link.peer().map(Rc::new);
        }
        self.peer.as_ref()
    }

    /// Leaves the answer to a request that can't be served.
    #[cold]
    pub(super) fn refuse(&mut self, status: StatusCode, detail: &str) -> Step {
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
    pub(super) fn rest(&mut self, link: &Link) {
        self.peer = None;
        if let Some(head) = self.head.take() {
            link.shared.give_head(head);
        }
    }
}

/// Why answering what has been received stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
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
    /// The core has too much to do already, so the request waits for its turn.
    Queue,
    /// The request has waited in vain, or can't wait.
    Shed,
}

/// Takes a decoded head out of the input: the exchange that it begins, and the request's body.
#[inline(always)]
pub(super) fn begin_exchange(
    link: &Rc<Link>,
    progress: &mut Progress,
    consumed: usize,
) -> Result<(Exchange, Body), Step> {
    let Some(head) = &progress.head else { return Err(Step::NeedInput) };
    link.input.borrow_mut().consume(consumed);
    progress.in_head = false;
    progress.served += 1;
    let mut exchange = Exchange::of(head);
    exchange.keep_alive &= progress.served < link.shared.config.requests_per_connection && !is_last(link);
    if head.is_https_target() && !link.is_secure() {
        progress.exchange = Some(exchange);
        return Err(progress.refuse(StatusCode::MISDIRECTED_REQUEST, "https is not served in the clear"));
    }
    let body = match head.framing() {
        Framing::None | Framing::Length(0) => Body::empty(),
        framing => match begin_body(link, head, framing) {
            Ok((incoming, body)) => {
                progress.incoming = Some(incoming);
                body
            }
            Err(detail) => {
                link.shared.config.counts.add(Event::Refused);
                progress.exchange = Some(exchange);
                return Err(progress.refuse(StatusCode::PAYLOAD_TOO_LARGE, &detail));
            }
        },
    };
    Ok((exchange, body))
}

#[cold]
pub(super) fn refuse_head(link: &Link, progress: &mut Progress, error: &HeadError) -> Step {
    link.shared.config.counts.add(Event::Refused);
    if progress.served == 0 && proxy_protocol::is_begun(link.input.borrow().bytes()) {
        prelude::tell_of_unexpected(link);
    }
    progress.refuse(error.status(), &error.to_string())
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
pub(super) fn offer_upgrade(progress: &mut Progress) -> Upgrade {
    let (offer, upgrade) = Offer::new();
    progress.offer = Some(offer);
    upgrade
}

/// Whether the shutdown makes the present answer the last one. What was pipelined before it is still answered.
#[inline]
pub(super) fn is_last(link: &Link) -> bool {
    link.shared.is_closing() && link.input.borrow().is_empty()
}

/// Decodes the next head out of what has been received.
#[inline(always)]
pub(super) fn decode(link: &Link, head: &mut Option<Rc<Head>>) -> Result<Decoded, HeadError> {
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
