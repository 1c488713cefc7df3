use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::channel::Channel;
use super::{Receiver, SendError, TrySendError};
use crate::sync::semaphore::{Semaphore, TryAcquireError};

/// Makes a channel that holds at most `capacity` values, and senders back.
///
/// # Panics
/// With a capacity of zero, or above [`Semaphore::MAX_PERMITS`].
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a bounded channel holds at least one value");
    let channel = Rc::new(Channel::new(Some(Semaphore::new(capacity))));
    (Sender { channel: channel.clone() }, Receiver { channel })
}

/// Sends into a bounded channel; clone it for more senders.
pub struct Sender<T> {
    channel: Rc<Channel<T>>,
}

impl<T> Sender<T> {
    fn slots(&self) -> &Semaphore {
        self.channel.slots.as_ref().expect("a bounded channel counts its slots")
    }

    /// Waits for a free slot and sends the value.
    ///
    /// # Errors
    /// Gives the value back if the channel is closed, before or meanwhile.
    ///
    /// # Cancellation
    /// Dropping the future drops the value unsent; to keep it, wait with [`Sender::reserve`]. A slot that it was given
    /// goes to the next sender.
    pub fn send(&self, value: T) -> Send<'_, T> {
        Send { reserve: self.reserve(), value: Some(value) }
    }

    /// Waits for a free slot and keeps it, to be sent into later without waiting.
    ///
    /// # Errors
    /// When the channel is closed, before or meanwhile.
    ///
    /// # Cancellation
    /// Dropping the future gives up the place in the queue; a slot that it was given goes to the next sender.
    pub fn reserve(&self) -> Reserve<'_, T> {
        Reserve { sender: self, key: None }
    }

    /// Sends the value if there is a free slot and nobody waits for one.
    ///
    /// # Errors
    /// Gives the value back if the channel is full or closed.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.slots().try_acquire() {
            // Between the two steps of closing a waker may come by here.
            _ if self.is_closed() => return Err(TrySendError::Closed(value)),
            Ok(slot) => slot.forget(),
            Err(TryAcquireError::Closed) => return Err(TrySendError::Closed(value)),
            Err(TryAcquireError::NoPermits) => return Err(TrySendError::Full(value)),
        }
        self.channel.push(value);
        Ok(())
    }

    /// The number of free slots.
    pub fn capacity(&self) -> usize {
        self.slots().available_permits()
    }

    /// Whether the receiver is closed or gone.
    pub fn is_closed(&self) -> bool {
        self.channel.closed.is_set()
    }

    /// Waits until the receiver is closed or gone.
    ///
    /// # Cancellation
    /// Dropping the future gives up nothing.
    pub async fn closed(&self) {
        self.channel.closed.wait().await;
    }

    /// Whether both send into the same channel.
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        Rc::ptr_eq(&self.channel, &other.channel)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.channel.add_sender();
        Sender { channel: self.channel.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.channel.remove_sender();
    }
}

impl<T> std::fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender")
            .field("capacity", &self.capacity())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// The future of [`Sender::reserve`].
#[must_use = "futures do nothing unless awaited"]
pub struct Reserve<'a, T> {
    sender: &'a Sender<T>,
    key: Option<usize>,
}

impl<'a, T> Future for Reserve<'a, T> {
    type Output = Result<SlotPermit<'a, T>, SendError<()>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Reserve { sender, key } = &mut *self;
        sender.slots().poll_acquire(1, key, None, cx).map(|given| {
            let channel = &sender.channel;
            match given {
                Ok(()) if !channel.closed.is_set() => {
                    channel.reserve();
                    Ok(SlotPermit { channel })
                }
                Ok(()) => {
                    channel.free_slot();
                    Err(SendError(()))
                }
                Err(_) => Err(SendError(())),
            }
        })
    }
}

impl<T> Drop for Reserve<'_, T> {
    fn drop(&mut self) {
        self.sender.slots().leave(&mut self.key);
    }
}

/// The future of [`Sender::send`].
#[must_use = "futures do nothing unless awaited"]
pub struct Send<'a, T> {
    reserve: Reserve<'a, T>,
    value: Option<T>,
}

// The value is moved out when there is room for it; nothing ever points to it.
impl<T> Unpin for Send<'_, T> {}

impl<T> Future for Send<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Send { reserve, value } = &mut *self;
        Pin::new(reserve).poll(cx).map(|slot| {
            let value = value.take().expect("a send is not polled again after it was ready");
            match slot {
                Ok(slot) => {
                    slot.send(value);
                    Ok(())
                }
                Err(_) => Err(SendError(value)),
            }
        })
    }
}

/// A free slot of a bounded channel, kept until a value is sent into it or this is dropped.
///
/// The receiver of a closed channel still waits for what is sent into it.
#[must_use = "a slot that is dropped is free for others at once"]
pub struct SlotPermit<'a, T> {
    channel: &'a Channel<T>,
}

impl<T> SlotPermit<'_, T> {
    /// Sends the value without waiting; it is dropped if the receiver is gone.
    pub fn send(self, value: T) {
        let channel = self.channel;
        std::mem::forget(self);
        channel.push(value);
        channel.unreserve();
    }
}

impl<T> Drop for SlotPermit<'_, T> {
    fn drop(&mut self) {
        self.channel.free_slot();
        self.channel.unreserve();
    }
}

impl<T> std::fmt::Debug for SlotPermit<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SlotPermit")
    }
}
