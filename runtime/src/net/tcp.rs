use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::stream::as_ip;
use super::{ReadHalf, StreamSocket, WriteHalf};
use crate::cores::context::{self, CoreState};

/// A TCP connection of this core.
///
/// Bytes are moved by the methods of [`StreamSocket`], to which it dereferences; see there for what may be done at
/// the same time, and what a drop does.
pub struct TcpStream(StreamSocket);

impl TcpStream {
    pub(super) fn adopt(core: &Rc<CoreState>, socket: OwnedFd) -> io::Result<TcpStream> {
        StreamSocket::adopt(core, socket).map(TcpStream)
    }

    /// Takes over a connected socket.
    ///
    /// # Errors
    /// When the core is shutting down.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn from_socket(socket: OwnedFd) -> io::Result<TcpStream> {
        TcpStream::adopt(&context::expect_current("a TcpStream"), socket)
    }

    /// Connects to an address, with TCP_NODELAY set. Dropping the future gives the attempt up and closes the
    /// socket.
    ///
    /// # Errors
    /// Those of connect(2): refused, unreachable, timed out, and out of descriptors or ports.
    ///
    /// # Panics
    /// Outside a core.
    pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        let core = context::expect_current("TcpStream::connect");
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        let stream = TcpStream::adopt(&core, socket.into())?;
        stream.0.connect(SockAddr::from(address)).await?;
        Ok(stream)
    }

    /// This end's address.
    ///
    /// # Errors
    /// When the core has shut down.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.with_socket(|socket| as_ip(socket.local_addr()?))
    }

    /// The peer's address.
    ///
    /// # Errors
    /// When the connection is no longer one (ENOTCONN): it has ended on both sides or was reset. If a log needs the address,
    /// ask before.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.with_socket(|socket| as_ip(socket.peer_addr()?))
    }

    /// Sets TCP_NODELAY.
    ///
    /// # Errors
    /// When the core has shut down.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.with_socket(|socket| socket.set_tcp_nodelay(on))
    }

    /// Makes the close of this connection a reset (SO_LINGER of zero): the peer sees an error, not an end.
    ///
    /// # Errors
    /// When the core has shut down.
    pub fn set_reset_on_close(&self) -> io::Result<()> {
        self.with_socket(|socket| socket.set_linger(Some(Duration::ZERO)))
    }

    /// Splits it into halves that two tasks can own. See [`ReadHalf`].
    pub fn into_split(self) -> (ReadHalf<Rc<TcpStream>>, WriteHalf<Rc<TcpStream>>) {
        super::split::own(self)
    }
}

impl Deref for TcpStream {
    type Target = StreamSocket;

    #[inline]
    fn deref(&self) -> &StreamSocket {
        &self.0
    }
}

impl AsRef<StreamSocket> for TcpStream {
    fn as_ref(&self) -> &StreamSocket {
        &self.0
    }
}

impl From<TcpStream> for StreamSocket {
    fn from(stream: TcpStream) -> StreamSocket {
        stream.0
    }
}

impl std::fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TcpStream").field(&self.0).finish()
    }
}
