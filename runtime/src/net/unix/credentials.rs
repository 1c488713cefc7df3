/// Who is at the other end of a Unix socket, as the kernel noted it when the connection was made
/// (SO_PEERCRED, unix(7)).
///
/// The process may have changed its user since, may have ended, or may have passed its end on to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerCredentials {
    /// Its process, unless it lives in a process namespace that this one can't see. The number may have been given
    /// to another process meanwhile; [`UnixStream::peer_process`](super::UnixStream::peer_process) is sure.
    pub pid: Option<u32>,
    /// Its effective user, as this process's user namespace sees it.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

impl From<libc::ucred> for PeerCredentials {
    fn from(found: libc::ucred) -> PeerCredentials {
        let pid = u32::try_from(found.pid).ok().filter(|&pid| pid != 0);
        PeerCredentials { pid, uid: found.uid, gid: found.gid }
    }
}
