//! Whether a server's memory and descriptors grow under a load that stays the same.

mod html;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use covet_runtime::JoinError;
use serde::Serialize;
use thiserror::Error;

use crate::load::{self, Beside, LoadError, LoadPlan, Progress};
use crate::record::RunRecord;
use crate::report::Check;
use crate::stats::LEVEL;
use crate::stats::trend::Slope;
use crate::target::accounting::{self, Resident};

/// Readings over the whole load; more would only depend on each other.
const READINGS: u32 = 400;
/// The fewest readings that a slope may rest on.
pub const FEWEST: usize = 12;
const SHORTEST_PERIOD: Duration = Duration::from_millis(50);
/// The part of the load in which a server may still fill its caches and pools.
const SETTLING: f64 = 0.2;

/// What a server had at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reading {
    /// Seconds since the measured window opened.
    pub at_s: f64,
    /// Resident memory of the process and its descendants, in bytes.
    pub resident: u64,
    /// Their open descriptors; `None` where they may not be seen.
    pub descriptors: Option<u64>,
}

/// What a slope says about a leak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// The whole interval lies above the limit.
    Leak,
    /// The whole interval lies at or below the limit.
    NoLeak,
    /// The interval holds the limit: a longer soak would tell.
    Undecided,
}

impl Finding {
    /// The words that are printed.
    pub fn label(self) -> &'static str {
        match self {
            Finding::Leak => "LEAK",
            Finding::NoLeak => "NO LEAK",
            Finding::Undecided => "UNDECIDED",
        }
    }
}

/// What a soak comes to: the worst that any quantity came to, or that nothing follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A guard of the load failed: whether the server was under this load at all is not known.
    Invalid,
    /// Every guard held.
    Found(Finding),
}

impl Verdict {
    /// The words that are printed.
    pub fn label(self) -> &'static str {
        match self {
            Verdict::Invalid => "INVALID",
            Verdict::Found(finding) => finding.label(),
        }
    }

    /// The finding, where there is one.
    pub fn finding(self) -> Option<Finding> {
        match self {
            Verdict::Invalid => None,
            Verdict::Found(finding) => Some(finding),
        }
    }
}

/// Growth of one quantity.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Growth {
    /// At the first reading that counts.
    pub first: f64,
    /// At the last.
    pub last: f64,
    /// The Theil-Sen slope per hour.
    pub per_hour: f64,
    /// Lower end of its interval.
    pub lower: f64,
    /// Upper end of its interval.
    pub upper: f64,
    /// The growth per hour that is no leak.
    pub limit: f64,
    /// What follows.
    pub finding: Finding,
}

impl Growth {
    /// Judges readings that are `period` apart by a limit per hour. `None` with fewer than [`FEWEST`].
    pub fn of(values: &[f64], period: Duration, limit: f64) -> Option<Growth> {
        if values.len() < FEWEST || period.is_zero() {
            return None;
        }
        let slope = Slope::of_dependent(values, LEVEL)?.scaled(3600.0 / period.as_secs_f64());
        let finding = match () {
            () if slope.lower > limit => Finding::Leak,
            () if slope.upper <= limit => Finding::NoLeak,
            () => Finding::Undecided,
        };
        Some(Growth {
            first: *values.first()?,
            last: *values.last()?,
            per_hour: slope.estimate,
            lower: slope.lower,
            upper: slope.upper,
            limit,
            finding,
        })
    }
}

/// A load, and what the server had meanwhile.
#[derive(Debug)]
pub struct Soak {
    /// The load.
    pub record: RunRecord,
    /// The readings, from the opening of the window.
    pub readings: Vec<Reading>,
    /// Time between two of them.
    pub period: Duration,
    /// When the process was found to have ended, from the opening of the window, where it did before the load.
    pub lost: Option<Duration>,
    /// Whether pages that the server's processes share are in the readings once.
    pub shared_pages_once: bool,
}

/// Why there is no soak.
#[derive(Debug, Error)]
pub enum SoakError {
    /// The load did not begin.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The thread that reads what the server has could not be started.
    #[error("the server's memory cannot be read beside the load: no thread for it")]
    Thread(#[source] io::Error),
    /// The thread that reads what the server has panicked.
    #[error("the readings of the server's memory broke off: {0}")]
    Panicked(String),
}

impl Soak {
    /// The readings that count: without the first fifth, in which pools and caches fill.
    pub fn settled(&self) -> &[Reading] {
        let skipped = (self.readings.len() as f64 * SETTLING).ceil() as usize;
        &self.readings[skipped.min(self.readings.len())..]
    }

    /// Growth of the resident memory, by a limit in bytes per hour.
    pub fn memory(&self, limit: f64) -> Option<Growth> {
        let values: Vec<f64> = self.settled().iter().map(|reading| reading.resident as f64).collect();
        Growth::of(&values, self.period, limit)
    }

    /// Growth of the descriptors, by a limit per hour; `None` where they could not be seen.
    pub fn descriptors(&self, limit: f64) -> Option<Growth> {
        let values: Option<Vec<f64>> =
            self.settled().iter().map(|reading| Some(reading.descriptors? as f64)).collect();
        Growth::of(&values?, self.period, limit)
    }

