use std::cell::{Cell, RefCell};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Weak};

use super::aligned::AlignedMemory;
use super::huge_page::{self, HUGE_PAGE, HugePage};
use crate::cores::context;

/// A new buffer holds a small answer. Buffers of a batch are written and sent together, so small ones close to each
/// other stay in the processor's caches; those that serve bursts grow once and come back grown.
const CAPACITY: usize = 512;
/// A buffer that grew beyond this goes back to the allocator, so that one large answer does not stay in memory. It is 64 KiB
/// and what TLS records add to them.
const KEEP_CAPACITY: usize = 65 * 1024;
/// Bytes of free buffers that a core keeps.
const KEEP: usize = 4 * 1024 * 1024;
/// Bytes of free aligned memory that a core keeps: enough for the blocks of a few files that are read ahead.
const KEEP_ALIGNED: usize = 16 * 1024 * 1024;
/// How many pieces of it: they are searched one by one.
const KEEP_ALIGNED_PIECES: usize = 256;

/// The free output buffers of one core, last in, first out: what was used last is still in the caches.
#[derive(Default)]
pub(crate) struct Pool {
    free: RefCell<Vec<Vec<u8>>>,
    /// Their capacities added up.
    kept: Cell<usize>,
    aligned: RefCell<Vec<AlignedMemory>>,
    aligned_kept: Cell<usize>,
    /// The huge pages that were cut here; one is in memory as a whole while a piece of it is.
    pages: RefCell<Vec<Weak<HugePage>>>,
}

impl Pool {
    pub(super) fn take_aligned(&self, capacity: usize, alignment: usize) -> Option<AlignedMemory> {
        let mut free = self.aligned.borrow_mut();
        if let Some(last) = free.iter().rposition(|memory| memory.is_like(capacity, alignment)) {
            self.aligned_kept.set(self.aligned_kept.get() - capacity);
            return Some(free.swap_remove(last));
        }
        drop(free);
        self.cut_aligned(capacity, alignment)
    }

    /// Cuts a huge page into pieces, of which all but one are kept, if they suit it and there is room for them. So many
    /// pages as may be kept are in use at a time at most: each could be held by a single piece.
    #[cold]
    fn cut_aligned(&self, capacity: usize, alignment: usize) -> Option<AlignedMemory> {
        if !huge_page::suits(capacity) || self.aligned_kept.get() + HUGE_PAGE > KEEP_ALIGNED {
            return None;
        }
        let mut pages = self.pages.borrow_mut();
        pages.retain(|page| page.strong_count() > 0);
        if (pages.len() + 1) * HUGE_PAGE > KEEP_ALIGNED {
            return None;
        }
        let page = HugePage::new()?;
        pages.push(Arc::downgrade(&page));
        drop(pages);
        let mut pieces = AlignedMemory::cut(&page, capacity, alignment);
        let first = pieces.next();
        pieces.for_each(|piece| self.put_aligned(piece));
        first
    }

    pub(super) fn put_aligned(&self, memory: AlignedMemory) {
        let mut free = self.aligned.borrow_mut();
        let kept = self.aligned_kept.get() + memory.capacity();
        if kept <= KEEP_ALIGNED && free.len() < KEEP_ALIGNED_PIECES {
            self.aligned_kept.set(kept);
            free.push(memory);
        }
    }

    /// Gives all free memory back.
    pub(super) fn release(&self) {
        drop((self.free.take(), self.aligned.take()));
        self.kept.set(0);
        self.aligned_kept.set(0);
    }

    #[inline]
    fn take(&self) -> Option<Vec<u8>> {
        let buffer = self.free.borrow_mut().pop()?;
        self.kept.set(self.kept.get() - buffer.capacity());
        Some(buffer)
    }

    #[inline]
    fn put(&self, mut buffer: Vec<u8>) {
        let kept = self.kept.get() + buffer.capacity();
        if buffer.capacity() <= KEEP_CAPACITY && kept <= KEEP {
            buffer.clear();
            self.kept.set(kept);
            self.free.borrow_mut().push(buffer);
        }
    }
}

/// A `Vec<u8>` from the core's pool, to which it returns when dropped.
///
/// It starts empty, with room for 512 bytes or more. Off a core it is an ordinary vector.
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
