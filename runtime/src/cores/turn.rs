//! The loop of a core: tasks, timers, one system call, completions, and again.

use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::context::CoreState;
use crate::ring::Wait;
use crate::task::JoinHandle;

/// Tasks polled between two looks at the ring.
const TASK_BUDGET: usize = 512;
/// A timer this far away is waited for by the time of the turn's start: being a few microseconds late does not
/// matter then, and a clock read is saved.
const COARSE: Duration = Duration::from_millis(20);

/// What a core's loop waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// The main task has ended.
    MainIsDone,
    /// The main task and all others have ended.
    AllAreDone,
}

/// How a core's loop ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// What it waited for has come.
    Done,
    /// The shutdown deadline passed with tasks still running.
    Deadline,
}

/// Runs turns until the tasks are done, or the shutdown deadline has passed, or the ring fails.
pub(super) fn run(core: &Rc<CoreState>, main: &JoinHandle<()>, until: Until) -> std::io::Result<Ended> {
    let mut fired: Vec<Waker> = Vec::new();
    core.shutdown.refresh();
    loop {
        core.executor.run(TASK_BUDGET);
        if core.executor.live() == 0 || until == Until::MainIsDone && main.is_finished() {
            return Ok(Ended::Done);
        }
        if core.shutdown.deadline.get().is_some_and(|end| Instant::now() >= end) {
            return Ok(Ended::Deadline);
        }
        let wait = plan_wait(core);
        let (outside, mut after) = {
            let mut driver = core.driver.borrow_mut();
            driver.feed();
            driver.enter(wait)?;
            core.now.set(Instant::now());
            (driver.complete(), driver.take_after())
        };
        if !after.is_empty() {
            after.run();
        }
        if outside {
            core.executor.collect_arrivals();
            core.shutdown.refresh();
        }
        if !core.wheel.borrow().is_empty() {
            core.wheel.borrow_mut().advance(core.now.get(), &mut fired);
            fired.drain(..).for_each(Waker::wake);
        }
    }
}

fn plan_wait(core: &CoreState) -> Wait {
    if core.executor.has_ready() || core.driver.borrow().has_more() {
        return Wait::No;
    }
    let look = core.wheel.borrow().next_look();
    let next = match (look, core.shutdown.deadline.get()) {
        (Some(timer), Some(end)) => timer.min(end),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => return Wait::Forever,
    };
    let coarse = next.saturating_duration_since(core.now.get());
    let left = if coarse > COARSE { coarse } else { next.saturating_duration_since(Instant::now()) };
    if left.is_zero() { Wait::No } else { Wait::AtMost(left) }
}