    /// What the growth of each quantity comes to together, under a load whose guards held.
    pub fn verdict<'a>(&self, grown: impl IntoIterator<Item = &'a Growth>) -> Verdict {
        if !self.record.is_valid() {
            return Verdict::Invalid;
        }
        let findings: Vec<Finding> = grown.into_iter().map(|growth| growth.finding).collect();
        Verdict::Found(match () {
            () if findings.contains(&Finding::Leak) => Finding::Leak,
            () if findings.contains(&Finding::Undecided) => Finding::Undecided,
            () => Finding::NoLeak,
        })
    }

    /// What the load had to pass.
    pub fn checks(&self) -> Vec<Check> {
        self.record.guards().into_iter().filter_map(Check::of).collect()
    }
}

/// Loads a server and reads what process `pid` and its descendants have, from the opening of the window to its end.
///
/// # Errors
/// When the load does not begin, or the readings break off for another reason than the end of the server.
pub fn soak(plan: &LoadPlan, pid: u32, progress: &dyn Progress) -> Result<Soak, SoakError> {
    let length = plan.extent.duration.unwrap_or(Duration::from_secs(10));
    let period = (length / READINGS).max(SHORTEST_PERIOD);
    let watch = Watch { pid, warmup: plan.warmup, period, watcher: RefCell::new(None) };
    let beside = Beside::new(watch, progress);
    let record = load::run(plan, &beside)?;
    let Readings { readings, lost, shared_pages_once } = beside.into_witness().finish()?;
    Ok(Soak { record, readings, period, lost, shared_pages_once })
}

/// Starts the readings with the load.
struct Watch {
    pid: u32,
    warmup: Duration,
    period: Duration,
    watcher: RefCell<Option<io::Result<Watcher>>>,
}

/// Reads until it is told to stop, or the process is gone.
struct Watcher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Readings>,
}

/// What was read.
struct Readings {
    readings: Vec<Reading>,
    lost: Option<Duration>,
    shared_pages_once: bool,
}

impl Watcher {
    fn start(body: impl FnOnce(&AtomicBool) -> Readings + Send + 'static) -> io::Result<Watcher> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::Builder::new().name("soak".to_owned()).spawn(move || body(&stopped))?;
        Ok(Watcher { stop, thread })
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
    }

    fn finish(self) -> Result<Readings, SoakError> {
        self.stop();
        self.thread.join().map_err(|panic| SoakError::Panicked(JoinError::panic_text(&*panic)))
    }
}

impl Watch {
    fn finish(self) -> Result<Readings, SoakError> {
        match self.watcher.into_inner() {
            Some(watcher) => watcher.map_err(SoakError::Thread)?.finish(),
            // The load did not come as far as its window, and has said why.
            None => Ok(Readings { readings: Vec::new(), lost: None, shared_pages_once: true }),
        }
    }
}

impl Progress for Watch {
    fn started(&self, _plan: &LoadPlan) {
        let (pid, period) = (self.pid, self.period);
        let opens = Instant::now() + self.warmup;
        let watcher = Watcher::start(move |stop| watch(pid, opens, period, stop));
        *self.watcher.borrow_mut() = Some(watcher);
    }

    fn ends(&self) -> Option<String> {
        // Before it is told to stop, the thread ends with the process, or for want of a thread or by a panic.
        let watching = |watcher: &io::Result<Watcher>| {
            watcher.as_ref().is_ok_and(|watcher| !watcher.thread.is_finished())
        };
        let ended = self.watcher.borrow().as_ref().is_some_and(|watcher| !watching(watcher));
        ended.then(|| "the server can no longer be watched".to_owned())
    }

    fn finished(&self) {
        // The connections are closed after this: what follows is no reading under load.
        if let Some(Ok(watcher)) = &*self.watcher.borrow() {
            watcher.stop();
        }
    }
}

fn watch(pid: u32, opens: Instant, period: Duration, stop: &AtomicBool) -> Readings {
    let mut read_so_far = Readings { readings: Vec::new(), lost: None, shared_pages_once: true };
    let mut due = opens;
    loop {
        while !stop.load(Ordering::Acquire) && Instant::now() < due {
            thread::park_timeout(due.saturating_duration_since(Instant::now()));
        }
        if stop.load(Ordering::Acquire) {
            return read_so_far;
        }
        match read(pid, opens) {
            Ok((reading, shared_once)) => {
                read_so_far.readings.push(reading);
                read_so_far.shared_pages_once &= shared_once;
            }
            Err(_) => return Readings { lost: Some(opens.elapsed()), ..read_so_far },
        }
        due += period;
    }
}

/// A reading, and whether shared pages are in it once.
fn read(pid: u32, opens: Instant) -> io::Result<(Reading, bool)> {
    let Resident { bytes: resident, shared_once } = accounting::resident(pid)?;
    // A process that has ended and is not yet waited for has no memory, and that is no reading either.
    if resident == 0 {
        return Err(io::ErrorKind::NotFound.into());
    }
    let descriptors = accounting::descriptors(pid).ok();
    Ok((Reading { at_s: opens.elapsed().as_secs_f64(), resident, descriptors }, shared_once))
}
