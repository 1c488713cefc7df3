//! One core's life, from its ring to its end.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Instant;

use super::context::{self, CoreState};
use super::mail::peers::Place;
use super::mail::per_core::States;
use super::neighbour::Neighbour;
use super::shutdown::{ShutdownState, Signal};
use super::stall::Watcher;
use super::turn::{self, Ended, Until};
use crate::blocking;
use crate::buf::Pool;
use crate::error::StartError;
use crate::ring::{Driver, RingSizes};
use crate::stats;
use crate::sync_types::Arc;
use crate::task::{Executor, JoinError};
use crate::time::{Clock, Wheel};

/// What the cores of one runtime are made from.
#[derive(Clone)]
pub(super) struct Blueprint {
    pub(super) sizes: RingSizes,
    pub(super) signal: Arc<Signal>,
    pub(super) blocking: std::sync::Arc<blocking::Pool>,
    pub(super) watcher: Option<Watcher>,
    pub(super) desks: std::sync::Arc<stats::Desks>,
    pub(super) neighbour: Neighbour,
}

pub(super) fn make_core(blueprint: &Blueprint, place: Place) -> Result<Rc<CoreState>, StartError> {
    let Blueprint { sizes, signal, blocking, .. } = blueprint;
    let Place { attendance, event, bells } = place;
    let mut driver = Driver::new(*sizes, event, blocking)?;
    let core = attendance.core();
    driver.hang_up(bells, core.index());
    core.peers().set_driver(core.index(), driver.kind());
    let inbox = core.peers().inbox(core.index()).clone();
    let desk = blueprint.desks.open(core.index(), inbox.clone());
    let record = stats::Record::new(core.index(), core.cpu());
    let now = Instant::now();
    Ok(Rc::new(CoreState {
        executor: Executor::new(inbox),
        driver: RefCell::new(driver),
        wheel: RefCell::new(Wheel::new(now)),
        pool: Pool::default(),
        shutdown: ShutdownState::new(signal.clone()),
        attendance,
        states: States::default(),
        blocking: blocking.clone(),
        heartbeat: std::sync::Arc::default(),
        record,
        desk,
        desks: blueprint.desks.clone(),
        clock: Clock::default(),
        now: Cell::new(now),
    }))
}

/// Runs a core from its main future, which was given to us at `at`, to the closed ring; returns the message if that future panicked.
pub(super) fn run_core<F: Future<Output = ()>>(
    core: &Rc<CoreState>,
    watcher: Option<&Watcher>,
    cpu: Option<usize>,
    until: Until,
    at: &'static Location<'static>,
    main: F,
) -> Result<Option<String>, StartError> {
    let entered = context::enter(core);
    // SAFETY: the executor is inside an Rc that lives longer than the guard, which is dropped on this thread.
    let executing = unsafe { core.executor.enter() };
    let teardown = Teardown { core };
    let main: Pin<Box<dyn Future<Output = ()> + '_>> = Box::pin(main);
    // SAFETY: the task's future does not outlive this function: `teardown`, which runs also when this unwinds,
    // drops every future of the executor before it returns.
    let main: Pin<Box<dyn Future<Output = ()> + 'static>> = unsafe { std::mem::transmute(main) };
    let main = core.executor.spawn(main, at);
    let leaving = Leaving { core };
    let watch = watcher.map(|watcher| watcher.watch(core.heartbeat.clone(), cpu));
    let ended = turn::run(core, &main, until).map_err(StartError::io("enter the ring"))?;
    drop((watch, leaving));
    if ended == Ended::Deadline {
        tracing::warn!(
            ?cpu,
            tasks = core.executor.live(),
            "the shutdown deadline passed: cancelling what runs"
        );
    }
    let panicked = match main.outcome() {
        Some(Err(JoinError::Panicked(text))) => Some(text),
        _ => None,
    };
    drop(teardown);
    drop((executing, entered));
    Ok(panicked)
}

/// Leaves a core's last numbers behind when its loop has ended, however it did.
struct Leaving<'a> {
    core: &'a Rc<CoreState>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.core.desk.close(self.core);
    }
}

/// Ends a core: futures first, as they hold streams and operations, then the ring.
pub(super) struct Teardown<'a> {
    pub(super) core: &'a Rc<CoreState>,
}

impl Drop for Teardown<'_> {
    fn drop(&mut self) {
        self.core.executor.cancel_all();
        // They may hold streams and timers, too.
        self.core.states.clear();
        self.core.shutdown.phases.clear();
        let mut after = {
            let mut driver = self.core.driver.borrow_mut();
            driver.close();
            driver.take_after()
        };
        after.run();
        // Those wakers and buffers may have spawned something. Left in the queue it would hold the core that holds
        // the queue, for ever.
        self.core.executor.cancel_all();
        self.core.states.clear();
        self.core.attendance.end();
    }
}
