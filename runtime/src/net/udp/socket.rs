use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use socket2::{SockRef, Type};

use super::{Datagram, Outbound, UdpOptions};
use crate::buf::SendBuf;
use crate::cores::context;
use crate::net::message_socket::MessageSocket;
use crate::net::stream::as_ip;
use crate::net::{SocketOptions, sockopt};
use crate::ring::{Arrival, RecvBuf, Room, Submission};

/// A UDP socket of this core.
///
/// Receiving is one multishot operation into buffers that all such sockets of the core share: datagrams that have
/// arrived are taken without a system call each. When nobody reads, at most 1,024 of them are taken from the socket;
/// what comes then waits in the kernel ([`UdpOptions::recv_buffer`]) and is dropped when that is full. The memory of
/// the buffers, at most 17 MiB per core, is taken up page by page, and only once there is such a socket.
///
/// Sending comes in two forms. `send` and its like wait until the kernel has taken the datagram and tell of its
/// failure. `submit` and its like return at once: all that is submitted in one turn of the loop goes to the kernel in
/// one system call.
///
/// All methods take `&self`. One task at a time may wait to receive, and one for room to send: of two that wait for the
/// same, only the later is woken.
///
/// Dropping the socket closes it. Submitted datagrams that the kernel takes at once still go; those that wait for room
/// in its buffer are dropped, so [`UdpSocket::flush`] first.
///
/// ```
/// use covet_runtime::{block_on, net::UdpSocket};
///
/// block_on(async {
///     let server = UdpSocket::bind("127.0.0.1:0".parse()?)?;
///     let client = UdpSocket::bind("127.0.0.1:0".parse()?)?;
///     client.send_to("ping", server.local_addr()?).await.0?;
///     let (payload, from) = server.recv_from().await?;
///     assert_eq!((&payload[..], from), (&b"ping"[..], client.local_addr()?));
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct UdpSocket {
    socket: MessageSocket,
    v6: bool,
}

