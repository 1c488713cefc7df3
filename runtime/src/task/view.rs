//! The tasks of an executor, as a dump sees them.

use std::panic::Location;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::executor::Executor;
use super::groups::SERVING;
use super::notes::Primitive;
use super::raw::{GROUPED, QUEUED};

/// What a task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskState {
    /// It is being polled; it may be the one that asks.
    Running,
    /// It waits for its turn to be polled.
    Ready,
    /// It waits for something else.
    Waiting,
}

/// One task.
pub(crate) struct TaskView {
    /// What its wakers carry.
    pub(crate) address: *const (),
    pub(crate) name: Option<String>,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) group: Rc<str>,
    pub(crate) state: TaskState,
    /// To the second.
    pub(crate) age: Duration,
    pub(crate) polls: u32,
    /// The task that waits for this one.
    pub(crate) joiner: Option<*const ()>,
    pub(crate) waits_on: Option<(Primitive, Option<&'static Location<'static>>)>,
}

impl Executor {
    /// All tasks, the youngest first. For the executor's own thread.
    pub(crate) fn views(&self) -> Vec<TaskView> {
        let running = self.running.load(Ordering::Relaxed);
        let mut views = Vec::with_capacity(self.live());
        let mut next = self.first.get();
        while let Some(task) = next {
            // SAFETY: linked tasks are alive, and an executor is neither `Send` nor `Sync`: this is their home.
            let (header, joiner) = unsafe { (task.header(), task.joiner()) };
            let flags = header.flags.get();
            let state = if task.as_ptr() == running {
                TaskState::Running
            } else if flags & QUEUED != 0 {
                TaskState::Ready
            } else {
                TaskState::Waiting
            };
            let group = if flags & GROUPED == 0 { SERVING } else { header.group.get() };
            let seconds = self.seconds.get().saturating_sub(header.notes.born.get());
            views.push(TaskView {
                address: task.as_ptr().cast_const().cast(),
                name: header.origin.name().map(str::to_owned),
                spawned_at: header.origin.at(),
                group: self.groups().name(group),
                state,
                age: Duration::from_secs(seconds.into()),
                polls: header.notes.polls.get(),
                joiner,
                waits_on: header.notes.waits_on(header.wait.get()),
            });
            next = header.next.get();
        }
        views
    }
}
