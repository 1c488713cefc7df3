//! The threads and their queue.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::Settings;
use crate::JoinError;
use crate::net::Lookups;

/// How often the end of a pool looks whether the shutdown's deadline has come nearer.
const LOOK: Duration = Duration::from_millis(50);

/// Work whose types are forgotten. Neither method unwinds.
pub(crate) trait Work: Send {
    fn run(self: Box<Self>);
    fn drop_unrun(self: Box<Self>, why: JoinError);
}

type BoxedWork = Box<dyn Work>;

/// The blocking threads of one runtime.
pub(crate) struct Pool {
    settings: Settings,
    thread_name: String,
    /// Where the process may run. A thread inherits the affinity of the one that starts it, and cores are pinned.
    affinity: Option<CpuSet>,
    next_ticket: AtomicU64,
    /// Name look-ups, which are not to take all the threads.
    pub(crate) lookups: Lookups,
    state: Mutex<State>,
    /// There is work, or the pool has closed.
    work: Condvar,
    /// A thread has finished a piece of work.
    quiet: Condvar,
}

#[derive(Default)]
struct State {
    /// In the order of their tickets; never more than the settings allow.
    queued: BTreeMap<u64, BoxedWork>,
    /// What found no room in the queue. Each piece belongs to a handle that takes it back when it is dropped.
    waiting: BTreeMap<u64, BoxedWork>,
    /// Places in the queue that are promised.
    reserved: usize,
    threads: HashMap<u64, Worker>,
    next_thread: u64,
    /// Threads that will look at the queue before they sleep, or are asleep.
    free: usize,
    /// The thread that ended last; the next one to end, or the end of the pool, joins it.
    leaving: Option<thread::JoinHandle<()>>,
    closed: bool,
}

struct Worker {
    thread: thread::JoinHandle<()>,
    busy: bool,
}

impl State {
    fn next(&mut self) -> Option<BoxedWork> {
        let (_, work) = self.queued.pop_first()?;
        self.fill_room();
        Some(work)
    }

    /// What leaves the queue makes room for what waited longest.
    fn fill_room(&mut self) {
        if let Some((ticket, work)) = self.waiting.pop_first() {
            self.queued.insert(ticket, work);
        }
    }

    fn running(&self) -> usize {
        self.threads.len().saturating_sub(self.free)
    }
}

