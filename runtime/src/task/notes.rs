//! What a task notes about itself for a dump: sixteen bytes, and an addition per poll.

use std::cell::Cell;
use std::panic::Location;
use std::task::Waker;

use super::waker;

/// Part of a task's header, for its home thread alone.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) polls: Cell<u32>,
    /// Seconds between the start of the executor and the spawn.
    pub(super) born: Cell<u32>,
    /// The place of the last wait that has no list of the core's to be found in.
    at: Cell<Option<&'static Location<'static>>>,
}

/// What a task waits for; apart from the rest, as it fits into a gap of the header.
#[derive(Clone, Copy, Default)]
pub(super) struct Wait {
    what: Option<Primitive>,
    /// The low bits of the number of polls when that was noted: after another poll it means nothing any more.
    poll: u16,
}

/// What a task can wait for without a list of its core that knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Primitive {
    /// A permit, and so the turn of a mutex, a read-write lock or a full channel.
    Semaphore,
    /// An event, and so a cancellation, a gate or a phase of the shutdown.
    Event,
    /// A notification.
    Notify,
    /// A channel: a message or room for one.
    Channel,
    /// A task of a set or a scope.
    Tasks,
}

impl Notes {
    pub(super) fn new(born: u32) -> Notes {
        Notes { born: Cell::new(born), ..Notes::default() }
    }

    #[inline]
    pub(super) fn polled(&self) {
        self.polls.set(self.polls.get().wrapping_add(1));
    }

    pub(super) fn waits_on(&self, wait: Wait) -> Option<(Primitive, Option<&'static Location<'static>>)> {
        let what = wait.what?;
        (wait.poll == self.polls.get() as u16).then_some((what, self.at.get()))
    }
}

/// Notes what the task behind a waker is about to wait for. Called by leaves that return `Pending`, and so on the way
/// to sleep, never on the way of what is ready.
#[inline]
pub(crate) fn waits_on(waker: &Waker, what: Primitive, at: Option<&'static Location<'static>>) {
    let Some(header) = waker::home_header(waker) else { return };
    header.notes.at.set(at);
    header.wait.set(Wait { what: Some(what), poll: header.notes.polls.get() as u16 });
}
