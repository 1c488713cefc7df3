//! Accepting connections, and ending them together.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{shutdown, spawn, time};

use super::Config;
use super::connection;
use super::link::Link;
use crate::Service;
use crate::h1::{Head, ResponseEncoder};

/// How long accepting rests when the process is out of descriptors or memory.
const ACCEPT_REST: Duration = Duration::from_millis(50);
/// Heads that a core keeps for connections that begin a request.
const SPARE_HEADS: usize = 64;

/// What the connections of one server on one core share.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) encoder: RefCell<ResponseEncoder>,
    /// When the encoder's date is to be looked at again.
    next_second: Cell<Instant>,
    pub(super) closing: Cell<bool>,
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

    fn close_all(&self) {
        self.closing.set(true);
        let wakers: Vec<Waker> =
            self.connections.borrow().iter().filter_map(|(_, waker)| waker.clone()).collect();
        wakers.iter().for_each(Waker::wake_by_ref);
    }
}

/// A connection and its place in the list, which is given back when the connection's task ends, however it ends.
pub(super) struct Place {
    pub(super) link: Rc<Link>,
    id: usize,
}

impl Place {
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
    listener: TcpListener,
    service: Rc<S>,
    #[cfg_attr(not(feature = "tls"), expect(unused_mut, reason = "only TLS bounds it"))] mut config: Config,
) {
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
        config,
        next_second: Cell::new(time::now()),
        closing: Cell::new(false),
        connections: RefCell::default(),
        room: Cell::default(),
        heads: RefCell::default(),
    });
    let mut requested = shutdown::requested();
    let mut last_complaint: Option<Instant> = None;
    loop {
        let accepted = poll_fn(|cx| {
            if std::pin::Pin::new(&mut requested).poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            if shared.connections.borrow().len() >= most {
                shared.room.set(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            listener.poll_accept(cx).map(Some)
        });
        match accepted.await {
            None => break,
            Some(Ok(stream)) => begin(stream, &service, &shared),
            Some(Err(error)) => {
                if last_complaint.is_none_or(|last| last.elapsed() > Duration::from_secs(1)) {
                    last_complaint = Some(Instant::now());
                    complain(&error, shared.connections.borrow().len());
                }
                time::sleep(ACCEPT_REST).await;
            }
        }
    }
    // What was accepted and not taken yet is served too: those clients have been told that they are connected.
    for stream in listener.retire().await {
        begin(stream, &service, &shared);
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

fn begin<S: Service>(stream: TcpStream, service: &Rc<S>, shared: &Rc<Shared>) {
    let link = Rc::new(Link::new(stream, shared.clone()));
    let id = shared.connections.borrow_mut().insert(None);
    spawn(connection::run(Place { link, id }, service.clone())).detach();
}

fn complain(error: &io::Error, open: usize) {
    match error.raw_os_error() {
        Some(libc::EMFILE) => tracing::error!(
            %error, open,
            "out of descriptors (RLIMIT_NOFILE): raise it with `ulimit -n` or LimitNOFILE; new connections wait"
        ),
        Some(libc::ENFILE) => tracing::error!(
            %error, open,
            "the system is out of descriptors (fs.file-max); new connections wait"
        ),
        _ => tracing::error!(%error, open, "accepting failed; trying again"),
    }
}

fn default_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit / 10 * 9).unwrap_or(usize::MAX))
}
