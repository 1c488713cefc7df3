//! Taking a path for a socket: over from the dead, never from the living.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, fchmod, flock};
use socket2::{Domain, SockAddr, Socket, Type};

use super::address::{failed, to_kernel};

/// How a name is taken.
pub(super) struct Claim {
    pub(super) mode: Option<u32>,
    pub(super) replace_stale: bool,
    pub(super) unlink_on_drop: bool,
}

/// A path that is removed with the socket it leads to, unless it leads elsewhere by then.
#[derive(Debug)]
pub(super) struct OwnedPath {
    path: PathBuf,
    device: u64,
    inode: u64,
    keep: bool,
}

impl Drop for OwnedPath {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        let ours = |found: std::fs::Metadata| (found.dev(), found.ino()) == (self.device, self.inode);
        if std::fs::symlink_metadata(&self.path).is_ok_and(ours) {
            // Whoever removed it first did what was to be done.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Claim {
    /// Binds a socket and makes it listen (or whatever `open` does) before anybody else may doubt that it lives.
    pub(super) fn bind(
        &self,
        socket: &Socket,
        address: &SocketAddr,
        open: impl FnOnce(&Socket) -> io::Result<()>,
    ) -> io::Result<Option<OwnedPath>> {
        let failed = failed("bind", address);
        let name = to_kernel(address).map_err(&failed)?;
        let Some(path) = address.as_pathname() else {
            socket.bind(&name).map_err(&failed)?;
            open(socket).map_err(&failed)?;
            return Ok(None);
        };
        if let Some(mode) = self.mode {
            // The path is made with the socket's own mode less the umask, so that it is never open to more than it is
            // to be: a datagram socket receives from the moment it is bound.
            fchmod(socket, Mode::from_raw_mode(mode)).map_err(|error| failed(error.into()))?;
        }
        // Between its bind and its listen, a socket looks stale. Those who take over under this lock, which goes with
        // `_lock`, do not see each other in that state.
        let _lock = if self.replace_stale { lock_directory(path).map_err(&failed)? } else { None };
        match socket.bind(&name) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && self.replace_stale => {
                remove_if_stale(path, &name, socket.r#type()?).map_err(&failed)?;
                socket.bind(&name).map_err(&failed)?;
            }
            bound => bound.map_err(&failed)?,
        }
        let found = std::fs::symlink_metadata(path).map_err(&failed)?;
        let mut owned = OwnedPath { path: path.into(), device: found.dev(), inode: found.ino(), keep: false };
        let opened = match self.mode {
            // What the umask took away is given back.
            Some(mode) => std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)),
            None => Ok(()),
        }
        .and_then(|()| open(socket));
        // On failure `owned` is dropped and takes the path with it.
        opened.map_err(&failed)?;
        owned.keep = !self.unlink_on_drop;
        Ok(Some(owned))
    }
}

/// `None` if the directory can't be read, and so can't be locked; binding may still work.
fn lock_directory(path: &Path) -> io::Result<Option<File>> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(directory) = File::open(parent) else { return Ok(None) };
    match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(directory)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another process takes over a socket in this directory just now; try again",
        )),
        Err(_) => Ok(None),
    }
}

/// Removes a socket's path if a connect finds nobody behind it.
fn remove_if_stale(path: &Path, name: &SockAddr, kind: Type) -> io::Result<()> {
    let in_use = |why: &str| Err(io::Error::new(io::ErrorKind::AddrInUse, why.to_owned()));
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        return in_use("there is something that is not a socket");
    }
    let probe = Socket::new(Domain::UNIX, kind.nonblocking(), None)?;
    match probe.connect(name) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        // A full backlog, another type of socket, or no permission to ask: somebody may be there.
        Err(error) => in_use(&format!("somebody may be listening there ({error})")),
        Ok(()) => in_use("somebody is listening there"),
    }
}
