//! Starting cores, and waiting for their end.

use std::future::Future;
use std::panic::Location;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::core::Core;
use super::life::{Blueprint, make_core, run_core};
use super::mail::peers::{Peers, Place};
use super::neighbour::Neighbour;
use super::runtime::Runtime;
use super::set::{self, CoreSet};
use super::shutdown::{ShutdownHandle, Signal};
use super::signals::{SignalWatch, dump_on_signal, print_on_signal};
use super::stall::{self, Watchdog};
use super::turn::Until;
use crate::blocking;
use crate::error::StartError;
use crate::ring::{DriverChoice, RingSizes};
use crate::stats::Desks;
use crate::sync_types::Arc;

/// How long a signal leaves to requests in flight, unless the builder says otherwise.
const SIGNAL_DEADLINE: Duration = Duration::from_secs(30);

/// Settings for a [`Runtime`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `start` or `block_on`"]
pub struct Builder {
    pub(super) cores: Option<CoreSet>,
    pub(super) thread_name: String,
    pub(crate) sizes: RingSizes,
    pub(super) signals: Option<Duration>,
    pub(crate) blocking: blocking::Settings,
    pub(super) stall: stall::Settings,
    pub(crate) print_stats: bool,
    pub(super) dump_signal: Option<i32>,
    pub(crate) neighbour: Neighbour,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            cores: None,
            thread_name: "covet".into(),
            sizes: RingSizes {
                driver: DriverChoice::Auto,
                entries: 1024,
                recv_buffers: 512,
                recv_buffer_size: 4096,
                zero_copy_from: crate::ring::NEVER,
            },
            signals: None,
            blocking: blocking::Settings::default(),
            stall: stall::Settings::default(),
            print_stats: false,
            dump_signal: None,
            neighbour: Neighbour::default(),
        }
    }
}

impl Builder {
    /// Which cores to run on; all by default.
    pub fn cores(mut self, cores: CoreSet) -> Builder {
        self.cores = Some(cores);
        self
    }

    /// The beginning of the threads' names, which end in the number of their CPU. The kernel keeps 15 bytes.
    pub fn thread_name(mut self, name: &str) -> Builder {
        self.thread_name = name.to_owned();
        self
    }

    /// Whether the cores run on io_uring or on epoll: [`DriverChoice::Auto`] by default, which the environment
    /// variable `COVET_DRIVER` (`auto`, `io_uring` or `epoll`) can change. A choice made here holds whatever the
    /// environment says.
    pub fn driver(mut self, driver: DriverChoice) -> Builder {
        self.sizes.driver = driver;
        self
    }

    /// Entries of each core's submission queue, rounded up to a power of two: 1,024 by default. What does not fit
    /// is handed over in a second call, so this is a matter of speed only.
    pub fn ring_entries(mut self, entries: u32) -> Builder {
        self.sizes.entries = entries.clamp(8, 32_768);
        self
    }

    /// How many receive buffers each core has (8 to 32,768, rounded up to a power of two) and their size in bytes
    /// (256 to 16 MiB): 512 of 4 KiB by default. They are mapped when the core starts.
    pub fn recv_buffers(mut self, count: u16, size: u32) -> Builder {
        self.sizes.recv_buffers = count;
        self.sizes.recv_buffer_size = size;
        self
    }

    /// Whether SIGINT and SIGTERM shut the runtime down, with 30 seconds for what is in flight; a second signal
    /// does not wait. Off by default: signals belong to the process, not to a library.
    ///
    /// Once handled, the two signals no longer end the process by themselves, not even when the runtime has ended.
    pub fn handle_signals(mut self, handle: bool) -> Builder {
        self.signals = handle.then_some(SIGNAL_DEADLINE);
        self
    }

    /// As [`Builder::handle_signals`], with a deadline of one's own.
    pub fn shutdown_on_signals(mut self, deadline: Duration) -> Builder {
        self.signals = Some(deadline);
        self
    }

