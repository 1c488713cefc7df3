//! What one core counts, and a copy of it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::histogram::{Histogram, Recorder};
use crate::cores::context::CoreState;
use crate::task::Groups;

/// The counters of a core's loop.
pub(crate) struct Record {
    index: usize,
    cpu: Option<usize>,
    began: Instant,
    turn_time: Recorder,
    batch: Recorder,
    ready: Recorder,
    free_buffers: Recorder,
    busy: Cell<u64>,
    polls: Cell<u64>,
    sleeps: Cell<u64>,
    remote_wakes: Cell<u64>,
}

/// One turn of a core's loop.
pub(crate) struct Turn {
    pub(crate) took: Duration,
    pub(crate) slept: bool,
    pub(crate) ready: usize,
    pub(crate) polled: usize,
    pub(crate) completed: usize,
    pub(crate) free_buffers: u16,
}

/// What the driver counts: plain fields, written where the events are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DriverCounts {
    pub(crate) operations: u64,
    pub(crate) no_buffers: u64,
    pub(crate) accepted: u64,
}

impl Record {
    pub(crate) fn new(index: usize, cpu: Option<usize>) -> Record {
        Record {
            index,
            cpu,
            began: Instant::now(),
            turn_time: Recorder::default(),
            batch: Recorder::default(),
            ready: Recorder::default(),
            free_buffers: Recorder::default(),
            busy: Cell::new(0),
            polls: Cell::new(0),
            sleeps: Cell::new(0),
            remote_wakes: Cell::new(0),
        }
    }

    #[inline]
    pub(crate) fn turn(&self, turn: &Turn) {
        let took = turn.took.as_secs() * 1_000_000_000 + u64::from(turn.took.subsec_nanos());
        self.turn_time.record(took);
        self.batch.record(turn.completed as u64);
        self.ready.record(turn.ready as u64);
        self.free_buffers.record(u64::from(turn.free_buffers));
        self.busy.set(self.busy.get() + took);
        self.polls.set(self.polls.get() + turn.polled as u64);
        self.sleeps.set(self.sleeps.get() + u64::from(turn.slept));
    }

    pub(crate) fn woken_from_outside(&self, tasks: usize) {
        self.remote_wakes.set(self.remote_wakes.get() + tasks as u64);
    }

    /// A copy, with what other parts of the core count.
    pub(super) fn snapshot(&self, core: &CoreState) -> CoreStats {
        // Counts live in the driver, which is borrowed if a buffer or a waker of its asks for statistics.
        let driver = core.driver.try_borrow().map(|driver| driver.counts()).unwrap_or_default();
        CoreStats {
            index: self.index,
            cpu: self.cpu,
            uptime: self.began.elapsed(),
            busy: Duration::from_nanos(self.busy.get()),
            tasks: core.executor.live(),
            turn_time: self.turn_time.snapshot(),
            batch: self.batch.snapshot(),
            ready: self.ready.snapshot(),
            free_buffers: self.free_buffers.snapshot(),
            polls: self.polls.get(),
            sleeps: self.sleeps.get(),
            remote_wakes: self.remote_wakes.get(),
            operations: driver.operations,
            no_buffers: driver.no_buffers,
            accepted: driver.accepted,
            groups: core.executor.groups().snapshot(),
        }
    }
}

/// What one core has counted since it started, or several together.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CoreStats {
    /// Its place among the runtime's cores, from 0.
    pub index: usize,
    /// The CPU that it is pinned to, if it is.
    pub cpu: Option<usize>,
    /// How long it has run. The longest, when several are merged.
    pub uptime: Duration,
    /// How much of that it was not asleep in the kernel.
    pub busy: Duration,
    /// Tasks that have not finished.
    pub tasks: usize,
    /// How long the turns of its loop took, in nanoseconds: polls, completions, timers and the hand-over to the kernel,
    /// without the sleep at the end. An event waits for about one turn before it is seen.
    pub turn_time: Histogram,
    /// Completions taken from the ring per turn.
    pub batch: Histogram,
    /// Tasks that were ready when a turn began.
    pub ready: Histogram,
    /// Receive buffers that were free in each turn. At 0, receiving waits for buffers to come back.
    pub free_buffers: Histogram,
    /// Polls of tasks.
    pub polls: u64,
    /// Turns that ended in a sleep.
    pub sleeps: u64,
    /// Tasks woken by other threads.
    pub remote_wakes: u64,
    /// Operations given to the driver.
    pub operations: u64,
    /// Receives that found no free buffer (ENOBUFS): raise [`Builder::recv_buffers`](crate::Builder::recv_buffers) if
    /// there are many.
    pub no_buffers: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// The task groups, in the order of their making.
    pub groups: Vec<GroupStats>,
}

/// What a core knows of one task group.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GroupStats {
    /// The group's name.
    pub name: String,
    /// Its shares.
    pub shares: u32,
    /// How long its tasks have been polled; see [`TaskGroup::busy_time`](crate::TaskGroup::busy_time).
    pub busy: Duration,
}

impl CoreStats {
    /// Turns of the loop.
    pub fn turns(&self) -> u64 {
        self.turn_time.count()
    }

    /// The share of its time that the core was not asleep, from 0 to 1. Of several cores together, their mean.
    pub fn utilisation(&self, cores: usize) -> f64 {
        let time = self.uptime.as_secs_f64() * cores.max(1) as f64;
        if time > 0.0 { (self.busy.as_secs_f64() / time).min(1.0) } else { 0.0 }
    }

    /// Adds what another core counted. Histograms and counters are added exactly; groups by their names.
    pub fn merge(&mut self, other: &CoreStats) {
        self.uptime = self.uptime.max(other.uptime);
        self.busy += other.busy;
        self.tasks += other.tasks;
        self.turn_time.merge(&other.turn_time);
        self.batch.merge(&other.batch);
        self.ready.merge(&other.ready);
        self.free_buffers.merge(&other.free_buffers);
        self.polls += other.polls;
        self.sleeps += other.sleeps;
        self.remote_wakes += other.remote_wakes;
        self.operations += other.operations;
        self.no_buffers += other.no_buffers;
        self.accepted += other.accepted;
        for group in &other.groups {
            match self.groups.iter_mut().find(|mine| mine.name == group.name) {
                Some(mine) => mine.busy += group.busy,
                None => self.groups.push(group.clone()),
            }
        }
    }
}

impl Groups {
    fn snapshot(&self) -> Vec<GroupStats> {
        let mut all = Vec::new();
        self.for_each(|name: &Rc<str>, shares, busy| {
            all.push(GroupStats { name: name.to_string(), shares, busy });
        });
        all
    }
}
