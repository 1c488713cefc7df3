//! Threads that run before all ordinary ones (SCHED_FIFO, sched(7)).

use std::io;
use std::thread;

/// What is measured: a load and its server.
pub(crate) const MEASURED: i32 = 1;
/// What happens beside a load at its own time, for some microseconds at a time.
pub(crate) const BESIDE: i32 = 2;
/// Who watches the machine, whatever goes first on it.
pub(crate) const WATCHING: i32 = 3;

/// Gives the calling thread a real-time `priority`, of 1 (the lowest) to 99: it runs as soon as it has something to do, and
/// for as long as it has, whatever ordinary threads there are. What it starts inherits it.
///
/// # Errors
/// Without CAP_SYS_NICE or an RLIMIT_RTPRIO of as much (`PermissionDenied`); with another priority (`InvalidInput`).
pub(crate) fn go_first(priority: i32) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the structure is alive during the call, which only reads it; 0 is the calling thread.
    let outcome = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &parameters) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether threads of this process may, found out by one that has nothing else to do.
///
/// # Errors
/// As [`go_first`] has them, and when no thread can be started.
pub(crate) fn may_go_first(priority: i32) -> io::Result<()> {
    let attempt = thread::Builder::new().name("realtime".to_owned()).spawn(move || go_first(priority))?;
    attempt.join().unwrap_or_else(|_| Err(io::Error::other("the thread that asks has panicked")))
}
