//! A pool of threads for what must block: name look-ups, files without io_uring, foreign libraries, long sums.
//!
//! The cores of a runtime share one pool. Its threads start when there is work, run on any CPU that the process may
//! use, and end when they have been idle for a while.

mod handle;
mod pool;
mod settings;

use std::panic::Location;

pub use handle::{BlockingHandle, QueueFull};
pub(crate) use pool::{Pool, Work};
pub(crate) use settings::Settings;

use crate::cores::context;

/// Runs a closure on the runtime's pool of blocking threads.
///
/// The handle is a future of the closure's result. Work runs in the order of its arrival, as soon as a thread is
/// free. When as much is queued as [`Builder::blocking_queue`](crate::Builder::blocking_queue) allows, the closure
/// waits for room for as long as its handle lives: a task that awaits the handle is slowed down, and nothing piles up
/// that nobody waits for. [`try_spawn_blocking`] says so instead of waiting.
///
/// A panic in the closure stays there: the handle returns [`JoinError::Panicked`](crate::JoinError::Panicked).
///
/// # Cancellation
/// What runs can't be stopped, only disowned: see [`BlockingHandle`]. At the end of the runtime, work that has not
/// begun is dropped and work that runs is waited for until the shutdown's deadline.
///
/// # Panics
/// Outside a core.
///
/// ```
/// use covet_runtime::{block_on, spawn_blocking};
///
/// let text = block_on(async { spawn_blocking(|| std::fs::read_to_string("/proc/version")).await })?;
/// assert!(text.expect("the closure does not panic")?.contains("Linux"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn spawn_blocking<F, T>(work: F) -> BlockingHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let at = Location::caller();
    let core = context::expect_current("spawn_blocking");
    let (job, handle) = handle::job(work, core.blocking.clone(), at);
    core.blocking.submit(handle.ticket(), Box::new(job));
    handle
}

/// As [`spawn_blocking`], but gives the closure back when the queue is full.
///
/// # Errors
/// [`QueueFull`], with the closure.
///
/// # Panics
/// Outside a core.
#[track_caller]
pub fn try_spawn_blocking<F, T>(work: F) -> Result<BlockingHandle<T>, QueueFull<F>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let at = Location::caller();
    let core = context::expect_current("try_spawn_blocking");
    if !core.blocking.reserve() {
        return Err(QueueFull(work));
    }
    let (job, handle) = handle::job(work, core.blocking.clone(), at);
    core.blocking.submit_reserved(handle.ticket(), Box::new(job));
    Ok(handle)
}

#[cfg(all(test, not(loom), not(miri)))]
mod tests;
