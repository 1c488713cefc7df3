//! What the servers, the load and the tables share.

pub mod raw_ring;

use std::net::{Ipv4Addr, TcpListener};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use socket2::{Domain, Socket, Type};

/// What every server takes: `PORT CORE`.
pub struct Arguments {
    pub port: u16,
    pub core: usize,
}

impl Arguments {
    /// Ends the process with a usage line if they are not there.
    pub fn from_process() -> Arguments {
        let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u16>());
        match (arguments.next(), arguments.next()) {
            (Some(Ok(port)), Some(Ok(core))) => Arguments { port, core: core.into() },
            _ => {
                eprintln!("usage: echo-NAME PORT CORE");
                std::process::exit(2);
            }
        }
    }
}

/// Binds this thread to one CPU.
pub fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).expect("the core exists and may be used");
}

/// A listener with the backlog and options that all servers of a comparison share.
pub fn listener(port: u16) -> TcpListener {
    let listen = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        socket.listen(4096)?;
        std::io::Result::Ok(socket)
    };
    listen().expect("the port is free").into()
}

/// glommio and compio register buffers or make rings that count as locked memory: as much as may be had.
pub fn lift_limits() {
    let unlimited = Rlimit { current: None, maximum: None };
    if setrlimit(Resource::Memlock, unlimited).is_err() {
        let maximum = getrlimit(Resource::Memlock).maximum;
        let _ = setrlimit(Resource::Memlock, Rlimit { current: maximum, maximum });
    }
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
