use std::rc::Rc;

use super::channel::Channel;
use super::{Receiver, SendError};

/// Makes a channel that holds as many values as memory does.
pub fn unbounded<T>() -> (UnboundedSender<T>, Receiver<T>) {
    let channel = Rc::new(Channel::new(None));
    (UnboundedSender { channel: channel.clone() }, Receiver { channel })
}

/// Sends into an unbounded channel; clone it for more senders.
pub struct UnboundedSender<T> {
    channel: Rc<Channel<T>>,
}

impl<T> UnboundedSender<T> {
    /// Sends the value, without waiting.
    ///
    /// # Errors
    /// Gives the value back if the channel is closed.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.is_closed() {
            return Err(SendError(value));
        }
        self.channel.push(value);
        Ok(())
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
    pub fn same_channel(&self, other: &UnboundedSender<T>) -> bool {
        Rc::ptr_eq(&self.channel, &other.channel)
    }
}

impl<T> Clone for UnboundedSender<T> {
    fn clone(&self) -> UnboundedSender<T> {
        self.channel.add_sender();
        UnboundedSender { channel: self.channel.clone() }
    }
}

impl<T> Drop for UnboundedSender<T> {
    fn drop(&mut self) {
        self.channel.remove_sender();
    }
}

impl<T> std::fmt::Debug for UnboundedSender<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnboundedSender").field("closed", &self.is_closed()).finish()
    }
}
