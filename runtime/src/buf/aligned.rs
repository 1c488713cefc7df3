use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use super::huge_page::HugePage;
use crate::cores::context;

/// A buffer whose memory begins at a multiple of its alignment, as O_DIRECT wants it.
///
/// It starts empty: reads append to its spare capacity, writes take what it holds. Its capacity never changes, and
/// is rounded up to a multiple of the alignment. The memory comes from the core's free buffers of the same shape, to
/// which it returns when dropped on a core. One of 128 KiB, 256 KiB, 512 KiB or 1 MiB that a core makes, while it has less
/// than 16 MiB of them, is cut from a transparent huge page where the kernel has one (2 MiB, which then are in memory as
/// a whole), so that a device can read or write it in one piece.
///
/// ```
/// use covet_runtime::buf::AlignedBuf;
///
/// let mut block = AlignedBuf::new(10_000, 4096);
/// assert_eq!((block.len(), block.capacity()), (0, 12_288));
/// block.extend_from_slice(b"head");
/// block.resize(4096, 0);
/// assert!(block.as_ptr().addr().is_multiple_of(4096));
/// ```
#[derive(Default)]
pub struct AlignedBuf {
    memory: AlignedMemory,
    /// Where the bytes start: what lies before was skipped.
    start: u32,
    end: u32,
}

/// The most bytes that one read or write moves, rounded down by Linux to whole pages of 4 KiB.
pub(crate) const MOST_BYTES: usize = 0x7FFF_F000;

impl AlignedBuf {
    /// Makes an empty buffer with room for `capacity` bytes.
    ///
    /// # Panics
    /// If `alignment` is not a power of two up to 1 MiB, or `capacity` is more than 0x7FFF_F000 (what Linux moves in
    /// one call) less the alignment.
    pub fn new(capacity: usize, alignment: usize) -> AlignedBuf {
        assert!(
            alignment.is_power_of_two() && alignment <= 1 << 20,
            "alignment {alignment} is not a power of two up to 1 MiB"
        );
        assert!(
            capacity <= MOST_BYTES - alignment,
            "capacity {capacity} is more than one call moves (0x7FFFF000)"
        );
        let capacity = capacity.next_multiple_of(alignment);
        let pooled = context::with(|core| core.pool.take_aligned(capacity, alignment)).flatten();
        let memory = pooled.unwrap_or_else(|| AlignedMemory::new(capacity, alignment));
        AlignedBuf { memory, start: 0, end: 0 }
    }

    /// How many bytes it can hold, those that were skipped included.
    pub fn capacity(&self) -> usize {
        self.memory.capacity as usize
    }

    /// The alignment of its memory.
    pub fn alignment(&self) -> usize {
        self.memory.alignment as usize
    }

    /// Forgets the bytes, those that were skipped as well.
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Keeps the first `len` bytes, or all if there are fewer.
    pub fn truncate(&mut self, len: usize) {
        self.end = self.start + len.min(self.len()) as u32;
    }

