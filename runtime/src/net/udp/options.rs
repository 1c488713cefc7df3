use std::io;
use std::net::SocketAddr;

use libc::{IPPROTO_IP, IPPROTO_IPV6};
use socket2::{Domain, Protocol, Socket, Type};

use crate::net::sockopt::set_int;

/// How a UDP socket is made.
///
/// ```
/// use covet_runtime::{block_on, net::{UdpOptions, UdpSocket}};
///
/// block_on(async {
///     // On every core alike: each gets a socket of its own, and the kernel spreads senders over them.
///     let per_core = UdpOptions { reuse_port: true, ..UdpOptions::default() };
///     let one = UdpSocket::bind_with("127.0.0.1:0".parse()?, &per_core)?;
///     let other = UdpSocket::bind_with(one.local_addr()?, &per_core)?;
///     assert_eq!(one.local_addr()?, other.local_addr()?);
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct UdpOptions {
    /// SO_REUSEPORT: each core binds a socket of its own to the same address, and the kernel spreads senders over them,
    /// each sender always to the same while the number of sockets stays. Off, so that a port in use is an error.
    pub reuse_port: bool,
    /// SO_REUSEADDR: for UDP, that several sockets get a copy of each multicast datagram. Off.
    pub reuse_address: bool,
    /// For an IPv6 address, whether IPv4 is kept out (IPV6_V6ONLY). Off: `[::]` serves both.
    pub only_v6: bool,
    /// Permission to send to broadcast addresses (SO_BROADCAST). Off.
    pub broadcast: bool,
    /// UDP_GRO: the kernel may hand over several datagrams of one sender and length as one, which saves much work; see
    /// [`Datagram::segments`](super::Datagram::segments). Off. Left off where the kernel has none (before Linux 5.0).
    pub coalesce: bool,
    /// Whether each datagram tells its congestion mark. Off.
    pub ecn: bool,
    /// Whether each datagram tells the address it was sent to, and its interface. Off.
    pub destination: bool,
    /// Bytes that may wait in the kernel to be received (SO_RCVBUF, bounded by `net.core.rmem_max`); what comes when it
    /// is full is dropped. The kernel's default (`net.core.rmem_default`, some 200 KiB) holds but a hundred or two
    /// datagrams.
    pub recv_buffer: Option<usize>,
    /// Bytes that may wait in the kernel to be sent (SO_SNDBUF, bounded by `net.core.wmem_max`).
    pub send_buffer: Option<usize>,
}

impl UdpOptions {
    pub(super) fn bind(&self, address: SocketAddr) -> io::Result<Socket> {
        let failed = |what: &'static str| {
            move |error: io::Error| io::Error::new(error.kind(), format!("{what} {address}: {error}"))
        };
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))
            .map_err(failed("make a socket for"))?;
        if self.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if self.reuse_address {
            socket.set_reuse_address(true)?;
        }
        if address.is_ipv6() {
            socket.set_only_v6(self.only_v6)?;
        }
        if self.broadcast {
            socket.set_broadcast(true)?;
        }
        if let Some(bytes) = self.recv_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(bytes) = self.send_buffer {
            socket.set_send_buffer_size(bytes)?;
        }
        self.ask_for_details(&socket, address.is_ipv6())?;
        socket.bind(&address.into()).map_err(failed("bind"))?;
        Ok(socket)
    }

    fn ask_for_details(&self, socket: &Socket, v6: bool) -> io::Result<()> {
        if self.coalesce {
            match set_int(socket, libc::SOL_UDP, libc::UDP_GRO, 1) {
                Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {}
                done => done?,
            }
        }
        // A socket of IPv6 may serve IPv4 as well, and is asked for both.
        if self.ecn {
            set_int(socket, IPPROTO_IP, libc::IP_RECVTOS, 1)?;
            if v6 {
                set_int(socket, IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 1)?;
            }
        }
        if self.destination {
            if v6 {
                set_int(socket, IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
            } else {
                set_int(socket, IPPROTO_IP, libc::IP_PKTINFO, 1)?;
            }
        }
        Ok(())
    }
}
