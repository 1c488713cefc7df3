use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::rc::Rc;
use std::slice;

use super::provided::ProvidedBuffers;

/// Received bytes, borrowed from the core's buffer pool.
///
/// It dereferences to `[u8]`, which may be overwritten, as for decrypting in place; an empty one means that the peer has
/// finished sending. Dropping it gives the buffer
/// back to the kernel, so drop it soon: the pool is shared by all connections of the core. To keep bytes for long,
/// copy them.
pub struct RecvBuf(Source);

enum Source {
    /// `bytes` are the first `len` that have not been passed over, in a buffer of `buffers`.
    Provided {
        buffers: Rc<ProvidedBuffers>,
        bytes: NonNull<u8>,
        len: u32,
        id: u16,
    },
    /// The first `read` bytes were passed over.
    Heap {
        bytes: Box<[u8]>,
        read: usize,
    },
    Empty,
}

impl RecvBuf {
    /// # Safety
    /// The kernel handed buffer `id` over with `start + len` bytes, and this is its only owner.
    #[inline]
    pub(super) unsafe fn provided(buffers: Rc<ProvidedBuffers>, id: u16, start: u32, len: u32) -> RecvBuf {
        // SAFETY: forwarded; as the only owner it may make the only reference, too.
        let bytes = NonNull::from(unsafe { buffers.slice_mut(id, start, len) }).cast();
        RecvBuf(Source::Provided { buffers, bytes, len, id })
    }

    /// Passes over bytes at the start: they are not seen any more.
    ///
    /// ```
    /// # fn take_line(received: &mut covet_runtime::net::RecvBuf) -> Option<Vec<u8>> {
    /// let end = received.iter().position(|&byte| byte == b'\n')? + 1;
    /// let line = received[..end].to_vec();
    /// received.advance(end);
    /// # Some(line)
    /// # }
    /// ```
    ///
    /// # Panics
    /// If there are fewer.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "more bytes are passed over than there are");
        match &mut self.0 {
            Source::Provided { bytes, len, .. } => {
                // SAFETY: within the `len` bytes, or at their end.
                *bytes = unsafe { bytes.add(count) };
                *len -= count as u32;
            }
            Source::Heap { read, .. } => *read += count,
            Source::Empty => {}
        }
    }

    pub(super) fn heap(bytes: Box<[u8]>) -> RecvBuf {
        RecvBuf(Source::Heap { bytes, read: 0 })
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
            // SAFETY: `provided` was promised these bytes, the buffer is given back in `drop` only, and the mapping lives
            // as long as `buffers`.
            Source::Provided { bytes, len, .. } => unsafe {
                slice::from_raw_parts(bytes.as_ptr(), *len as usize)
            },
            Source::Heap { bytes, read } => &bytes[*read..],
            Source::Empty => &[],
        }
    }
}

impl DerefMut for RecvBuf {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            // SAFETY: as above, and `provided` was promised that nobody else has the buffer.
            Source::Provided { bytes, len, .. } => unsafe {
                slice::from_raw_parts_mut(bytes.as_ptr(), *len as usize)
            },
            Source::Heap { bytes, read } => &mut bytes[*read..],
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
    #[inline]
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
