//! What a core's thread knows about its core.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::mail::peers::Attendance;
use super::mail::per_core::States;
use super::shutdown::ShutdownState;
use super::stall::Heartbeat;
use crate::blocking;
use crate::buf::Pool;
use crate::ring::Driver;
use crate::stats;
use crate::task::Executor;
use crate::time::{Clock, Wheel};

thread_local! {
    static CURRENT: Cell<*const CoreState> = const { Cell::new(std::ptr::null()) };
}

/// Everything one core owns. Handles (streams, timers) keep it alive, but once the core has shut down its driver
/// is closed and answers with an error.
pub(crate) struct CoreState {
    pub(crate) executor: Executor,
    pub(crate) driver: RefCell<Driver>,
    pub(crate) wheel: RefCell<Wheel>,
    pub(crate) pool: Pool,
    pub(crate) shutdown: ShutdownState,
    pub(crate) attendance: Attendance,
    /// What `PerCore` handles stand for here.
    pub(crate) states: States,
    /// The threads for what must block, shared by the cores of the runtime.
    pub(crate) blocking: Arc<blocking::Pool>,
    /// Shows the stall detector that the loop turns.
    pub(super) heartbeat: Arc<Heartbeat>,
    pub(crate) clock: Clock,
    /// What the loop counts, and where other threads ask for it.
    pub(crate) record: stats::Record,
    pub(crate) desk: Arc<stats::Desk>,
    pub(crate) desks: Arc<stats::Desks>,
    /// The time at the start of this turn.
    pub(crate) now: Cell<Instant>,
}

/// While it lives, this thread is the core's.
pub(super) struct EnteredCore {
    before: *const CoreState,
    _core: Rc<CoreState>,
}

pub(super) fn enter(core: &Rc<CoreState>) -> EnteredCore {
    EnteredCore { before: CURRENT.replace(Rc::as_ptr(core)), _core: core.clone() }
}

impl Drop for EnteredCore {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// Calls `f` with the core of this thread, if it has one.
#[inline]
pub(crate) fn with<T>(f: impl FnOnce(&CoreState) -> T) -> Option<T> {
    let core = CURRENT.get();
    if core.is_null() {
        return None;
    }
    // SAFETY: `EnteredCore` keeps an Rc for as long as CURRENT points there.
    Some(f(unsafe { &*core }))
}

/// The core of this thread, kept alive by the caller.
pub(crate) fn current() -> Option<Rc<CoreState>> {
    let core = CURRENT.get();
    if core.is_null() {
        return None;
    }
    // SAFETY: CURRENT was made by `Rc::as_ptr`, and `EnteredCore` holds a count, so it may be raised.
    unsafe {
        Rc::increment_strong_count(core);
        Some(Rc::from_raw(core))
    }
}

/// As [`current`], for functions that make no sense elsewhere.
///
/// # Panics
/// Outside a core.
#[track_caller]
pub(crate) fn expect_current(what: &str) -> Rc<CoreState> {
    match current() {
        Some(core) => core,
        None => panic!("{what} needs a Covet core: call it inside Runtime::start or block_on"),
    }
}
