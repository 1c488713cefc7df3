//! The loop of a core: tasks, timers, one system call, completions, and again.

use std::rc::Rc;
use std::task::Waker;
use std::time::Instant;

use super::context::CoreState;
use super::stall::Heartbeat;
use crate::probes::probe;
use crate::ring::Wait;
use crate::stats::Turn;
use crate::task::{JoinHandle, wake_isolated};

/// Tasks polled between two looks at the ring.
const TASK_BUDGET: usize = 512;

/// What a core's loop waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// The main task has ended.
    MainIsDone,
    /// The main task and all others have ended, here and on all other cores of the runtime.
    AllAreDone,
}

/// How a core's loop ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// What it waited for has come.
    Done,
    /// The shutdown deadline passed with tasks still running.
    Deadline,
}

/// Runs turns until the tasks are done, or the shutdown deadline has passed, or the ring fails.
pub(super) fn run(core: &Rc<CoreState>, main: &JoinHandle<()>, until: Until) -> std::io::Result<Ended> {
    let mut fired: Vec<Waker> = Vec::new();
    core.shutdown.refresh();
    let _resting = Resting(&core.heartbeat);
    core.heartbeat.beat();
    loop {
        if let Some(ended) = turn(core, main, until, &mut fired, Sleep::Allowed)? {
            return Ok(ended);
        }
    }
}

/// Tells the stall detector that the loop has ended, however it did.
struct Resting<'a>(&'a Heartbeat);

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        self.0.rest();
    }
}

/// What a turn leaves to a loop that is not ours.
#[cfg(feature = "tokio-rt")]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    /// The core's loop is over.
    Ended(Ended),
    /// The next turn is due after this wait, or as soon as one of the driver's descriptors says so.
    Wait(Wait),
}

/// Runs one turn without sleeping in it, for a core that is driven by somebody else's loop.
#[cfg(feature = "tokio-rt")]
pub(super) fn run_once(
    core: &Rc<CoreState>,
    main: &JoinHandle<()>,
    until: Until,
    fired: &mut Vec<Waker>,
) -> std::io::Result<Turned> {
    let _resting = Resting(&core.heartbeat);
    core.heartbeat.beat();
    core.now.set(core.clock.now());
    look_outside(core, core.executor.live() == 0);
    Ok(match turn(core, main, until, fired, Sleep::Elsewhere)? {
        Some(ended) => Turned::Ended(ended),
        None => Turned::Wait(plan_sleep(core).0),
    })
}

/// Whether a turn may sleep in the kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sleep {
    Allowed,
    /// The loop that we are part of does it.
    #[cfg(feature = "tokio-rt")]
    Elsewhere,
}

#[inline]
fn turn(
    core: &Rc<CoreState>,
    main: &JoinHandle<()>,
    until: Until,
    fired: &mut Vec<Waker>,
    sleep: Sleep,
) -> std::io::Result<Option<Ended>> {
    let ready = core.executor.ready();
    let polled = core.executor.turn(TASK_BUDGET, core.now.get());
    probe!(turn_polled, polled);
    let idle = core.executor.live() == 0;
    if idle && core.attendance.rest() || until == Until::MainIsDone && main.is_finished() {
        return Ok(Some(Ended::Done));
    }
    if core.shutdown.deadline.get().is_some_and(|end| Instant::now() >= end) {
        return Ok(Some(if idle { Ended::Done } else { Ended::Deadline }));
    }
    let (wait, fell_asleep) = if sleep == Sleep::Allowed { plan_sleep(core) } else { (Wait::No, None) };
    let after = {
        let mut driver = core.driver.borrow_mut();
        driver.feed();
        if wait != Wait::No {
            core.heartbeat.rest();
        }
        probe!(enter_begins, wait != Wait::No);
        driver.enter(wait)?;
        probe!(enter_ends);
        core.heartbeat.beat();
        let now = core.clock.now();
        let began = core.now.replace(now);
        let took = fell_asleep.unwrap_or(now) - began;
        core.executor.note_turn(took, polled);
        driver.begin_turn(now);
        driver.complete();
        let (completed, free_buffers) = (driver.completed(), driver.free_buffers());
        let slept = fell_asleep.is_some();
        core.record.turn(&Turn { took, slept, ready, polled, completed, free_buffers });
        driver.has_after().then(|| driver.take_after())
    };
    if let Some(mut after) = after {
        after.run();
    }
    look_outside(core, idle);
    if !core.wheel.borrow().is_empty() {
        let now = core.now.get();
        if core.clock.is_stopped() {
            core.wheel.borrow_mut().advance_to_the_point(now, fired);
        } else {
            core.wheel.borrow_mut().advance(now, fired);
        }
        wake_isolated(fired.drain(..));
    }
    Ok(None)
}

/// Takes in what other threads have left. `idle`: there was no task here before.
#[inline]
fn look_outside(core: &CoreState, idle: bool) {
    if core.executor.inbox().wake_up() {
        let before = core.executor.ready();
        core.executor.collect_arrivals();
        core.record.woken_from_outside(core.executor.ready() - before);
        if idle && core.executor.live() > 0 {
            core.attendance.resume();
        }
        core.shutdown.refresh();
        core.desk.answer(core);
    }
}

/// How long to sleep, as [`plan_wait`] says it, with the inbox told of it.
#[inline]
fn plan_sleep(core: &CoreState) -> (Wait, Option<Instant>) {
    match plan_wait(core) {
        (Wait::No, time) => (Wait::No, time),
        sleep if core.executor.inbox().fall_asleep() => sleep,
        // Something came in meanwhile, and whoever brought it did not ring.
        (_, time) => (Wait::No, time),
    }
}

/// How long to wait, and the time now if there is reason to: a turn that does not wait ends when the next begins, whose
/// clock serves both.
fn plan_wait(core: &CoreState) -> (Wait, Option<Instant>) {
    let busy = core.executor.has_ready() || core.driver.borrow().has_more();
    if core.clock.is_stopped() {
        return (core.clock.plan_wait(core, busy, core.shutdown.deadline.get()), None);
    }
    if busy {
        return (Wait::No, None);
    }
    let now = Instant::now();
    let look = core.wheel.borrow().next_look();
    let next = match (look, core.shutdown.deadline.get()) {
        (Some(timer), Some(end)) => timer.min(end),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => return (Wait::Forever, Some(now)),
    };
    let left = next.saturating_duration_since(now);
    if left.is_zero() { (Wait::No, None) } else { (Wait::AtMost(left), Some(now)) }
}
