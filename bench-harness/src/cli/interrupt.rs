//! SIGINT and SIGTERM during a run: it ends, and what it has measured is printed.

use std::cell::Cell;
use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::emulate_default_handler;

use crate::load::{Beside, LoadPlan, Progress};
use crate::record::Interval;

/// Ends a run at a signal, once there is something to print of it.
///
/// Until a second of a window has been measured, signals end the process at once, as they would without this; so does
/// the second signal. One that the process was started with ignored, as a shell does for what it runs in the background,
/// stays ignored.
pub(super) struct Interrupt {
    /// The signal that came; 0 while none has.
    came: Arc<AtomicUsize>,
    /// Whether a signal ends the process.
    is_deadly: Arc<AtomicBool>,
    has_measured: Cell<bool>,
    measured: Cell<Duration>,
}

impl Interrupt {
    /// Listens for signals, beside whoever watches the run.
    ///
    /// # Errors
    /// When the kernel lets no handler be installed.
    pub(super) fn beside(inner: &dyn Progress) -> io::Result<Beside<'_, Self>> {
        let interrupt = Self {
            came: Arc::default(),
            is_deadly: Arc::new(AtomicBool::new(true)),
            has_measured: Cell::new(false),
            measured: Cell::default(),
        };
        let ignored = ignored_signals(&fs::read_to_string("/proc/self/status").unwrap_or_default());
        for signal in [SIGINT, SIGTERM] {
            if ignored & (1 << (signal - 1)) == 0 {
                interrupt.listen(signal)?;
            }
        }
        Ok(Beside::new(interrupt, inner))
    }

    /// Handlers run in the order in which they are registered: a signal is asked about before it is remembered.
    fn listen(&self, signal: i32) -> io::Result<()> {
        let (came, is_deadly) = (self.came.clone(), self.is_deadly.clone());
        flag::register_conditional_default(signal, is_deadly.clone())?;
        flag::register(signal, is_deadly)?;
        flag::register_usize(signal, came, signal as usize)?;
        Ok(())
    }

    /// Ends the process by the signal that came, so that whoever started it knows; returns where none did.
    pub(super) fn end(self) {
        let signal = self.came.load(Ordering::Acquire) as i32;
        if signal != 0 {
            // It returns where the signal cannot be raised, and the exit status tells of the run then.
            let _ = emulate_default_handler(signal);
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
            self.is_deadly.store(false, Ordering::Release);
        }
    }

    fn ends(&self) -> Option<String> {
        let name = match self.came.load(Ordering::Acquire) as i32 {
            0 => return None,
            SIGINT => "SIGINT",
            _ => "SIGTERM",
        };
        Some(format!("{name} came, after {:.1?} of the window", self.measured.get()))
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