    /// Starts one pinned thread per core, and on each runs the future that `factory` makes there.
    ///
    /// The cores end together: when, on all of them, that future and every task have finished, or at the deadline of
    /// a shutdown. Until then each is there for what the others send it. Returns when all cores run.
    ///
    /// # Errors
    /// When a core does not exist, a ring can't be made, or a thread can't be started; then no core is left
    /// running.
    #[track_caller]
    pub fn start<F, Fut>(self, factory: F) -> Result<Runtime, StartError>
    where
        F: Fn(Core) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let at = Location::caller();
        let cpus = self.cores.clone().unwrap_or_else(CoreSet::all).resolve()?;
        let signal = Signal::new();
        let handle = ShutdownHandle(signal.clone());
        let factory = Arc::new(factory);
        // Before the first core can accept anything: a signal that follows must not end the process by default.
        let signals = match self.signals {
            Some(deadline) => Some(
                SignalWatch::start(handle.clone(), deadline).map_err(StartError::io("listen for signals"))?,
            ),
            None => None,
        };
        // Before any thread is pinned: blocking work may run on every CPU of the process.
        let blocking = blocking::Pool::new(self.blocking, &self.thread_name);
        let pinned: Vec<_> = cpus.iter().copied().map(Some).collect();
        let (peers, places) = Peers::new(&pinned)?;
        signal.subscribe(&peers);
        let watchdog = Watchdog::start(&self.stall).map_err(StartError::io("start the stall detector"))?;
        let desks = std::sync::Arc::new(Desks::default());
        let printer = self.print_stats.then(|| print_on_signal(&desks)).transpose()?;
        let dumper = self.dump_signal.map(|number| dump_on_signal(number, &peers)).transpose()?;
        let blueprint = Blueprint {
            sizes: self.sizes,
            signal,
            blocking: blocking.clone(),
            watcher: watchdog.as_ref().map(Watchdog::watcher),
            desks: desks.clone(),
            neighbour: self.neighbour,
        };
        let mut runtime = Runtime {
            threads: Vec::new(),
            peers,
            handle,
            signals,
            blocking,
            watchdog,
            printer,
            dumper,
            desks,
        };
        let (report, reports) = mpsc::channel();
        for (place, &cpu) in places.into_iter().zip(&cpus) {
            let (factory, blueprint, report) = (factory.clone(), blueprint.clone(), report.clone());
            let spawned = thread::Builder::new()
                .name(format!("{}-{cpu}", self.thread_name))
                .spawn(move || core_thread(place, &blueprint, report, at, move |core| (*factory)(core)));
            match spawned {
                Ok(thread) => runtime.threads.push(thread),
                Err(source) => {
                    drop(runtime.abandon());
                    return Err(StartError::Io { step: "start a core's thread", source });
                }
            }
        }
        drop(report);
        let failed = reports.into_iter().take(cpus.len()).find_map(Result::err);
        if let Some(error) = failed {
            drop(runtime.abandon());
            return Err(error);
        }
        Ok(runtime)
    }
}

/// The life of a core's thread; returns what went wrong.
fn core_thread<Fut: Future<Output = ()> + 'static>(
    place: Place,
    blueprint: &Blueprint,
    report: mpsc::Sender<Result<(), StartError>>,
    at: &'static Location<'static>,
    factory: impl FnOnce(Core) -> Fut,
) -> Option<String> {
    let info = place.attendance.core().clone();
    let cpu = info.cpu();
    let _beside = blueprint.neighbour.enter();
    let made = cpu.map_or(Ok(()), set::pin).and_then(|()| make_core(blueprint, place));
    let core = match made {
        Ok(core) => core,
        Err(error) => {
            let _ = report.send(Err(error));
            return None;
        }
    };
    let _ = report.send(Ok(()));
    // The reports end when every thread has reported or died: `start` must not wait for a dead one.
    drop(report);
    // The factory runs inside the main task, where its panic is caught and its handles find their core.
    let outcome = run_core(&core, blueprint.watcher.as_ref(), cpu, Until::AllAreDone, at, async move {
        factory(info).await
    });
    let name = || cpu.map_or_else(|| "a core".to_owned(), |cpu| format!("core {cpu}"));
    match outcome {
        Ok(None) => None,
        Ok(Some(panic)) => Some(format!("{}: its main future panicked: {panic}", name())),
        Err(error) => Some(format!("{}: {error}", name())),
    }
}
