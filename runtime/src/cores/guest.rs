//! A core without a loop of its own: somebody else's loop asks it for one turn at a time.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::rc::Rc;
use std::task::Waker;

use super::context::{self, CoreState};
use super::here::{Ending, Here};
use super::launch::Builder;
use super::life::Teardown;
use super::shutdown::ShutdownHandle;
use super::stall::Watch;
use super::turn::{self, Turned, Until};
use crate::error::StartError;
use crate::task::{JoinError, JoinHandle};

/// One core that is driven from outside, on the thread that made it.
pub(crate) struct GuestCore {
    core: Rc<CoreState>,
    main: Option<JoinHandle<()>>,
    fired: Vec<Waker>,
    _stalls: Option<Watch>,
    /// Dropped last: the core's tasks are gone by then.
    ending: Ending,
}

impl GuestCore {
    pub(crate) fn new(builder: Builder) -> Result<GuestCore, StartError> {
        let Here { core, cpu, watcher, ending } = builder.make_here()?;
        let stalls = watcher.map(|watcher| watcher.watch(core.heartbeat.clone(), cpu));
        core.shutdown.refresh();
        Ok(GuestCore { core, main: None, fired: Vec::new(), _stalls: stalls, ending })
    }

    pub(crate) fn core(&self) -> &Rc<CoreState> {
        &self.core
    }

    pub(crate) fn shutdown_handle(&self) -> ShutdownHandle {
        ShutdownHandle(self.ending.signal.clone())
    }

    /// Descriptors to watch for edges: when one becomes readable, a turn is due.
    pub(crate) fn wait_elsewhere(&self) -> io::Result<[OwnedFd; 2]> {
        self.core.driver.borrow_mut().wait_elsewhere()
    }

    /// Starts the task whose end is the end of the core.
    pub(crate) fn start(&mut self, main: impl Future<Output = ()> + 'static, at: &'static Location<'static>) {
        self.main = Some(self.core.executor.spawn(main, at));
    }

    /// Runs one turn, which does not sleep.
    pub(crate) fn turn(&mut self) -> Result<Turned, StartError> {
        let main = self.main.as_ref().expect("turns are run between `start` and the end");
        let _entered = context::enter(&self.core);
        // SAFETY: the executor is inside an Rc that lives longer than the guard, which is dropped on this thread.
        let _executing = unsafe { self.core.executor.enter() };
        turn::run_once(&self.core, main, Until::MainIsDone, &mut self.fired)
            .map_err(StartError::io("enter the ring"))
    }

    /// The message of the main task's panic, if it ended in one.
    pub(crate) fn panic_of_main(&mut self) -> Option<String> {
        match self.main.take().and_then(JoinHandle::outcome) {
            Some(Err(JoinError::Panicked(text))) => Some(text),
            _ => None,
        }
    }
}

impl Drop for GuestCore {
    fn drop(&mut self) {
        let _entered = context::enter(&self.core);
        // SAFETY: as in `turn`.
        let _executing = unsafe { self.core.executor.enter() };
        self.main = None;
        self.core.desk.close(&self.core);
        drop(Teardown { core: &self.core });
    }
}
