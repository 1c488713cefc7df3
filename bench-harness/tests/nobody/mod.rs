//! Where nobody listens.

use std::net::SocketAddr;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};

/// An address that refuses connections for as long as the test runs: the port is taken, and nobody listens on it.
pub(crate) fn nobody() -> SocketAddr {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    let socket = socket.expect("a socket");
    bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("some port is free");
    let address = getsockname(&socket).expect("it is bound").try_into().expect("an address of the Internet");
    std::mem::forget(socket);
    address
}