impl UdpSocket {
    /// Binds an address with the default [`UdpOptions`].
    ///
    /// # Errors
    /// The address is in use or not this machine's, its port is privileged, or no descriptor or memory is left.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
        UdpSocket::bind_with(address, &UdpOptions::default())
    }

    /// Binds an address.
    ///
    /// # Errors
    /// As for [`UdpSocket::bind`].
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn bind_with(address: SocketAddr, options: &UdpOptions) -> io::Result<UdpSocket> {
        UdpSocket::from_socket(options.bind(address)?.into())
    }

    /// Takes over a UDP socket.
    ///
    /// # Errors
    /// When it is none.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn from_socket(socket: OwnedFd) -> io::Result<UdpSocket> {
        let core = context::expect_current("a UdpSocket");
        let known = SockRef::from(&socket);
        if known.r#type()? != Type::DGRAM {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a datagram socket"));
        }
        let v6 = as_ip(known.local_addr()?)?.is_ipv6();
        Ok(UdpSocket { socket: MessageSocket::adopt(core, socket, Room::UDP)?, v6 })
    }

    pub(super) fn with_socket<T>(&self, f: impl FnOnce(SockRef<'_>) -> io::Result<T>) -> io::Result<T> {
        self.socket.with_socket(f)
    }

    pub(super) fn is_v6(&self) -> bool {
        self.v6
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
        self.with_socket(|socket| as_ip(socket.local_addr()?))
    }

    /// Whom it is connected to.
    ///
    /// # Errors
    /// When it is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.with_socket(|socket| as_ip(socket.peer_addr()?))
    }

    /// Connects it: from now on it receives from this address only, sends there by default, and is told when nobody
    /// listens there (`ConnectionRefused`). Nothing is sent. What had arrived from others before still comes.
    ///
    /// # Errors
    /// When the address is of the other family, or no route leads there.
    pub fn connect(&self, address: SocketAddr) -> io::Result<()> {
        self.with_socket(|socket| socket.connect(&address.into()))
    }

    /// Waits for a datagram. Cancel-safe: nothing is lost, it is returned by the next call.
    ///
    /// # Errors
    /// Those of recv(2): `ConnectionRefused` for a connected socket whose peer is not there. They are reported once and
    /// end nothing.
    pub async fn recv_datagram(&self) -> io::Result<Datagram> {
        std::future::poll_fn(|cx| self.poll_recv_datagram(cx)).await
    }

    /// The poll form of [`UdpSocket::recv_datagram`].
    pub fn poll_recv_datagram(&self, cx: &mut Context<'_>) -> Poll<io::Result<Datagram>> {
        self.socket.poll_recv(cx).map(|arrival| received(arrival?))
    }

    /// A datagram that has arrived already, without a system call.
    ///
    /// `None` says nothing about what waits in the kernel: that is told by [`UdpSocket::recv_datagram`] only.
    pub fn try_recv_datagram(&self) -> Option<Datagram> {
        std::iter::from_fn(|| self.socket.take()).find_map(Datagram::from_arrival)
    }

    /// Waits for datagrams and appends those that have arrived, at most `limit`; returns how many. Cancel-safe.
    ///
    /// # Errors
    /// As for [`UdpSocket::recv_datagram`].
    pub async fn recv_batch(&self, into: &mut Vec<Datagram>, limit: usize) -> io::Result<usize> {
        if limit == 0 {
            return Ok(0);
        }
        into.push(self.recv_datagram().await?);
        let more = std::iter::from_fn(|| self.try_recv_datagram()).take(limit - 1);
        let before = into.len();
        into.extend(more);
        Ok(1 + into.len() - before)
    }

    /// Waits for a datagram and tells who sent it. Cancel-safe.
    ///
    /// # Errors
    /// As for [`UdpSocket::recv_datagram`]; and `InvalidData` for one that was cut.
    pub async fn recv_from(&self) -> io::Result<(RecvBuf, SocketAddr)> {
        let datagram = self.recv_datagram().await?.whole()?;
        Ok((datagram.payload, datagram.from))
    }

    /// Waits for a datagram, on a connected socket. Cancel-safe.
    ///
    /// # Errors
    /// As for [`UdpSocket::recv_from`].
    pub async fn recv(&self) -> io::Result<RecvBuf> {
        Ok(self.recv_from().await?.0)
    }

    /// Waits until a datagram, or an error, can be received at once. Cancel-safe.
    ///
    /// # Errors
    /// When the core has shut down.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Waits until the kernel has room for a datagram. Cancel-safe.
    ///
    /// # Errors
    /// When the core has shut down.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Sends a datagram to an address and returns its buffer. Cancelled, it may be sent or not.
    ///
    /// # Errors
    /// Those of send(2): too long (EMSGSIZE), no route, forbidden by a filter (EPERM); and for a connected socket an
    /// earlier datagram's `ConnectionRefused`.
    pub async fn send_to(&self, buffer: impl Into<SendBuf>, to: SocketAddr) -> (io::Result<()>, SendBuf) {
        self.send_with(buffer, &Outbound { to: Some(to), ..Outbound::default() }).await
    }

    /// Sends a datagram on a connected socket and returns its buffer. Cancelled, it may be sent or not.
    ///
    /// # Errors
    /// As for [`UdpSocket::send_to`].
    pub async fn send(&self, buffer: impl Into<SendBuf>) -> (io::Result<()>, SendBuf) {
        self.send_with(buffer, &Outbound::default()).await
    }

    /// Sends a datagram, or several in one buffer, with what goes with it. Cancelled, it may be sent or not.
    ///
    /// # Errors
    /// As for [`UdpSocket::send_to`]; EINVAL or EMSGSIZE for too many or too long segments, and EIO for segments where
    /// the network card can't compute checksums.
    pub async fn send_with(
        &self,
        buffer: impl Into<SendBuf>,
        outbound: &Outbound,
    ) -> (io::Result<()>, SendBuf) {
        let control = self.control(outbound);
        let (buffer, name) = (buffer.into(), outbound.name());
        self.socket.send(Submission { buffer, name, control: &control, descriptors: Vec::new() }).await
    }

    /// Lends a datagram to the driver, which sends it with all others of this turn, and returns at once.
    ///
    /// A failure is reported by [`UdpSocket::flush`].
    ///
    /// # Errors
    /// With 1,024 datagrams under way (`ResourceBusy`): wait for [`UdpSocket::submittable`]. When the core has shut
    /// down. The buffer is lost then.
    pub fn submit_to(&self, buffer: impl Into<SendBuf>, to: SocketAddr) -> io::Result<()> {
        self.submit_with(buffer, &Outbound { to: Some(to), ..Outbound::default() })
    }

    /// As [`UdpSocket::submit_to`], on a connected socket.
    ///
    /// # Errors
    /// As there.
    pub fn submit(&self, buffer: impl Into<SendBuf>) -> io::Result<()> {
        self.submit_with(buffer, &Outbound::default())
    }

    /// As [`UdpSocket::submit_to`], with what goes with the datagram.
    ///
    /// # Errors
    /// As there.
    pub fn submit_with(&self, buffer: impl Into<SendBuf>, outbound: &Outbound) -> io::Result<()> {
        let control = self.control(outbound);
        let (buffer, name) = (buffer.into(), outbound.name());
        self.socket.submit(Submission { buffer, name, control: &control, descriptors: Vec::new() })
    }

    fn control(&self, outbound: &Outbound) -> Vec<u8> {
        if !outbound.has_control() {
            return Vec::new();
        }
        // Only a socket of IPv6 needs to know which of the two it speaks to its peer.
        let peer = if self.v6 { self.peer_addr().ok() } else { None };
        outbound.control(self.v6, peer)
    }

    /// Waits until a datagram can be submitted. Cancel-safe.
    ///
    /// # Errors
    /// When the core has shut down.
    pub async fn submittable(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_submittable(cx)).await
    }

    /// The poll form of [`UdpSocket::submittable`].
    pub fn poll_submittable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_submittable(cx)
    }

    /// Waits until all submitted datagrams have been taken by the kernel. Cancel-safe.
    ///
    /// # Errors
    /// The first failure among those submitted since the last call.
    pub async fn flush(&self) -> io::Result<()> {
        self.socket.flush().await
    }

    /// How many datagrams one buffer may hold: 64, or 1 where the kernel can't take them apart.
    pub fn max_segments(&self) -> usize {
        let asked = self.with_socket(|socket| sockopt::get_int(&*socket, libc::SOL_UDP, libc::UDP_SEGMENT));
        if asked.is_ok() { 64 } else { 1 }
    }
}

fn received(arrival: Arrival) -> io::Result<Datagram> {
    Datagram::from_arrival(arrival).ok_or_else(|| io::Error::other("a datagram came without its sender"))
}

impl std::fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UdpSocket").field("address", &self.local_addr().ok()).finish()
    }
}
