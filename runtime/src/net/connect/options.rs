use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::error::{Cause, ConnectError};
use super::order::interleave;
use super::race::race;
use crate::net::TcpStream;
use crate::net::resolve::Resolver;
use crate::time;

/// How a connection is made.
///
/// ```no_run
/// use covet_runtime::net::ConnectOptions;
/// use std::time::Duration;
///
/// # async fn example() -> std::io::Result<()> {
/// let options = ConnectOptions { timeout: Some(Duration::from_secs(3)), ..ConnectOptions::default() };
/// let stream = options.connect("example.org:443").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// How long an attempt may go without an answer before the next address is tried beside it: 250 ms, and taken as
    /// 10 ms to 2 s whatever is said here (RFC 8305, section 8). A refused attempt does not wait.
    pub attempt_delay: Duration,
    /// How many addresses of the preferred family are tried before the first of the other: 1.
    pub first_family_count: usize,
    /// The time for all of it, the lookup too: 30 s. `None` leaves it to the kernel, which gives up on an address after
    /// some two minutes (`net.ipv4.tcp_syn_retries`).
    pub timeout: Option<Duration>,
    /// The local address to connect from. Addresses of the other family are not tried.
    pub local: Option<IpAddr>,
    /// TCP_NODELAY. On.
    pub nodelay: bool,
    /// TCP keep-alive probes. None.
    pub keepalive: Option<Keepalive>,
    /// TCP Fast Open (TCP_FASTOPEN_CONNECT, RFC 7413): the first bytes travel with the SYN. Off.
    ///
    /// Once the peer's cookie is known, connecting succeeds at once and failures are reported by the first send; so it
    /// is used for a host with one address only, as there would be nothing to race. The first request must then be one
    /// that does no harm when it arrives twice.
    pub fast_open: bool,
    /// Who turns names into addresses. [`Resolver::default`], which remembers nothing.
    pub resolver: Resolver,
}

/// When a silent peer is asked whether it is still there (tcp(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Probes without an answer after which the connection is dead.
    pub probes: u32,
}

impl Default for Keepalive {
    /// A probe after 60 s of silence, then every 15 s; dead after 4.
    fn default() -> Keepalive {
        Keepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(15), probes: 4 }
    }
}

impl Default for ConnectOptions {
    fn default() -> ConnectOptions {
        ConnectOptions {
            attempt_delay: Duration::from_millis(250),
            first_family_count: 1,
            timeout: Some(Duration::from_secs(30)),
            local: None,
            nodelay: true,
            keepalive: None,
            fast_open: false,
            resolver: Resolver::default(),
        }
    }
}

impl ConnectOptions {
    /// Connects to `host:port`: looks the name up and tries its addresses one after another, each a little after the
    /// one before, until the first answers (Happy Eyeballs, RFC 8305).
    ///
    /// Both families are looked up in one call, and its order, that of RFC 6724, is the order of trying, with the
    /// families taking turns. Attempts that lose are cancelled. Cancel-safe: dropping the future cancels all attempts and
    /// closes their sockets.
    ///
    /// # Errors
    /// When the lookup failed, no address answered, or the time was up; the error says what became of each address.
    ///
    /// # Panics
    /// Outside a core.
    pub async fn connect(&self, target: &str) -> Result<TcpStream, ConnectError> {
        let failed = |cause| ConnectError { target: target.to_owned(), cause };
        let begun = time::now();
        let lookup = self.resolver.lookup(target);
        let found = match self.timeout {
            None => lookup.await,
            Some(limit) => match time::timeout(limit, lookup).await {
                Ok(found) => found,
                Err(_) => return Err(failed(Cause::LookupTimedOut(limit))),
            },
        };
        let addresses = found.map_err(|error| failed(Cause::Lookup(error)))?;
        race(self, interleave(&addresses, self.first_family_count), begun).await.map_err(failed)
    }

    /// As [`ConnectOptions::connect`], to whichever of these addresses answers first.
    ///
    /// # Errors
    /// When none of them answered in time, or the list is empty.
    ///
    /// # Panics
    /// Outside a core.
    pub async fn connect_any(&self, addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
        let order = interleave(addresses, self.first_family_count);
        race(self, order, time::now()).await.map_err(|cause| {
            let names: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
            ConnectError { target: names.join(", "), cause }
        })
    }

    /// A socket to connect to `address` with.
    pub(super) fn socket(&self, address: SocketAddr, alone: bool) -> io::Result<OwnedFd> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if self.nodelay {
            socket.set_tcp_nodelay(true)?;
        }
        if let Some(Keepalive { idle, interval, probes }) = self.keepalive {
            let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(probes);
            socket.set_tcp_keepalive(&keepalive)?;
        }
        if let Some(local) = self.local {
            if local.is_ipv6() != address.is_ipv6() {
                return Err(io::Error::new(
                    io::ErrorKind::AddrNotAvailable,
                    format!("the local address {local} is of the other family"),
                ));
            }
            // The port is then chosen by connect, which knows the peer: the same port serves many of them.
            switch_on(&socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT)?;
            socket.bind(&SocketAddr::new(local, 0).into())?;
        }
        if self.fast_open && alone {
            switch_on(&socket, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT)?;
        }
        Ok(socket.into())
    }
}

/// Sets a socket option that `socket2` has no name for.
fn switch_on(socket: &Socket, level: i32, option: i32) -> io::Result<()> {
    let on = 1i32;
    // SAFETY: the descriptor is open, and the kernel reads the four bytes of `on` before it returns.
    let outcome = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), size_of_val(&on) as u32)
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl TcpStream {
    /// Connects to `host:port` with the default [`ConnectOptions`].
    ///
    /// # Errors
    /// As for [`ConnectOptions::connect`].
    ///
    /// # Panics
    /// Outside a core.
    pub async fn connect_host(target: &str) -> Result<TcpStream, ConnectError> {
        ConnectOptions::default().connect(target).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_as_asked_for() {
        let keepalive =
            Keepalive { idle: Duration::from_secs(31), interval: Duration::from_secs(7), probes: 3 };
        let options =
            ConnectOptions { keepalive: Some(keepalive), nodelay: false, ..ConnectOptions::default() };
        let socket = Socket::from(options.socket(([127, 0, 0, 1], 1).into(), true).unwrap());
        assert!(socket.keepalive().unwrap() && !socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), keepalive.idle);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), keepalive.interval);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), keepalive.probes);
        let usual = ConnectOptions::default().socket("[::1]:1".parse().unwrap(), true).unwrap();
        let usual = Socket::from(usual);
        assert!(!usual.keepalive().unwrap() && usual.tcp_nodelay().unwrap());
    }

    #[test]
    fn options_without_a_name_in_socket2_are_set_where_they_are_meant() {
        let set = |socket: &OwnedFd, level, option| {
            let (mut value, mut size) = (0i32, size_of::<i32>() as libc::socklen_t);
            // SAFETY: both variables live until the call returns, and the size is the first one's.
            let asked = unsafe {
                libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut value).cast(), &raw mut size)
            };
            assert_eq!(asked, 0);
            value != 0
        };
        let options = ConnectOptions {
            local: Some([127, 0, 0, 1].into()),
            fast_open: true,
            ..ConnectOptions::default()
        };
        let address = ([127, 0, 0, 1], 1).into();
        let alone = options.socket(address, true).unwrap();
        // Otherwise each connection from this address would take a port for itself, whoever its peer is.
        assert!(set(&alone, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT));
        assert!(set(&alone, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT));
        let in_a_race = options.socket(address, false).unwrap();
        assert!(!set(&in_a_race, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT));
    }
}
