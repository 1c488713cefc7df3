//! Who waits for what in a driver: read off the slots, which know it anyway.

use std::os::fd::{AsRawFd, RawFd};
use std::task::Waker;

use super::driver::Driver;

/// What a slot's waker waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    Recv(RawFd),
    Send(RawFd),
    Accept(RawFd),
    Operation(&'static str),
}

impl Driver {
    /// Shows every waker that a slot keeps. One that a dropped future left behind may be among them.
    pub(crate) fn for_each_waiter(&self, mut show: impl FnMut(&Waker, Awaited)) {
        for (_, slot) in &self.streams {
            slot.recv_waker.iter().for_each(|waker| show(waker, Awaited::Recv(slot.descriptor)));
            slot.send_waker.iter().for_each(|waker| show(waker, Awaited::Send(slot.descriptor)));
        }
        for (_, slot) in &self.listeners {
            slot.waker.iter().for_each(|waker| show(waker, Awaited::Accept(slot.socket.as_raw_fd())));
        }
        for (_, slot) in &self.operations {
            if let Some((waker, what)) = slot.waiter() {
                show(waker, Awaited::Operation(what));
            }
        }
    }
}
