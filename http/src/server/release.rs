//! Giving memory back when a burst of connections is over.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use covet_runtime::buf;
use covet_runtime::time::{self, Sleep};

use super::accept::Shared;

/// A burst is worth the trouble from so many connections on.
const BURST: usize = 256;
/// It is over when one in so many is left.
const LEFT: usize = 8;
/// Connections come and go in waves, and only the last wave's memory is worth giving back.
const PAUSE: Duration = Duration::from_secs(1);

/// How many connections there were at most since memory was given back.
#[derive(Default)]
pub(super) struct Tide {
    most: Cell<usize>,
    /// The burst is over, and the accept loop has been told.
    is_out: Cell<bool>,
    accepting: Cell<Option<Waker>>,
    pause: RefCell<Option<Pin<Box<Sleep>>>>,
}

impl Tide {
    /// Notes that a connection has begun.
    #[inline]
    pub(super) fn rises(&self, open: usize) {
        if open > self.most.get() {
            self.most.set(open);
        }
    }

    /// Notes that a connection has ended.
    #[inline]
    pub(super) fn falls(&self, open: usize) {
        if self.is_low(open)
            && !self.is_out.replace(true)
            && let Some(waker) = self.accepting.take()
        {
            waker.wake();
        }
    }

    fn is_low(&self, open: usize) -> bool {
        self.most.get() >= BURST && open <= self.most.get() / LEFT
    }
}

impl Shared {
    /// For the accept loop, whenever it looks whether there is anything to do: a while after a burst, gives memory back.
    pub(super) fn poll_tide(&self, cx: &mut Context<'_>) {
        let tide = &self.tide;
        tide.accepting.set(Some(cx.waker().clone()));
        if !tide.is_out.get() {
            return;
        }
        let mut pause = tide.pause.borrow_mut();
        let sleep = pause.get_or_insert_with(|| Box::pin(time::sleep(PAUSE)));
        if sleep.as_mut().poll(cx).is_pending() {
            return;
        }
        *pause = None;
        tide.is_out.set(false);
        let open = self.open();
        if tide.is_low(open) {
            tide.most.set(open);
            self.release_lists();
            buf::release();
        }
    }
}
