//! Large buffers cut from huge pages.
//!
//! A buffer of 256 KiB made of ordinary pages is 64 pieces of memory to a device, each with a descriptor of its own; in
//! a huge page it is one. Where a queue has 256 descriptors, that decides whether three such reads are under way or all.

use std::ptr::{self, NonNull};
use std::sync::Arc;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// A huge page of x86-64, and of AArch64 with pages of 4 KiB.
pub(super) const HUGE_PAGE: usize = 2 << 20;
/// Buffers of fewer bytes gain little from it, and would each hold a whole one.
const LEAST: usize = 128 * 1024;

/// Whether buffers of this size are cut from huge pages. Others, such as the last block of a file, are of all sizes, so
/// that hardly two would share one.
pub(super) fn suits(capacity: usize) -> bool {
    capacity.is_power_of_two() && (LEAST..HUGE_PAGE).contains(&capacity)
}

/// Memory that begins at a multiple of its length, which is that of a huge page. The kernel backs it with one if it has
/// one to give and is set to (`/sys/kernel/mm/transparent_hugepage/enabled` at `madvise` or `always`).
pub(super) struct HugePage(NonNull<u8>);

// SAFETY: it only stands for a mapping, which belongs to no thread.
unsafe impl Send for HugePage {}
// SAFETY: a shared reference gives out an address and no more.
unsafe impl Sync for HugePage {}

impl HugePage {
    /// `None` if there is no memory for it.
    pub(super) fn new() -> Option<Arc<HugePage>> {
        const MAPPED: usize = 2 * HUGE_PAGE;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping where the kernel finds room.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), MAPPED, access, MapFlags::PRIVATE) }.ok()?;
        let before = start.addr().next_multiple_of(HUGE_PAGE) - start.addr();
        // SAFETY: at most one huge page further on, in a mapping of two.
        let page = unsafe { start.byte_add(before) };
        // SAFETY: what lies around the aligned page is ours, is whole pages, and nothing refers to it. A failure leaves
        // it mapped and untouched.
        unsafe {
            if before > 0 {
                let _ = munmap(start, before);
            }
            if before < HUGE_PAGE {
                let _ = munmap(page.byte_add(HUGE_PAGE), HUGE_PAGE - before);
            }
        }
        // Without huge pages it is memory like any other.
        // SAFETY: the range is ours, and the advice changes nothing that it holds.
        let _ = unsafe { madvise(page, HUGE_PAGE, Advice::LinuxHugepage) };
        Some(Arc::new(HugePage(NonNull::new(page.cast())?)))
    }

    /// The addresses of the pieces of this size that it can be cut into.
    pub(super) fn pieces(&self, size: usize) -> impl Iterator<Item = NonNull<u8>> + use<> {
        let start = self.0;
        // SAFETY: each piece begins inside the mapping.
        (0..HUGE_PAGE / size).map(move |number| unsafe { start.add(number * size) })
    }
}

impl Drop for HugePage {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length; pieces hold a reference to it, so none is left.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), HUGE_PAGE) };
    }
}
