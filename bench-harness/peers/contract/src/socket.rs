//! The listening socket.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

const BACKLOG: i32 = 4096;

/// A non-blocking listener on 127.0.0.1 with `SO_REUSEPORT`, a backlog of 4096 and `TCP_NODELAY`, which Linux
/// hands down to the sockets it accepts; ends the process with 1 and one line when the port can't be had.
pub fn listener(port: u16) -> TcpListener {
    bind(port).unwrap_or_else(|error| {
        eprintln!("127.0.0.1:{port}: {error}");
        std::process::exit(1)
    })
}

fn bind(port: u16) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
