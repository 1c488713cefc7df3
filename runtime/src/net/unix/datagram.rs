use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::address::{failed, from_kernel, from_path, to_kernel};
use super::claim::{Claim, OwnedPath};
use super::passing;
use crate::buf::SendBuf;
use crate::cores::context;
use crate::net::SocketOptions;
use crate::net::message_socket::MessageSocket;
use crate::ring::{Arrival, RecvBuf, Room, Sender, Submission, push_rights};

/// How a [`UnixDatagram`] is bound.
#[derive(Debug, Clone)]
pub struct UnixDatagramOptions {
    /// The permission bits of the path, such as 0o660; sending takes write permission. Nobody whom they keep out gets in
    /// before they hold. By default the kernel's: 0o777 less the umask.
    pub mode: Option<u32>,
    /// Whether a socket left behind at the path by a process that has ended is replaced. On. A connect tells whether
    /// somebody receives there; what is not a socket is left alone.
    pub replace_stale: bool,
    /// Whether the path is removed when the socket is dropped, if it still leads to it. On.
    pub unlink_on_drop: bool,
}

impl Default for UnixDatagramOptions {
    fn default() -> UnixDatagramOptions {
        UnixDatagramOptions { mode: None, replace_stale: true, unlink_on_drop: true }
    }
}

/// A Unix datagram socket of this core: messages keep their bounds and their order, and none is lost.
///
/// Receiving is one multishot operation into buffers that all message sockets of the core share. A message may be
/// 65,535 bytes long; of a longer one the receiver is told. When nobody reads, 1,024 messages at most are taken from
/// the socket; then those who send wait.
///
/// All methods take `&self`. One task at a time may wait to receive: of two, only the later is woken.
///
/// ```
/// use covet_runtime::{block_on, net::UnixDatagram};
///
/// block_on(async {
///     let (one, other) = UnixDatagram::pair()?;
///     one.send("first").await.0?;
///     one.send("second").await.0?;
///     assert_eq!(&other.recv().await?[..], b"first");
///     assert_eq!(&other.recv().await?[..], b"second");
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct UnixDatagram {
    socket: MessageSocket,
    _path: Option<OwnedPath>,
}

impl UnixDatagram {
    fn adopt(socket: Socket, path: Option<OwnedPath>) -> io::Result<UnixDatagram> {
        let core = context::expect_current("a UnixDatagram");
        Ok(UnixDatagram { socket: MessageSocket::adopt(core, socket.into(), Room::UNIX)?, _path: path })
    }

