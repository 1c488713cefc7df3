//! CPU time of the server and of everything else within the measured window, by the kernel's books.

use std::cell::Cell;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::load::{LoadPlan, Progress};
use crate::record::Interval;
use crate::target::accounting;

/// Reads the kernel's books when the measured window opens and when it closes.
///
/// The books and the window differ by the time that a wake-up takes, so the meter divides by its own clock.
pub(super) struct Meter {
    pid: Option<u32>,
    cores: Vec<usize>,
    warmup: Duration,
    opening: Cell<Option<mpsc::Receiver<Reading>>>,
    closing: Cell<Option<Reading>>,
}

/// What the books say at one moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    server: Option<Duration>,
    all: Option<Duration>,
}

/// CPU time over wall time between two readings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Used {
    /// Of the server, where its process is known.
    pub(super) server: Option<f64>,
    /// Of everything on the cores of both sides.
    pub(super) all: Option<f64>,
}

impl Reading {
    fn now(pid: Option<u32>, cores: &[usize]) -> Option<Reading> {
        // A process that was there and has gone leaves nothing to compare with.
        let server = pid.map(accounting::cpu_time).transpose().ok()?;
        Some(Reading { at: Instant::now(), server, all: accounting::time_of_cpus(cores).ok() })
    }
}

impl Meter {
    /// For a server whose process may be known, and the cores of both sides.
    pub(super) fn new(pid: Option<u32>, cores: &[usize], warmup: Duration) -> Meter {
        Meter { pid, cores: cores.to_vec(), warmup, opening: Cell::new(None), closing: Cell::new(None) }
    }

    /// What was used within the window; `None` where the run was given up, or the server has gone.
    pub(super) fn used(&self) -> Option<Used> {
        let opened = self.opening.take()?.recv().ok()?;
        let closed = self.closing.take()?;
        let wall = closed.at.checked_duration_since(opened.at)?.as_secs_f64();
        let over = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64() / wall;
        (wall > 0.0).then(|| Used {
            server: opened.server.zip(closed.server).map(|(from, to)| over(from, to)),
            all: opened.all.zip(closed.all).map(|(from, to)| over(from, to)),
        })
    }
}

impl Progress for Meter {
    fn started(&self, _plan: &LoadPlan) {
        let (sender, receiver) = mpsc::channel();
        let (pid, cores, warmup) = (self.pid, self.cores.clone(), self.warmup);
        thread::spawn(move || {
            thread::sleep(warmup);
            if let Some(reading) = Reading::now(pid, &cores) {
                // Nobody waits for it when the run was given up.
                let _ = sender.send(reading);
            }
        });
        self.opening.set(Some(receiver));
    }

    fn interval(&self, _interval: &Interval) {
        self.closing.set(Reading::now(self.pid, &self.cores));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{TargetUrl, allowed_cpus};

    fn plan() -> LoadPlan {
        LoadPlan::closed(TargetUrl::parse("http://127.0.0.1:1/").unwrap(), vec![0])
    }

    #[test]
    fn a_meter_sees_the_cores_that_are_used() {
        // In a process of its own: threads of other tests end while this one counts, and take their time with them.
        let mut busy = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let meter = Meter::new(Some(busy.id()), &allowed_cpus(), Duration::ZERO);
        meter.started(&plan());
        std::thread::sleep(Duration::from_millis(500));
        // Others may leave it little of its core.
        let (begun, enough) = (Instant::now(), Duration::from_millis(200));
        let used_up = || accounting::cpu_time(busy.id()).unwrap() >= enough;
        while !used_up() && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(50));
        }
        meter.closing.set(Reading::now(Some(busy.id()), &allowed_cpus()));
        let (opened, closed) = (begun - Duration::from_millis(500), Instant::now());
        busy.kill().unwrap();
        busy.wait().unwrap();
        let used = meter.used().unwrap();
        // Before the first reading it may have used a part of that.
        let least = 0.25 * enough.as_secs_f64() / (closed - opened).as_secs_f64();
        assert!(used.server.unwrap() > least, "{used:?}, at least {least}");
        assert!(used.all.unwrap() > least, "{used:?}, at least {least}");
    }

    #[test]
    fn a_meter_without_a_process_reads_nothing() {
        let meter = Meter::new(Some(u32::MAX), &[0], Duration::ZERO);
        meter.started(&plan());
        assert_eq!(meter.used(), None);
    }
}
