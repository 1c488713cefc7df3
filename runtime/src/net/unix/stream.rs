use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use socket2::{Domain, Socket, Type};

use super::address::{failed, from_kernel, from_path, to_kernel};
use super::{PeerCredentials, passing};
use crate::buf::SendBuf;
use crate::cores::context::{self, CoreState};
use crate::error::core_is_gone;
use crate::net::{ReadHalf, StreamSocket, WriteHalf, sockopt};
use crate::ring::{Incoming, Op, Operation, Payload};

/// A connected Unix stream socket of this core.
///
/// Bytes are moved by the methods of [`StreamSocket`], to which it dereferences; see there for what may be done at
/// the same time, and what a drop does.
pub struct UnixStream {
    // Before the socket: the receive is cancelled first, then its socket is closed.
    receiving: Cell<Option<Operation>>,
    stream: StreamSocket,
}

/// The most bytes that are received together with descriptors.
const WITH_DESCRIPTORS: usize = 64 * 1024;

impl UnixStream {
    pub(super) fn adopt(core: &Rc<CoreState>, socket: OwnedFd) -> io::Result<UnixStream> {
        let stream = StreamSocket::adopt(core, socket)?;
        Ok(UnixStream { receiving: Cell::new(None), stream })
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
        UnixStream::connect_addr(&from_path(path.as_ref())?).await
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
        stream.stream.connect(name).await.map_err(&failed)?;
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

    /// Sends all of a buffer, and descriptors with its first byte, and returns it. The peer gets descriptors of its own
    /// for the same files; the given ones stay with the caller. Not cancel-safe: how much went out is then unknown.
    ///
    /// # Errors
    /// As for [`StreamSocket::write_all`]; an empty buffer, which nothing could travel with; more than 253 descriptors,
    /// none left to hold them meanwhile, or more in flight than RLIMIT_NOFILE (ETOOMANYREFS).
    pub async fn send_with_fds(
        &self,
        buffer: impl Into<SendBuf>,
        descriptors: &[impl AsFd],
    ) -> (io::Result<()>, SendBuf) {
        let buffer = buffer.into();
        if buffer.is_empty() && !descriptors.is_empty() {
            let text = "descriptors travel with bytes on a stream: send one at least";
            return (Err(io::Error::new(io::ErrorKind::InvalidInput, text)), buffer);
        }
        let descriptors = match passing::own(descriptors) {
            Ok(descriptors) => descriptors,
            Err(error) => return (Err(error), buffer),
        };
        let (result, mut buffers) = self.stream.send_with(vec![buffer], descriptors).await;
        (result, buffers.pop().unwrap_or(SendBuf::Static(&[])))
    }

    /// Waits for bytes, and takes the descriptors that were sent with them, all close-on-exec. No bytes mean that the
    /// peer has finished sending. Cancel-safe: the next call returns what came meanwhile; descriptors that nobody takes
    /// are closed with the stream.
    ///
    /// At most 64 KiB come at once, and nothing that was sent after bytes with descriptors comes with those.
    ///
    /// # Errors
    /// Those of recvmsg(2); `InvalidData` when descriptors were sent that could not be received: those that came are
    /// closed, and so are the bytes lost. `InvalidInput` once [`StreamSocket::recv`] or [`StreamSocket::peek`] was used,
    /// as they take bytes as they arrive and leave descriptors behind: a stream over which descriptors come is read by
    /// this alone.
    pub async fn recv_with_fds(&self) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
        let payload = loop {
            match poll_fn(|cx| self.poll_receiving(cx)).await {
                (Err(error), _) if error.kind() == io::ErrorKind::Interrupted => {}
                (result, payload) => break result.map(|_| payload)?,
            }
        };
        let Payload::Incoming(incoming) = payload else { return Err(core_is_gone()) };
        let incoming = *incoming;
        Ok((incoming.bytes, passing::all(incoming.details)?))
    }

    fn poll_receiving(&self, cx: &mut Context<'_>) -> Poll<(io::Result<u32>, Payload)> {
        let mut receiving = match self.receiving.take() {
            Some(receiving) => receiving,
            None => match self.start_receiving() {
                Ok(receiving) => receiving,
                Err(error) => return Poll::Ready((Err(error), Payload::None)),
            },
        };
        let polled = Pin::new(&mut receiving).poll(cx);
        if polled.is_pending() {
            self.receiving.set(Some(receiving));
        }
        polled
    }

    fn start_receiving(&self) -> io::Result<Operation> {
        let socket = self.stream.descriptor()?;
        if self.stream.is_received() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "this stream is received without descriptors already, which loses those that come",
            ));
        }
        let incoming = Incoming::new(WITH_DESCRIPTORS, passing::MAX_DESCRIPTORS);
        let started = Operation::start(self.stream.core(), Payload::Incoming(incoming), |payload| {
            let Payload::Incoming(incoming) = payload else { unreachable!("the payload made above") };
            Op::RecvMsg { socket, message: incoming.header(), flags: libc::MSG_CMSG_CLOEXEC }
        });
        started.map_err(|(error, _)| error)
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
        &self.stream
    }
}

impl AsRef<StreamSocket> for UnixStream {
    fn as_ref(&self) -> &StreamSocket {
        &self.stream
    }
}

impl From<UnixStream> for StreamSocket {
    fn from(stream: UnixStream) -> StreamSocket {
        stream.stream
    }
}

impl std::fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("UnixStream").field(&self.stream).finish()
    }
}
