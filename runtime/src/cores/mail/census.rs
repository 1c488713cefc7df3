//! Whether anything is left to be done on any core of a runtime.

use crate::sync_types::{AtomicUsize, Ordering};

/// Counts the cores that have tasks, and the tasks on their way between cores.
///
/// A core without tasks stays, as others may send it some. Only who is counted can add to the count, so once it is
/// zero it stays so, and all cores end.
pub(crate) struct Census {
    busy: AtomicUsize,
}

impl Census {
    pub(crate) fn new(busy: usize) -> Census {
        Census { busy: AtomicUsize::new(busy) }
    }

    /// Counts one more; `false` if it is all over.
    pub(crate) fn enter(&self) -> bool {
        let mut busy = self.busy.load(Ordering::Relaxed);
        while busy > 0 {
            match self.busy.compare_exchange_weak(busy, busy + 1, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(actual) => busy = actual,
            }
        }
        false
    }

    /// Counts one less; `true` if that was the last.
    #[must_use = "the last one tells the others"]
    pub(crate) fn leave(&self) -> bool {
        self.busy.fetch_sub(1, Ordering::AcqRel) == 1
    }

    pub(crate) fn is_over(&self) -> bool {
        self.busy.load(Ordering::Acquire) == 0
    }
}
