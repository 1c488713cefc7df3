use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use super::packet;

/// How long the old process may take for each word. It answers from a thread of its own, so this is a lot.
const PATIENCE: Duration = Duration::from_secs(10);

/// The process whose sockets this one has taken. Until [`Predecessor::serving`] it serves as before.
#[derive(Debug)]
pub struct Predecessor {
    link: OwnedFd,
    sockets: Vec<(String, OwnedFd)>,
}

/// Asks the process that offers its sockets at `path` for them; `None` if there is no such process.
///
/// Blocks until they are there: call it before the cores start.
///
/// # Errors
/// When the path can't be reached for other reasons, belongs to another user, or the process there breaks off or is
/// silent for 10 seconds.
pub fn take(path: impl AsRef<Path>) -> io::Result<Option<Predecessor>> {
    let path = path.as_ref();
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("take over from {}: {error}", path.display()))
    };
    let link = packet::socket()?;
    match rustix::net::connect(&link, &packet::address(path).map_err(named)?) {
        Ok(()) => {}
        // No such path, or nobody behind it.
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED) => return Ok(None),
        Err(error) => return Err(named(error.into())),
    }
    let sockets = receive_all(&link).map_err(named)?;
    Ok(Some(Predecessor { link, sockets }))
}

fn receive_all(link: &OwnedFd) -> io::Result<Vec<(String, OwnedFd)>> {
    if !packet::is_ours(link)? {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the process there is another user's"));
    }
    packet::set_patience(link, PATIENCE)?;
    packet::send(link, packet::HELLO, None)?;
    let (count, _) = packet::receive(link)?;
    let count: usize = count.parse().map_err(|_| packet::unexpected(&count, "a number of sockets"))?;
    let mut sockets = Vec::new();
    for _ in 0..count {
        let (name, descriptor) = packet::receive(link)?;
        let socket = descriptor.ok_or_else(|| {
            let what = format!("no descriptor came for {name:?}: is RLIMIT_NOFILE reached?");
            io::Error::other(what)
        })?;
        sockets.push((name, socket));
    }
    Ok(sockets)
}

impl Predecessor {
    /// The sockets of a name, in the order in which they were offered. Duplicates: the originals stay here.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn sockets(&self, name: &str) -> io::Result<Vec<OwnedFd>> {
        let named = self.sockets.iter().filter(|(known, _)| known == name);
        named.map(|(_, socket)| socket.try_clone()).collect()
    }

    /// The names that were offered, with repetitions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sockets.iter().map(|(name, _)| name.as_str())
    }

    /// Tells the old process that this one accepts connections now, upon which that one shuts down. Returns when it has
    /// heard it.
    ///
    /// Dropping the predecessor without a word leaves the old process in office.
    ///
    /// # Errors
    /// When the old process is gone or does not answer within 10 seconds; this one serves all the same.
    pub fn serving(self) -> io::Result<()> {
        packet::send(&self.link, packet::SERVING, None)?;
        packet::expect(&self.link, packet::RETIRING)
    }
}
