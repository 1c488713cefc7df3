//! What must wait until the driver is no longer borrowed.

use std::task::{Context, Waker};

use super::file::FilePayload;
use crate::buf::SendBuf;
use crate::task::{is_home_waker, isolate_each, wake_isolated};

/// Who is to be woken, made before anything is borrowed: to clone a foreign waker is to run code of which we know
/// nothing.
pub(crate) struct Caller<'a> {
    waker: &'a Waker,
    foreign: Option<Waker>,
}

impl<'a> Caller<'a> {
    #[inline]
    pub(crate) fn new(cx: &Context<'a>) -> Caller<'a> {
        let waker = cx.waker();
        Caller { waker, foreign: (!is_home_waker(waker)).then(|| waker.clone()) }
    }
}

/// What is to happen after a batch of completions, outside the borrow of the driver: wakers and buffers may run
/// code of which we know nothing.
#[derive(Default)]
pub(crate) struct After {
    wake: Vec<Waker>,
    pub(super) drop: Vec<SendBuf>,
    /// They may be the last to hold a file, which is closed through the driver.
    pub(super) files: Vec<FilePayload>,
}

impl After {
    /// Wakes through a waker slot. Our own wakers only touch the run queue, so they are used in place and stay.
    #[inline]
    pub(super) fn wake(&mut self, slot: &mut Option<Waker>) {
        if let Some(waker) = slot {
            if is_home_waker(waker) {
                waker.wake_by_ref();
            } else {
                self.wake.extend(slot.take());
            }
        }
    }

    /// Puts the caller into a waker slot, unless it is there already.
    #[inline]
    pub(super) fn park(&mut self, slot: &mut Option<Waker>, caller: &mut Caller<'_>) {
        if slot.as_ref().is_some_and(|known| known.will_wake(caller.waker)) {
            return;
        }
        let waker = caller.foreign.take().unwrap_or_else(|| caller.waker.clone());
        let mut old = slot.replace(waker);
        self.discard(&mut old);
    }

    /// Drops a waker later.
    pub(super) fn discard(&mut self, slot: &mut Option<Waker>) {
        match slot.take() {
            Some(waker) if !is_home_waker(&waker) => self.wake.push(waker),
            _ => {}
        }
    }

    /// Drops a buffer now if that is harmless, else later.
    #[inline]
    pub(super) fn release(&mut self, buffer: SendBuf) {
        // `Bytes` may have been made from an owner with a destructor of its own.
        if let SendBuf::Bytes(_) = buffer {
            self.drop.push(buffer);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.wake.is_empty() && self.drop.is_empty() && self.files.is_empty()
    }

    pub(crate) fn run(&mut self) {
        wake_isolated(self.wake.drain(..));
        isolate_each("the owner of a buffer", self.drop.drain(..), drop);
        isolate_each("an operation on a file", self.files.drain(..), drop);
    }
}
