//! Moving bytes between a socket and a pipe without waiting (splice(2)).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;

use rustix::fs::OFlags;
use rustix::pipe::PipeFlags;

/// The largest pipe that an unprivileged process may have (`fs.pipe-max-size`).
pub(super) const MAX_PIPE: usize = 1 << 20;

/// The two ends of a pipe.
pub(crate) struct Pipe {
    pub(super) fill: OwnedFd,
    pub(super) empty: OwnedFd,
}

impl Pipe {
    pub(super) fn new(size: usize) -> io::Result<Pipe> {
        let (empty, fill) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        // A user with many pipes may be refused a larger one, and the usual size does too.
        let _ = rustix::pipe::fcntl_setpipe_size(&fill, size.min(MAX_PIPE));
        Ok(Pipe { fill, empty })
    }

    /// Takes up to `len` bytes from a socket; 0 at its end.
    pub(super) fn fill_from(&self, socket: RawFd, len: usize) -> io::Result<usize> {
        // SAFETY: the caller has the descriptor from the driver, which keeps it open while the stream lives.
        without_waiting(unsafe { BorrowedFd::borrow_raw(socket) }, || {
            // SAFETY: both descriptors are open, and neither has an offset to be read or written.
            unsafe { splice(socket, self.fill.as_raw_fd(), len) }
        })
    }

    /// Gives up to `len` bytes to a socket.
    pub(super) fn empty_into(&self, socket: RawFd, len: usize) -> io::Result<usize> {
        // SAFETY: as in `fill_from`.
        without_waiting(unsafe { BorrowedFd::borrow_raw(socket) }, || {
            // SAFETY: as in `fill_from`.
            unsafe { splice(self.empty.as_raw_fd(), socket, len) }
        })
    }
}

/// # Safety
/// Both descriptors are open.
unsafe fn splice(from: RawFd, into: RawFd, len: usize) -> isize {
    // SAFETY: the caller vouches for the descriptors; no offsets are given.
    unsafe { libc::splice(from, ptr::null_mut(), into, ptr::null_mut(), len, libc::SPLICE_F_NONBLOCK) }
}

/// Makes a call on a socket that does not wait, though the socket is one that waits.
///
/// No flag of splice(2) says so for the socket, so it is marked O_NONBLOCK for as long as the call lasts. Nobody notices:
/// operations on the ring are submitted by this thread, which is busy here.
fn without_waiting(socket: BorrowedFd<'_>, call: impl Fn() -> isize) -> io::Result<usize> {
    let flags = rustix::fs::fcntl_getfl(socket)?;
    rustix::fs::fcntl_setfl(socket, flags | OFlags::NONBLOCK)?;
    let moved = loop {
        match usize::try_from(call()) {
            Ok(moved) => break Ok(moved),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    break Err(error);
                }
            }
        }
    };
    rustix::fs::fcntl_setfl(socket, flags)?;
    moved
}
