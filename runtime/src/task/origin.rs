//! Where a task comes from: its place in the source, and its name if it has one.

use std::fmt;
use std::panic::Location;

/// A place, or a name with a place, in the space of one pointer: only tasks with names pay for names.
///
/// Both targets are aligned, so the lowest bit of the address is free to tell them apart.
pub(crate) struct Origin(*const ());

struct Named {
    name: Box<str>,
    at: &'static Location<'static>,
}

const NAMED: usize = 1;

// SAFETY: what it points to is either static or owned, and both kinds are `Send` and `Sync` and never change.
unsafe impl Send for Origin {}
// SAFETY: as above.
unsafe impl Sync for Origin {}

impl Origin {
    pub(crate) fn named(name: &str, at: &'static Location<'static>) -> Origin {
        let named: *const Named = Box::into_raw(Box::new(Named { name: name.into(), at }));
        Origin(named.cast::<()>().map_addr(|address| address | NAMED))
    }

    fn as_named(&self) -> Option<*const Named> {
        let is_named = self.0.addr() & NAMED != 0;
        is_named.then(|| self.0.map_addr(|address| address & !NAMED).cast())
    }

    /// Where the task was spawned. A signal handler may ask: it only reads.
    #[inline]
    pub(crate) fn at(&self) -> &'static Location<'static> {
        match self.as_named() {
            // SAFETY: `named` made the pointer from a box that is freed when this is dropped.
            Some(named) => unsafe { (*named).at },
            // SAFETY: `from` made the pointer from a reference that is valid for ever.
            None => unsafe { &*self.0.cast::<Location<'static>>() },
        }
    }

    pub(crate) fn name(&self) -> Option<&str> {
        // SAFETY: as in `at`.
        self.as_named().map(|named| unsafe { &*(*named).name })
    }
}

impl From<&'static Location<'static>> for Origin {
    #[inline]
    fn from(at: &'static Location<'static>) -> Origin {
        Origin(std::ptr::from_ref(at).cast())
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Some(named) = self.as_named() {
            // SAFETY: the pointer came from `Box::into_raw`, and nobody else has it.
            drop(unsafe { Box::from_raw(named.cast_mut()) });
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name:?}, spawned at {}", self.at()),
            None => self.at().fmt(f),
        }
    }
}

const _: () = assert!(align_of::<Location<'static>>() > 1 && align_of::<Named>() > 1);
