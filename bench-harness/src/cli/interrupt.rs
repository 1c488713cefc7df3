//! SIGINT and SIGTERM: a run ends, and what it has measured is printed; whatever else is measured ends with a line that says so.

use std::cell::Cell;
use std::fs;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::exit::Advise;
use crate::load::{Beside, LoadPlan, Progress};
use crate::quantity::time;
use crate::record::Interval;
use crate::target::accounting;

/// The signal that came and has not ended the process; 0 while none has.
static CAME: AtomicI32 = AtomicI32::new(0);
/// Whether a signal ends the process.
static IS_DEADLY: AtomicBool = AtomicBool::new(true);
/// When it came.
static CAME_AT: OnceLock<Instant> = OnceLock::new();
/// What is undone before a signal ends the process, the latest first.
static UNDONE: Mutex<Vec<Box<dyn FnOnce() + Send>>> = Mutex::new(Vec::new());

/// What sends a signal to a process and to its group, as timeout(1) does, sends it twice within this time.
const ONE_SIGNAL: Duration = Duration::from_millis(300);

/// Listens for signals, from now on and once for the process.
///
/// One that comes ends the process as if nobody listened, so that its status says so: after what [`undo`] was told, with the
/// processes that were started here, and with a line on standard error. One that the process was started with ignored, as a
/// shell does for what it runs in the background, stays ignored.
///
/// # Errors
/// When the kernel lets no handler be installed, or there is no thread.
pub(super) fn listen() -> anyhow::Result<()> {
    static LISTENING: OnceLock<()> = OnceLock::new();
    if LISTENING.set(()).is_err() {
        return Ok(());
    }
    let ignored = ignored_signals(&fs::read_to_string("/proc/self/status").unwrap_or_default());
    let heard = [SIGINT, SIGTERM].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let started = Signals::new(heard).and_then(|mut signals| {
        thread::Builder::new().name("signals".to_owned()).spawn(move || signals.forever().for_each(came))
    });
    started
        .map(drop)
        .advise("signals cannot be heard", "Look at the limits of threads and descriptors (ulimit -a)")
}

/// Has this done before a signal ends the process.
pub(super) fn undo(what: impl FnOnce() + Send + 'static) {
    UNDONE.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(what));
}

/// On the thread that listens.
fn came(signal: i32) {
    if CAME_AT.get().is_some_and(|at| at.elapsed() < ONE_SIGNAL) {
        return;
    }
    // The second one ends the process, whatever became of the first.
    if !IS_DEADLY.swap(true, Ordering::AcqRel) {
        CAME_AT.get_or_init(Instant::now);
        CAME.store(signal, Ordering::Release);
        return;
    }
    let mut undone = std::mem::take(&mut *UNDONE.lock().unwrap_or_else(PoisonError::into_inner));
    while let Some(undo) = undone.pop() {
        undo();
    }
    let started_here = accounting::descendants(std::process::id());
    for pid in started_here.into_iter().filter_map(|pid| Pid::from_raw(pid as i32)) {
        // One that has ended meanwhile needs no signal, and one that was stopped hears of it when it goes on.
        let _ = kill_process(pid, Signal::TERM);
        let _ = kill_process(pid, Signal::CONT);
    }
    if CAME.load(Ordering::Acquire) == 0 {
        // Over a line that shows how far it has come.
        let clear = if io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
        eprintln!("{clear}covet-bench: {} came before there was a result", name(signal));
    }
    die(signal);
}

/// Ends the process by a signal, so that whoever started it knows.
fn die(signal: i32) {
    // It returns where the signal cannot be raised, and the exit status tells of the rest then.
    let _ = emulate_default_handler(signal);
}

fn name(signal: i32) -> &'static str {
    if signal == SIGINT { "SIGINT" } else { "SIGTERM" }
}

/// Ends a run at a signal, once there is something to print of it: when a second of a window has been measured.
#[derive(Default)]
pub(super) struct Interrupt {
    has_measured: Cell<bool>,
    measured: Cell<Duration>,
}

impl Interrupt {
    /// Beside whoever watches the run.
    pub(super) fn beside(inner: &dyn Progress) -> Beside<'_, Self> {
        Beside::new(Self::default(), inner)
    }

    /// Whether a signal has ended the run.
    pub(super) fn has_come() -> bool {
        CAME.load(Ordering::Acquire) != 0
    }

    /// Ends the process by the signal that came; returns where none did.
    pub(super) fn end() {
        if Self::has_come() {
            die(CAME.load(Ordering::Acquire));
        }
    }
}

impl Progress for Interrupt {
    fn started(&self, _plan: &LoadPlan) {
        self.measured.set(Duration::ZERO);
    }

    fn interval(&self, interval: &Interval) {
        self.measured.set(self.measured.get() + interval.length);
        if !self.has_measured.replace(true) {
            IS_DEADLY.store(false, Ordering::Release);
        }
    }

    fn ends(&self) -> Option<String> {
        match CAME.load(Ordering::Acquire) {
            0 => None,
            signal => {
                Some(format!("{} came, after {} of the window", name(signal), time(self.measured.get())))
            }
        }
    }
}

/// The mask of the signals that a process ignores (`SigIgn` of proc_pid_status(5)); nothing where it is not told.
fn ignored_signals(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_of_the_kernel_s_words() {
        let status =
            "Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001002\nSigCgt:\t0000000000000000\n";
        assert_eq!(ignored_signals(status), 0x1002);
        assert_eq!(ignored_signals("Name:\tx\n"), 0);
        assert!(fs::read_to_string("/proc/self/status").is_ok_and(|text| text.contains("SigIgn:")));
    }
}
