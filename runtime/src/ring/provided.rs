//! The buffers that the kernel picks from when bytes arrive.
//!
//! A provided-buffer ring (io_uring_register(2), IORING_REGISTER_PBUF_RING) is a queue of free buffers that we
//! fill and the kernel empties: a connection owns a buffer only from the arrival of bytes until they are read.

use std::cell::Cell;
use std::io;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::slice;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// The buffer group of a core's streams.
pub(crate) const GROUP: u16 = 1;
/// The buffer group of its message sockets.
pub(crate) const MESSAGES: u16 = 2;

/// When the memory of buffers is taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Populate {
    /// At once, so that no page fault is taken under load.
    Now,
    /// Page by page, as bytes are received.
    AsNeeded,
}

/// The free list and the memory behind it; shared with every [`super::RecvBuf`] that still reads from it.
pub(crate) struct ProvidedBuffers {
    ring: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    group: u16,
    count: u16,
    size: u32,
    tail: Cell<u16>,
    free: Cell<u16>,
}

impl ProvidedBuffers {
    /// Maps `count` buffers (rounded up to a power of two, at most 32,768) of `size` bytes, all free.
    pub(crate) fn new(
        group: u16,
        count: u16,
        size: u32,
        populate: Populate,
    ) -> io::Result<Rc<ProvidedBuffers>> {
        let count = count.clamp(8, 1 << 15).next_power_of_two();
        let size = size.clamp(256, 1 << 24);
        let ring = map(usize::from(count) * size_of::<BufRingEntry>(), Populate::Now)?.cast();
        let memory = match map(usize::from(count) * size as usize, populate) {
            Ok(memory) => memory,
            Err(error) => {
                // SAFETY: the mapping was made above with this length, and nothing refers to it yet.
                unsafe { unmap(ring.cast(), usize::from(count) * size_of::<BufRingEntry>()) };
                return Err(error);
            }
        };
        let (tail, free) = (Cell::new(0), Cell::new(0));
        let buffers = ProvidedBuffers { ring, memory, group, count, size, tail, free };
        for id in 0..count {
            buffers.give(id);
        }
        Ok(Rc::new(buffers))
    }

    /// No buffers at all, for a driver that is closed.
    pub(super) fn none() -> Rc<ProvidedBuffers> {
        Rc::new(ProvidedBuffers {
            group: GROUP,
            ring: NonNull::dangling(),
            memory: NonNull::dangling(),
            count: 0,
            size: 0,
            tail: Cell::new(0),
            free: Cell::new(0),
        })
    }

    pub(crate) fn ring_address(&self) -> u64 {
        self.ring.as_ptr() as u64
    }

    pub(crate) fn group(&self) -> u16 {
        self.group
    }

    pub(crate) fn count(&self) -> u16 {
        self.count
    }

    /// How many buffers the kernel may still take, as far as its completions have told us.
    pub(crate) fn free(&self) -> u16 {
        self.free.get()
    }

    /// Notes that the kernel has filled a buffer and handed it to us.
    pub(crate) fn taken(&self) {
        self.free.set(self.free.get().saturating_sub(1));
    }

    /// The `len` bytes from `start` of a buffer that the kernel filled.
    ///
    /// # Safety
    /// The kernel handed buffer `id` over with `start + len` bytes in it, and it is not given back while the slice
    /// lives.
    pub(crate) unsafe fn slice(&self, id: u16, start: u32, len: u32) -> &[u8] {
        debug_assert!(id < self.count && start + len <= self.size);
        // SAFETY: buffer `id` lies inside the mapping, which lives as long as `self`; the kernel wrote these bytes
        // and does not touch them again before the buffer is given back.
        unsafe {
            slice::from_raw_parts(
                self.memory.as_ptr().add(usize::from(id) * self.size as usize + start as usize),
                len as usize,
            )
        }
    }

    /// As [`ProvidedBuffers::slice`], to be written to.
    ///
    /// # Safety
    /// As there, and no other reference to these bytes exists while this one lives.
    #[expect(clippy::mut_from_ref, reason = "the bytes belong to whoever has the buffer, not to the pool")]
    pub(crate) unsafe fn slice_mut(&self, id: u16, start: u32, len: u32) -> &mut [u8] {
        debug_assert!(id < self.count && start + len <= self.size);
        // SAFETY: as in `slice`; the caller vouches that nobody else refers to these bytes, and the mapping may be
        // written to.
        unsafe {
            slice::from_raw_parts_mut(
                self.memory.as_ptr().add(usize::from(id) * self.size as usize + start as usize),
                len as usize,
            )
        }
    }

    /// The place of the first free buffer in the queue, when nothing is on its way.
    pub(super) fn first(&self) -> u16 {
        self.tail.get().wrapping_sub(self.free.get())
    }

    /// The free buffer at this place of the queue (number, memory, size), for a backend that picks buffers itself;
    /// `None` if the queue ends before it.
    pub(super) fn at(&self, place: u16) -> Option<(u16, NonNull<u8>, u32)> {
        if place == self.tail.get() {
            return None;
        }
        // SAFETY: the entry lies inside the ring and was written by `give`, as it is below the tail; its buffer lies
        // inside the mapping.
        unsafe {
            let id = (*self.ring.as_ptr().add(usize::from(place & (self.count - 1)))).bid();
            Some((id, self.memory.add(usize::from(id) * self.size as usize), self.size))
        }
    }

    /// Gives a buffer back to the kernel.
    pub(crate) fn give(&self, id: u16) {
        debug_assert!(id < self.count);
        let tail = self.tail.get();
        // SAFETY: the entry lies inside the ring, and the kernel reads entries only below the tail that is
        // published after it is written. The tail is the `resv` field of the first entry (io_uring_register(2)),
        // which is 2-byte aligned, and is only written by this thread.
        unsafe {
            let entry = &mut *self.ring.as_ptr().add(usize::from(tail & (self.count - 1)));
            entry.set_addr(self.memory.as_ptr().add(usize::from(id) * self.size as usize) as u64);
            entry.set_len(self.size);
            entry.set_bid(id);
            self.tail.set(tail.wrapping_add(1));
            let published = AtomicU16::from_ptr(BufRingEntry::tail(self.ring.as_ptr()).cast_mut());
            published.store(self.tail.get(), Ordering::Release);
        }
        self.free.set(self.free.get() + 1);
    }
}

impl Drop for ProvidedBuffers {
    fn drop(&mut self) {
        if self.count == 0 {
            return;
        }
        // SAFETY: the driver keeps an Rc until the ring is closed, and every reader keeps one, so nothing refers
        // to the mappings any more; the lengths are those they were made with.
        unsafe {
            unmap(self.ring.cast(), usize::from(self.count) * size_of::<BufRingEntry>());
            unmap(self.memory, usize::from(self.count) * self.size as usize);
        }
    }
}

fn map(len: usize, populate: Populate) -> io::Result<NonNull<u8>> {
    let now = if populate == Populate::Now { MapFlags::POPULATE } else { MapFlags::empty() };
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches no existing memory.
    let start = unsafe {
        mmap_anonymous(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | now)?
    };
    NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mmap returned a null mapping"))
}

/// # Safety
/// The range is one whole mapping to which nothing refers.
unsafe fn unmap(start: NonNull<u8>, len: usize) {
    // SAFETY: forwarded. A failure could only mean a wrong range, and there is nobody to tell.
    let _ = unsafe { munmap(start.as_ptr().cast(), len) };
}
