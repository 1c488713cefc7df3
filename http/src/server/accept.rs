//! Accepting connections, and ending them together.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use covet_runtime::{shutdown, spawn, time};

use super::admission::Ticket;
use super::link::Link;
use super::listener::{Accepted, Listener};
use super::overload::Load;
use super::refusal::{Refusals, turn_away};
use super::release::Tide;
use super::{Config, Event, connection};
use crate::Service;
use crate::h1::{Head, ResponseEncoder};

/// How long accepting rests when the process is out of descriptors or memory.
const ACCEPT_REST: Duration = Duration::from_millis(50);
/// How often at most the log tells of the same trouble, each kind for itself: a flood of one does not hide another.
const COMPLAINT_EVERY: Duration = Duration::from_secs(1);
/// [`Shared::attention`]: the shutdown has begun.
const CLOSING: u8 = 1;
/// [`Shared::attention`]: the load is watched.
const LOAD: u8 = 2;
/// Heads that a core keeps for connections that begin a request.
const SPARE_HEADS: usize = 64;

/// What the connections of one server on one core share.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) encoder: RefCell<ResponseEncoder>,
    /// When the encoder's date is to be looked at again.
    next_second: Cell<Instant>,
    /// Why connections may have to do more than usual: [`CLOSING`], [`LOAD`]. One byte for all reasons, so that those who
    /// have none look once.
    attention: Cell<u8>,
    pub(super) load: Option<Rc<Load>>,
    pub(super) refusals: Refusals,
    pub(super) tide: Tide,
    last_complaints: [Cell<Option<Instant>>; Event::ALL.len()],
    /// A waker for each connection, to tell it about the shutdown.
    connections: RefCell<slab::Slab<Option<Waker>>>,
    /// Wakes the accept loop when a connection has ended and it waits for that.
    room: Cell<Option<Waker>>,
    heads: RefCell<Vec<Rc<Head>>>,
    /// What connections speak below HTTP.
    #[cfg(feature = "tls")]
    pub(super) tls: Option<crate::tls::ForCore>,
}

impl Shared {
    /// Brings the encoder's Date up to date, as far as this turn's time tells.
    #[inline]
    pub(super) fn refresh_date(&self) {
        let now = time::now();
        if now >= self.next_second.get() {
            self.set_date(now);
        }
    }

    #[cold]
    fn set_date(&self, now: Instant) {
        let clock = SystemTime::now();
        self.encoder.borrow_mut().set_time(clock);
        let part = clock.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
        self.next_second.set(now + Duration::from_nanos(u64::from(1_000_000_000 - part.min(999_999_999))));
    }

    /// A head to decode into: one that another connection has finished with, if there is one.
    #[inline]
    pub(super) fn take_head(&self) -> Rc<Head> {
        self.heads.borrow_mut().pop().unwrap_or_default()
    }

    pub(super) fn give_head(&self, mut head: Rc<Head>) {
        let mut heads = self.heads.borrow_mut();
        if let (true, Some(unshared)) = (heads.len() < SPARE_HEADS, Rc::get_mut(&mut head)) {
            unshared.clear();
            heads.push(head);
        }
    }

    #[inline]
    pub(super) fn needs_attention(&self) -> bool {
        self.attention.get() != 0
    }

    #[inline]
    pub(super) fn is_closing(&self) -> bool {
        self.attention.get() & CLOSING != 0
    }

    #[inline]
    pub(super) fn has_load(&self) -> bool {
        self.attention.get() & LOAD != 0
    }

    /// Counts trouble. Returns how often there was any of this kind, if the log has not heard of it for a while.
    #[cold]
    pub(super) fn complaint(&self, event: Event) -> Option<u64> {
        self.config.counts.add(event);
        let last = &self.last_complaints[event as usize];
        if last.get().is_some_and(|last| last.elapsed() <= COMPLAINT_EVERY) {
            return None;
        }
        last.set(Some(Instant::now()));
        Some(self.config.counts.get(event))
    }

    /// Connections that are open.
    pub(super) fn open(&self) -> usize {
        self.connections.borrow().len()
    }

    /// Gives back room for more connections than there are, and heads that none of them uses.
    pub(super) fn release_lists(&self) {
        self.connections.borrow_mut().shrink_to_fit();
        drop(self.heads.take());
    }

    fn close_all(&self) {
        self.attention.set(self.attention.get() | CLOSING);
        let wakers: Vec<Waker> =
            self.connections.borrow().iter().filter_map(|(_, waker)| waker.clone()).collect();
        wakers.iter().for_each(Waker::wake_by_ref);
    }
}

/// A connection and its place in the list, which is given back when the connection's task ends, however it ends.
pub(super) struct Place {
    pub(super) link: Rc<Link>,
    id: usize,
    /// Boxed, as most servers have none.
    pub(super) ticket: Option<Box<Ticket>>,
}

impl Place {
    pub(super) fn take(link: Rc<Link>, ticket: Option<Box<Ticket>>) -> Place {
        let mut connections = link.shared.connections.borrow_mut();
        let id = connections.insert(None);
        link.shared.tide.rises(connections.len());
        drop(connections);
        Place { link, id, ticket }
    }

