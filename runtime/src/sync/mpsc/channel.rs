use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::TryRecvError;
use crate::sync::event::Event;
use crate::sync::semaphore::Semaphore;
use crate::sync::waker_cell::WakerCell;

/// What both ends share.
pub(super) struct Channel<T> {
    queue: RefCell<VecDeque<T>>,
    /// A permit for each value that still fits; none at all for a channel without bound.
    pub(super) slots: Option<Semaphore>,
    pub(super) receiver: WakerCell,
    pub(super) closed: Event,
    receiver_gone: Cell<bool>,
    senders: Cell<usize>,
    /// Slots that were promised: their holders may send even after the channel was closed.
    reserved: Cell<usize>,
}

impl<T> Channel<T> {
    pub(super) fn new(slots: Option<Semaphore>) -> Channel<T> {
        Channel {
            queue: RefCell::default(),
            slots,
            receiver: WakerCell::new(),
            closed: Event::new(),
            receiver_gone: Cell::new(false),
            senders: Cell::new(1),
            reserved: Cell::new(0),
        }
    }

    /// Puts a value into the slot that the caller has a permit for.
    pub(super) fn push(&self, value: T) {
        if self.receiver_gone.get() {
            drop(value);
            return;
        }
        self.queue.borrow_mut().push_back(value);
        self.receiver.wake();
    }

    pub(super) fn try_pop(&self) -> Result<T, TryRecvError> {
        let value = self.queue.borrow_mut().pop_front();
        match value {
            Some(value) => {
                self.free_slot();
                Ok(value)
            }
            None if self.will_get_more() => Err(TryRecvError::Empty),
            None => Err(TryRecvError::Closed),
        }
    }

    fn will_get_more(&self) -> bool {
        self.reserved.get() > 0 || (self.senders.get() > 0 && !self.closed.is_set())
    }

    pub(super) fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    pub(super) fn free_slot(&self) {
        if let Some(slots) = &self.slots {
            slots.add_permits(1);
        }
    }

    pub(super) fn reserve(&self) {
        self.reserved.set(self.reserved.get() + 1);
    }

    pub(super) fn unreserve(&self) {
        self.reserved.set(self.reserved.get() - 1);
        if !self.will_get_more() {
            self.receiver.wake();
        }
    }

    pub(super) fn add_sender(&self) {
        self.senders.set(self.senders.get() + 1);
    }

    pub(super) fn remove_sender(&self) {
        self.senders.set(self.senders.get() - 1);
        if !self.will_get_more() {
            self.receiver.wake();
        }
    }

    pub(super) fn close(&self) {
        // The event comes first: whoever is woken by the semaphore finds the channel closed.
        self.closed.set();
        if let Some(slots) = &self.slots {
            slots.close();
        }
    }

    pub(super) fn receiver_goes(&self) {
        self.receiver_gone.set(true);
        self.close();
        self.receiver.clear();
        // Values are dropped outside the borrow: one may hold a sender of this channel.
        drop(self.queue.take());
    }
}
