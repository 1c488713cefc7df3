//! The queue of those who wait, which all primitives of this module share.
//!
//! Wakers are other people's code: cloning, waking or dropping one may come back into the very primitive that did
//! it. So each of the three happens while nothing is borrowed, and the functions here are shaped to make that the
//! easy way.
//!
//! Senders of a mailbox wait in the same queue, from any thread and under a lock.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::{Context, Poll, Waker};

use slab::Slab;

/// Waiters in the order of their arrival; `N` is what the primitive notes about each.
///
/// A slot is made by [`Waiters::wait`] and given back by the future that owns its key, so a waiter that was popped
/// but never polled again is still known, and what it was given can be passed on. Every operation on one waiter
/// is O(1).
pub(crate) struct Waiters<N, P = OneCore> {
    slots: Slab<Slot<N>>,
    first: Option<usize>,
    last: Option<usize>,
    place: PhantomData<P>,
}

/// What waits belongs to one core, so the primitives don't leave it either.
pub(crate) type OneCore = *const ();
/// Whoever waits may be anywhere.
pub(crate) type AnyThread = ();

struct Slot<N> {
    /// Present while the slot is queued.
    waker: Option<Waker>,
    prev: Option<usize>,
    next: Option<usize>,
    note: N,
}

impl<N, P> Waiters<N, P> {
    pub(crate) const fn new() -> Waiters<N, P> {
        Waiters { slots: Slab::new(), first: None, last: None, place: PhantomData }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn front(&self) -> Option<&N> {
        self.first.map(|key| &self.slots[key].note)
    }

    /// Queues a waiter, or gives the one under `key` the waker of this poll.
    pub(crate) fn wait(
        &mut self,
        key: &mut Option<usize>,
        by: &mut Registration<'_>,
        note: impl FnOnce() -> N,
    ) {
        if let Some(key) = *key {
            by.register(&mut self.slots[key].waker);
            return;
        }
        let mut waker = None;
        by.register(&mut waker);
        if waker.is_none() {
            return;
        }
        let new = self.slots.insert(Slot { waker, prev: self.last, next: None, note: note() });
        match self.last.replace(new) {
            Some(last) => self.slots[last].next = Some(new),
            None => self.first = Some(new),
        }
        *key = Some(new);
    }

    /// Ends the wait of the first in the queue, whose slot stays until its future comes for it.
    pub(crate) fn pop_front(&mut self) -> Option<(Waker, &mut N)> {
        let key = self.first?;
        self.unlink(key);
        let slot = &mut self.slots[key];
        let waker = slot.waker.take().expect("a queued slot has a waker");
        Some((waker, &mut slot.note))
    }

    /// Ends the wait of all who wait now.
    pub(crate) fn pop_all(&mut self, mut mark: impl FnMut(&mut N)) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while let Some((waker, note)) = self.pop_front() {
            mark(note);
            wakers.push(waker);
        }
        wakers
    }

    /// Gives back the slot under `key` if its wait has ended.
    pub(crate) fn take_popped(&mut self, key: &mut Option<usize>) -> Option<N> {
        let slot = (*key)?;
        if self.slots[slot].waker.is_some() {
            return None;
        }
        *key = None;
        Some(self.slots.remove(slot).note)
    }

    /// Gives back the slot of a future that is dropped or ready by other means. The waker is there if it was still
    /// queued, for the caller to drop once nothing is borrowed.
    pub(crate) fn leave(&mut self, key: &mut Option<usize>) -> Option<(N, Option<Waker>)> {
        let key = key.take()?;
        if self.slots[key].waker.is_some() {
            self.unlink(key);
        }
        let slot = self.slots.remove(key);
        Some((slot.note, slot.waker))
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    fn unlink(&mut self, key: usize) {
        let (prev, next) = (self.slots[key].prev.take(), self.slots[key].next.take());
        match prev {
            Some(prev) => self.slots[prev].next = next,
            None => self.first = next,
        }
        match next {
            Some(next) => self.slots[next].prev = prev,
            None => self.last = prev,
        }
    }
}

/// The waker of one poll, on its way into a slot.
pub(crate) struct Registration<'a> {
    waker: &'a Waker,
    cloned: Option<Waker>,
    clone_needed: bool,
}

impl<'a> Registration<'a> {
    /// For who can't come back after a clone.
    pub(crate) fn cloned(waker: &'a Waker) -> Registration<'a> {
        Registration { waker, cloned: Some(waker.clone()), clone_needed: false }
    }

    fn register(&mut self, slot: &mut Option<Waker>) {
        if slot.as_ref().is_some_and(|waker| waker.will_wake(self.waker)) {
            return;
        }
        match self.cloned.take() {
            // What was in the slot is dropped with the registration, after the borrow.
            Some(waker) => self.cloned = slot.replace(waker),
            None => self.clone_needed = true,
        }
    }
}

/// Runs one poll of a future on borrowed state.
///
/// `step` runs a second time, after the waker was cloned outside the borrow, if it asked for a registration that
/// needs a clone. Until then it must not have changed the state.
pub(crate) fn poll_registered<S, R>(
    state: &RefCell<S>,
    cx: &Context<'_>,
    mut step: impl FnMut(&mut S, &mut Registration<'_>) -> Poll<R>,
) -> Poll<R> {
    let mut registration = Registration { waker: cx.waker(), cloned: None, clone_needed: false };
    loop {
        let outcome = step(&mut state.borrow_mut(), &mut registration);
        if outcome.is_ready() || !std::mem::take(&mut registration.clone_needed) {
            return outcome;
        }
        registration.cloned = Some(cx.waker().clone());
    }
}

/// Wakes one after the other; a waker that panics does not keep the rest from being woken.
pub(crate) fn wake_each(wakers: impl IntoIterator<Item = Waker>) {
    let mut panicked = None;
    for waker in wakers {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            // A payload's destructor may panic as well, so only the one that goes on is kept in hand.
            match panicked {
                None => panicked = Some(payload),
                Some(_) => std::mem::forget(payload),
            }
        }
    }
    if let Some(payload) = panicked {
        resume_unwind(payload);
    }
}
