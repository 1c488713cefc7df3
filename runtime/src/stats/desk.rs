//! Asking cores for their statistics from other threads.
//!
//! Nobody reads a core's cells but the core: a question is left at its desk, its inbox is rung, and it answers between
//! two turns with a copy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::record::CoreStats;
use super::table::RuntimeStats;
use crate::cores::context::{self, CoreState};
use crate::sync_types;
use crate::task::Inbox;

/// How long all cores together may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where one core is asked.
pub(crate) struct Desk {
    index: usize,
    inbox: sync_types::Arc<Inbox>,
    asked: AtomicBool,
    state: Mutex<State>,
}

enum State {
    /// Who waits for an answer.
    Open(Vec<Sender<CoreStats>>),
    /// The core has ended; these were its last numbers.
    Ended(Box<CoreStats>),
}

enum Answer {
    Known(Box<CoreStats>),
    Coming(mpsc::Receiver<CoreStats>),
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self) -> Answer {
        let (send, receive) = mpsc::channel();
        match &mut *self.lock() {
            State::Open(asking) => asking.push(send),
            State::Ended(last) => return Answer::Known(last.clone()),
        }
        self.asked.store(true, Ordering::Release);
        self.inbox.notify();
        Answer::Coming(receive)
    }

    /// Answers all who have asked; called by the core when its inbox was rung.
    pub(crate) fn answer(&self, core: &CoreState) {
        if !self.asked.load(Ordering::Acquire) {
            return;
        }
        self.asked.store(false, Ordering::Relaxed);
        let asking = match &mut *self.lock() {
            State::Open(asking) => std::mem::take(asking),
            State::Ended(_) => return,
        };
        if !asking.is_empty() {
            let stats = core.record.snapshot(core);
            // Who has lost patience is not there any more.
            asking.into_iter().for_each(|asker| drop(asker.send(stats.clone())));
        }
    }

    /// Leaves the last numbers behind; called by the core when its loop has ended.
    pub(crate) fn close(&self, core: &CoreState) {
        let last = Box::new(core.record.snapshot(core));
        let asking = std::mem::replace(&mut *self.lock(), State::Ended(last.clone()));
        if let State::Open(asking) = asking {
            asking.into_iter().for_each(|asker| drop(asker.send(CoreStats::clone(&last))));
        }
    }
}

/// The desks of a runtime's cores.
#[derive(Default)]
pub(crate) struct Desks(Mutex<Vec<Arc<Desk>>>);

impl Desks {
    /// Sets a desk up for a core that starts.
    pub(crate) fn open(&self, index: usize, inbox: sync_types::Arc<Inbox>) -> Arc<Desk> {
        let desk = Arc::new(Desk {
            index,
            inbox,
            asked: AtomicBool::new(false),
            state: Mutex::new(State::Open(Vec::new())),
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(desk.clone());
        desk
    }
}

/// Asks a runtime for its statistics, from any thread.
#[derive(Clone)]
pub struct StatsHandle(Arc<Desks>);

impl StatsHandle {
    pub(crate) fn new(desks: Arc<Desks>) -> StatsHandle {
        StatsHandle(desks)
    }

    /// What all cores have counted so far. A core that has ended answers with its last numbers.
    ///
    /// Blocks until all have answered, but no longer than a second: cores that did not answer by then are listed in
    /// [`RuntimeStats::silent`]. A core answers between two turns of its loop, so this takes microseconds unless one is
    /// stalled. On a core of the same runtime, prefer [`current`](super::current): waiting for the others stops it.
    pub fn snapshot(&self) -> RuntimeStats {
        let desks = self.0.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ask = |desk: &Arc<Desk>| {
            // The core that asks can't answer while it waits.
            let own = |core: &CoreState| {
                Arc::ptr_eq(&core.desk, desk).then(|| Answer::Known(Box::new(core.record.snapshot(core))))
            };
            context::with(own).flatten().unwrap_or_else(|| desk.ask())
        };
        // All are asked before the first is waited for.
        let asked: Vec<_> = desks.iter().map(|desk| (desk.index, ask(desk))).collect();
        let end = Instant::now() + PATIENCE;
        let mut stats = RuntimeStats::default();
        for (index, answer) in asked {
            match answer {
                Answer::Known(known) => stats.cores.push(*known),
                Answer::Coming(receiver) => {
                    match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
                        Ok(answer) => stats.cores.push(answer),
                        Err(_) => stats.silent.push(index),
                    }
                }
            }
        }
        stats.cores.sort_by_key(|core| core.index);
        stats
    }
}

impl std::fmt::Debug for StatsHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatsHandle").finish_non_exhaustive()
    }
}
