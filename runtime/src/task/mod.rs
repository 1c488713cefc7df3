//! Tasks: futures that a core runs to completion.
//!
//! A task never leaves the core that spawned it, so it may hold `Rc` and `RefCell` across awaits. Its waker may
//! go anywhere: waking on the home core queues the task with two plain writes, waking from another thread goes
//! through the core's inbox.

mod builder;
mod executor;
mod group;
mod groups;
mod inbox;
mod isolate;
mod join;
mod notes;
mod origin;
mod raw;
mod refs;
mod run_queue;
mod stage;
mod turn;
mod view;
mod waker;
mod yield_now;

pub use builder::{TaskBuilder, spawn_named};
pub(crate) use executor::{Executor, with_running};
pub use group::{TaskGroup, spawn_in};
pub(crate) use groups::Groups;
pub(crate) use inbox::Inbox;
pub(crate) use isolate::{drop_payload, isolate_each, report_panic, wake_isolated};
pub use join::{JoinError, JoinHandle};
pub use notes::Primitive;
pub(crate) use notes::waits_on;
pub use view::TaskState;
pub(crate) use view::TaskView;
pub(crate) use waker::{is_home_waker, task_of};
pub use yield_now::{YieldNow, yield_now};

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;

#[cfg(all(test, not(loom), not(miri)))]
mod groups_tests;
