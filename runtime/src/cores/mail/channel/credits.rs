//! Who may send: as many credits as the channel has room, given first come, first served.

use std::task::{Context, Poll, Waker};

use crate::sync::waiters::{AnyThread, Registration, Waiters, wake_each};
use crate::sync_types::{AtomicUsize, Mutex, Ordering, lock};

const CLOSED: usize = 1;
/// Somebody waits; then no credit is free. Changed only under the lock of the queue.
const WAITING: usize = 1 << 1;
/// One credit; the count fills the bits above the flags.
const ONE: usize = 1 << 2;

/// The most credits that there can be.
pub(super) const MAX_CREDITS: usize = usize::MAX >> 3;

pub(super) struct Credits {
    state: AtomicUsize,
    queue: Mutex<Waiters<Answer, AnyThread>>,
}

/// What became of a wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Queued,
    Given,
    Closed,
}

/// Why there is no credit at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    None,
    Closed,
}

impl Credits {
    pub(super) fn new(credits: usize) -> Credits {
        Credits { state: AtomicUsize::new(credits * ONE), queue: Mutex::new(Waiters::new()) }
    }

    /// Credits that nobody holds or waits for.
    pub(super) fn free(&self) -> usize {
        self.state.load(Ordering::Acquire) / ONE
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Takes a free credit.
    #[inline]
    pub(super) fn try_take(&self) -> Result<(), Refused> {
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            if state & CLOSED != 0 {
                return Err(Refused::Closed);
            }
            if state < ONE {
                return Err(Refused::None);
            }
            // Acquire: what the receiver did with the place before it gave the credit back has happened.
            match self.state.compare_exchange_weak(state, state - ONE, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(actual) => state = actual,
            }
        }
    }

    /// Takes a credit or a place in the queue; `key` is that place.
    pub(super) fn poll_take(&self, key: &mut Option<usize>, cx: &Context<'_>) -> Poll<Result<(), Refused>> {
        if key.is_none() {
            match self.try_take() {
                Err(Refused::None) => {}
                outcome => return Poll::Ready(outcome),
            }
        }
        // Declared first, so dropped last: a waker that is replaced goes when the lock is free again.
        let mut by = Registration::cloned(cx.waker());
        let mut queue = lock(&self.queue);
        match queue.take_popped(key) {
            Some(Answer::Given) => return Poll::Ready(Ok(())),
            Some(_) => return Poll::Ready(Err(Refused::Closed)),
            None => {}
        }
        if key.is_none() {
            // From here on, whoever gives a credit back or closes comes to the queue, whose lock we hold.
            let mut state = self.state.load(Ordering::Relaxed);
            loop {
                if state & CLOSED != 0 {
                    return Poll::Ready(Err(Refused::Closed));
                }
                let next = if state >= ONE { state - ONE } else { state | WAITING };
                match self.state.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Relaxed) {
                    Ok(_) if state >= ONE => return Poll::Ready(Ok(())),
                    Ok(_) => break,
                    Err(actual) => state = actual,
                }
            }
        }
        queue.wait(key, &mut by, || Answer::Queued);
        drop(queue);
        Poll::Pending
    }

    /// Gives up a place in the queue. `true` if a credit had come meanwhile, which is now the caller's.
    #[must_use]
    pub(super) fn leave(&self, key: &mut Option<usize>) -> bool {
        if key.is_none() {
            return false;
        }
        let mut queue = lock(&self.queue);
        let left = queue.leave(key);
        if queue.is_empty() {
            self.state.fetch_and(!WAITING, Ordering::AcqRel);
        }
        drop(queue);
        // The waker is dropped here, outside the lock.
        left.is_some_and(|(answer, _)| answer == Answer::Given)
    }

    /// Gives a credit back, or on to the first who waits.
    #[inline]
    pub(super) fn give(&self) {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & WAITING == 0 {
            // Release: see `try_take`.
            match self.state.compare_exchange_weak(state, state + ONE, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(actual) => state = actual,
            }
        }
        self.give_to_first();
    }

    #[cold]
    fn give_to_first(&self) {
        let mut queue = lock(&self.queue);
        let waker = queue.pop_front().map(|(waker, answer)| {
            *answer = Answer::Given;
            waker
        });
        if waker.is_none() {
            // The last of them left meanwhile.
            self.state.fetch_add(ONE, Ordering::AcqRel);
        }
        if queue.is_empty() {
            self.state.fetch_and(!WAITING, Ordering::AcqRel);
        }
        drop(queue);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Refuses all who wait and all who come.
    pub(super) fn close(&self) {
        self.state.fetch_or(CLOSED, Ordering::AcqRel);
        let mut queue = lock(&self.queue);
        let wakers = queue.pop_all(|answer| *answer = Answer::Closed);
        self.state.fetch_and(!WAITING, Ordering::AcqRel);
        drop(queue);
        wake_each(wakers);
    }
}
