//! What tasks of one core say to each other: channels, locks, signals, cancellation, groups.
//!
//! Nothing here is `Send`, and nothing is atomic: a core has one thread. Waiting is first come, first served. Every
//! future may be dropped at any time; what it was given and did not take (a permit, a wake) goes to the next in the
//! queue, and leaving a queue is O(1). A primitive is shared by reference or in an `Rc`.
//!
//! ```compile_fail,E0277
//! # use covet_runtime::sync::Semaphore;
//! let semaphore = Semaphore::new(1);
//! std::thread::spawn(move || drop(semaphore));
//! ```
//!
//! Only the groups of tasks need a core. The rest works on any executor that stays on one thread.

mod cancellation;
mod event;
mod gate;
pub mod mpsc;
mod mutex;
mod notify;
pub mod oneshot;
mod rwlock;
mod scope;
mod semaphore;
mod task_set;
pub(crate) mod waiters;
mod waker_cell;
pub mod watch;

pub use cancellation::{CancellationToken, Cancelled, DropGuard};
pub use event::{Event, Wait};
pub use gate::{Gate, GateClosed, Pass};
pub use mutex::{Lock, Mutex, MutexGuard};
pub use notify::{Notified, Notify};
pub use rwlock::{Read, RwLock, RwLockReadGuard, RwLockWriteGuard, Write};
pub use scope::{Child, OnFailure, Scope, ScopeOptions, scope};
pub use semaphore::{Acquire, AcquireError, OwnedPermit, Permit, Semaphore, TryAcquireError};
pub use task_set::TaskSet;

#[cfg(all(test, not(loom)))]
mod tests;
