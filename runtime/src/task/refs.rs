//! How many references a task has, counted without atomic arithmetic where that is the usual case.
//!
//! Most references are made and dropped on the task's home thread, which counts them in a plain cell; other threads
//! count in an atomic one, which may go below its start when they drop what was made at home. This is biased reference
//! counting (Choi, Shull and Torrellas, PACT 2018), made simple by what a task is: while it lives, its executor holds a
//! reference, so nobody has to ask whether one was the last. When the executor gives up its own, the two counts are
//! added up, and from then on the atomic one is exact.

use std::cell::Cell;

use crate::sync_types::{AtomicIsize, Ordering, fence};

/// What `shared` starts from: other threads can neither reach zero nor take it for their own count.
const BIAS: isize = isize::MAX / 2;

pub(super) struct Refs {
    local: Cell<isize>,
    shared: AtomicIsize,
    phase: Cell<Phase>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The executor holds a reference; both counts are in use.
    Held,
    /// The join handle holds the only reference there is.
    Sole,
    /// `shared` counts all.
    Shared,
}

impl Refs {
    /// Two references: the executor's and the join handle's.
    pub(super) fn new() -> Refs {
        Refs { local: Cell::new(2), shared: AtomicIsize::new(BIAS), phase: Cell::new(Phase::Held) }
    }

    /// One more; on the home thread.
    #[inline]
    pub(super) fn acquire_at_home(&self) {
        match self.phase.get() {
            Phase::Held => self.local.set(self.local.get() + 1),
            Phase::Sole | Phase::Shared => self.acquire_away(),
        }
    }

    /// One more; on any thread.
    pub(super) fn acquire_away(&self) {
        self.shared.fetch_add(1, Ordering::Relaxed);
    }

    /// One less, on the home thread; `true` if it was the last.
    #[inline]
    pub(super) fn release_at_home(&self) -> bool {
        match self.phase.get() {
            Phase::Held => {
                self.local.set(self.local.get() - 1);
                false
            }
            Phase::Sole => true,
            Phase::Shared => self.release_away(),
        }
    }

    /// One less, on any thread; `true` if it was the last.
    pub(super) fn release_away(&self) -> bool {
        let last = self.shared.fetch_sub(1, Ordering::Release) == 1;
        if last {
            // Every other holder's last access happens before the memory is freed.
            fence(Ordering::Acquire);
        }
        last
    }

    /// The executor gives up its reference, on the home thread; `true` if it was the last. `joined` says whether the
    /// join handle still has its own. If wakers remain, `others_remain` is called before any of them can be the last.
    #[inline]
    pub(super) fn release_by_executor(&self, joined: bool, others_remain: impl FnOnce()) -> bool {
        let local = self.local.get() - 1;
        // References only come from references: if the counts leave none but the handle's, which makes none, then
        // no thread can change them any more. Acquire pairs with the release of those who dropped theirs.
        let left = local + (self.shared.load(Ordering::Acquire) - BIAS);
        if left == 0 {
            return true;
        }
        if left == 1 && joined {
            self.phase.set(Phase::Sole);
            return false;
        }
        others_remain();
        self.phase.set(Phase::Shared);
        self.shared.fetch_add(local - BIAS, Ordering::AcqRel) + local == BIAS
    }
}
