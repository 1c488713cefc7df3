//! The waker of the one who waits, where any number of threads may come to wake it.

use std::task::Waker;

use crate::sync_types::{AtomicUsize, Ordering, UnsafeCell, fence};

/// The waker belongs to the waiting side.
const OWNED: usize = 0;
/// Whoever exchanges this for `TAKEN` may take the waker.
const ARMED: usize = 1;
/// A waking thread is taking the waker out.
const TAKEN: usize = 2;

/// One place for one waker. Nobody ever waits for anybody: a waking thread that is suspended halfway costs the waiting
/// side a turn of its loop, no more.
///
/// The rule that makes a wake certain: the waiting side registers and *then* looks once more; the waking side leaves
/// what it brings and *then* wakes. A fence in each puts the two pairs into one order, so at least one of the two sees
/// the other.
pub(crate) struct WakerSlot {
    state: AtomicUsize,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: the cell is reached by the waiting side in `OWNED` and by one waking thread in `TAKEN`, never by two.
unsafe impl Send for WakerSlot {}
// SAFETY: as above.
unsafe impl Sync for WakerSlot {}

impl WakerSlot {
    pub(crate) fn new() -> WakerSlot {
        WakerSlot { state: AtomicUsize::new(OWNED), waker: UnsafeCell::new(None) }
    }

    /// Leaves a waker. The caller looks once more for what it waits for.
    ///
    /// # Safety
    /// Only one thread at a time is the waiting side: no other call of this or of [`WakerSlot::withdraw`] is under way.
    pub(crate) unsafe fn register(&self, waker: &Waker) {
        // SAFETY: forwarded.
        if unsafe { self.withdraw() } {
            // SAFETY: the state is OWNED, and only this side leaves it.
            let known = self
                .waker
                .with_mut(|slot| unsafe { &*slot }.as_ref().is_some_and(|old| old.will_wake(waker)));
            if !known {
                // Cloned and dropped while the cell is not being touched: either may run foreign code.
                let new = Some(waker.clone());
                // SAFETY: as above.
                let old = self.waker.with_mut(|slot| std::mem::replace(unsafe { &mut *slot }, new));
                drop(old);
            }
            // Release: the taker sees the waker.
            self.state.store(ARMED, Ordering::Release);
        } else {
            // The waker that is being woken may be an older one.
            waker.wake_by_ref();
            // A model has to be told that only another thread can bring this one on.
            #[cfg(loom)]
            loom::thread::yield_now();
        }
        fence(Ordering::SeqCst);
    }

    /// Makes the waker the caller's again, unless a thread is just taking it: then `false`.
    ///
    /// # Safety
    /// As for [`WakerSlot::register`].
    pub(crate) unsafe fn withdraw(&self) -> bool {
        // Acquire: pairs with the taker's last store, so the cell is ours.
        match self.state.load(Ordering::Acquire) {
            OWNED => true,
            ARMED => match self.state.compare_exchange(ARMED, OWNED, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => true,
                Err(state) => state == OWNED,
            },
            _ => false,
        }
    }

    /// Drops the waker, if it is there.
    ///
    /// # Safety
    /// As for [`WakerSlot::register`].
    pub(crate) unsafe fn clear(&self) {
        // SAFETY: forwarded; after `withdraw` the cell is ours.
        if unsafe { self.withdraw() } {
            // SAFETY: as above.
            let waker = self.waker.with_mut(|slot| unsafe { &mut *slot }.take());
            drop(waker);
        }
    }

    /// Wakes the waiting side, if it waits. What it waits for must be there already.
    #[inline]
    pub(crate) fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.state.load(Ordering::Relaxed) == ARMED {
            self.take_and_wake();
        }
    }

    #[cold]
    fn take_and_wake(&self) {
        if self.state.compare_exchange(ARMED, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return;
        }
        // SAFETY: of all that saw ARMED, this thread alone made it TAKEN.
        let waker = self.waker.with_mut(|slot| unsafe { &mut *slot }.take());
        self.state.store(OWNED, Ordering::Release);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
