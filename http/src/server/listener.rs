//! Where a server's connections come from.

use std::cell::Cell;
use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll};

use covet_runtime::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::transport::Transport;

/// The listening sockets of one server on one core: TCP, Unix, or several of them.
///
/// Made of a `TcpListener`, a `UnixListener`, or vectors of them, such as
/// [`PerCoreListener::listeners`](covet_runtime::net::PerCoreListener::listeners) returns.
///
/// ```no_run
/// use covet_http::server::Listener;
/// use covet_runtime::net::{TcpListener, UnixListener};
///
/// # fn listen() -> std::io::Result<()> {
/// let mut listener = Listener::from(TcpListener::bind(([127, 0, 0, 1], 8080).into())?);
/// listener.add(UnixListener::bind("/run/web/http.sock")?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Listener {
    sockets: Vec<Socket>,
    /// Whose turn it is to be asked first.
    next: Cell<usize>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection as it was accepted.
pub(super) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Listener {
        Listener { sockets: vec![Socket::Tcp(listener)], next: Cell::new(0) }
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Listener {
        Listener { sockets: vec![Socket::Unix(listener)], next: Cell::new(0) }
    }
}

impl From<Vec<TcpListener>> for Listener {
    fn from(listeners: Vec<TcpListener>) -> Listener {
        Listener { sockets: listeners.into_iter().map(Socket::Tcp).collect(), next: Cell::new(0) }
    }
}

impl From<Vec<UnixListener>> for Listener {
    fn from(listeners: Vec<UnixListener>) -> Listener {
        Listener { sockets: listeners.into_iter().map(Socket::Unix).collect(), next: Cell::new(0) }
    }
}

impl Listener {
    /// Adds more sockets.
    pub fn add(&mut self, more: impl Into<Listener>) {
        self.sockets.extend(more.into().sockets);
    }

    /// The next connection of any of them; each is asked first in its turn, so that none starves.
    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        let (newer, older) = self.sockets.split_at(self.next.get());
        for (place, socket) in older.iter().chain(newer).enumerate() {
            let accepted = match socket {
                Socket::Tcp(listener) => listener.poll_accept(cx).map_ok(Accepted::Tcp),
                Socket::Unix(listener) => listener.poll_accept(cx).map_ok(Accepted::Unix),
            };
            if accepted.is_ready() {
                self.next.set((self.next.get() + place + 1) % self.sockets.len());
                return accepted;
            }
        }
        Poll::Pending
    }

    /// Stops accepting, and returns what was accepted and not taken.
    pub(super) async fn retire(self) -> Vec<Accepted> {
        let mut left = Vec::new();
        for socket in self.sockets {
            match socket {
                Socket::Tcp(listener) => left.extend(listener.retire().await.into_iter().map(Accepted::Tcp)),
                Socket::Unix(listener) => {
                    left.extend(listener.retire().await.into_iter().map(Accepted::Unix))
                }
            }
        }
        left
    }
}

impl Accepted {
    /// The address that the client connects from, where it has one; asks the kernel.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        match self {
            Accepted::Tcp(stream) => stream.peer_addr().ok().map(|peer| peer.ip()),
            Accepted::Unix(_) => None,
        }
    }

    /// Closes it at once; the client of a TCP connection sees a reset.
    pub(super) fn reset(self) {
        Transport::from(self).reset_on_close();
    }
}

impl From<Accepted> for Transport {
    fn from(accepted: Accepted) -> Transport {
        match accepted {
            Accepted::Tcp(stream) => stream.into(),
            Accepted::Unix(stream) => stream.into(),
        }
    }
}
