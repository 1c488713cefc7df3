//! The sockets that a server listens on: made, or taken over from systemd or from the process before.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::SocketAddr as UnixAddress;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use covet_http::server::Listener;
use covet_runtime::net::handover::Predecessor;
use covet_runtime::net::{ListenOptions, PerCoreListener, UnixListenOptions, UnixListener, activation};
use covet_runtime::{Core, CoreSet, block_on};
use rustix::net::{AddressFamily, sockopt};

use super::listen::{ListenError, claim, raise_open_files};

/// What sockets are called when they are handed over.
const TCP: &str = "tcp";
const UNIX: &str = "unix";

/// Where a server is to listen.
#[derive(Debug, Clone)]
pub enum Place {
    /// At an IP address; port 0 lets the kernel choose.
    Tcp(SocketAddr),
    /// At a path.
    Unix(PathBuf),
    /// Where systemd says (`LISTEN_FDS`).
    Systemd,
}

/// The listening sockets of one server, for all its cores.
///
/// A clone is another handle of the same sockets.
#[derive(Debug, Clone)]
pub struct Sockets {
    tcp: Vec<PerCoreListener>,
    unix: Vec<Arc<OwnedFd>>,
}

impl Sockets {
    /// Listens at a place, for these cores.
    ///
    /// # Errors
    /// When the place is taken or not ours, a core does not exist, descriptors are short, or systemd has passed nothing
    /// that can be served.
    pub fn open(place: &Place, cores: &CoreSet) -> Result<Self, ListenError> {
        // Before the sockets, whose own errors say less.
        raise_open_files(cores.resolve()?.len())?;
        match place {
            Place::Tcp(address) => {
                let named = |source| ListenError::new(*address, source);
                let settled = claim(*address).map_err(named)?;
                let listener =
                    PerCoreListener::bind(settled, &ListenOptions::default(), cores).map_err(named)?;
                Ok(Self { tcp: vec![listener], unix: Vec::new() })
            }
            Place::Unix(path) => {
                let socket =
                    bind_unix(path).map_err(|source| ListenError::Path { path: path.clone(), source })?;
                Ok(Self { tcp: Vec::new(), unix: vec![Arc::new(socket)] })
            }
            Place::Systemd => Self::inherited(cores).map_err(ListenError::Sockets),
        }
    }

    fn inherited(cores: &CoreSet) -> io::Result<Self> {
        let mut tcp = Vec::new();
        let mut unix = Vec::new();
        for socket in activation::listenfds()? {
            let named = socket.name().to_owned();
            let descriptor = socket.into_fd();
            match sockopt::socket_domain(&descriptor) {
                Ok(AddressFamily::UNIX) => unix.push(descriptor),
                Ok(AddressFamily::INET | AddressFamily::INET6) => tcp.push(descriptor),
                _ => {
                    let what = format!("systemd passes {named:?}, which is no socket that can be served");
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
                }
            }
        }
        if tcp.is_empty() && unix.is_empty() {
            let what =
                "systemd passes no socket: start this from a .socket unit, or by systemd-socket-activate";
            return Err(io::Error::new(io::ErrorKind::NotFound, what));
        }
        Self::adopted(tcp, unix, cores)
    }

    /// Takes the sockets of the process before.
    ///
    /// # Errors
    /// When it has offered none, or they don't listen.
    pub fn succeed(before: &Predecessor, cores: &CoreSet) -> Result<Self, ListenError> {
        let taken = || Self::adopted(before.sockets(TCP)?, before.sockets(UNIX)?, cores);
        taken().map_err(ListenError::Sockets)
    }

    /// Sockets that listen already; those of one address go together.
    fn adopted(tcp: Vec<OwnedFd>, unix: Vec<OwnedFd>, cores: &CoreSet) -> io::Result<Self> {
        let mut groups: Vec<(SocketAddr, Vec<OwnedFd>)> = Vec::new();
        for socket in tcp {
            let address =
                SocketAddr::try_from(rustix::net::getsockname(&socket)?).map_err(io::Error::from)?;
            match groups.iter_mut().find(|(known, _)| *known == address) {
                Some((_, sockets)) => sockets.push(socket),
                None => groups.push((address, vec![socket])),
            }
        }
        let options = ListenOptions::default();
        let tcp: io::Result<_> = groups
            .into_iter()
            .map(|(_, sockets)| PerCoreListener::from_sockets(sockets, &options, cores))
            .collect();
        Ok(Self { tcp: tcp?, unix: unix.into_iter().map(Arc::new).collect() })
    }

    /// What one core accepts from.
    ///
    /// # Errors
    /// When descriptors run out, or the core is none of those that they were opened for.
    pub fn listener(&self, core: &Core) -> io::Result<Listener> {
        let mut listener = Listener::default();
        for group in &self.tcp {
            listener.add(group.listeners(core)?);
        }
        for socket in &self.unix {
            listener.add(UnixListener::from_socket(socket.try_clone()?)?);
        }
        Ok(listener)
    }

    /// Duplicates of all of them with their names, to be handed over.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn to_hand_over(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let mut sockets = Vec::new();
        for group in &self.tcp {
            sockets.extend(group.sockets()?.into_iter().map(|socket| (TCP.to_owned(), socket)));
        }
        for socket in &self.unix {
            sockets.push((UNIX.to_owned(), socket.try_clone()?));
        }
        Ok(sockets)
    }

    /// The first IP address, if there is one.
    pub fn address(&self) -> Option<SocketAddr> {
        self.tcp.first().map(PerCoreListener::local_addr)
    }

    /// The paths of the Unix sockets.
    pub fn paths(&self) -> Vec<PathBuf> {
        let path = |socket: &Arc<OwnedFd>| {
            let address = rustix::net::getsockname(socket).ok()?;
            let address = rustix::net::SocketAddrUnix::try_from(address).ok()?;
            Some(PathBuf::from(std::ffi::OsStr::new(address.path()?.to_str().ok()?)))
        };
        self.unix.iter().filter_map(path).collect()
    }
}

/// Listens at a path; the path stays when the socket is closed, as it may have been handed over by then.
fn bind_unix(path: &Path) -> io::Result<OwnedFd> {
    let address = UnixAddress::from_pathname(path)?;
    let options = UnixListenOptions { unlink_on_drop: false, ..UnixListenOptions::default() };
    let bound = block_on(async { UnixListener::bind_addr(&address, &options)?.share() });
    bound.map_err(io::Error::other)?
}
