//! Handing listening sockets over to a new process of the same service, without losing a connection.
//!
//! The old process offers its sockets at a path; the new one takes them, starts, and says when it serves; then the old
//! one shuts down. What travels (SCM_RIGHTS, unix(7)) is not a copy of the socket but the same open socket: its backlog
//! is the same queue. So connections that no process has accepted yet wait there through the change, and those that
//! the old process has accepted it serves to their end. Each socket of an SO_REUSEPORT group has a backlog of its
//! own, so all of them must be handed over: [`PerCoreListener::sockets`](crate::net::PerCoreListener::sockets) has all.
//! For a while both processes accept, which does no harm.
//!
//! For this to lose nothing, the old process must end its accepting by
//! [`TcpListener::retire`](crate::net::TcpListener::retire) and serve the connections that it returns.
//!
//! ```no_run
//! use covet_runtime::net::{ListenOptions, PerCoreListener, handover};
//! use covet_runtime::{CoreSet, Runtime, shutdown};
//! use std::time::Duration;
//!
//! let (path, cores, options) = ("/run/web/handover", CoreSet::all(), ListenOptions::default());
//! let before = handover::take(path)?;
//! let listeners = match &before {
//!     Some(before) => PerCoreListener::from_sockets(before.sockets("http")?, &options, &cores)?,
//!     None => PerCoreListener::bind(([0, 0, 0, 0], 8080).into(), &options, &cores)?,
//! };
//! let own = listeners.clone();
//! let runtime = Runtime::builder().cores(cores).start(move |core| {
//!     let listener = own.listener(&core).expect("each core takes its own once");
//!     async move {
//!         // Accept until the shutdown is requested, then:
//!         shutdown::requested().await;
//!         for _stream in listener.retire().await { /* serve it */ }
//!     }
//! })?;
//! if let Some(before) = before {
//!     before.serving()?;
//! }
//! let handle = runtime.shutdown_handle();
//! let sockets = move || Ok(listeners.sockets()?.into_iter().map(|socket| ("http".to_owned(), socket)).collect());
//! let _offer = handover::Offer::start(path, sockets, move || handle.shutdown(Duration::from_secs(30)))?;
//! runtime.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod offer;
mod packet;
mod place;
mod take;

pub use offer::Offer;
pub use take::{Predecessor, take};
