use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, Socket, Type};

use super::Steering;

/// How a TCP listener is made.
#[derive(Debug, Clone)]
pub struct ListenOptions {
    /// Connections that may wait to be accepted: 4,096. The kernel caps it at `net.core.somaxconn`. A short
    /// backlog makes clients of a burst wait a second for their second SYN.
    pub backlog: u32,
    /// SO_REUSEPORT: each core listens on a socket of its own, and the kernel spreads connections over them. On.
    pub reuse_port: bool,
    /// TCP_NODELAY for accepted connections, which inherit it: answers are written whole, so Nagle's algorithm
    /// could only delay them. On.
    pub nodelay: bool,
    /// For an IPv6 address, whether IPv4 is kept out (IPV6_V6ONLY). Off: `[::]` serves both.
    pub only_v6: bool,
    /// How connections are spread over cores: [`Steering::Hash`]. The others need to know all cores, so they go with
    /// [`PerCoreListener`](super::PerCoreListener).
    pub steering: Steering,
}

impl Default for ListenOptions {
    fn default() -> ListenOptions {
        ListenOptions {
            backlog: 4096,
            reuse_port: true,
            nodelay: true,
            only_v6: false,
            steering: Steering::Hash,
        }
    }
}

impl ListenOptions {
    pub(super) fn listen(&self, address: SocketAddr) -> io::Result<OwnedFd> {
        let named = |what: &'static str| {
            move |error: io::Error| io::Error::new(error.kind(), format!("{what} {address}: {error}"))
        };
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))
            .map_err(named("make a socket for"))?;
        socket.set_reuse_address(true)?;
        if self.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if address.is_ipv6() {
            socket.set_only_v6(self.only_v6)?;
        }
        socket.set_tcp_nodelay(self.nodelay)?;
        socket.bind(&address.into()).map_err(named("listen on"))?;
        let backlog = i32::try_from(self.backlog).unwrap_or(i32::MAX);
        socket.listen(backlog).map_err(named("listen on"))?;
        Ok(socket.into())
    }
}
