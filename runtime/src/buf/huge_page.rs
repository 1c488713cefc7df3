//! Large buffers cut from huge pages.
//!
//! A buffer of 256 KiB made of ordinary pages is 64 pieces of memory to a device, each with a descriptor of its own; in
//! a huge page it is one. Where a queue has 256 descriptors, that decides whether three such reads are under way or all.

use std::ffi::c_void;
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
pub(super) struct HugePage {
    page: NonNull<u8>,
    mapping: Mapping,
}

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
        let mut mapping = Mapping { start, len: MAPPED };
        let page = mapping.trim(munmap);
        // Without huge pages it is memory like any other.
        // SAFETY: the range is ours, and the advice changes nothing that it holds.
        let _ = unsafe { madvise(page, HUGE_PAGE, Advice::LinuxHugepage) };
        Some(Arc::new(HugePage { page: NonNull::new(page.cast())?, mapping }))
    }

    /// The addresses of the pieces of this size that it can be cut into.
    pub(super) fn pieces(&self, size: usize) -> impl Iterator<Item = NonNull<u8>> + use<> {
        let start = self.page;
        // SAFETY: each piece begins inside the mapping.
        (0..HUGE_PAGE / size).map(move |number| unsafe { start.add(number * size) })
    }
}

impl Drop for HugePage {
    fn drop(&mut self) {
        let Mapping { start, len } = self.mapping;
        // SAFETY: mapped in `new`, and what was unmapped since is not in it; pieces hold a reference, so none is left.
        if unsafe { munmap(start, len) }.is_err() {
            // The kernel may have joined it with a neighbour, and have no mapping left for what would be on its other side.
            // SAFETY: as above; the range stays reserved, without the memory.
            let _ = unsafe { madvise(start, len, Advice::LinuxDontNeed) };
        }
    }
}

/// What is mapped for one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mapping {
    start: *mut c_void,
    len: usize,
}

impl Mapping {
    /// Gives back what lies around an aligned page, whose address it returns. What can't be given back (ENOMEM, if the
    /// process has as many mappings as it may) stays part of the mapping, to go with it.
    fn trim(&mut self, unmap: unsafe fn(*mut c_void, usize) -> rustix::io::Result<()>) -> *mut c_void {
        let before = self.start.addr().next_multiple_of(HUGE_PAGE) - self.start.addr();
        let after = self.len - before - HUGE_PAGE;
        let page = self.start.wrapping_byte_add(before);
        // SAFETY: what lies before is ours, is whole pages, and nothing refers to it.
        if before > 0 && unsafe { unmap(self.start, before) }.is_ok() {
            *self = Mapping { start: page, len: self.len - before };
        }
        // SAFETY: what lies after, likewise; the page ends inside the mapping or with it.
        if after > 0 && unsafe { unmap(page.wrapping_byte_add(HUGE_PAGE), after) }.is_ok() {
            self.len -= after;
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_trimmed_goes_with_the_page() {
        let within = |offset: usize| Mapping {
            start: ptr::without_provenance_mut(HUGE_PAGE + offset),
            len: 2 * HUGE_PAGE,
        };
        for offset in [0, 4096, HUGE_PAGE - 4096] {
            let mut kept = within(offset);
            let page = kept.trim(|_, _| Err(rustix::io::Errno::NOMEM));
            assert!(page.addr().is_multiple_of(HUGE_PAGE));
            assert_eq!(kept, within(offset), "all of it is still mapped");

            let mut trimmed = within(offset);
            assert_eq!(trimmed.trim(|_, _| Ok(())), page);
            assert_eq!(trimmed, Mapping { start: page, len: HUGE_PAGE });

            let mut half = within(offset);
            half.trim(
                |at, _| if at.addr() % HUGE_PAGE == 0 { Ok(()) } else { Err(rustix::io::Errno::NOMEM) },
            );
            let end = page.addr() + HUGE_PAGE;
            assert_eq!((half.start, half.start.addr() + half.len), (within(offset).start, end), "{offset}");
        }
    }
}
