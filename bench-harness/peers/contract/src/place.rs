//! Where threads run.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::thread::{CpuSet, sched_setaffinity};

/// Pins the calling thread to one CPU; a CPU outside the process's allowed set leaves it where it is.
pub fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    if let Err(error) = sched_setaffinity(None, &set) {
        eprintln!("thread not pinned to CPU {cpu}: {error}");
    }
}

/// Pins the calling thread to the next CPU, once per thread, for frameworks that start their own workers.
pub fn pin_next() {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static PINNED: Cell<bool> = const { Cell::new(false) });
    if !PINNED.replace(true) {
        pin(NEXT.fetch_add(1, Ordering::Relaxed));
    }
}

/// Runs `serve` on `cores` pinned threads and waits for all of them.
pub fn each_core(cores: usize, serve: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        for cpu in 0..cores {
            let serve = &serve;
            scope.spawn(move || {
                pin(cpu);
                serve(cpu);
            });
        }
    });
}