impl Pool {
    /// A pool without a thread yet. Called before the calling thread is pinned.
    pub(crate) fn new(settings: Settings, thread_name: &str) -> Arc<Pool> {
        Arc::new(Pool {
            settings,
            thread_name: thread_name.to_owned(),
            affinity: sched_getaffinity(None).ok(),
            next_ticket: AtomicU64::new(0),
            lookups: Lookups::default(),
            state: Mutex::default(),
            work: Condvar::new(),
            quiet: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No foreign code runs under the lock, so a panic there leaves at worst a count too high.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ticket(&self) -> u64 {
        self.next_ticket.fetch_add(1, Ordering::Relaxed)
    }

    /// Queues work, or lets it wait for room.
    pub(crate) fn submit(self: &Arc<Self>, ticket: u64, work: BoxedWork) {
        let mut state = self.lock();
        if state.queued.len() + state.reserved < self.settings.queue {
            self.enqueue(state, ticket, work);
        } else if state.closed {
            drop(state);
            work.drop_unrun(JoinError::Cancelled);
        } else {
            state.waiting.insert(ticket, work);
        }
    }

    /// Promises a place in the queue, if there is one.
    pub(super) fn reserve(&self) -> bool {
        let mut state = self.lock();
        let room = state.queued.len() + state.reserved < self.settings.queue;
        state.reserved += usize::from(room);
        room
    }

    /// Queues work in a place that was promised.
    pub(super) fn submit_reserved(self: &Arc<Self>, ticket: u64, work: BoxedWork) {
        let mut state = self.lock();
        state.reserved -= 1;
        self.enqueue(state, ticket, work);
    }

    fn enqueue(self: &Arc<Self>, mut state: MutexGuard<'_, State>, ticket: u64, work: BoxedWork) {
        if state.closed {
            drop(state);
            return work.drop_unrun(JoinError::Cancelled);
        }
        state.queued.insert(ticket, work);
        if state.queued.len() <= state.free || state.threads.len() >= self.settings.threads {
            drop(state);
            self.work.notify_one();
            return;
        }
        // Under the lock: a core that comes meanwhile waits some tens of microseconds, but only while the pool grows.
        let Err(error) = self.start_thread(&mut state) else { return };
        if !state.threads.is_empty() {
            tracing::warn!(%error, threads = state.threads.len(), "the blocking pool can't grow; work waits longer");
            return;
        }
        let work = state.queued.remove(&ticket);
        drop(state);
        if let Some(work) = work {
            let why = format!(
                "no blocking thread could be started ({error}); see `ulimit -u` and the cgroup's pids.max"
            );
            work.drop_unrun(JoinError::Refused(why));
        }
    }

    fn start_thread(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let id = state.next_thread;
        let pool = self.clone();
        let thread = thread::Builder::new()
            .name(format!("{}-blk-{id}", self.thread_name))
            .spawn(move || pool.run_thread(id))?;
        state.next_thread += 1;
        state.free += 1;
        state.threads.insert(id, Worker { thread, busy: false });
        Ok(())
    }

    /// The life of a thread of the pool.
    fn run_thread(&self, id: u64) {
        if let Some(mask) = &self.affinity
            && let Err(error) = sched_setaffinity(None, mask)
        {
            tracing::warn!(%error, "a blocking thread stays on the CPU of the core that started it");
        }
        let mut state = self.lock();
        let mut idle_since = Instant::now();
        loop {
            if let Some(work) = state.next() {
                state.free -= 1;
                self.set_busy(&mut state, id, true);
                drop(state);
                work.run();
                state = self.lock();
                self.set_busy(&mut state, id, false);
                state.free += 1;
                idle_since = Instant::now();
                self.quiet.notify_all();
                continue;
            }
            let left = self.settings.keep_alive.saturating_sub(idle_since.elapsed());
            if state.closed {
                return;
            }
            if left.is_zero() {
                break;
            }
            state = self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.free -= 1;
        let previous = match state.threads.remove(&id) {
            Some(me) => state.leaving.replace(me.thread),
            None => None,
        };
        drop(state);
        // So that at most one thread of the past is unjoined at any time.
        previous.map(thread::JoinHandle::join);
    }

    fn set_busy(&self, state: &mut State, id: u64, busy: bool) {
        if let Some(me) = state.threads.get_mut(&id) {
            me.busy = busy;
        }
    }

    /// Takes work back that has not begun.
    pub(crate) fn withdraw(&self, ticket: u64) -> Option<BoxedWork> {
        let mut state = self.lock();
        if let Some(work) = state.queued.remove(&ticket) {
            state.fill_room();
            return Some(work);
        }
        state.waiting.remove(&ticket)
    }

    /// Takes work back that has found no room in the queue.
    pub(super) fn withdraw_waiting(&self, ticket: u64) -> Option<BoxedWork> {
        self.lock().waiting.remove(&ticket)
    }

    /// Ends the pool, when its cores have ended: what is queued runs if `finish`, and is dropped as soon as there is a
    /// deadline; what runs is waited for until then. Threads that are busy even so are left to themselves.
    pub(crate) fn close(&self, finish: bool, deadline: impl Fn() -> Option<Instant>) {
        let mut state = self.lock();
        let given_up = loop {
            let end = deadline();
            if !finish || end.is_some() {
                let unrun: Vec<_> = std::mem::take(&mut state.queued).into_values().collect();
                let waiting: Vec<_> = std::mem::take(&mut state.waiting).into_values().collect();
                drop(state);
                unrun.into_iter().chain(waiting).for_each(|work| work.drop_unrun(JoinError::Cancelled));
                state = self.lock();
            }
            let running = state.running();
            if running == 0 && state.queued.is_empty() {
                break 0;
            }
            let now = Instant::now();
            let left = end.map_or(LOOK, |end| end.saturating_duration_since(now).min(LOOK));
            if left.is_zero() {
                break running;
            }
            state = self.quiet.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        state.closed = true;
        let threads = std::mem::take(&mut state.threads);
        state.free = 0;
        let leaving = state.leaving.take();
        drop(state);
        self.work.notify_all();
        if given_up > 0 {
            tracing::warn!(
                running = given_up,
                "blocking work outlived its runtime; its threads are left behind"
            );
        }
        let idle = threads.into_values().filter(|worker| !worker.busy).map(|worker| worker.thread);
        // A thread of the pool can't have panicked: what it runs is contained.
        leaving.into_iter().chain(idle).for_each(|thread| drop(thread.join()));
    }

    #[cfg(all(test, not(loom), not(miri)))]
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let state = self.lock();
        (state.threads.len(), state.queued.len(), state.waiting.len())
    }
}
