use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use socket2::{Domain, Socket, Type};

use super::PeerCredentials;
use super::address::{failed, from_kernel, to_kernel};
use crate::cores::context::{self, CoreState};
use crate::net::{ReadHalf, StreamSocket, WriteHalf, sockopt};

/// A connected Unix stream socket of this core.
///
/// Bytes are moved by the methods of [`StreamSocket`], to which it dereferences; see there for what may be done at
/// the same time, and what a drop does.
pub struct UnixStream(pub(super) StreamSocket);

impl UnixStream {
    pub(super) fn adopt(core: &Rc<CoreState>, socket: OwnedFd) -> io::Result<UnixStream> {
        StreamSocket::adopt(core, socket).map(UnixStream)
    }

    /// Takes over a connected socket.
    ///
    /// # Errors
    /// When the core is shutting down.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn from_socket(socket: OwnedFd) -> io::Result<UnixStream> {
        UnixStream::adopt(&context::expect_current("a UnixStream"), socket)
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    /// When descriptors run out.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let core = context::expect_current("a UnixStream");
        let (one, other) = Socket::pair(Domain::UNIX, Type::STREAM, None)?;
        Ok((UnixStream::adopt(&core, one.into())?, UnixStream::adopt(&core, other.into())?))
    }

    /// Connects to the socket at a path. Dropping the future gives the attempt up and closes the socket.
    ///
    /// # Errors
    /// Nothing is there, nobody listens (`ConnectionRefused`), write permission is missing, or the path is longer
    /// than 107 bytes. A full backlog is waited for.
    ///
    /// # Panics
    /// Outside a core.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        UnixStream::connect_addr(&SocketAddr::from_pathname(path)?).await
    }

    /// Connects to an address, which may be abstract. Dropping the future gives the attempt up and closes the socket.
    ///
    /// # Errors
    /// As for [`UnixStream::connect`].
    ///
    /// # Panics
    /// Outside a core.
    pub async fn connect_addr(address: &SocketAddr) -> io::Result<UnixStream> {
        let core = context::expect_current("UnixStream::connect");
        let failed = failed("connect to", address);
        let name = to_kernel(address).map_err(&failed)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(&failed)?;
        let stream = UnixStream::adopt(&core, socket.into())?;
        stream.0.connect(name).await.map_err(&failed)?;
        Ok(stream)
    }

    /// This end's address, which is unnamed for most that connect.
    ///
    /// # Errors
    /// When the core has shut down.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.with_socket(|socket| from_kernel(&socket.local_addr()?))
    }

    /// The peer's address, which is unnamed for most that connect.
    ///
    /// # Errors
    /// When the core has shut down.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.with_socket(|socket| from_kernel(&socket.peer_addr()?))
    }

    /// Who is at the other end.
    ///
    /// # Errors
    /// When the core has shut down.
    pub fn peer_credentials(&self) -> io::Result<PeerCredentials> {
        self.with_socket(|socket| sockopt::peer_credentials(&*socket).map(PeerCredentials::from))
    }

    /// A pidfd of the process that made the other end: it means that process for as long as it is held, while a
    /// process number may be used again (SO_PEERPIDFD, Linux 6.5).
    ///
    /// # Errors
    /// The kernel is older (ENOPROTOOPT), the process has been reaped (before Linux 6.16), or descriptors run out.
    pub fn peer_process(&self) -> io::Result<OwnedFd> {
        self.with_socket(|socket| sockopt::peer_process(&*socket))
    }

    /// Splits it into halves that two tasks can own. See [`ReadHalf`].
    pub fn into_split(self) -> (ReadHalf<Rc<UnixStream>>, WriteHalf<Rc<UnixStream>>) {
        crate::net::split::own(self)
    }
}

impl Deref for UnixStream {
    type Target = StreamSocket;

    #[inline]
    fn deref(&self) -> &StreamSocket {
        &self.0
    }
}

impl AsRef<StreamSocket> for UnixStream {
    fn as_ref(&self) -> &StreamSocket {
        &self.0
    }
}

impl From<UnixStream> for StreamSocket {
    fn from(stream: UnixStream) -> StreamSocket {
        stream.0
    }
}

impl std::fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("UnixStream").field(&self.0).finish()
    }
}
