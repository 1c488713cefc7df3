//! The thread that looks at the cores' beats.

use std::collections::HashMap;
use std::ffi::c_int;
use std::io::{self, Write as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::heartbeat::Thread;
use super::report::StallReport;
use super::{Heartbeat, Settings, capture};

/// Looks per limit: a stall is seen when it has lasted the limit and a quarter at most.
const LOOKS: u32 = 4;
/// A stall is reported again when it has lasted this many times longer.
const AGAIN: u32 = 10;
/// At most `REPORTS` in this time.
const WINDOW: Duration = Duration::from_secs(60);
const REPORTS: usize = 10;

/// Watches the cores of one runtime. Dropping it ends its thread.
pub(in crate::cores) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Shared {
    settings: Settings,
    limit: Duration,
    signal: c_int,
    cores: Mutex<Cores>,
    end: Condvar,
}

#[derive(Default)]
struct Cores {
    watched: HashMap<u64, Watched>,
    next: u64,
    ended: bool,
}

struct Watched {
    heartbeat: Arc<Heartbeat>,
    thread: Thread,
    cpu: Option<usize>,
    /// The turn that the core was in at the last look, and since when it is known to be in it.
    turn: Option<(u64, Instant)>,
    /// What the thread had waited for a CPU at the first look that found it in the same turn again.
    waited: Option<Duration>,
    /// How long the present stall must last to be reported, once more.
    due: Duration,
}

/// While it lives, the core of the calling thread is watched.
pub(in crate::cores) struct Watch {
    shared: Arc<Shared>,
    id: u64,
}

impl Watchdog {
    /// `None` if the settings ask for none.
    pub(in crate::cores) fn start(settings: &Settings) -> io::Result<Option<Watchdog>> {
        let Some(limit) = settings.limit else { return Ok(None) };
        let shared = Arc::new(Shared {
            settings: settings.clone(),
            limit,
            signal: capture::install()?,
            cores: Mutex::default(),
            end: Condvar::new(),
        });
        let watching = shared.clone();
        let thread = thread::Builder::new().name("covet-watchdog".into()).spawn(move || watching.run())?;
        Ok(Some(Watchdog { shared, thread: Some(thread) }))
    }

    /// A handle for the threads of cores.
    pub(in crate::cores) fn watcher(&self) -> Watcher {
        Watcher(self.shared.clone())
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.end.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the stall detector panicked: was it the listener given to `on_stall`?");
        }
    }
}

/// What the threads of cores know of their watchdog.
#[derive(Clone)]
pub(in crate::cores) struct Watcher(Arc<Shared>);

