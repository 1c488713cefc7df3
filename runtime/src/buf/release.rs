//! Memory that a core keeps for the next burst, given back.

use crate::cores::context;

/// Gives the memory back that this core keeps though nothing uses it now: free buffers, room for more connections,
/// timers and tasks than there are, and what the C library's allocator keeps of freed memory.
///
/// For a moment when a burst is over, and not often: it takes up to some milliseconds, in which the allocator is held
/// up on other threads as well (malloc_trim(3)), and the next burst has to ask for memory again. Off a core, only the
/// allocator is asked.
pub fn release() {
    context::with(|core| {
        core.pool.release();
        core.driver.borrow_mut().release();
        core.wheel.borrow_mut().release();
        core.executor.release();
    });
    trim_allocator();
}

#[cfg(all(target_env = "gnu", not(miri)))]
fn trim_allocator() {
    // SAFETY: it touches nothing but memory that the allocator has and nobody uses, and may be called by any thread.
    unsafe { libc::malloc_trim(0) };
}

/// Others give back by themselves what they give back at all.
#[cfg(not(all(target_env = "gnu", not(miri))))]
fn trim_allocator() {}
