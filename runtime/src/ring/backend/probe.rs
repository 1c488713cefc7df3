//! Whether a ring does what releases do not tell: distributors take parts of newer kernels into older ones.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use io_uring::{IoUring, cqueue, opcode, types};

use crate::ring::provided::{GROUP, ProvidedBuffers};

/// Receives a byte twice over by one multishot receive into the ring's own buffers, and gives them back. `false` if
/// the kernel does not know how.
pub(super) fn multishot_recv(ring: &mut IoUring, buffers: &ProvidedBuffers) -> io::Result<bool> {
    #[cfg(all(test, not(loom), not(miri)))]
    if crate::ring::tests::old_kernel::lacks(crate::ring::tests::old_kernel::Feature::MultishotRecv) {
        return Ok(false);
    }
    let (ours, peer) = UnixStream::pair()?;
    let receive = opcode::RecvMulti::new(types::Fd(ours.as_raw_fd()), GROUP).build();
    // SAFETY: the entry points to nothing, the buffers belong to the ring, and the queue is empty, so it has room.
    unsafe { ring.submission().push(&receive) }.map_err(io::Error::other)?;
    io::Write::write_all(&mut &peer, b"1")?;
    // Its end ends the receive.
    drop(peer);
    let (mut works, mut ended) = (false, false);
    while !ended {
        match ring.submit_and_wait(1) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for completion in ring.completion() {
            let filled = cqueue::buffer_select(completion.flags());
            if let Some(id) = filled {
                buffers.taken();
                buffers.give(id);
            }
            works |= filled.is_some() && completion.result() == 1 && cqueue::more(completion.flags());
            ended = !cqueue::more(completion.flags());
        }
    }
    Ok(works)
}
