use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::task::{Context, Poll};

use socket2::{Domain, SockRef, Socket, Type};

use super::UnixStream;
use super::address::{failed, from_kernel, from_path};
use super::claim::{Claim, OwnedPath};
use crate::cores::context;
use crate::net::acceptor::Acceptor;

/// How a [`UnixListener`] is made.
#[derive(Debug, Clone)]
pub struct UnixListenOptions {
    /// Connections that may wait to be accepted: 4,096. The kernel caps it at `net.core.somaxconn`. A connect that
    /// finds the backlog full waits.
    pub backlog: u32,
    /// The permission bits of the path, such as 0o660; connecting takes write permission. They hold before the first
    /// connection is let in. By default the kernel's: 0o777 less the umask.
    pub mode: Option<u32>,
    /// Whether a socket left behind at the path by a process that has ended is replaced. On. A connect tells whether
    /// somebody listens; what is not a socket is left alone.
    pub replace_stale: bool,
    /// Whether the path is removed when the listener is dropped, if it still leads to this socket. On. Turn it off
    /// when the socket is handed on to a successor.
    pub unlink_on_drop: bool,
}

impl Default for UnixListenOptions {
    fn default() -> UnixListenOptions {
        UnixListenOptions { backlog: 4096, mode: None, replace_stale: true, unlink_on_drop: true }
    }
}

/// A listening Unix stream socket of this core.
///
/// # Several cores
/// SO_REUSEPORT does not exist for Unix sockets: there is one queue of connections. There are two ways to share it:
///
/// - Bind on one core, give each of the others a [`UnixListener::share`] of it, and make a listener of that with
///   [`UnixListener::from_socket`]. Each core then has an accept of its own under way on the same queue, and the
///   kernel wakes one of them per connection. It does not deal them out evenly: whichever began to wait first is
///   asked first, so on a quiet server one core takes nearly all.
/// - Accept on one core with [`UnixListener::accept_socket`], send the descriptors to the others in turn, and make
///   streams of them there with [`UnixStream::from_socket`]. One hop more per connection, and an even spread.
///
/// ```
/// use covet_runtime::{block_on, net::{UnixListener, UnixStream}};
/// use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};
///
/// block_on(async {
///     let address = SocketAddr::from_abstract_name(format!("example {}", std::process::id()))?;
///     let listener = UnixListener::bind_addr(&address, &Default::default())?;
///     let client = UnixStream::connect_addr(&address).await?;
///     let server = listener.accept().await?;
///     assert_eq!(server.peer_credentials()?.pid, Some(std::process::id()));
///     client.write_all("hello").await.0?;
///     assert_eq!(&server.recv().await?[..], b"hello");
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct UnixListener {
    acceptor: Acceptor,
    address: SocketAddr,
    // After the acceptor: the path goes when nobody listens any more.
    _path: Option<OwnedPath>,
}

impl UnixListener {
    /// Listens at a path with the default [`UnixListenOptions`].
    ///
    /// # Errors
    /// Somebody listens there, something else is there, the directory can't be written to, or the path is longer than
    /// 107 bytes.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        let address = from_path(path.as_ref())?;
        UnixListener::bind_addr(&address, &UnixListenOptions::default())
    }

    /// Listens at an address, which may be abstract: a name without a file, which goes with its socket and has no
    /// permissions, so that every process of the network namespace can connect.
    ///
    /// # Errors
    /// As for [`UnixListener::bind`].
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn bind_addr(address: &SocketAddr, options: &UnixListenOptions) -> io::Result<UnixListener> {
        let core = context::expect_current("a UnixListener");
        let socket =
            Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed("make a socket for", address))?;
        let claim = Claim {
            mode: options.mode,
            replace_stale: options.replace_stale,
            unlink_on_drop: options.unlink_on_drop,
        };
        let backlog = i32::try_from(options.backlog).unwrap_or(i32::MAX);
        let path = claim.bind(&socket, address, |socket| socket.listen(backlog))?;
        let address = from_kernel(&socket.local_addr()?)?;
        Ok(UnixListener { acceptor: Acceptor::adopt(core, socket.into())?, address, _path: path })
    }

    /// Takes over a socket that listens already. Its path is left alone when the listener is dropped.
    ///
    /// # Errors
    /// When it is no Unix socket.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn from_socket(socket: OwnedFd) -> io::Result<UnixListener> {
        let core = context::expect_current("a UnixListener");
        let address = SockRef::from(&socket).local_addr()?;
        if !address.is_unix() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a Unix socket"));
        }
        let address = from_kernel(&address)?;
        Ok(UnixListener { acceptor: Acceptor::adopt(core, socket)?, address, _path: None })
    }

    /// Another descriptor of the same queue of connections, for [`UnixListener::from_socket`] on another core.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn share(&self) -> io::Result<OwnedFd> {
        self.acceptor.with_socket(|socket| Ok(socket.try_clone()?.into()))
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// None at present; the signature is that of the standard library.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address.clone())
    }

    /// Waits for a connection. One multishot operation accepts them all. Cancel-safe: a connection that was
    /// accepted meanwhile is returned by the next call.
    ///
    /// # Errors
    /// EMFILE and ENFILE when descriptors run out, ENOMEM and ENOBUFS when memory does: the connection stays in
    /// the backlog, so wait a little and call again.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// The poll form of [`UnixListener::accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        let accepted = self.acceptor.poll_accept(cx);
        accepted.map(|socket| UnixStream::adopt(&self.acceptor.core, socket?))
    }

    /// As [`UnixListener::accept`], for a connection that is to be served by another core. Cancel-safe.
    ///
    /// # Errors
    /// As for [`UnixListener::accept`].
    pub async fn accept_socket(&self) -> io::Result<OwnedFd> {
        poll_fn(|cx| self.acceptor.poll_accept(cx)).await
    }

    /// Stops accepting and returns the connections that were accepted and not taken yet, as
    /// [`TcpListener::retire`](crate::net::TcpListener::retire) does. The path goes with it, unless it is to be kept.
    pub async fn retire(self) -> Vec<UnixStream> {
        let accepted = poll_fn(|cx| self.acceptor.poll_retire(cx)).await;
        accepted
            .into_iter()
            .filter_map(|socket| UnixStream::adopt(&self.acceptor.core, socket).ok())
            .collect()
    }
}

impl std::fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnixListener").field("address", &self.address).finish()
    }
}
