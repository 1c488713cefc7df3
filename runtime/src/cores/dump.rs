//! What the tasks of a core are doing, in words.
//!
//! A dump costs nothing until it is asked for. What a task waits for is not written down when it begins to wait: whoever
//! will wake it has its waker, and a waker names its task. So the dump goes through the core's own lists (the timers,
//! the slots of the driver, the tasks that are joined) and reads the wakers there. Only the primitives of
//! [`sync`](crate::sync), of which the core has no list, make a note in the task that is about to wait: two stores on
//! the way to sleep.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::context::{self, CoreState};
use super::{Builder, Core, Runtime};
use crate::ring::Awaited;
use crate::task::{Primitive, TaskState, TaskView, task_of};

/// So many tasks of one origin are printed one by one; the others are counted.
const ALIKE: usize = 8;

/// What a waiting task waits for, as far as its core knows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitsFor {
    /// Bytes from a socket.
    Recv {
        /// The socket.
        descriptor: i32,
    },
    /// Room in a socket's send buffer.
    Send {
        /// The socket.
        descriptor: i32,
    },
    /// A connection.
    Accept {
        /// The listening socket.
        descriptor: i32,
    },
    /// The end of an operation of another kind.
    Operation(&'static str),
    /// A point in time.
    Timer {
        /// How long until then; zero if it has passed.
        left: Duration,
    },
    /// The end of another task.
    Task {
        /// Its name.
        name: Option<String>,
        /// Where it was spawned.
        spawned_at: &'static Location<'static>,
    },
    /// The beginning of the shutdown.
    Shutdown,
    /// Something of [`sync`](crate::sync).
    Primitive {
        /// The kind of thing.
        what: Primitive,
        /// Where the waiting began, if that is known.
        at: Option<&'static Location<'static>>,
    },
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitsFor::Recv { descriptor } => write!(f, "recv on fd {descriptor}"),
            WaitsFor::Send { descriptor } => write!(f, "send on fd {descriptor}"),
            WaitsFor::Accept { descriptor } => write!(f, "accept on fd {descriptor}"),
            WaitsFor::Shutdown => f.write_str("the shutdown"),
            WaitsFor::Operation(what) => f.write_str(what),
            WaitsFor::Timer { left } => {
                // Below a millisecond the digits would only be noise.
                write!(f, "timer in {:?}", Duration::from_millis(left.as_millis() as u64))
            }
            WaitsFor::Task { name: Some(name), spawned_at } => write!(f, "task {name:?} ({spawned_at})"),
            WaitsFor::Task { name: None, spawned_at } => write!(f, "task spawned at {spawned_at}"),
            WaitsFor::Primitive { what, at } => {
                f.write_str(match what {
                    Primitive::Semaphore => "a semaphore or lock",
                    Primitive::Event => "an event",
                    Primitive::Notify => "a notification",
                    Primitive::Channel => "a channel",
                    Primitive::Tasks => "a set of tasks",
                })?;
                at.map_or(Ok(()), |at| write!(f, " at {at}"))
            }
        }
    }
}

/// One task of a [`CoreDump`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TaskDump {
    /// Its name, if it was given one.
    pub name: Option<String>,
    /// Where it was spawned.
    pub spawned_at: &'static Location<'static>,
    /// The name of its group.
    pub group: String,
    /// What it is doing.
    pub state: TaskState,
    /// How long ago it was spawned, to the second.
    pub age: Duration,
    /// How often it was polled, modulo 2^32.
    pub polls: u32,
    /// What it waits for. Empty if that is unknown to the core: another thread, or a future of another library.
    pub waits_for: Vec<WaitsFor>,
}

impl fmt::Display for TaskDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            TaskState::Running => "running",
            TaskState::Ready => "ready  ",
            TaskState::Waiting => "waiting",
        };
        write!(f, "{state}  ")?;
        if let Some(name) = &self.name {
            write!(f, "{name:?} ")?;
        }
        write!(f, "({}), {} s old, {} polls", self.spawned_at, self.age.as_secs(), self.polls)?;
        if self.group != "serving" {
            write!(f, ", group {:?}", self.group)?;
        }
        for (number, waits_for) in self.waits_for.iter().enumerate() {
            write!(f, "{} {waits_for}", if number == 0 { ":" } else { ";" })?;
        }
        if self.state == TaskState::Waiting && self.waits_for.is_empty() {
            f.write_str(": something that this core has no list of")?;
        }
        Ok(())
    }
}

