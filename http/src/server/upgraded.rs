//! What carries a connection that has left HTTP.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use covet_runtime::buf::SendBuf;
use covet_runtime::time::{self, Sleep};

use super::Event;
use super::accept::Place;
use super::link::{FAR, Link};
use super::output::PIECE;
use crate::upgrade::Carrier;

/// A connection that has left HTTP, with limits on its silence and on how slowly it is read.
pub(super) struct Tunnel {
    place: Place,
    /// When bytes last came or were sent.
    active: Cell<Instant>,
    /// The connection's own timer is the reader's, and a timer wakes one task.
    write_timer: RefCell<Sleep>,
    /// What the client had acknowledged when the timer was set; `None` if it is not.
    acked: Cell<Option<u64>>,
}

impl Tunnel {
    pub(super) fn new(place: Place) -> Tunnel {
        let now = time::now();
        place.link.set_timer(place.link.shared.config.timeouts.upgraded);
        let (active, acked) = (Cell::new(now), Cell::new(None));
        Tunnel { place, active, write_timer: RefCell::new(time::sleep_until(now)), acked }
    }

    fn link(&self) -> &Link {
        &self.place.link
    }

    /// Ready when nothing has come or gone for too long.
    fn poll_silence(&self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.link().shared.config.timeouts.upgraded;
        loop {
            ready!(self.link().poll_timer(cx));
            let left = limit.saturating_sub(time::now().saturating_duration_since(self.active.get()));
            if left.is_zero() {
                return Poll::Ready(());
            }
            self.link().set_timer(left);
        }
    }

    /// Ready when the client has taken too little for too long.
    fn poll_write_time(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.write_timer.borrow_mut();
        loop {
            if let Some(before) = self.acked.get() {
                ready!(Pin::new(&mut *timer).poll(cx));
                if self.link().stream.bytes_acked() < before + PIECE as u64 {
                    return Poll::Ready(());
                }
            }
            self.acked.set(Some(self.link().stream.bytes_acked()));
            let now = time::now();
            let limit = self.link().shared.config.timeouts.write;
            timer.reset(now.checked_add(limit).unwrap_or(now + FAR));
        }
    }

    fn timed_out(&self, event: Event, text: &str) -> io::Error {
        self.link().shared.config.counts.add(event);
        io::Error::new(io::ErrorKind::TimedOut, text)
    }
}

impl Carrier for Tunnel {
    fn poll_read(
        &self,
        cx: &mut Context<'_>,
        read: &mut dyn FnMut(&[u8]) -> usize,
    ) -> Poll<io::Result<usize>> {
        let (input, stream) = (&self.link().input, &self.link().stream);
        loop {
            if !input.borrow().is_empty() {
                let used = read(input.borrow().bytes());
                input.borrow_mut().consume(used);
                if used > 0 {
                    return Poll::Ready(Ok(used));
                }
            }
            if input.borrow().ended {
                return Poll::Ready(stream.check_end().map(|()| 0));
            }
            // Nothing of the kernel's is kept while more is waited for.
            input.borrow_mut().hold();
            match stream.poll_receive(input, cx) {
                Poll::Ready(received) => {
                    received?;
                    self.active.set(time::now());
                }
                Poll::Pending => {
                    ready!(self.poll_silence(cx));
                    let text = "nothing was received or sent for as long as server::Timeouts::upgraded";
                    return Poll::Ready(Err(self.timed_out(Event::UpgradedTimeout, text)));
                }
            }
        }
    }

    fn submit_send(&self, buffer: SendBuf) -> io::Result<()> {
        self.active.set(time::now());
        self.acked.set(None);
        self.link().stream.submit_send(buffer)
    }

    fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(sent) = self.link().stream.poll_sent(cx) {
            return Poll::Ready(sent);
        }
        ready!(self.poll_write_time(cx));
        let text = "what was sent was not read within server::Timeouts::write";
        Poll::Ready(Err(self.timed_out(Event::WriteTimeout, text)))
    }

    fn end(&self) -> Pin<Box<dyn Future<Output = io::Result<()>> + '_>> {
        Box::pin(self.link().stream.end_sending())
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.link().stream.peer_addr()
    }
}
