//! A bounded channel from any thread to one core.

mod credits;
mod receiver;
mod sender;
mod slots;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;

use credits::{Credits, MAX_CREDITS};
use slots::Slots;

pub use receiver::{Mailbox, Receiver, Recv};
pub use sender::{Permit, Reserve, Send, Sender};

use super::waker_slot::WakerSlot;
use crate::sync::mpsc::TryRecvError;
use crate::sync_types::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering, fence, lock};

/// A channel with room for `capacity` values: a sender that may be cloned and sent anywhere, and a mailbox that is
/// bound to the core (or thread) that reads it.
///
/// The room is allocated at once.
///
/// # Panics
/// With a capacity of zero, or one that no memory could hold.
pub fn channel<T: std::marker::Send>(capacity: usize) -> (Sender<T>, Mailbox<T>) {
    assert!(capacity > 0, "a channel between cores needs room for one value at least");
    assert!(capacity <= MAX_CREDITS, "a channel has room for {MAX_CREDITS} values at most");
    let channel = Arc::new(Channel {
        capacity,
        credits: Credits::new(capacity),
        slots: Slots::new(capacity),
        receiver: WakerSlot::new(),
        receiver_gone: AtomicBool::new(false),
        senders: AtomicUsize::new(1),
        drain: Mutex::new(()),
    });
    (Sender::new(channel.clone()), Mailbox::new(channel))
}

/// What both ends share.
///
/// A value needs a credit to be sent, and gives it back when it is taken. So when all credits are back and the channel
/// is closed, nothing is on its way any more.
struct Channel<T> {
    capacity: usize,
    credits: Credits,
    slots: Slots<T>,
    receiver: WakerSlot,
    receiver_gone: AtomicBool,
    senders: AtomicUsize,
    /// Who empties the slots once the receiver is gone.
    drain: Mutex<()>,
}

impl<T> Channel<T> {
    /// Sends a value for the credit that the caller holds.
    #[inline]
    fn deliver(&self, value: T) {
        // SAFETY: the caller's credit goes with the value.
        unsafe { self.slots.push(value) };
        // Its fence also stands between the push and the look at `receiver_gone`.
        self.receiver.wake();
        if self.receiver_gone.load(Ordering::Relaxed) {
            self.drain();
        }
    }

    /// Gives a credit back for which nothing was sent.
    fn give_back(&self) {
        self.credits.give();
        if self.credits.is_closed() {
            // It may have been the last that the receiver waits for.
            self.receiver.wake();
        }
    }

    /// # Safety
    /// The caller is the receiver.
    unsafe fn try_pop(&self) -> Result<T, TryRecvError> {
        // SAFETY: forwarded; the credit is given back below.
        let mut value = unsafe { self.slots.pop() };
        if value.is_none() {
            if self.credits.is_closed() && self.credits.free() == self.capacity {
                return Err(TryRecvError::Closed);
            }
            // Acquire: what the last sender sent before it went is there now.
            if self.senders.load(Ordering::Acquire) > 0 {
                return Err(TryRecvError::Empty);
            }
            // SAFETY: as above.
            value = unsafe { self.slots.pop() };
        }
        let value = value.ok_or(TryRecvError::Closed)?;
        self.credits.give();
        Ok(value)
    }

    fn add_sender(&self) {
        self.senders.fetch_add(1, Ordering::Relaxed);
    }

    fn remove_sender(&self) {
        // Release: see `try_pop`.
        if self.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.receiver.wake();
        }
    }

    fn receiver_goes(&self) {
        self.credits.close();
        self.receiver_gone.store(true, Ordering::Relaxed);
        // A value that the following look misses was pushed by a sender whose look comes after this.
        fence(Ordering::SeqCst);
        self.drain();
    }

    /// Drops what nobody will take. A value must not lie here for as long as some sender lives: another task may wait
    /// for what its destructor does.
    #[cold]
    fn drain(&self) {
        /// Goes on when a value's destructor panics.
        struct Rest<'a, T>(&'a Channel<T>);
        impl<T> Drop for Rest<'_, T> {
            fn drop(&mut self) {
                self.0.drain();
            }
        }
        loop {
            let value = {
                let _one_at_a_time = lock(&self.drain);
                // SAFETY: the receiver is gone, and of the others one at a time is here.
                unsafe { self.slots.pop() }
            };
            let Some(value) = value else { return };
            self.credits.give();
            let rest = Rest(self);
            drop(value);
            std::mem::forget(rest);
        }
    }
}