/// The tasks of one core. Its text has a line for each, but for the crowds of one origin.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CoreDump {
    /// The place of the core in its runtime.
    pub core: usize,
    /// The CPU that it is pinned to.
    pub cpu: Option<usize>,
    /// The youngest first.
    pub tasks: Vec<TaskDump>,
}

impl fmt::Display for CoreDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |state| self.tasks.iter().filter(|task| task.state == state).count();
        write!(f, "core {}", self.core)?;
        if let Some(cpu) = self.cpu {
            write!(f, " (CPU {cpu})")?;
        }
        let [running, ready, waiting] = [TaskState::Running, TaskState::Ready, TaskState::Waiting].map(count);
        writeln!(f, ": {} tasks: {running} running, {ready} ready, {waiting} waiting", self.tasks.len())?;
        let mut crowds: HashMap<(&Option<String>, &Location<'_>), usize> = HashMap::new();
        for task in &self.tasks {
            let seen = crowds.entry((&task.name, task.spawned_at)).or_default();
            *seen += 1;
            if *seen <= ALIKE {
                writeln!(f, "  {task}")?;
            }
        }
        let mut crowds: Vec<_> = crowds.into_iter().filter(|(_, count)| *count > ALIKE).collect();
        crowds.sort_by_key(|&((name, at), count)| (std::cmp::Reverse(count), name, at));
        for ((name, at), count) in crowds {
            let name = name.as_ref().map(|name| format!("{name:?} ")).unwrap_or_default();
            writeln!(f, "  and {} more of {name}({at})", count - ALIKE)?;
        }
        Ok(())
    }
}

/// The tasks of all cores of a runtime.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RuntimeDump {
    /// Those of the cores that answered.
    pub cores: Vec<CoreDump>,
    /// The places of those that did not: held by a task that does not yield, or at their end.
    pub silent: Vec<usize>,
}

impl fmt::Display for RuntimeDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cores.iter().try_for_each(|core| core.fmt(f))?;
        self.silent.iter().try_for_each(|core| writeln!(f, "core {core} did not answer"))
    }
}

/// What the tasks of this core are doing.
///
/// It takes some 100 ns per task and timer, so it is for people and not for loops.
///
/// ```
/// use std::time::Duration;
/// use covet_runtime::{block_on, inspect::dump_tasks, spawn_named, time, yield_now};
///
/// block_on(async {
///     spawn_named("sleeper", time::sleep(Duration::from_secs(60))).detach();
///     yield_now().await;
///     let text = dump_tasks().to_string();
///     assert!(text.contains("waiting  \"sleeper\"") && text.contains("timer in 59."), "{text}");
/// })?;
/// # Ok::<(), covet_runtime::StartError>(())
/// ```
///
/// # Panics
/// Outside a core.
#[track_caller]
pub fn dump_tasks() -> CoreDump {
    let core = context::expect_current("dump_tasks");
    let views = core.executor.views();
    let waits = waits(&core, &views);
    let this = Core::current();
    let tasks = views.into_iter().zip(waits).map(|(view, waits_for)| TaskDump {
        name: view.name,
        spawned_at: view.spawned_at,
        group: view.group.to_string(),
        state: view.state,
        age: view.age,
        polls: view.polls,
        waits_for: if view.state == TaskState::Waiting { waits_for } else { Vec::new() },
    });
    CoreDump { core: this.index(), cpu: this.cpu(), tasks: tasks.collect() }
}

/// As [`dump_tasks`], without the task that asks, which is there for nothing else.
fn dump_others() -> CoreDump {
    let mut dump = dump_tasks();
    dump.tasks.retain(|task| task.state != TaskState::Running);
    dump
}