    /// Makes a socket without a name: it can send, and be answered by nobody.
    ///
    /// # Errors
    /// When no descriptor or memory is left.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn unbound() -> io::Result<UnixDatagram> {
        UnixDatagram::adopt(Socket::new(Domain::UNIX, Type::DGRAM, None)?, None)
    }

    /// Makes a socket at a path with the default [`UnixDatagramOptions`]: in place of one left behind by a process that
    /// has ended, and the path is removed when the socket is dropped, if it still leads to it.
    ///
    /// # Errors
    /// Somebody receives there, something else is there, the directory can't be written to, or the path is longer than
    /// 107 bytes.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        UnixDatagram::bind_addr(&from_path(path.as_ref())?, &UnixDatagramOptions::default())
    }

    /// Makes a socket at an address, which may be abstract: the options are about paths, and mean nothing then.
    ///
    /// ```
    /// use covet_runtime::block_on;
    /// use covet_runtime::net::{UnixDatagram, UnixDatagramOptions};
    /// use std::os::unix::net::SocketAddr;
    ///
    /// block_on(async {
    ///     let path = std::env::temp_dir().join(format!("log-{}.socket", std::process::id()));
    ///     let ours = UnixDatagramOptions { mode: Some(0o660), ..UnixDatagramOptions::default() };
    ///     let log = UnixDatagram::bind_addr(&SocketAddr::from_pathname(&path)?, &ours)?;
    ///     UnixDatagram::unbound()?.send_to("started", &log.local_addr()?).await.0?;
    ///     assert_eq!(&log.recv().await?[..], b"started");
    ///     Ok::<(), Box<dyn std::error::Error>>(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`UnixDatagram::bind`].
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn bind_addr(address: &SocketAddr, options: &UnixDatagramOptions) -> io::Result<UnixDatagram> {
        let socket =
            Socket::new(Domain::UNIX, Type::DGRAM, None).map_err(failed("make a socket for", address))?;
        let claim = Claim {
            mode: options.mode,
            replace_stale: options.replace_stale,
            unlink_on_drop: options.unlink_on_drop,
        };
        let path = claim.bind(&socket, address, |_| Ok(()))?;
        UnixDatagram::adopt(socket, path)
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    /// When no descriptor or memory is left.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (one, other) = Socket::pair(Domain::UNIX, Type::DGRAM, None)?;
        Ok((UnixDatagram::adopt(one, None)?, UnixDatagram::adopt(other, None)?))
    }

    /// Takes over a Unix datagram socket.
    ///
    /// # Errors
    /// When it is none.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn from_socket(socket: OwnedFd) -> io::Result<UnixDatagram> {
        let known = SockRef::from(&socket);
        if known.r#type()? != Type::DGRAM || known.domain()? != Domain::UNIX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a Unix datagram socket"));
        }
        UnixDatagram::adopt(socket.into(), None)
    }

    /// Connects it: from now on it receives from this address only, and sends there by default.
    ///
    /// # Errors
    /// Nothing is there, nobody receives there, or write permission is missing.
    pub fn connect(&self, address: &SocketAddr) -> io::Result<()> {
        let failed = failed("connect to", address);
        let name = to_kernel(address).map_err(&failed)?;
        self.socket.with_socket(|socket| socket.connect(&name)).map_err(failed)
    }

    /// What can be set about it, and asked.
    pub fn options(&self) -> SocketOptions<'_> {
        SocketOptions::of(&self.socket)
    }

    /// This end's address.
    ///
    /// # Errors
    /// When the core has shut down.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.with_socket(|socket| from_kernel(&socket.local_addr()?))
    }

    /// Waits for a message; descriptors that come with it are closed. Cancel-safe: nothing is lost, it is returned by
    /// the next call.
    ///
    /// # Errors
    /// `InvalidData` for a message that was longer than 65,535 bytes; its beginning is lost as well.
    pub async fn recv(&self) -> io::Result<RecvBuf> {
        Ok(self.recv_from().await?.0)
    }

    /// Waits for a message and tells the sender's address, which is unnamed for most. Cancel-safe.
    ///
    /// # Errors
    /// As for [`UnixDatagram::recv`].
    pub async fn recv_from(&self) -> io::Result<(RecvBuf, SocketAddr)> {
        let arrival = whole(self.socket.recv().await?)?;
        Ok((arrival.payload, sender(arrival.from)?))
    }

    /// Waits for a message with the descriptors that were sent with it, all close-on-exec. Cancel-safe: a message that
    /// nobody takes closes its descriptors when the socket is dropped.
    ///
    /// # Errors
    /// As for [`UnixDatagram::recv`]; and `InvalidData` when descriptors were sent that could not be received.
    pub async fn recv_with_fds(&self) -> io::Result<(RecvBuf, Vec<OwnedFd>, SocketAddr)> {
        let arrival = whole(self.socket.recv().await?)?;
        Ok((arrival.payload, passing::all(arrival.details)?, sender(arrival.from)?))
    }

    /// Waits until a message can be received at once. Cancel-safe.
    ///
    /// # Errors
    /// When the core has shut down.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Sends a message on a connected socket and returns its buffer, once the peer has room for it. Cancelled, it may be
    /// sent or not.
    ///
    /// # Errors
    /// Those of send(2): too long (EMSGSIZE), not connected, or the peer is gone (`ConnectionRefused`).
    pub async fn send(&self, buffer: impl Into<SendBuf>) -> (io::Result<()>, SendBuf) {
        self.deliver(buffer.into(), None, Vec::new()).await
    }

    /// Sends a message to an address and returns its buffer, once the peer has room for it. Cancelled, it may be sent or
    /// not.
    ///
    /// # Errors
    /// As for [`UnixDatagram::send`]; and `WouldBlock` on the epoll driver when the peer has no room, of which it is not
    /// told when it has: connect to be able to wait.
    pub async fn send_to(&self, buffer: impl Into<SendBuf>, to: &SocketAddr) -> (io::Result<()>, SendBuf) {
        let buffer = buffer.into();
        match to_kernel(to) {
            Ok(name) => {
                let (result, buffer) = self.deliver(buffer, Some(name), Vec::new()).await;
                (result.map_err(failed("send to", to)), buffer)
            }
            Err(error) => (Err(failed("send to", to)(error)), buffer),
        }
    }

    /// Sends a message with descriptors on a connected socket and returns its buffer. The peer gets descriptors of its
    /// own for the same files; the given ones stay with the caller. Cancelled, it may be sent or not.
    ///
    /// # Errors
    /// As for [`UnixDatagram::send`]; more than 253 descriptors, none left to hold them meanwhile, or more in flight
    /// than RLIMIT_NOFILE (ETOOMANYREFS).
    pub async fn send_with_fds(
        &self,
        buffer: impl Into<SendBuf>,
        descriptors: &[impl AsFd],
    ) -> (io::Result<()>, SendBuf) {
        match passing::own(descriptors) {
            Ok(descriptors) => self.deliver(buffer.into(), None, descriptors).await,
            Err(error) => (Err(error), buffer.into()),
        }
    }

    async fn deliver(
        &self,
        buffer: SendBuf,
        name: Option<SockAddr>,
        descriptors: Vec<OwnedFd>,
    ) -> (io::Result<()>, SendBuf) {
        let mut control = Vec::new();
        push_rights(&mut control, &descriptors);
        self.socket.send(Submission { buffer, name, control: &control, descriptors }).await
    }
}

fn whole(arrival: Arrival) -> io::Result<Arrival> {
    if !arrival.details.cut {
        return Ok(arrival);
    }
    let text = format!("a message is longer than the {} bytes that fit", arrival.payload.len());
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

fn sender(from: Sender) -> io::Result<SocketAddr> {
    match from {
        Sender::Unix(address) => Ok(*address),
        Sender::Unnamed | Sender::Ip(_) => SocketAddr::from_pathname(""),
    }
}

impl std::fmt::Debug for UnixDatagram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnixDatagram").field("address", &self.local_addr().ok()).finish()
    }
}
