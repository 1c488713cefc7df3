use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use socket2::SockRef;

use super::acceptor::Acceptor;
use super::steering::{Membership, Seat};
use super::{ListenOptions, SocketOptions, Steering, TcpStream};
use crate::cores::context;

/// A listening TCP socket of this core.
///
/// Bind the same address on every core: with SO_REUSEPORT, the default, each gets a queue of its own and the
/// kernel spreads connections over them.
///
/// ```
/// use covet_runtime::{block_on, net::{TcpListener, TcpStream}};
///
/// block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let server = listener.accept().await?;
///     let (sent, _) = client.write_all("hello").await;
///     sent?;
///     assert_eq!(&server.recv().await?[..], b"hello");
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TcpListener {
    acceptor: Acceptor,
    address: SocketAddr,
    joined: Option<Box<Joined>>,
}

/// What a listener is part of.
struct Joined {
    seat: Option<Seat>,
    _membership: Membership,
}

impl TcpListener {
    /// Listens on an address with the default [`ListenOptions`].
    ///
    /// # Errors
    /// The address is in use or not this machine's, its port is privileged, or no descriptor is left.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind_with(address, &ListenOptions::default())
    }

    /// Listens on an address.
    ///
    /// # Errors
    /// As for [`TcpListener::bind`]; and for a steering that needs a [`PerCoreListener`](super::PerCoreListener).
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn bind_with(address: SocketAddr, options: &ListenOptions) -> io::Result<TcpListener> {
        if options.steering != Steering::Hash {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "steering {:?} is about all cores: listen with PerCoreListener::bind",
                    options.steering
                ),
            ));
        }
        TcpListener::from_socket(options.listen(address)?)
    }

    /// Takes over a socket that listens already.
    ///
    /// # Errors
    /// When it has no IP address.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn from_socket(socket: OwnedFd) -> io::Result<TcpListener> {
        let core = context::expect_current("a TcpListener");
        let address = SockRef::from(&socket)
            .local_addr()?
            .as_socket()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not an IP socket"))?;
        Ok(TcpListener { acceptor: Acceptor::adopt(core, socket)?, address, joined: None })
    }

    pub(super) fn join(&mut self, membership: Membership, seat: Option<Seat>) {
        if let Some(seat) = &seat {
            self.acceptor.core.driver.borrow_mut().add_gauge(seat.gauge());
        }
        self.joined = Some(Box::new(Joined { seat, _membership: membership }));
    }

    fn seat(&self) -> Option<&Seat> {
        self.joined.as_ref()?.seat.as_ref()
    }

    /// What can be set about it, and asked.
    pub fn options(&self) -> SocketOptions<'_> {
        SocketOptions::of(&self.acceptor)
    }

    /// The address it listens on, with the port that the kernel chose if 0 was asked for.
    ///
    /// # Errors
    /// None at present; the signature is that of the standard library.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    /// Waits for a connection. One multishot operation accepts them all. Cancel-safe: a connection that was
    /// accepted meanwhile is returned by the next call.
    ///
    /// # Errors
    /// EMFILE and ENFILE when descriptors run out, ENOMEM and ENOBUFS when memory does: the connection stays in
    /// the backlog, so wait a little and call again. A peer that gave up before it was accepted, or whose network went
    /// away, is no error.
    pub async fn accept(&self) -> io::Result<TcpStream> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// The poll form of [`TcpListener::accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        loop {
            if let Some(socket) = self.seat().and_then(|seat| seat.poll_arrival(cx)) {
                return Poll::Ready(TcpStream::adopt(&self.acceptor.core, socket));
            }
            let socket = ready!(self.acceptor.poll_accept(cx))?;
            let kept = match self.seat() {
                None => Some(socket),
                Some(seat) => seat.keep(socket),
            };
            if let Some(socket) = kept {
                return Poll::Ready(TcpStream::adopt(&self.acceptor.core, socket));
            }
        }
    }

    /// Stops accepting and returns the connections that were accepted and not taken yet.
    ///
    /// For a shutdown or a hand-over that loses nobody: dropping the listener would close those connections. What
    /// still waits in the kernel's backlog is left to whoever else holds the socket, and is reset if nobody does.
    /// Dropping the future is dropping the listener.
    pub async fn retire(self) -> Vec<TcpStream> {
        let arrived = self.seat().map(Seat::leave).unwrap_or_default();
        let accepted = poll_fn(|cx| self.acceptor.poll_retire(cx)).await;
        let sockets = arrived.into_iter().chain(accepted);
        sockets.filter_map(|socket| TcpStream::adopt(&self.acceptor.core, socket).ok()).collect()
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        if let Some(seat) = self.seat() {
            self.acceptor.core.driver.borrow_mut().remove_gauge(&seat.gauge());
        }
    }
}

impl std::fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpListener").field("address", &self.address).finish()
    }
}
