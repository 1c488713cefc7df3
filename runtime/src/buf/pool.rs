use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::cores::context;

/// A new buffer holds a burst of pipelined answers without growing.
const CAPACITY: usize = 8 * 1024;
/// A buffer that grew beyond this goes back to the allocator, so that one large answer does not stay in memory.
const KEEP_CAPACITY: usize = 64 * 1024;
/// How many free buffers a core keeps.
const KEEP: usize = 256;

/// The free output buffers of one core.
#[derive(Default)]
pub(crate) struct Pool {
    free: RefCell<Vec<Vec<u8>>>,
}

impl Pool {
    fn take(&self) -> Option<Vec<u8>> {
        self.free.borrow_mut().pop()
    }

    fn put(&self, mut buffer: Vec<u8>) {
        let mut free = self.free.borrow_mut();
        if free.len() < KEEP && buffer.capacity() <= KEEP_CAPACITY {
            buffer.clear();
            free.push(buffer);
        }
    }
}

/// A `Vec<u8>` from the core's pool, to which it returns when dropped.
///
/// It starts empty, with room for 8 KiB. Off a core it is an ordinary vector.
///
/// ```
/// use covet_runtime::buf::PoolBuf;
///
/// let mut answer = PoolBuf::take();
/// answer.extend_from_slice(b"HTTP/1.1 204 No Content\r\n\r\n");
/// assert!(answer.capacity() >= answer.len());
/// ```
#[derive(Debug)]
pub struct PoolBuf(Vec<u8>);

impl PoolBuf {
    /// Takes a free buffer, or makes one.
    #[inline]
    pub fn take() -> PoolBuf {
        PoolBuf(
            context::with(|core| core.pool.take()).flatten().unwrap_or_else(|| Vec::with_capacity(CAPACITY)),
        )
    }

    /// Keeps the bytes and leaves the pool without this buffer.
    pub fn into_vec(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

impl Deref for PoolBuf {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for PoolBuf {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for PoolBuf {
    #[inline]
    fn drop(&mut self) {
        if self.0.capacity() != 0 {
            let buffer = std::mem::take(&mut self.0);
            context::with(move |core| core.pool.put(buffer));
        }
    }
}