    /// Puts the waker of the connection's task into the list.
    pub(super) async fn register(&self) {
        poll_fn(|cx| {
            if let Some(slot) = self.link.shared.connections.borrow_mut().get_mut(self.id) {
                *slot = Some(cx.waker().clone());
            }
            Poll::Ready(())
        })
        .await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let shared = &self.link.shared;
        let waker = shared.connections.borrow_mut().try_remove(self.id);
        shared.tide.falls(shared.open());
        if let Some(waker) = shared.room.take() {
            waker.wake();
        }
        drop(waker);
    }
}

/// Serves connections from `listener` on this core until its shutdown begins, then lets requests in flight finish.
///
/// On shutdown accepting stops, idle connections are closed after [`Timeouts::farewell`](super::Timeouts::farewell),
/// and the answers under way are marked as the last;
/// the future is ready when all connections have ended. What is not finished at the runtime's deadline is cut off by
/// the runtime. Dropping the future stops accepting and leaves the connections alone.
///
/// # Panics
/// Outside a core.
pub async fn serve<S: Service>(
    listener: impl Into<Listener>,
    service: Rc<S>,
    #[cfg_attr(not(feature = "tls"), expect(unused_mut, reason = "only TLS bounds it"))] mut config: Config,
) {
    let listener = listener.into();
    let most = config.connections.unwrap_or_else(default_connections).max(1);
    #[cfg(feature = "tls")]
    let tls = config.tls.as_ref().map(crate::tls::Config::for_core);
    #[cfg(feature = "tls")]
    if tls.as_ref().is_some_and(|tls| tls.kernel.is_any()) {
        // A key is good for so many records, and few answers take more than two.
        config.requests_per_connection = config.requests_per_connection.min(crate::tls::MOST_RECORDS / 2);
    }
    let shared = Rc::new(Shared {
        encoder: RefCell::new(ResponseEncoder::new(config.server_name.as_ref())),
        #[cfg(feature = "tls")]
        tls,
        attention: Cell::new(if config.overload.is_some() { LOAD } else { 0 }),
        load: config.overload.clone().map(Load::new),
        refusals: Refusals::default(),
        tide: Tide::default(),
        last_complaints: Default::default(),
        config,
        next_second: Cell::new(time::now()),
        connections: RefCell::default(),
        room: Cell::default(),
        heads: RefCell::default(),
    });
    let mut requested = shutdown::requested();
    let mut paused = false;
    loop {
        let accepted = poll_fn(|cx| {
            if std::pin::Pin::new(&mut requested).poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            shared.poll_tide(cx);
            if shared.connections.borrow().len() >= most {
                shared.room.set(Some(cx.waker().clone()));
                if !std::mem::replace(&mut paused, true) {
                    shared.config.counts.add(Event::AcceptPaused);
                }
                return Poll::Pending;
            }
            paused = false;
            listener.poll_accept(cx).map(Some)
        });
        match accepted.await {
            None => break,
            Some(Ok(accepted)) => begin(accepted, &service, &shared),
            Some(Err(error)) => {
                if let Some(times) = shared.complaint(Event::AcceptFailed) {
                    complain(&error, shared.connections.borrow().len(), times);
                }
                time::sleep(ACCEPT_REST).await;
            }
        }
    }
    // What was accepted and not taken yet is served too: those clients have been told that they are connected.
    for accepted in listener.retire().await {
        begin(accepted, &service, &shared);
    }
    shared.close_all();
    poll_fn(|cx| {
        if shared.connections.borrow().is_empty() {
            return Poll::Ready(());
        }
        shared.room.set(Some(cx.waker().clone()));
        Poll::Pending
    })
    .await;
}

fn begin<S: Service>(accepted: Accepted, service: &Rc<S>, shared: &Rc<Shared>) {
    let mut ticket = None;
    if let Some(admission) = &shared.config.admission {
        match admission.enter() {
            Some(entered) => ticket = Some(Box::new(entered)),
            None => return turn_away(accepted, shared),
        }
        if let Some(ticket) = &ticket
            && admission.counts_addresses()
            && let Some(peer) = accepted.peer()
            && !shared.config.proxy_protocol.speaks_for(peer)
            && !ticket.claim(peer)
        {
            shared.refuse_address(peer);
            return accepted.reset();
        }
    }
    let link = Rc::new(Link::new(accepted, shared.clone()));
    spawn(connection::run(Place::take(link, ticket), service.clone())).detach();
}

fn complain(error: &io::Error, open: usize, times: u64) {
    match error.raw_os_error() {
        Some(libc::EMFILE) => tracing::error!(
            %error, open, times,
            "out of descriptors (RLIMIT_NOFILE): raise it with `ulimit -n` or LimitNOFILE; new connections wait"
        ),
        Some(libc::ENFILE) => tracing::error!(
            %error, open, times,
            "the system is out of descriptors (fs.file-max); new connections wait"
        ),
        _ => tracing::error!(%error, open, times, "accepting failed; trying again"),
    }
}

fn default_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit / 10 * 9).unwrap_or(usize::MAX))
}
