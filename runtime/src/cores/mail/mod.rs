//! What cores say to each other, and what threads that are no core say to them.
//!
//! Sharing nothing, cores send each other values and work:
//! - [`channel`]: values from anywhere to one core, in order and bounded, with senders that wait while it is full;
//! - [`Core::spawn_on`](crate::Core::spawn_on) and [`Core::broadcast`](crate::Core::broadcast): tasks for another core
//!   or for all, each with a handle that waits for what it returns;
//! - [`PerCore`](crate::PerCore): state that each core has of its own, and a fold over all of it.
//!
//! Messages to a core that is awake cost no system call: it looks for them once per turn of its loop. A sleeping core is
//! woken by whoever comes first.
//!
//! ```
//! use covet_runtime::{Runtime, mail, spawn};
//!
//! let (sender, mailbox) = mail::channel(16);
//! // One core takes the mailbox, all send.
//! let mailbox = std::sync::Mutex::new(Some(mailbox));
//! let runtime = Runtime::builder().start(move |core| {
//!     let sender = sender.clone();
//!     let mailbox = if core.index() == 0 { mailbox.lock().unwrap().take() } else { None };
//!     async move {
//!         if let Some(mailbox) = mailbox {
//!             let mut receiver = mailbox.bind();
//!             let cores = core.count();
//!             spawn(async move {
//!                 let mut seen = Vec::new();
//!                 while seen.len() < cores {
//!                     seen.extend(receiver.recv().await);
//!                 }
//!                 seen.sort();
//!                 assert!(seen.into_iter().eq(0..cores));
//!             })
//!             .detach();
//!         }
//!         sender.send(core.index()).await.expect("the receiver waits for all of us");
//!     }
//! })?;
//! runtime.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # When a side goes
//! A value is received, or comes back to its sender in the error, or is dropped: never leaked, and never kept waiting in
//! a channel whose receiver has gone. A handle of remote work always gets an answer, also from a core that has ended.

pub(crate) mod broadcast;
mod census;
mod channel;
pub(crate) mod peers;
pub(crate) mod per_core;
pub(crate) mod remote;
mod waker_slot;

#[cfg(all(test, loom))]
mod loom_tests;

pub use channel::{Mailbox, Permit, Receiver, Recv, Reserve, Send, Sender, channel};

pub use crate::sync::mpsc::{SendError, TryRecvError, TrySendError};
