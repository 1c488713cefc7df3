//! Values from many tasks to one, in order.
//!
//! [`bounded`] makes senders wait while the channel is full, first come, first served; [`unbounded`] takes what
//! comes and must be bounded by other means. A channel is closed when its receiver is, by [`Receiver::close`] or by
//! being dropped; it ends for the receiver when it is empty and no sender is left or it is closed.
//!
//! ```
//! use covet_runtime::{spawn, sync::mpsc};
//!
//! covet_runtime::block_on(async {
//!     let (sender, mut receiver) = mpsc::bounded(2);
//!     for worker in 0..3 {
//!         let sender = sender.clone();
//!         spawn(async move { sender.send(worker).await }).detach();
//!     }
//!     drop(sender);
//!     let mut seen = Vec::new();
//!     while let Some(worker) = receiver.recv().await {
//!         seen.push(worker);
//!     }
//!     assert_eq!(seen, [0, 1, 2]);
//! })?;
//! # Ok::<(), covet_runtime::StartError>(())
//! ```

mod bounded;
mod channel;
mod receiver;
mod unbounded;

pub use bounded::{Reserve, Send, Sender, SlotPermit, bounded};
pub use receiver::{Receiver, Recv};
pub use unbounded::{UnboundedSender, unbounded};

/// The channel is closed; the value comes back.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the channel is closed")]
pub struct SendError<T>(pub T);

/// Why a value was not sent at once; it comes back.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrySendError<T> {
    /// The channel is full, or others wait to send.
    #[error("the channel is full")]
    Full(T),
    /// The receiver is closed or gone.
    #[error("the channel is closed")]
    Closed(T),
}

/// Why there is no value at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// Nothing has been sent.
    #[error("the channel is empty")]
    Empty,
    /// Nothing will be sent any more.
    #[error("the channel is closed and empty")]
    Closed,
}

impl<T> TrySendError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            TrySendError::Full(value) | TrySendError::Closed(value) => value,
        }
    }
}

// By hand, so that an error can be reported whatever the value is.
impl<T> std::fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SendError")
    }
}

impl<T> std::fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "Full",
            TrySendError::Closed(_) => "Closed",
        })
    }
}
