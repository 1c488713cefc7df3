//! What the tasks are doing: a list of them all, with what each waits for.
//!
//! ```text
//! core 0 (CPU 0): 3 tasks: 1 running, 0 ready, 2 waiting
//!   running  (src/main.rs:41:9), 0 s old, 1 polls
//!   waiting  "accept loop" (src/main.rs:20:13), 12 s old, 31 polls: accept on fd 9
//!   waiting  (src/main.rs:27:17), 3 s old, 4 polls: recv on fd 14; timer in 4.998s
//! ```
//!
//! [`dump_tasks`] is for a task that asks about its own core, [`Core::dump_runtime`](crate::Core::dump_runtime) for one
//! that asks about all, and [`Runtime::dump_tasks`](crate::Runtime::dump_tasks) for threads outside;
//! [`Builder::dump_tasks_on`](crate::Builder::dump_tasks_on) prints it on a signal.
//!
//! # Cost
//! Until somebody asks: sixteen bytes and one addition per poll for each task. What a task waits for is not written
//! down when it begins to wait; the dump finds it, as whoever will wake a task has its waker, and a waker names its
//! task.

pub use crate::cores::dump::{CoreDump, RuntimeDump, TaskDump, WaitsFor, dump_tasks};
pub use crate::task::{Primitive, TaskState};
