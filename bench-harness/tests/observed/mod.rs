//! Waiting until a load has begun, in a process of its own.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How long it may take to begin: a hang is a failure and not a stuck test.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the process watches the machine for a run: all connections are open then, and the warm-up begins.
pub(crate) fn await_load(pid: u32) {
    let end = Instant::now() + PATIENCE;
    while !has_thread(pid, "observer") {
        assert!(Instant::now() < end, "process {pid} has not begun its load");
        thread::sleep(Duration::from_millis(5));
    }
}

fn has_thread(pid: u32, name: &str) -> bool {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.into_iter().any(|found| found.trim_end() == name)
}