    /// Skips the first `count` bytes. The bytes then begin at an address that may not be aligned.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn skip(&mut self, count: usize) {
        assert!(count <= self.len(), "{count} bytes to skip, {} there", self.len());
        self.start += count as u32;
    }

    /// Appends bytes.
    ///
    /// # Panics
    /// If the spare capacity is less.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.spare(), "{} bytes for {} of spare capacity", bytes.len(), self.spare());
        let spare = self.spare_capacity_mut().as_mut_ptr().cast();
        // SAFETY: as much room as bytes, as was just checked, and nobody else's.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), spare, bytes.len()) };
        self.end += bytes.len() as u32;
    }

    /// Makes it `len` bytes long, cut off or filled up with `value`.
    ///
    /// # Panics
    /// If the spare capacity is less than what is to be added.
    pub fn resize(&mut self, len: usize, value: u8) {
        let more = len.saturating_sub(self.len());
        assert!(more <= self.spare(), "{more} bytes for {} of spare capacity", self.spare());
        self.spare_capacity_mut()[..more].fill(MaybeUninit::new(value));
        self.end += more as u32;
        self.truncate(len);
    }

    /// Bytes that can still be appended.
    pub fn spare(&self) -> usize {
        (self.memory.capacity - self.end) as usize
    }

    /// The memory behind the bytes.
    pub fn spare_capacity_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        let (end, spare) = (self.end as usize, self.spare());
        // SAFETY: `end` is at most the capacity of the memory, which is ours; MaybeUninit may be uninitialised.
        unsafe { slice::from_raw_parts_mut(self.memory.address.as_ptr().add(end).cast(), spare) }
    }

    /// Makes the first `count` bytes of the spare capacity part of the buffer.
    ///
    /// # Safety
    /// They have been written.
    ///
    /// # Panics
    /// If the spare capacity is less.
    pub unsafe fn append_written(&mut self, count: usize) {
        assert!(count <= self.spare(), "{count} bytes for {} of spare capacity", self.spare());
        self.end += count as u32;
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: from `start` to `end` the memory is ours and has been written.
        unsafe {
            slice::from_raw_parts(
                self.memory.address.as_ptr().add(self.start as usize),
                (self.end - self.start) as usize,
            )
        }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`, and the buffer is borrowed mutably.
        unsafe {
            slice::from_raw_parts_mut(
                self.memory.address.as_ptr().add(self.start as usize),
                (self.end - self.start) as usize,
            )
        }
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuf({} of {} bytes)", self.len(), self.capacity())
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        if self.memory.capacity > 0 {
            let memory = std::mem::take(&mut self.memory);
            context::with(move |core| core.pool.put_aligned(memory));
        }
    }
}

/// Owned memory with no meaning.
pub(super) struct AlignedMemory {
    address: NonNull<u8>,
    capacity: u32,
    alignment: u32,
    /// What it was cut from, if the allocator did not give it.
    page: Option<Arc<HugePage>>,
}

// SAFETY: the memory is owned by this value alone, as a vector's is.
unsafe impl Send for AlignedMemory {}
// SAFETY: a shared reference changes nothing.
unsafe impl Sync for AlignedMemory {}

impl AlignedMemory {
    fn new(capacity: usize, alignment: usize) -> AlignedMemory {
        if capacity == 0 {
            let mut nothing = AlignedMemory::default();
            nothing.alignment = alignment as u32;
            return nothing;
        }
        let layout = Layout::from_size_align(capacity, alignment).expect("the caller checked both");
        // SAFETY: the size is not zero.
        let memory = unsafe { alloc(layout) };
        let Some(address) = NonNull::new(memory) else { handle_alloc_error(layout) };
        AlignedMemory { address, capacity: capacity as u32, alignment: alignment as u32, page: None }
    }

    /// As many as a huge page has room for.
    pub(super) fn cut(
        page: &Arc<HugePage>,
        capacity: usize,
        alignment: usize,
    ) -> impl Iterator<Item = AlignedMemory> {
        debug_assert!(capacity.is_multiple_of(alignment), "so that each piece is aligned");
        page.pieces(capacity).map(move |address| AlignedMemory {
            address,
            capacity: capacity as u32,
            alignment: alignment as u32,
            page: Some(page.clone()),
        })
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity as usize
    }

    pub(super) fn is_like(&self, capacity: usize, alignment: usize) -> bool {
        (self.capacity as usize, self.alignment as usize) == (capacity, alignment)
    }
}

impl Default for AlignedMemory {
    /// No memory.
    fn default() -> AlignedMemory {
        AlignedMemory { address: NonNull::dangling(), capacity: 0, alignment: 1, page: None }
    }
}

impl Drop for AlignedMemory {
    fn drop(&mut self) {
        if self.capacity > 0 && self.page.is_none() {
            let layout = Layout::from_size_align(self.capacity as usize, self.alignment as usize)
                .expect("it was allocated so");
            // SAFETY: allocated in `new` with this layout, as it was not cut from a page, and owned by this value.
            unsafe { dealloc(self.address.as_ptr(), layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_appended_skipped_and_cut() {
        let mut buffer = AlignedBuf::new(1000, 512);
        assert_eq!((buffer.capacity(), buffer.spare()), (1024, 1024));
        assert_eq!(buffer.as_ptr().addr() % 512, 0);
        buffer.extend_from_slice(b"0123456789");
        buffer.skip(3);
        buffer.truncate(4);
        assert_eq!(&buffer[..], b"3456");
        buffer.resize(6, b'x');
        assert_eq!((&buffer[..], buffer.spare()), (&b"3456xx"[..], 1024 - 9));
        buffer.spare_capacity_mut()[0].write(b'!');
        // SAFETY: written the line above.
        unsafe { buffer.append_written(1) };
        buffer[0] = b'_';
        assert_eq!(&buffer[..], b"_456xx!");
        buffer.clear();
        assert_eq!((buffer.len(), buffer.spare()), (0, 1024));
    }

    #[test]
    fn an_empty_one_has_no_memory() {
        let mut buffer = AlignedBuf::new(0, 4096);
        assert_eq!((buffer.len(), buffer.capacity(), buffer.alignment()), (0, 0, 4096));
        buffer.extend_from_slice(&[]);
        assert!(buffer.spare_capacity_mut().is_empty() && AlignedBuf::default().is_empty());
    }

    #[test]
    #[should_panic(expected = "5 bytes for 4 of spare capacity")]
    fn it_does_not_grow() {
        let mut buffer = AlignedBuf::new(4, 4);
        buffer.extend_from_slice(b"12345");
    }

    #[test]
    #[should_panic(expected = "power of two")]
    fn an_alignment_is_a_power_of_two() {
        drop(AlignedBuf::new(4, 3));
    }

    #[cfg(not(any(loom, miri)))]
    #[test]
    fn large_ones_share_a_huge_page() {
        crate::block_on(async {
            const SIZE: usize = 256 * 1024;
            let mut blocks: Vec<AlignedBuf> = (0..8).map(|_| AlignedBuf::new(SIZE, 4096)).collect();
            let mut addresses: Vec<usize> = blocks.iter().map(|block| block.as_ptr().addr()).collect();
            for (number, block) in blocks.iter_mut().enumerate() {
                block.resize(SIZE, number as u8);
            }
            for (number, block) in blocks.iter().enumerate() {
                assert!(block.iter().all(|byte| *byte == number as u8), "block {number} is another's too");
            }
            addresses.sort_unstable();
            assert!(addresses[0].is_multiple_of(2 << 20));
            assert!(addresses.windows(2).all(|pair| pair[1] - pair[0] == SIZE), "{addresses:x?}");

            // Those that are dropped elsewhere do not come back, and what is left of their page is still good.
            let last = blocks.pop().unwrap();
            std::thread::spawn(move || drop(blocks)).join().unwrap();
            assert!(last.iter().all(|byte| *byte == 7));
            assert!(!addresses.contains(&AlignedBuf::new(SIZE, 4096).as_ptr().addr()));
        })
        .unwrap();
    }

    #[cfg(not(any(loom, miri)))]
    #[test]
    fn a_burst_pins_no_more_pages_than_a_core_keeps() {
        crate::block_on(async {
            let burst: Vec<AlignedBuf> = (0..200).map(|_| AlignedBuf::new(128 * 1024, 4096)).collect();
            let of_pages = burst.iter().filter(|buf| buf.memory.page.is_some()).count();
            assert_eq!(of_pages, 16 * 8, "8 pages of 16 pieces; the rest is the allocator's");
            drop(burst);
            // What was kept are pieces of those pages, which serve again.
            assert!(AlignedBuf::new(128 * 1024, 4096).memory.page.is_some());
        })
        .unwrap();
    }

    #[cfg(not(any(loom, miri)))]
    #[test]
    fn off_a_core_no_page_is_cut() {
        let block = AlignedBuf::new(1 << 20, 512);
        assert!(block.memory.page.is_none() && block.as_ptr().addr().is_multiple_of(512));
    }

    #[cfg(not(any(loom, miri)))]
    #[test]
    fn memory_comes_back_to_its_core() {
        crate::block_on(async {
            let first = AlignedBuf::new(8192, 4096);
            let address = first.as_ptr();
            drop(first);
            let other = AlignedBuf::new(8192, 512);
            assert_ne!(other.as_ptr(), address, "of another shape");
            assert_eq!(AlignedBuf::new(8000, 4096).as_ptr(), address);
        })
        .unwrap();
    }
}