/// What each of the tasks waits for, in their order.
fn waits(core: &CoreState, views: &[TaskView]) -> Vec<Vec<WaitsFor>> {
    let places: HashMap<*const (), usize> =
        views.iter().enumerate().map(|(place, view)| (view.address, place)).collect();
    let mut waits: Vec<Vec<WaitsFor>> = vec![Vec::new(); views.len()];
    let mut note = |waker: &Waker, waits_for| {
        if let Some(&place) = task_of(waker).and_then(|address| places.get(&address)) {
            waits[place].push(waits_for);
        }
    };
    core.driver.borrow().for_each_waiter(|waker, awaited| {
        note(
            waker,
            match awaited {
                Awaited::Recv(descriptor) => WaitsFor::Recv { descriptor },
                Awaited::Send(descriptor) => WaitsFor::Send { descriptor },
                Awaited::Accept(descriptor) => WaitsFor::Accept { descriptor },
                Awaited::Operation(what) => WaitsFor::Operation(what),
            },
        );
    });
    let now = core.clock.now();
    core.wheel.borrow().for_each_waiter(|waker, due| {
        note(waker, WaitsFor::Timer { left: due.saturating_duration_since(now) });
    });
    core.shutdown.for_each_waiter(|waker| note(waker, WaitsFor::Shutdown));
    for (place, view) in views.iter().enumerate() {
        if let Some(&joiner) = view.joiner.and_then(|joiner| places.get(&joiner)) {
            waits[joiner].push(WaitsFor::Task { name: view.name.clone(), spawned_at: view.spawned_at });
        }
        if let Some((what, at)) = view.waits_on {
            waits[place].push(WaitsFor::Primitive { what, at });
        }
    }
    waits
}

impl Core {
    /// What the tasks of all cores of this runtime are doing, asked from a task. Cores that are held by a task delay
    /// the answer until they are not.
    pub async fn dump_runtime(&self) -> RuntimeDump {
        let mut dump = RuntimeDump { cores: Vec::new(), silent: Vec::new() };
        for (index, answer) in self.broadcast(|_| async { dump_others() }).await.into_iter().enumerate() {
            match answer {
                Ok(core) => dump.cores.push(core),
                Err(_) => dump.silent.push(index),
            }
        }
        dump
    }

    /// As [`Core::dump_runtime`], from a thread that is no core: it sleeps until all cores have answered, or for as
    /// long as it has `patience`.
    pub fn dump_runtime_blocking(&self, patience: Duration) -> RuntimeDump {
        let end = Instant::now() + patience;
        let answers: Vec<_> =
            (0..self.count()).map(|index| self.spawn_on(index, || async { dump_others() })).collect();
        let mut dump = RuntimeDump { cores: Vec::new(), silent: Vec::new() };
        for (index, answer) in answers.into_iter().enumerate() {
            while !answer.is_finished() && Instant::now() < end {
                thread::sleep(Duration::from_millis(1));
            }
            match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(core)) => dump.cores.push(core),
                Poll::Ready(Err(_)) | Poll::Pending => dump.silent.push(index),
            }
        }
        dump
    }
}

impl Builder {
    /// Prints to standard error what the tasks of all cores are doing, whenever the process gets this signal (see
    /// signal(7); SIGUSR2 is 12). The text is that of [`Runtime::dump_tasks`], and a core that does not answer within two
    /// seconds is named. Off by default: signals belong to the process, not to a library.
    ///
    /// The signal may be that of [`Builder::stats_on_sigusr1`], and then gives both. The start fails if it is one that
    /// can't be handled, such as SIGKILL, or must not be, such as SIGSEGV.
    pub fn dump_tasks_on(mut self, signal: i32) -> Builder {
        self.dump_signal = Some(signal);
        self
    }
}

impl Runtime {
    /// What the tasks of all cores are doing: [`Core::dump_runtime_blocking`], for a thread that has the runtime.
    pub fn dump_tasks(&self, patience: Duration) -> RuntimeDump {
        self.core(0).dump_runtime_blocking(patience)
    }
}
