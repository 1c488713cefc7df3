//! The system's allocator with two counts for each thread, for the tests and benches of all crates that count.

#![allow(dead_code, reason = "each of them uses a part of this")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

/// How often this thread has asked for memory: allocations, and those that grow or shrink.
pub(crate) fn calls() -> usize {
    CALLS.get()
}

/// Bytes that this thread has allocated and not freed; below zero where it frees what others allocated.
pub(crate) fn live() -> isize {
    LIVE.get()
}

// SAFETY: every call is passed on to the system's allocator unchanged; the counters are plain thread-locals without a
// destructor, so counting allocates nothing and works until a thread's very end.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        LIVE.set(LIVE.get() + layout.size() as isize);
        // SAFETY: forwarded.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - layout.size() as isize);
        // SAFETY: forwarded.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        LIVE.set(LIVE.get() + size as isize - layout.size() as isize);
        // SAFETY: forwarded.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
