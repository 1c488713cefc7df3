//! One connection's shared state: transport, input, output, timer.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use covet_runtime::buf::PoolBuf;
use covet_runtime::time::{self, Sleep};

use super::Event;
use super::accept::Shared;
use super::arrivals::Arrivals;
use super::incoming::BodyState;
use super::transport::Transport;
use crate::Response;
use crate::h1::{Encoded, Exchange};
use crate::input::Input;
use crate::proxy_protocol::Client;
use crate::request::Peer;

/// What the connection's task and a request body that is being read have in common.
pub(super) struct Link {
    pub(super) stream: Transport,
    pub(super) shared: Rc<Shared>,
    pub(super) input: RefCell<Input>,
    pub(super) output: RefCell<Option<PoolBuf>>,
    /// Boxed, as most requests have none.
    pub(super) body: RefCell<Option<Box<BodyState>>>,
    /// Counts bodies, so that a body kept beyond its exchange can't read the next one's bytes.
    pub(super) exchange: Cell<u32>,
    timer: Sleep,
    timer_is_for_rest: Cell<bool>,
    /// The last send is longer than usual.
    pub(super) sends_large_piece: Cell<bool>,
    /// When what waits came, where that matters. Boxed, as for most servers it does not.
    pub(super) arrivals: Cell<Option<Box<Arrivals>>>,
    /// Of the answer since [`Link::begin_answer`] content is queued or something was sent: no other can take its place.
    pub(super) has_begun: Cell<bool>,
}

/// How waiting for bytes ended.
pub(super) enum Received {
    /// There are more bytes, or the end has been seen.
    More,
    /// The time was up.
    TimedOut,
    /// The connection failed.
    Failed(io::Error),
}

impl Link {
    pub(super) fn new(stream: impl Into<Transport>, shared: Rc<Shared>) -> Link {
        let first = shared.config.timeouts.head;
        #[cfg(not(feature = "tls"))]
        let stream = stream.into();
        #[cfg(feature = "tls")]
        let (stream, first) = match &shared.tls {
            None => (stream.into(), first),
            Some(tls) => {
                let mut stream = stream.into();
                stream.begin_tls(tls);
                (stream, tls.handshake_timeout)
            }
        };
        let now = time::now();
        let timer = time::sleep_until(now.checked_add(first).unwrap_or(now + FAR));
        Link {
            stream,
            shared,
            input: RefCell::default(),
            output: RefCell::default(),
            body: RefCell::default(),
            exchange: Cell::new(0),
            timer,
            timer_is_for_rest: Cell::new(false),
            sends_large_piece: Cell::new(false),
            arrivals: Cell::default(),
            has_begun: Cell::new(false),
        }
    }

    /// Sets the timer for a wait between requests. While requests come quickly it is left where it is, which ends
    /// the wait up to an eighth early and saves the setting for every request.
    #[inline]
    pub(super) fn set_rest_timer(&self, length: Duration) {
        let earliest = time::now() + length - length / 8;
        if !self.timer_is_for_rest.get() || self.timer.deadline() < earliest {
            self.set_timer(length);
            self.timer_is_for_rest.set(true);
        }
    }

    /// Sets the one timer of the connection, counted from this turn.
    #[inline]
    pub(super) fn set_timer(&self, length: Duration) {
        let now = time::now();
        self.timer_is_for_rest.set(false);
        self.timer.reset(now.checked_add(length).unwrap_or(now + FAR));
    }

