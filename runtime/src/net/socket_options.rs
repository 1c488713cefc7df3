use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use socket2::{Domain, SockRef, TcpKeepalive};

use super::{Keepalive, sockopt};

/// A socket that the driver keeps open for as long as its handle lives.
pub(super) trait Descriptor {
    fn descriptor(&self) -> io::Result<RawFd>;
}

/// Options of an open socket (socket(7), ip(7), tcp(7)).
///
/// Those that mean nothing for a socket of its kind are refused by the kernel (ENOPROTOOPT or EOPNOTSUPP). All calls
/// fail once the core has shut down.
///
/// ```
/// use covet_runtime::{block_on, net::UdpSocket};
///
/// block_on(async {
///     let socket = UdpSocket::bind("127.0.0.1:0".parse()?)?;
///     socket.options().set_recv_buffer(64 * 1024)?;
///     // The kernel doubles what is asked for, for its own accounts.
///     assert_eq!(socket.options().recv_buffer()?, 128 * 1024);
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct SocketOptions<'a>(&'a dyn Descriptor);

impl<'a> SocketOptions<'a> {
    pub(super) fn of(socket: &'a dyn Descriptor) -> SocketOptions<'a> {
        SocketOptions(socket)
    }

    fn with<T>(self, f: impl FnOnce(SockRef<'_>) -> io::Result<T>) -> io::Result<T> {
        let descriptor = self.0.descriptor()?;
        // SAFETY: the driver keeps the socket open for as long as its handle lives, and this borrows the handle.
        let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
        f(SockRef::from(&socket))
    }

    /// Bytes that may wait to be received, as the kernel accounts for them.
    ///
    /// # Errors
    /// See [`SocketOptions`].
    pub fn recv_buffer(self) -> io::Result<usize> {
        self.with(|socket| socket.recv_buffer_size())
    }

    /// Sets SO_RCVBUF, up to `net.core.rmem_max`. For TCP this ends the kernel's own adjustment.
    ///
    /// # Errors
    /// See [`SocketOptions`].
    pub fn set_recv_buffer(self, bytes: usize) -> io::Result<()> {
        self.with(|socket| socket.set_recv_buffer_size(bytes))
    }

    /// Bytes that may wait to be sent, as the kernel accounts for them.
    ///
    /// # Errors
    /// See [`SocketOptions`].
    pub fn send_buffer(self) -> io::Result<usize> {
        self.with(|socket| socket.send_buffer_size())
    }

    /// Sets SO_SNDBUF, up to `net.core.wmem_max`. For TCP this ends the kernel's own adjustment.
    ///
    /// # Errors
    /// See [`SocketOptions`].
    pub fn set_send_buffer(self, bytes: usize) -> io::Result<()> {
        self.with(|socket| socket.set_send_buffer_size(bytes))
    }

    /// Sets TCP_NODELAY: small writes go out at once.
    ///
    /// # Errors
    /// See [`SocketOptions`].
    pub fn set_nodelay(self, on: bool) -> io::Result<()> {
        self.with(|socket| socket.set_tcp_nodelay(on))
    }

    /// Has a silent TCP peer asked whether it is still there; `None` ends it.
    ///
    /// # Errors
    /// When a time is more than 32,767 s or zero.
    pub fn set_keepalive(self, keepalive: Option<Keepalive>) -> io::Result<()> {
        self.with(|socket| match keepalive {
            None => socket.set_keepalive(false),
            Some(Keepalive { idle, interval, probes }) => {
                let times = TcpKeepalive::new().with_time(idle).with_interval(interval);
                socket.set_tcp_keepalive(&times.with_retries(probes))
            }
        })
    }

    /// Sets SO_LINGER: what is not sent when the socket is closed is sent for this long, and then given up with a reset.
    /// Zero means a reset at once. `None`, the default, goes on sending in the background.
    ///
    /// Closing then waits, off the core's thread on io_uring and on it with epoll.
    ///
    /// # Errors
    /// See [`SocketOptions`].
    pub fn set_linger(self, time: Option<Duration>) -> io::Result<()> {
        self.with(|socket| socket.set_linger(time))
    }

    /// Sets the type of service, or the traffic class of IPv6: the upper six bits are the class (RFC 2474), the lower two
    /// the congestion mark.
    ///
    /// # Errors
    /// When it is more than 255.
    pub fn set_traffic_class(self, class: u32) -> io::Result<()> {
        self.with(|socket| match socket.domain()? {
            Domain::IPV6 => socket.set_tclass_v6(class),
            _ => socket.set_tos_v4(class),
        })
    }

    /// Sets TCP_USER_TIMEOUT: how long what was sent may stay unanswered before the connection is given up; `None` for
    /// the kernel's retries, some 15 minutes.
    ///
    /// # Errors
    /// See [`SocketOptions`].
    pub fn set_user_timeout(self, time: Option<Duration>) -> io::Result<()> {
        self.with(|socket| socket.set_tcp_user_timeout(time))
    }

    /// Sets TCP_QUICKACK: acknowledgements go out at once, until the kernel thinks better of it.
    ///
    /// # Errors
    /// See [`SocketOptions`].
    pub fn set_quick_ack(self, on: bool) -> io::Result<()> {
        self.with(|socket| socket.set_tcp_quickack(on))
    }

    /// Binds the socket to an interface by its name (SO_BINDTODEVICE); `None` frees it.
    ///
    /// # Errors
    /// There is no such interface; changing it once set takes CAP_NET_RAW.
    pub fn set_device(self, name: Option<&str>) -> io::Result<()> {
        self.with(|socket| socket.bind_device(name.map(str::as_bytes)))
            .map_err(|error| needs("SO_BINDTODEVICE", "CAP_NET_RAW", error))
    }

    /// Sets the mark that routing rules and filters see (SO_MARK).
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN (or, from Linux 5.17, CAP_NET_RAW).
    pub fn set_mark(self, mark: u32) -> io::Result<()> {
        self.with(|socket| socket.set_mark(mark)).map_err(|error| needs("SO_MARK", "CAP_NET_ADMIN", error))
    }

    /// The CPU on which the kernel received the last packet of this socket (SO_INCOMING_CPU); `None` if there was none.
    ///
    /// # Errors
    /// See [`SocketOptions`].
    pub fn incoming_cpu(self) -> io::Result<Option<usize>> {
        let cpu = self.with(|socket| sockopt::get_int(&*socket, libc::SOL_SOCKET, libc::SO_INCOMING_CPU))?;
        Ok(usize::try_from(cpu).ok())
    }

    /// Bytes that the peer of a TCP connection has acknowledged so far (TCP_INFO, Linux 4.1).
    ///
    /// # Errors
    /// See [`SocketOptions`].
    pub fn bytes_acked(self) -> io::Result<u64> {
        self.with(|socket| sockopt::bytes_acked(&*socket))
    }
}

fn needs(option: &str, capability: &str, error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error;
    }
    let text = format!(
        "{option} takes {capability}: run as root, or grant it (AmbientCapabilities={capability} in the unit): {error}"
    );
    io::Error::new(error.kind(), text)
}

impl fmt::Debug for SocketOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SocketOptions").field(&self.0.descriptor().ok()).finish()
    }
}
