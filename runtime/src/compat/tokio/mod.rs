//! Our cores and tokio's runtime in one process: beside each other, or one inside the other.
//!
//! | | [`Builder::beside_tokio`](crate::Builder::beside_tokio) | [`guest`] |
//! |---|---|---|
//! | whose thread | ours, pinned | tokio's |
//! | who sleeps | our ring | tokio's epoll, which watches our ring |
//! | `tokio::time`, `tokio::net` in our tasks | served by tokio's thread, woken across threads | served by this thread |
//! | `tokio::spawn` runs its task | on tokio's threads | on this thread (current-thread runtime) |
//! | cost to our own I/O | none | a call to epoll more per sleep, and timers rounded up to a millisecond |
//! | take it for | a server that uses a crate built on tokio here and there | one fast listener in a tokio application; a crate that wants to share `!Send` state with ours |
//!
//! The third way, a current-thread tokio runtime driven by our loop, does not exist: tokio offers no single turn of its
//! loop to others. A core that is the [`guest`] of a runtime of its own, one thread per core, is the same thing seen
//! from the other side.

mod beside;
mod guest;

pub use beside::helper;
pub use guest::{Guest, GuestHandle, guest};