    /// Takes what has been received, or waits for it until the timer fires.
    #[inline(always)]
    pub(super) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Received> {
        match self.stream.poll_receive(&self.input, cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Received::More),
            Poll::Ready(Err(error)) => Poll::Ready(Received::Failed(error)),
            Poll::Pending => {
                if self.stream.take_established() && !self.shared.is_closing() {
                    self.set_timer(self.shared.config.timeouts.head);
                }
                self.poll_timer(cx).map(|()| Received::TimedOut)
            }
        }
    }

    /// Whether nobody is there to read an answer that is being made, as far as what has been received tells; keeps it in
    /// view, and what comes meanwhile in the input, within bounds.
    ///
    /// It can be told only while nothing is left to read of the request's body, whose reader may be another task.
    #[cold]
    pub(super) fn is_client_gone(&self, cx: &mut Context<'_>) -> bool {
        if !self.body_is_done() {
            return false;
        }
        loop {
            let (ended, waits) = (self.input.borrow().ended, self.input.borrow().bytes().len());
            if ended {
                return !self.shared.config.half_close;
            }
            if waits >= MOST_WAITING {
                return false;
            }
            let came = if self.shared.has_load() { self.stream.waiting_since() } else { None };
            match self.stream.poll_receive(&self.input, cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) => {
                    self.input.borrow_mut().hold();
                    if let Some(came) = came {
                        self.add_arrival(waits, came);
                    }
                }
                Poll::Ready(Err(error)) => {
                    tracing::debug!(%error, "a client has gone before its answer was made");
                    return true;
                }
            }
        }
    }

    /// Notes why the connection is over before a request came.
    #[cold]
    pub(super) fn fails(&self, #[cfg_attr(not(feature = "tls"), expect(unused))] error: &io::Error) {
        #[cfg(feature = "tls")]
        self.tell_of_handshake(error);
    }

    #[inline]
    pub(super) fn poll_timer(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.poll_elapsed(cx)
    }

    /// Whether a header of the PROXY protocol comes, or may come, before anything else.
    #[inline]
    pub(super) fn has_prelude(&self) -> bool {
        self.shared.config.proxy_protocol.is_on()
    }

    /// Who is at the other end, as requests are told; asks the kernel.
    pub(super) fn peer(&self) -> Option<Peer> {
        let (address, proxied) = (self.stream.peer_addr(), self.stream.proxied());
        let trusted = self.shared.config.forwarded.as_ref().filter(|forwarding| match address {
            Some(address) => forwarding.trusts(address.ip()),
            // A client that another Unix socket leads to is anybody.
            None => self.stream.is_local() && proxied.is_none_or(|header| header.client() == Client::Sender),
        });
        if address.is_none() && proxied.is_none() && trusted.is_none() {
            return None;
        }
        Some(Peer::new(address, proxied.cloned(), trusted.cloned()))
    }

    /// Whether nobody between the client and us can read or change what is sent.
    #[inline]
    pub(super) fn is_secure(&self) -> bool {
        self.stream.is_secure()
    }

    /// Runs `write` on the output buffer, taking one from the pool if there is none.
    #[inline]
    pub(super) fn with_output<T>(&self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        write(self.output.borrow_mut().get_or_insert_with(PoolBuf::take))
    }

    /// Notes that an answer begins of which another may still take the place. Returns where in the output it begins.
    pub(super) fn begin_answer(&self) -> usize {
        self.has_begun.set(false);
        self.output_len()
    }

    /// Encodes the head of an answer behind those before it.
    pub(super) fn answer(&self, response: &Response, exchange: Exchange) -> Encoded {
        self.with_output(|output| self.shared.encoder.borrow().encode(response, exchange, output))
    }

    /// Encodes an answer behind those before it, its body with it if the bytes are all there. Returns how many bytes
    /// wait to be sent, too.
    #[inline(always)]
    pub(super) fn answer_whole(&self, response: &Response, exchange: Exchange) -> (Encoded, usize) {
        let mut output = self.output.borrow_mut();
        let output = output.get_or_insert_with(PoolBuf::take);
        let encoded = self.shared.encoder.borrow().encode_whole(response, exchange, output);
        (encoded, output.len())
    }

    /// Counts a panic that the service caught itself.
    #[inline]
    pub(super) fn count_panic(&self, response: &Response) {
        if response.is_after_panic() {
            self.shared.config.counts.add(Event::Panic);
        }
    }

    #[inline]
    pub(super) fn output_len(&self) -> usize {
        self.output.borrow().as_ref().map_or(0, |output| output.len())
    }
}

/// Bytes of later requests that are taken in while an answer is made.
const MOST_WAITING: usize = 64 * 1024;
/// Stands for "never" where a time limit can't be represented.
pub(super) const FAR: Duration = Duration::from_secs(365 * 86_400);
