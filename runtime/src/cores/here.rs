//! A core on the calling thread.

use std::cell::RefCell;
use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::context::{self, CoreState};
use super::launch::Builder;
use super::life::{Blueprint, make_core, run_core};
use super::mail::peers::Peers;
use super::set;
use super::shutdown::{ShutdownHandle, Signal};
use super::signals::{SignalWatch, dump_on_signal, print_on_signal};
use super::stall::{Watchdog, Watcher};
use super::turn::Until;
use crate::blocking;
use crate::error::StartError;
use crate::stats::Desks;
use crate::sync_types::Arc;

/// How long `block_on` waits at its end for blocking work that nobody awaits.
const BLOCKING_PATIENCE: Duration = Duration::from_secs(10);

/// A core that was made on the thread that will run it.
pub(super) struct Here {
    pub(super) core: Rc<CoreState>,
    pub(super) cpu: Option<usize>,
    pub(super) watcher: Option<Watcher>,
    pub(super) ending: Ending,
}

/// What ends with such a core: the watches for signals and stalls, and the blocking pool.
pub(super) struct Ending {
    signals: Option<SignalWatch>,
    printer: Option<SignalWatch>,
    dumper: Option<SignalWatch>,
    watchdog: Option<Watchdog>,
    pool: std::sync::Arc<blocking::Pool>,
    pub(super) signal: Arc<Signal>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let patience = Instant::now() + BLOCKING_PATIENCE;
        let deadline = || Some(self.signal.deadline().map_or(patience, |end| end.min(patience)));
        self.pool.close(false, deadline);
    }
}

impl Builder {
    /// Runs one core on the calling thread until `future` is ready; tasks left over are cancelled. Blocking work that
    /// has not begun is dropped, and what runs is waited for, 10 seconds at most.
    ///
    /// The thread is pinned only if exactly one core was chosen, and keeps its affinity afterwards.
    ///
    /// # Errors
    /// As for [`Builder::start`]; also if a signal shut the core down first.
    ///
    /// # Panics
    /// On a thread that already is a core. If the future panics, so does this.
    #[track_caller]
    pub fn block_on<F: Future>(self, future: F) -> Result<F::Output, StartError> {
        assert!(context::current().is_none(), "block_on inside a core would stop the core: await instead");
        let neighbour = self.neighbour.clone();
        let _beside = neighbour.enter();
        let Here { core, cpu, watcher, ending } = self.make_here()?;
        let output = Rc::new(RefCell::new(None));
        let slot = output.clone();
        let body = async move {
            let value = future.await;
            *slot.borrow_mut() = Some(value);
        };
        let panicked = run_core(&core, watcher.as_ref(), cpu, Until::MainIsDone, Location::caller(), body)?;
        drop(ending);
        match (output.take(), panicked) {
            (Some(value), _) => Ok(value),
            (None, Some(text)) => panic!("{text}"),
            (None, None) => Err(StartError::ShutDown),
        }
    }

    /// Makes one core for the calling thread.
    pub(super) fn make_here(self) -> Result<Here, StartError> {
        let signal = Signal::new();
        // Before the thread is pinned: blocking work may run on every CPU of the process.
        let pool = blocking::Pool::new(self.blocking, &self.thread_name);
        let mut ending = Ending {
            signals: None,
            printer: None,
            dumper: None,
            watchdog: None,
            pool: pool.clone(),
            signal: signal.clone(),
        };
        let mut cpu = None;
        if let Some(cores) = &self.cores
            && let [only] = cores.resolve()?[..]
        {
            set::pin(only)?;
            cpu = Some(only);
        }
        let (peers, mut places) = Peers::new(&[cpu])?;
        signal.subscribe(&peers);
        ending.watchdog = Watchdog::start(&self.stall).map_err(StartError::io("start the stall detector"))?;
        let watcher = ending.watchdog.as_ref().map(Watchdog::watcher);
        let desks = std::sync::Arc::new(Desks::default());
        ending.printer = self.print_stats.then(|| print_on_signal(&desks)).transpose()?;
        ending.dumper = self.dump_signal.map(|number| dump_on_signal(number, &peers)).transpose()?;
        let blueprint = Blueprint {
            sizes: self.sizes,
            signal: signal.clone(),
            blocking: pool,
            watcher: watcher.clone(),
            desks,
            neighbour: self.neighbour,
        };
        let core = make_core(&blueprint, places.remove(0))?;
        if let Some(deadline) = self.signals {
            let watch = SignalWatch::start(ShutdownHandle(signal), deadline);
            ending.signals = Some(watch.map_err(StartError::io("listen for signals"))?);
        }
        Ok(Here { core, cpu, watcher, ending })
    }
}

/// Runs a future to completion on a core of its own, on the calling thread: [`Builder::block_on`] with the default
/// settings.
///
/// # Errors
/// When the ring can't be made.
///
/// # Panics
/// On a thread that already is a core, and when the future panics.
#[track_caller]
pub fn block_on<F: Future>(future: F) -> Result<F::Output, StartError> {
    Builder::default().block_on(future)
}
