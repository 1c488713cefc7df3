//! Covet's runtime: one pinned thread, one executor and one io_uring per core.
//!
//! Nothing is shared between cores on the hot path. Tasks never move, so they may hold `Rc` and `RefCell` across
//! awaits; a connection lives where it was accepted; timers, buffers and the ring belong to the core.
//!
//! ```no_run
//! use covet_runtime::{Runtime, net::TcpListener, shutdown, spawn};
//! use std::time::Duration;
//!
//! let runtime = Runtime::builder()
//!     .handle_signals(true)
//!     .start(|core| async move {
//!         let listener = TcpListener::bind(([127, 0, 0, 1], 7000).into()).expect("port 7000 is free");
//!         println!("core {} echoes", core.index());
//!         spawn(async move {
//!             while let Ok(stream) = listener.accept().await {
//!                 spawn(async move {
//!                     while let Ok(bytes) = stream.recv().await {
//!                         if bytes.is_empty() || stream.write_all(bytes.to_vec()).await.0.is_err() {
//!                             break;
//!                         }
//!                     }
//!                 })
//!                 .detach();
//!             }
//!         })
//!         .detach();
//!         shutdown::requested().await;
//!     })?;
//! runtime.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! For a program that wants one core, or the same on each, [`macro@main`] does with less:
//!
//! ```no_run
//! #[covet_runtime::main(cores = "all", signals = true)]
//! async fn main(core: covet_runtime::Core) {
//!     println!("core {} of {}", core.index(), core.count());
//!     covet_runtime::shutdown::requested().await;
//! }
//! ```
//!
//! `docs/runtime.md` in the repository is the guide for those who embed it: cancellation, shutdown, restarts, limits, and
//! how to read what the runtime prints.
//!
//! # What the kernel must have
//! For io_uring, Linux 6.0; from 6.1 the ring runs completions only when the core asks for them, which is what makes it
//! fast. Where io_uring is older, or refused (containers, `kernel.io_uring_disabled`), the cores run on epoll at a higher
//! cost per request, and a warning in the log says why and what to do: [`DriverChoice`] decides, [`DriverKind`] tells.
//! Limits that stand in the way of both are named by [`StartError`].
//!
//! # Ownership and cancellation
//! What the kernel was lent (a buffer, a descriptor) stays with the driver until the kernel gives it back. Dropping
//! a future never frees memory that the kernel may still write to, and never leaks a descriptor: the operation is
//! cancelled and its slot is freed at its last completion.

#[cfg(not(target_os = "linux"))]
compile_error!("covet-runtime is built on io_uring and runs on Linux only");

/// The guide's examples are tests.
#[cfg(all(doctest, feature = "macros", feature = "tokio-rt"))]
#[doc = include_str!("../../docs/runtime.md")]
struct Guide;

mod blocking;
pub mod buf;
#[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio", feature = "futures-core"))]
pub mod compat;
mod cores;
mod error;
pub mod fs;
pub mod inspect;
pub mod net;
mod probes;
mod ring;
pub mod stats;
pub mod sync;
mod sync_types;
mod task;
pub mod time;

use std::future::Future;
use std::panic::Location;

pub use blocking::{BlockingHandle, QueueFull, spawn_blocking, try_spawn_blocking};
#[doc(hidden)]
pub use cores::entry;
pub use cores::{
    Broadcast, Builder, Core, CoreSet, JoinFailure, PerCore, RemoteHandle, Runtime, ShutdownHandle,
    StallReport, block_on, mail, shutdown,
};
#[cfg(feature = "macros")]
pub use covet_runtime_macros::{main, test};
pub use error::StartError;
pub use ring::{DriverChoice, DriverKind};
pub use task::{JoinError, JoinHandle, TaskBuilder, TaskGroup, YieldNow, spawn_in, spawn_named, yield_now};

/// Starts a task on this core.
///
/// It runs until its future is ready, whether the handle is kept or not; [`JoinHandle::cancel`] ends it early. A
/// panic stays inside the task. At most one allocation, which holds the future and then its output.
///
/// # Panics
/// Outside a core.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let at = Location::caller();
    match cores::context::with(|core| core.executor.spawn(future, at)) {
        Some(handle) => handle,
        None => panic!("spawn needs a Covet core: call it inside Runtime::start or block_on"),
    }
}
