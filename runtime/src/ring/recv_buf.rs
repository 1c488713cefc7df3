use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::provided::ProvidedBuffers;

/// Received bytes, borrowed from the core's buffer pool.
///
/// It dereferences to `[u8]`, which may be overwritten, as for decrypting in place; an empty one means that the peer has
/// finished sending. Dropping it gives the buffer
/// back to the kernel, so drop it soon: the pool is shared by all connections of the core. To keep bytes for long,
/// copy them.
pub struct RecvBuf(Source);

enum Source {
    Provided { buffers: Rc<ProvidedBuffers>, id: u16, start: u32, len: u32 },
    Heap(Box<[u8]>),
    Empty,
}

impl RecvBuf {
    /// # Safety
    /// The kernel handed buffer `id` over with `start + len` bytes, and this is its only owner.
    pub(super) unsafe fn provided(buffers: Rc<ProvidedBuffers>, id: u16, start: u32, len: u32) -> RecvBuf {
        RecvBuf(Source::Provided { buffers, id, start, len })
    }

    pub(super) fn heap(bytes: Box<[u8]>) -> RecvBuf {
        RecvBuf(Source::Heap(bytes))
    }

    pub(super) fn empty() -> RecvBuf {
        RecvBuf(Source::Empty)
    }
}

impl Deref for RecvBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            // SAFETY: `provided` was promised these bytes, and the buffer is given back in `drop` only.
            Source::Provided { buffers, id, start, len } => unsafe { buffers.slice(*id, *start, *len) },
            Source::Heap(bytes) => bytes,
            Source::Empty => &[],
        }
    }
}

impl DerefMut for RecvBuf {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            // SAFETY: as above, and `provided` was promised that nobody else has the buffer.
            Source::Provided { buffers, id, start, len } => unsafe { buffers.slice_mut(*id, *start, *len) },
            Source::Heap(bytes) => bytes,
            Source::Empty => &mut [],
        }
    }
}

impl AsRef<[u8]> for RecvBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for RecvBuf {
    fn drop(&mut self) {
        if let Source::Provided { buffers, id, .. } = &self.0 {
            buffers.give(*id);
        }
    }
}

impl fmt::Debug for RecvBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecvBuf({} bytes)", self.len())
    }
}
