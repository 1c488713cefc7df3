//! When to send without a copy.

use crate::Builder;
use crate::ring::NEVER;

/// Below this, looking after a notification costs more than any copy.
const LEAST: usize = 4096;

/// The threshold as the driver wants it.
pub(super) fn threshold(from: Option<usize>) -> u32 {
    from.map_or(NEVER, |from| u32::try_from(from.max(LEAST)).unwrap_or(NEVER))
}

impl Builder {
    /// Sends buffers of `from` bytes and more without copying them into the kernel (IORING_OP_SEND_ZC, Linux 6.0); at
    /// least 4,096. Off by default; [`StreamSocket::set_zero_copy`](crate::net::StreamSocket::set_zero_copy) sets it
    /// for one stream.
    ///
    /// The network card then reads the buffer, which is given back when the peer has acknowledged the bytes. It pays for
    /// large bodies over a real network: begin with 64 KiB, and measure. Over loopback the kernel copies in any case, and
    /// it says so: a stream that is told so sends with a copy from then on. So does one whose kernel or socket can't,
    /// and a send for which RLIMIT_MEMLOCK leaves no room.
    ///
    /// It holds for [`submit_send`](crate::net::StreamSocket::submit_send), and for
    /// [`write_all`](crate::net::StreamSocket::write_all) of shared or static bytes; `write_all` of a vector would have
    /// to wait for the peer before it could give the vector back.
    pub fn zero_copy(mut self, from: Option<usize>) -> Builder {
        self.sizes.zero_copy_from = threshold(from);
        self
    }
}
