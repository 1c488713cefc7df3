use std::cell::Cell;
use std::task::Waker;

/// The waker of a side that only one task can wait on.
#[derive(Default)]
pub(super) struct WakerCell(Cell<Option<Waker>>);

impl WakerCell {
    pub(super) const fn new() -> WakerCell {
        WakerCell(Cell::new(None))
    }

    /// Keeps the waker. The caller looks at its state again afterwards, as cloning may have changed it.
    pub(super) fn register(&self, waker: &Waker) {
        let old = self.0.take();
        if old.as_ref().is_some_and(|old| old.will_wake(waker)) {
            self.0.set(old);
        } else {
            let nested = self.0.replace(Some(waker.clone()));
            drop((old, nested));
        }
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }

    /// Forgets the waker of a side that will not wait again.
    pub(super) fn clear(&self) {
        drop(self.0.take());
    }
}
