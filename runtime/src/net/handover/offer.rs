use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::net::{Shutdown, SocketFlags, accept_with, shutdown};

use super::packet;
use super::place::{Place, listen_at};

/// How long a new process may be silent while the sockets are given to it. Less than the next one is ready to wait in
/// [`take`](super::take) for its turn.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it may take to start.
const START: Duration = Duration::from_secs(120);

/// A standing offer of this process's listening sockets to its successor.
///
/// A thread of its own waits at the path, so that cores are not concerned. Dropping the offer ends it and removes the
/// path, unless a successor has put its own offer there.
#[derive(Debug)]
pub struct Offer {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
    place: Place,
}

#[derive(Debug)]
struct Shared {
    listener: OwnedFd,
    /// A duplicate of the connection to the successor that is just being served.
    link: Mutex<Option<OwnedFd>>,
}

impl Shared {
    fn set_link(&self, link: Option<OwnedFd>) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = link;
    }
}

impl Offer {
    /// Offers sockets at `path`, taking the place of whatever socket is there: of a process that is gone, or of the one
    /// that this process succeeds.
    ///
    /// `sockets` is called for each process that asks, and returns duplicates with their names. `taken` is called once,
    /// when a successor serves: it should begin the shutdown and return, as dropping the offer waits for it. A
    /// successor that dies before that leaves everything as it was, and another may ask. Only processes of the same user,
    /// or of root, are heard, and the path is made accessible to its owner only.
    ///
    /// # Errors
    /// When something that is not a socket is at the path, which is left alone; when the path, or one with the number of
    /// the process after it, can't be made a socket; or when the thread can't be started.
    pub fn start(
        path: impl AsRef<Path>,
        sockets: impl Fn() -> io::Result<Vec<(String, OwnedFd)>> + Send + 'static,
        taken: impl FnOnce() + Send + 'static,
    ) -> io::Result<Offer> {
        let path = path.as_ref().to_owned();
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("offer sockets at {}: {error}", path.display()))
        };
        let (listener, place) = listen_at(&path).map_err(named)?;
        let shared = Arc::new(Shared { listener, link: Mutex::new(None) });
        let waiting = shared.clone();
        // Without a thread its drop takes the socket away again: whoever found it would wait in vain.
        let mut offer = Offer { shared, thread: None, place };
        let thread = thread::Builder::new().name("covet-handover".into()).spawn(move || {
            if wait(&waiting, &sockets) {
                taken();
            }
        });
        offer.thread = Some(thread.map_err(named)?);
        Ok(offer)
    }
}

/// Waits for a successor that gets as far as serving; `false` if the offer was withdrawn first.
fn wait(shared: &Shared, sockets: &dyn Fn() -> io::Result<Vec<(String, OwnedFd)>>) -> bool {
    loop {
        match accept_with(&shared.listener, SocketFlags::CLOEXEC) {
            Ok(link) => {
                shared.set_link(link.try_clone().ok());
                let given = give(&link, sockets);
                shared.set_link(None);
                match given {
                    Ok(()) => return true,
                    Err(error) => tracing::warn!(%error, "a successor broke off; going on as before"),
                }
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => {}
            // What `Offer::drop` brings about.
            Err(rustix::io::Errno::INVAL) => return false,
            Err(error) => {
                tracing::error!(%error, "waiting for a successor failed; trying again");
                thread::sleep(Duration::from_secs(1));
            }
        }
    }
}

fn give(link: &OwnedFd, sockets: &dyn Fn() -> io::Result<Vec<(String, OwnedFd)>>) -> io::Result<()> {
    if !packet::is_ours(link)? {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is another user's process"));
    }
    packet::set_patience(link, PATIENCE)?;
    packet::expect(link, packet::HELLO)?;
    let sockets = sockets()?;
    packet::send(link, &sockets.len().to_string(), None)?;
    for (name, socket) in &sockets {
        // An empty packet would look like the end.
        let name = if name.is_empty() { "-" } else { name };
        packet::send(link, name, Some(socket.as_fd()))?;
    }
    drop(sockets);
    packet::set_patience(link, START)?;
    packet::expect(link, packet::SERVING)?;
    // It serves: whether it hears this or not, this process has had its time.
    let _ = packet::send(link, packet::RETIRING, None);
    Ok(())
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.place.leave();
        // The thread waits for one or the other.
        let _ = shutdown(&self.shared.listener, Shutdown::Both);
        if let Some(link) = &*self.shared.link.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = shutdown(link, Shutdown::Both);
        }
        match self.thread.take() {
            // Unless `taken` is what drops the offer.
            Some(thread) if thread.thread().id() != thread::current().id() => {
                let _ = thread.join();
            }
            _ => {}
        }
    }
}