impl Watcher {
    /// Begins to watch the core that runs on the calling thread.
    pub(in crate::cores) fn watch(&self, heartbeat: Arc<Heartbeat>, cpu: Option<usize>) -> Watch {
        capture::unblock(self.0.signal);
        let thread = Thread::current();
        let due = self.0.limit;
        let mut cores = self.0.lock();
        let id = cores.next;
        cores.next += 1;
        cores.watched.insert(id, Watched { heartbeat, thread, cpu, turn: None, waited: None, due });
        Watch { shared: self.0.clone(), id }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Waits for a capture that is under way: the thread must not end before it.
        self.shared.lock().watched.remove(&self.id);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Cores> {
        self.cores.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut recent: Vec<Instant> = Vec::new();
        let mut suppressed = 0;
        let mut cores = self.lock();
        while !cores.ended {
            let now = Instant::now();
            recent.retain(|&at| now - at < WINDOW);
            let mut stalls = Vec::new();
            for core in cores.watched.values_mut() {
                if !core.look(now, self.limit) {
                    continue;
                }
                if recent.len() >= REPORTS {
                    suppressed += 1;
                    continue;
                }
                recent.push(now);
                let capture = capture::capture(&core.thread, self.signal);
                let answered = capture.as_ref().and_then(|capture| capture.answered);
                let (lasted, waited_for_cpu) = core.measure(now, answered);
                let report = StallReport {
                    task: capture.as_ref().and_then(|capture| capture.name.clone()),
                    cpu: core.cpu,
                    lasted,
                    waited_for_cpu,
                    spawned_at: capture.as_ref().and_then(|capture| capture.task),
                    frames: Vec::new(),
                    suppressed: std::mem::take(&mut suppressed),
                };
                stalls.push((report, capture));
            }
            if !stalls.is_empty() {
                // Symbols take a while the first time, and listeners may do anything: cores may come and go meanwhile.
                drop(cores);
                stalls.into_iter().for_each(|(report, capture)| self.tell(report, capture));
                cores = self.lock();
                continue;
            }
            cores =
                self.end.wait_timeout(cores, self.limit / LOOKS).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn tell(&self, mut report: StallReport, capture: Option<capture::Capture>) {
        let is_heard = match report.is_starvation() {
            _ if self.settings.listener.is_some() || !tracing::dispatcher::has_been_set() => true,
            true => tracing::enabled!(tracing::Level::INFO),
            false => tracing::enabled!(tracing::Level::WARN),
        };
        if !is_heard {
            // Names of frames are megabytes of memory.
            return;
        }
        #[cfg(feature = "backtraces")]
        if let Some(capture) = &capture {
            report.frames = super::unwind::frames(capture);
        }
        #[cfg(not(feature = "backtraces"))]
        drop((&mut report.frames, capture));
        match &self.settings.listener {
            Some(listener) => listener(&report),
            None if !tracing::dispatcher::has_been_set() => {
                // Where standard error has been closed, `eprintln` would end this thread.
                let _ = writeln!(io::stderr(), "covet: {report}");
            }
            None if report.is_starvation() => tracing::info!("{report}"),
            None => tracing::warn!("{report}"),
        }
    }
}

impl Watched {
    /// Whether the core has been in its turn for so long that it is to be reported now.
    fn look(&mut self, now: Instant, limit: Duration) -> bool {
        let turn = self.heartbeat.turn();
        let since = match (turn, self.turn) {
            (Some(turn), Some((before, since))) if turn == before => since,
            _ => {
                self.turn = turn.map(|turn| (turn, now));
                self.waited = None;
                self.due = limit;
                return false;
            }
        };
        if self.waited.is_none() {
            self.waited = Some(waited_for_cpu(self.thread.id));
        }
        let lasted = now - since;
        let is_due = lasted >= self.due;
        if is_due {
            self.due = lasted * AGAIN;
        }
        is_due
    }

    /// How long the turn has lasted, and for how much of that the core waited for a CPU, once its thread was `asked`.
    ///
    /// The kernel counts a wait when it is over. One that answers has its CPU. One that does not, though it is ready to
    /// run, has waited since it was asked.
    fn measure(&self, asked: Instant, answered: Option<Instant>) -> (Duration, Duration) {
        let since = self.turn.map_or(asked, |(_, since)| since);
        let counted = waited_for_cpu(self.thread.id).saturating_sub(self.waited.unwrap_or_default());
        let (until, waited) = match answered {
            Some(at) => (at, counted),
            None if is_ready_to_run(self.thread.id) => (Instant::now(), counted + asked.elapsed()),
            None => (asked, counted),
        };
        let lasted = until.saturating_duration_since(since);
        (lasted, waited.min(lasted))
    }
}

/// Whether a thread runs or would if it had a CPU, and neither sleeps nor waits for a device: proc_pid_stat(5).
fn is_ready_to_run(thread: i32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
    text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('R'))
}

/// How long a thread was ready to run while others had its CPU: the second number of its schedstat
/// (Documentation/scheduler/sched-stats.rst). Zero if the kernel does not tell.
fn waited_for_cpu(thread: i32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).unwrap_or_default();
    let nanos = text.split_ascii_whitespace().nth(1).and_then(|number| number.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}
