//! A listening socket: one multishot accept, and the connections that wait to be taken.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::task::{Context, Poll, Waker};

use slab::Slab;

use super::after::Caller;
use super::driver::{Driver, missed};
use super::op::Op;
use super::token::{Key, Kind};
use crate::error::core_is_gone;
use crate::probes::probe;

/// Accepted connections that may wait for a slow acceptor before accepting stops and the backlog takes over.
const QUEUE_LIMIT: usize = 1024;

pub(crate) struct ListenerSlot {
    pub(super) generation: u32,
    pub(super) socket: OwnedFd,
    pub(super) held: bool,
    pub(super) armed: bool,
    pub(super) stopping: bool,
    pub(super) error: Option<i32>,
    pub(super) accepted: VecDeque<OwnedFd>,
    pub(super) waker: Option<Waker>,
}

fn slot_of(listeners: &mut Slab<ListenerSlot>, key: Key) -> Option<&mut ListenerSlot> {
    listeners.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)
}

/// Whether an error of accept(2) says nothing about the listener, so that the next connection may well be accepted:
/// Linux hands down what is wrong with the network of the new connection (accept(2), "Error handling").
fn is_of_one_connection(error: i32) -> bool {
    matches!(
        error,
        libc::EINTR
            | libc::EAGAIN
            | libc::ECANCELED
            | libc::ECONNABORTED
            | libc::EPROTO
            | libc::ENOPROTOOPT
            | libc::ENETDOWN
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::EHOSTUNREACH
            | libc::ENONET
    )
}

impl Driver {
    pub(crate) fn adopt_listener(&mut self, socket: OwnedFd) -> io::Result<Key> {
        if self.is_closed() {
            return Err(core_is_gone());
        }
        let generation = self.next_generation();
        let index = self.listeners.insert(ListenerSlot {
            generation,
            socket,
            held: true,
            armed: false,
            stopping: false,
            error: None,
            accepted: VecDeque::new(),
            waker: None,
        }) as u32;
        Ok(Key { index, generation })
    }

    fn listener(&mut self, key: Key) -> Option<&mut ListenerSlot> {
        slot_of(&mut self.listeners, key)
    }

    /// The socket, for calls that need no ring. Valid until [`Driver::drop_listener`].
    pub(crate) fn listener_descriptor(&mut self, key: Key) -> io::Result<RawFd> {
        self.listener(key).map(|slot| slot.socket.as_raw_fd()).ok_or_else(core_is_gone)
    }

    pub(crate) fn poll_accept(
        driver: &RefCell<Driver>,
        key: Key,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<OwnedFd>> {
        let mut caller = Caller::new(cx);
        driver.borrow_mut().accept_or_park(key, &mut caller)
    }

    fn accept_or_park(&mut self, key: Key, caller: &mut Caller<'_>) -> Poll<io::Result<OwnedFd>> {
        let Some(slot) = slot_of(&mut self.listeners, key) else { return Poll::Ready(Err(core_is_gone())) };
        if let Some(socket) = slot.accepted.pop_front() {
            return Poll::Ready(Ok(socket));
        }
        if let Some(code) = slot.error.take() {
            return Poll::Ready(Err(io::Error::from_raw_os_error(code)));
        }
        self.after.park(&mut slot.waker, caller);
        let op = (!slot.armed).then(|| Op::AcceptMulti { socket: slot.socket.as_raw_fd() });
        slot.armed = true;
        if let Some(op) = op {
            // SAFETY: a multishot accept takes no address, so it points to nothing.
            unsafe { self.push(op, key.token(Kind::Accept)) };
        }
        Poll::Pending
    }

    /// Stops accepting; ready, with the connections that nobody took, when the kernel has stopped.
    pub(crate) fn poll_retire(
        driver: &RefCell<Driver>,
        key: Key,
        cx: &mut Context<'_>,
    ) -> Poll<VecDeque<OwnedFd>> {
        let mut caller = Caller::new(cx);
        driver.borrow_mut().retire_or_park(key, &mut caller)
    }

    fn retire_or_park(&mut self, key: Key, caller: &mut Caller<'_>) -> Poll<VecDeque<OwnedFd>> {
        let Some(slot) = slot_of(&mut self.listeners, key) else { return Poll::Ready(VecDeque::new()) };
        if !slot.armed {
            return Poll::Ready(std::mem::take(&mut slot.accepted));
        }
        self.after.park(&mut slot.waker, caller);
        let cancel = !slot.stopping;
        slot.stopping = true;
        if cancel {
            self.cancel(key, Kind::Accept, Kind::CancelAccept);
        }
        Poll::Pending
    }

    pub(super) fn on_accept(&mut self, key: Key, result: i32, more: bool) {
        probe!(accepted, result);
        // SAFETY: a completion that is not negative carries a new descriptor, which nobody else owns. Adopting it
        // first means that it is closed on every way out of here.
        let socket = (result >= 0).then(|| unsafe { OwnedFd::from_raw_fd(result) });
        self.counts.accepted += u64::from(socket.is_some());
        let Some(slot) = self.listener(key) else { return };
        if !more {
            slot.armed = false;
            slot.stopping = false;
        }
        if !slot.held {
            drop(socket);
            return self.free_listener_if_done(key);
        }
        match socket {
            Some(socket) => {
                slot.accepted.push_back(socket);
                if slot.accepted.len() >= QUEUE_LIMIT && slot.armed && !slot.stopping {
                    slot.stopping = true;
                    self.cancel(key, Kind::Accept, Kind::CancelAccept);
                }
            }
            // The peer gave up before it was accepted, or accepting was stopped by us: nothing to report.
            None if is_of_one_connection(-result) => {}
            None => slot.error = Some(-result),
        }
        if let Some(slot) = self.listeners.get_mut(key.index as usize) {
            self.after.wake(&mut slot.waker);
        }
    }

    pub(super) fn on_accept_cancelled(&mut self, key: Key, result: i32) {
        let Some(slot) = self.listener(key) else { return };
        if slot.armed && slot.stopping && missed(result) {
            self.cancel(key, Kind::Accept, Kind::CancelAccept);
        }
    }

    /// The handle is gone: connections that nobody took are closed, now and as they arrive.
    pub(crate) fn drop_listener(&mut self, key: Key) {
        let Some(slot) = self.listener(key) else { return };
        slot.held = false;
        slot.accepted.clear();
        let mut waker = slot.waker.take();
        let cancel = slot.armed && !slot.stopping;
        slot.stopping |= cancel;
        self.after.discard(&mut waker);
        if cancel {
            self.cancel(key, Kind::Accept, Kind::CancelAccept);
        }
        self.free_listener_if_done(key);
    }

    fn free_listener_if_done(&mut self, key: Key) {
        if self.listener(key).is_some_and(|slot| !slot.held && !slot.armed) {
            self.listeners.remove(key.index as usize);
        }
    }

    pub(super) fn drop_listeners(&mut self) {
        let keys: Vec<Key> = self
            .listeners
            .iter()
            .map(|(index, slot)| Key { index: index as u32, generation: slot.generation })
            .collect();
        for key in keys {
            self.drop_listener(key);
        }
    }
}
